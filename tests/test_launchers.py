"""Launchers as forms, on the command line and in JSON."""

import argparse

import pytest
from pydantic import ValidationError

from haulage.cli.arguments import launcher_of, policy_of
from haulage.cli.options.launchers import SLURM_OPTIONS, add_launchers
from haulage.config.containers import Container
from haulage.config.launchers import LOCAL, OWN_OPTIONS, Local, Slurm
from haulage.config.policy import Policy, RunPolicy
from haulage.errors import RefusedError

SLURM = Slurm(kind="slurm", workspace="/shared/haulage", partition="main", nodes=8)


def given(*words):
    parser = argparse.ArgumentParser()
    add_launchers(parser)
    return parser.parse_args(words)


def launcher(*words, base=LOCAL):
    return launcher_of(given(*words), base)


def slurm(**fields):
    return Slurm.model_validate({"kind": "slurm", "workspace": "/w", **fields})


def test_a_policy_without_a_launcher_moves_on_this_machine():
    assert Policy.model_validate({"movers": 3}).launcher == Local()
    assert RunPolicy.model_validate_json('{"movers": 3}').launcher == Local()


@pytest.mark.parametrize("given", [LOCAL, SLURM, "haulage-slurm/night"])
def test_a_launcher_is_the_same_after_a_round_trip_through_json(given):
    policy = Policy(launcher=given)
    assert Policy.model_validate_json(policy.model_dump_json()) == policy
    assert RunPolicy.model_validate(policy.model_dump()).launcher == given


def test_the_form_offers_each_kind_of_launcher_by_name():
    schema = Policy.model_json_schema()
    field = schema["properties"]["launcher"]
    assert "oneOf" not in field  # which Prefect's form does not show
    kinds = [one.get("$ref", one.get("title")) for one in field["anyOf"]]
    assert kinds == ["#/$defs/Local", "#/$defs/Slurm", "Block"]
    assert field["default"] == {"kind": "local"}
    for kind in ("Local", "Slurm"):
        fields = schema["$defs"][kind]["properties"]
        assert fields["kind"]["enum"] == [kind.lower()]
        assert all(one.get("title") for one in fields.values())
        assert all(one.get("description") for one in fields.values())


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("workspace", "shared"),
        ("workspace", ""),
        ("workspace", "/a\nb"),
        ("partition", "a b"),
        ("partition", ""),
        ("nodes", 0),
        ("slots_per_node", 0),
        ("cpus_per_slot", 0),
        ("memory_per_slot", "lots"),
        ("memory_per_slot", "4000"),
        ("time_limit", "90"),
        ("time_limit", "1:2:3:4"),
        ("exclude", "n1 n2"),
        ("gres", "a\nb"),
        ("comment", "two\nlines"),
        ("extra", ["-p main"]),
        ("extra", ["--mail-type FAIL"]),
        ("extra", ["mail-type=FAIL"]),
        ("extra", ["--a=b\n--c"]),
        ("extra", [""]),
        ("end_lead", 70_000),
        ("container", {"image": ""}),
        ("container", {"image": "a", "runtime": "docker"}),
        ("container", {"image": "a", "mounts": ["data"]}),
        ("container", {"image": "a", "mounts": ["/a:/b,/etc"]}),
        ("modules", ["python; rm"]),
        ("modules", ["-f"]),
        ("prologue", ["one\ntwo"]),
        ("python", "python3"),
        ("poll_seconds", 0),
        ("lease", 0),
        ("polls", 5),
    ],
)
def test_a_bad_value_is_refused_by_its_field(field, value):
    with pytest.raises(ValidationError) as refused:
        slurm(**{field: value})
    assert refused.value.errors()[0]["loc"][0] == field


@pytest.mark.parametrize("own", OWN_OPTIONS)
def test_an_option_that_haulage_sets_is_refused_by_any_name_that_sbatch_knows(own):
    for length in range(max(1, len(own) - 2), len(own) + 1):
        with pytest.raises(ValidationError, match="set by Haulage"):
            slurm(extra=[f"--{own[:length].rstrip('-')}=1"])


