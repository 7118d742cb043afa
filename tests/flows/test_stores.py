"""What a run gets from the blocks that its dataset names."""

import os
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from prefect.blocks.core import Block
from prefect.blocks.system import Secret
from prefect.testing.standard_test_suites.blocks import BlockStandardTestSuite
from prefect_aws.client_parameters import AwsClientParameters
from prefect_aws.credentials import AwsCredentials, MinIOCredentials
from pydantic import SecretStr

from blocks.credentials import Resolved, resolve
from blocks.stores import HaulageStore
from haulage.config.policy import Dataset
from haulage.config.store_options import Checksum, StoreOptions
from haulage.errors import RefusedError
from tests.servers.fixtures import moto_s3
from tests.servers.s3 import S3Server

__all__ = ["moto_s3"]

pytestmark = pytest.mark.usefixtures("prefect_server")

SECRET = "oneSecretThatNobodyMayRead"
ENDPOINT = "http://127.0.0.1:9000"
Saved = Callable[[Block], str]


class TestHaulageStoreInTheBlockCatalogue(BlockStandardTestSuite):
    test_has_a_valid_image = None  # type: ignore[assignment]  # needs the network

    @pytest.fixture
    def block(self) -> type[Block]:
        return HaulageStore


@pytest.fixture
def saved() -> Saved:
    """Return what saves a block under a name of its own and returns that."""

    def save(block: Block) -> str:
        name = uuid.uuid4().hex
        block.save(name)
        return f"{block.get_block_type_slug()}/{name}"

    return save


def keys(**fields: Any) -> AwsCredentials:
    given = {"aws_access_key_id": "AKIA1", "aws_secret_access_key": SecretStr(SECRET)}
    return AwsCredentials(**{**given, **fields})


def minio(**fields: Any) -> MinIOCredentials:
    given = {"minio_root_user": "lab", "minio_root_password": SecretStr(SECRET)}
    return MinIOCredentials(**{**given, **fields})


def to_bucket(url: str = "s3://bucket/prefix", **options: Any) -> Dataset:
    """Return a dataset whose target is a bucket."""
    store = StoreOptions(**options)
    return Dataset(name="d", source="/data", target=url, target_store=store)


def refusal(dataset: Dataset) -> str:
    with pytest.raises(RefusedError) as refused:
        resolve(dataset)
    assert SECRET not in str(refused.value)
    assert refused.value.__context__ is None
    return str(refused.value)


def test_a_dataset_without_blocks_stays_what_it_is() -> None:
    dataset = to_bucket(profile="nightly", region="eu-north-1")
    assert resolve(dataset) == Resolved(dataset, {})


def test_the_keys_of_each_end_go_into_variables_of_its_own(saved: Saved) -> None:
    first = saved(keys(aws_session_token="token"))
    second = saved(minio(aws_client_parameters=at(ENDPOINT)))
    dataset = Dataset(
        name="d",
        source="s3://bucket/a",
        source_store=StoreOptions(credentials=first),
        target="s3://bucket/b",
        target_store=StoreOptions(credentials=second),
    )
    resolved = resolve(dataset)
    assert resolved.environ == {
        "HAULAGE_SOURCE_ACCESS_KEY_ID": "AKIA1",
        "HAULAGE_SOURCE_SECRET_ACCESS_KEY": SECRET,
        "HAULAGE_SOURCE_SESSION_TOKEN": "token",
        "HAULAGE_TARGET_ACCESS_KEY_ID": "lab",
        "HAULAGE_TARGET_SECRET_ACCESS_KEY": SECRET,
    }
    assert resolved.dataset.source_store == dataset.source_store
    assert resolved.dataset.target_store.credentials == second
    assert resolved.dataset.target_store.endpoint == ENDPOINT
    assert SECRET not in repr(resolved)
    assert SECRET not in resolved.dataset.model_dump_json()


def at(endpoint: str) -> AwsClientParameters:
    return AwsClientParameters(endpoint_url=endpoint)


def test_the_region_and_endpoint_of_a_block_fill_in_what_is_empty(saved: Saved) -> None:
    block = saved(keys(region_name="eu-1", aws_client_parameters=at(f"{ENDPOINT}/")))
    filled = resolve(to_bucket(credentials=block)).dataset.target_store
    assert (filled.region, filled.endpoint) == ("eu-1", ENDPOINT)
    own = {"region": "eu-2", "endpoint": "https://s3.lab.example"}
    kept = resolve(to_bucket(credentials=block, **own)).dataset.target_store
    assert (kept.region, kept.endpoint) == ("eu-2", "https://s3.lab.example")


def test_a_block_with_a_profile_becomes_that_profile(saved: Saved) -> None:
    block = saved(AwsCredentials(profile_name="nightly", region_name="eu-1"))
    resolved = resolve(to_bucket(credentials=block))
    assert resolved.environ == {}
    store = resolved.dataset.target_store
    assert (store.profile, store.region) == ("nightly", "eu-1")
    assert store.credentials is None


