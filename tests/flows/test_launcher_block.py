"""A launcher that is saved as a block, and what Prefect makes of its form."""

import uuid

import pytest
from prefect.blocks.core import Block
from prefect.testing.standard_test_suites.blocks import BlockStandardTestSuite
from prefect.utilities.callables import parameter_schema
from prefect.utilities.schema_tools import is_valid_schema
from prefect.utilities.schema_tools.validation import validate

from blocks.credentials import resolve
from blocks.launchers import HaulageSlurm
from flows.sync import sync
from haulage.config.containers import Container
from haulage.config.launchers import Slurm
from haulage.config.policy import Dataset, Policy
from haulage.errors import RefusedError

pytestmark = pytest.mark.usefixtures("prefect_server")


class TestHaulageSlurmInTheBlockCatalogue(BlockStandardTestSuite):
    test_has_a_valid_image = None  # type: ignore[assignment]  # needs the network

    @pytest.fixture
    def block(self) -> type[Block]:
        return HaulageSlurm


def dataset(launcher) -> Dataset:
    return Dataset(
        name="a", source="/a", target="/b", policy=Policy(launcher=launcher, movers=3)
    )


def test_a_dataset_gets_the_launcher_of_the_block_that_it_names():
    fields = {
        "workspace": "/shared/haulage",
        "partition": "main",
        "time_limit": "12h",
        "extra": ("--mail-type=FAIL",),
        "container": Container(image="/images/haulage.sqsh", mounts=("/data",)),
    }
    name = uuid.uuid4().hex
    HaulageSlurm(**fields).save(name)
    resolved = resolve(dataset(f"haulage-slurm/{name}")).dataset
    assert resolved == dataset(Slurm(kind="slurm", **fields))


def test_a_block_that_is_not_there_is_named_with_the_next_step():
    with pytest.raises(RefusedError, match="haulage-slurm/none does not exist; create"):
        resolve(dataset("haulage-slurm/none"))


@pytest.mark.parametrize(
    "launcher",
    [
        {"kind": "local"},
        {"kind": "slurm", "workspace": "/w", "container": {"image": "a"}},
        "haulage-slurm/night",
    ],
)
def test_the_form_of_a_deployment_takes_each_kind_of_launcher(launcher):
    schema = parameter_schema(sync).model_dump()
    is_valid_schema(schema)
    given = {"name": "a", "source": "/a", "target": "/b"}
    values = {"dataset": {**given, "policy": {"launcher": launcher}}}
    assert validate(values, schema) == []


@pytest.mark.parametrize(
    "launcher", [{"kind": "pbs"}, {"kind": "slurm", "nodes": 0}, "aws-credentials/a"]
)
def test_the_form_of_a_deployment_takes_nothing_else(launcher):
    schema = parameter_schema(sync).model_dump()
    given = {"name": "a", "source": "/a", "target": "/b"}
    values = {"dataset": {**given, "policy": {"launcher": launcher}}}
    assert validate(values, schema) != []