@pytest.mark.parametrize(
    "option", ["--mail-type=FAIL", "--time-min=5", "--contiguous", "--wckey=a b"]
)
def test_other_options_of_sbatch_are_taken(option):
    assert slurm(extra=[option]).extra == (option,)


@pytest.mark.parametrize(
    ("given", "seconds"),
    [
        ("90m", 5400),
        ("12h", 43_200),
        ("30:00", 1800),
        ("12:00:00", 43_200),
        ("2-12:00:00", 216_000),
        (5400, 5400),
    ],
)
def test_a_time_limit_is_an_age_or_what_sbatch_takes(given, seconds):
    assert slurm(time_limit=given).time_limit == seconds


def test_a_time_limit_without_a_unit_is_refused_because_sbatch_reads_minutes():
    with pytest.raises(ValidationError, match="write 90m or 90s"):
        slurm(time_limit="90")


def test_a_time_limit_that_leaves_no_time_for_work_is_refused():
    with pytest.raises(ValidationError, match="longer than 120 s"):
        slurm(time_limit="2m")
    assert slurm(time_limit="2m", end_lead="30s").time_limit == 120


def test_slots_that_have_a_node_each_are_not_several_on_one():
    with pytest.raises(ValidationError, match="one slot a node"):
        slurm(exclusive=True, slots_per_node=2)


def test_every_field_of_the_form_has_an_option():
    fields = {*Slurm.model_fields, *Container.model_fields} - {"kind", "container"}
    assert set(SLURM_OPTIONS) == fields


def test_options_make_a_launcher():
    words = "--launcher slurm --workspace /w --partition main --nodes 8 --mem 4G"
    made = launcher(*words.split(), "--exclusive", "--no-requeue", "--time", "12:00:00")
    assert made == slurm(
        partition="main",
        nodes=8,
        memory_per_slot=4 << 30,
        exclusive=True,
        requeue=False,
        time_limit="12h",
    )


def test_options_that_are_given_again_are_lists():
    words = ["--launcher", "slurm", "--workspace", "/w"]
    words += ["--sbatch=--mail-type=FAIL", "--sbatch=--contiguous"]
    words += ["--container", "a.sif", "--container-runtime", "apptainer"]
    words += ["--container-mount", "/a", "--container-mount", "/b:/c:ro"]
    container = {"runtime": "apptainer", "image": "a.sif", "mounts": ["/a", "/b:/c:ro"]}
    made = launcher(*words)
    assert made == slurm(
        extra=["--mail-type=FAIL", "--contiguous"], container=container
    )


def test_an_option_changes_the_launcher_of_a_recorded_dataset():
    assert launcher(base=SLURM) == SLURM
    assert launcher("--nodes", "2", base=SLURM) == SLURM.model_copy(update={"nodes": 2})
    assert launcher("--launcher", "local", base=SLURM) == Local()
    policy = policy_of(given("--nodes", "2"), Policy(launcher=SLURM))
    assert policy.launcher == launcher("--nodes", "2", base=SLURM)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("--partition main", "--partition is an option of --launcher slurm"),
        ("--launcher local --nodes 2", "--nodes is an option of --launcher slurm"),
        ("--launcher slurm", "also give --workspace"),
        ("--launcher pbs", "choose local or slurm"),
        ("--launcher haulage-slurm/night", "Blocks of Prefect are for"),
        ("--launcher slurm --workspace w", "--workspace: .*given: 'w'"),
        ("--launcher slurm --workspace /w --nodes x", "--nodes: .*given: 'x'"),
        ("--launcher slurm --workspace /w --mem x", "--mem: 'x' is not a size"),
        ("--launcher slurm --workspace /w --sbatch=--array=1", "--sbatch: --array"),
        ("--launcher slurm --workspace /w --container-mount /a", "give --container"),
        (
            "--launcher slurm --workspace /w --exclusive --slots-per-node 2",
            "one slot a node",
        ),
    ],
)
def test_a_bad_option_is_named(words, told):
    with pytest.raises(RefusedError, match=told):
        launcher(*words.split())