@pytest.fixture
def sts(moto_s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> S3Server:
    """Have roles assumed at moto's STS."""
    for name, value in moto_s3.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    return moto_s3


ROLE = "arn:aws:iam::123456789012:role/backup"


def test_a_block_with_a_role_gives_the_keys_of_the_role(
    sts: S3Server, saved: Saved
) -> None:
    block = saved(keys(assume_role_arn=ROLE))
    environ = resolve(to_bucket(credentials=block)).environ
    assert environ["HAULAGE_TARGET_ACCESS_KEY_ID"] not in ("", "AKIA1")
    assert environ["HAULAGE_TARGET_SECRET_ACCESS_KEY"] not in ("", SECRET)
    assert environ["HAULAGE_TARGET_SESSION_TOKEN"]


def test_a_role_that_is_not_to_be_had_is_refused(
    saved: Saved, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    block = saved(keys(assume_role_arn=ROLE, region_name="eu-north-1"))
    told = refusal(to_bucket(credentials=block))
    assert block in told
    assert ROLE in told


@pytest.mark.parametrize(
    ("block", "told"),
    [
        (AwsCredentials(region_name="eu-north-1"), "is empty"),
        (AwsCredentials(aws_access_key_id="AKIA1"), "SECRET_ACCESS_KEY is missing"),
        (keys(aws_access_key_id=""), "ACCESS_KEY_ID is missing"),
        (minio(minio_root_user=""), "ACCESS_KEY_ID is missing"),
        (minio(), "would be sent to Amazon"),
        (keys(aws_client_parameters=AwsClientParameters(verify=False)), "certificates"),
        (keys(aws_client_parameters=at("ftp://host")), "endpoint"),
        (Secret(value=SECRET), "takes no credentials from blocks of type secret"),
        (HaulageStore(url="s3://bucket"), "of type haulage-store"),
    ],
)
def test_credentials_that_do_not_do_are_refused(
    block: Block, told: str, saved: Saved
) -> None:
    reference = saved(block.model_copy())
    found = refusal(to_bucket(credentials=reference))
    assert reference in found
    assert told in found


def test_a_block_that_is_not_there_is_refused_by_its_name() -> None:
    told = refusal(to_bucket(credentials="aws-credentials/absent"))
    assert "block aws-credentials/absent does not exist" in told
    assert "haulage-store/absent does not exist" in refusal(
        to_bucket("haulage-store/absent")
    )


@pytest.mark.parametrize("root", ["data/b", "./b", "~/b", "host:/b"])
def test_a_root_that_depends_on_where_a_worker_runs_is_refused(root: str) -> None:
    assert f"{root}: a relative path" in refusal(to_bucket(root))


@pytest.mark.parametrize("url", ["/data/b", "gs://bucket", "az://container"])
def test_keys_of_s3_for_what_is_no_s3_are_refused(url: str, saved: Saved) -> None:
    block = saved(keys())
    told = refusal(to_bucket(url, credentials=block))
    assert url in told
    assert block in told


@pytest.mark.parametrize("kind", [keys, minio])
def test_a_store_stands_for_its_bucket_and_all_that_is_said_of_it(
    kind: Callable[[], Block], saved: Saved
) -> None:
    credentials = saved(kind())
    store = HaulageStore(
        url="s3://genomes/raw",
        endpoint=ENDPOINT,
        credentials=type(kind()).load(credentials.partition("/")[2]),
        checksum=Checksum.SHA256,
        memory=48 << 20,
        tags={"team": "lab"},
    )
    resolved = resolve(to_bucket(saved(store)))
    assert resolved.dataset.target == "s3://genomes/raw"
    assert resolved.dataset.target_store == StoreOptions(
        endpoint=ENDPOINT,
        credentials=credentials,
        checksum=Checksum.SHA256,
        memory=48 << 20,
        tags={"team": "lab"},
    )
    assert resolved.environ["HAULAGE_TARGET_SECRET_ACCESS_KEY"] == SECRET


def test_a_store_without_credentials_leaves_them_to_the_machine(saved: Saved) -> None:
    resolved = resolve(to_bucket(saved(HaulageStore(url="gs://bucket/prefix"))))
    assert resolved.dataset.target == "gs://bucket/prefix"
    assert resolved.environ == {}


def test_what_a_dataset_says_goes_before_what_its_store_says(saved: Saved) -> None:
    store = saved(HaulageStore(url="s3://bucket", region="eu-1", in_flight=8))
    mine = saved(keys(region_name="eu-3"))
    resolved = resolve(to_bucket(store, region="eu-2", credentials=mine))
    assert resolved.dataset.target_store == StoreOptions(
        region="eu-2", in_flight=8, credentials=mine
    )


def test_keys_that_are_in_no_block_of_their_own_are_refused(saved: Saved) -> None:
    store = saved(HaulageStore(url="s3://bucket", credentials=keys()))
    assert f"{store} are not saved as a block" in refusal(to_bucket(store))


def test_secrets_do_not_enter_the_environment_of_the_flow_itself(saved: Saved) -> None:
    resolve(to_bucket(credentials=saved(keys())))
    assert SECRET not in os.environ.values()
