from collections.abc import Iterator

import pytest
from pydantic import BaseModel, ValidationError

from haulage.config import policy
from haulage.config.launchers import Local, Slurm
from haulage.config.policy import Dataset, Filters, Policy
from haulage.config.units import parse_age, parse_size
from haulage.errors import RefusedError
from haulage.model import PRESERVED, Preserve


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("0", 0),
        ("512", 512),
        ("64K", 64 << 10),
        ("64k", 64 << 10),
        ("64KiB", 64 << 10),
        ("1.5 GiB", 3 << 29),
        ("2 TiB", 2 << 40),
        (" 3MB ", 3 << 20),
        ("7b", 7),
        ("1P", 1 << 50),
        ("1E", 1 << 60),
        ("9007199254740993", 9_007_199_254_740_993),
    ],
)
def test_a_size_is_read_in_powers_of_1024(text, wanted):
    assert parse_size(text) == wanted


@pytest.mark.parametrize("text", ["", "K", "-1", "1 X", "1KK", "1,5G", "1e3"])
def test_a_bad_size_is_refused_with_examples(text):
    with pytest.raises(ValueError, match="64K") as refused:
        parse_size(text)
    assert repr(text) in str(refused.value)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("90", 90),
        ("500ms", 0.5),
        ("90s", 90),
        ("15m", 900),
        ("12h", 43_200),
        ("7d", 604_800),
        ("2W", 1_209_600),
        ("1y", 31_557_600),
        ("1.5 h", 5400),
    ],
)
def test_an_age_is_read_in_its_unit(text, wanted):
    assert parse_age(text) == wanted


@pytest.mark.parametrize("text", ["", "d", "-1d", "1 month", "1d2h", "inf", "nan"])
def test_a_bad_age_is_refused_with_examples(text):
    with pytest.raises(ValueError, match="15m") as refused:
        parse_age(text)
    assert repr(text) in str(refused.value)


def test_numbers_pass_through_as_they_are():
    assert Filters(min_size=5, max_age=1.5) == Filters(min_size="5", max_age="1.5s")


@pytest.mark.parametrize(
    "fields",
    [
        {"filters": {"min_size": -1}},
        {"filters": {"max_age": -0.1}},
        {"guards": {"max_share": 1.1}},
        {"guards": {"max_count": -1}},
        {"shards": {"max_entries": 0}},
        {"shards": {"max_bytes": "1K"}},
        {"movers": 0},
        {"movers": 1025},
        {"listers": 0},
        {"sample_share": 0},
        {"attempts": 0},
        {"compare": "times"},
        {"delete": "yes"},
        {"verify": ""},
    ],
)
def test_a_value_out_of_its_range_is_refused_by_its_name(fields):
    (name,) = fields
    with pytest.raises(ValidationError) as refused:
        Policy.model_validate(fields)
    (error,) = refused.value.errors()
    assert error["loc"][0] == name


@pytest.mark.parametrize(
    ("model", "fields"),
    [
        (Policy, {"mover": 3}),
        (Policy, {"filters": {"rule": ["- x"]}}),
        (Policy, {"guards": {"max": 3}}),
        (Policy, {"shards": {"bytes": 3}}),
        (Dataset, {"name": "a", "source": "/a", "target": "/b", "polcy": {}}),
    ],
)
def test_a_key_that_is_none_of_ours_is_refused(model, fields):
    with pytest.raises(ValidationError, match="Extra inputs are not permitted"):
        model.model_validate(fields)


def test_a_bad_filter_rule_is_refused_by_the_form():
    with pytest.raises((ValidationError, RefusedError), match="- \\[a"):
        Filters(rules=("- [a",))


def test_a_dataset_is_the_same_after_a_round_trip_through_json():
    dataset = Dataset.model_validate(
        {
            "name": "homes",
            "source": "/srv/homes",
            "target": "/backup/homes",
            "policy": {
                "filters": {
                    "rules": ["- *.o", "+ \u00e9"],
                    "min_size": "1K",
                    "max_age": "2w",
                },
                "compare": "checksum",
                "verify": "sample",
                "delete": "guarded",
                "guards": {"max_count": 5, "max_bytes": "1T"},
                "shards": {"max_entries": 10, "max_bytes": "1M"},
                "sample_share": 0.125,
            },
        }
    )
    assert Dataset.model_validate_json(dataset.model_dump_json()) == dataset
    assert dataset.policy.filters.max_age == 1_209_600


def test_the_default_policy_is_the_same_after_a_round_trip_through_json():
    assert Policy.model_validate_json(Policy().model_dump_json()) == Policy()


def test_a_policy_can_not_be_changed():
    with pytest.raises(ValidationError):
        Policy().movers = 5  # type: ignore[misc]


@pytest.mark.parametrize("name", ["", "-a", ".a", "a b", "a/b", "é", "x" * 101, "a\n"])
def test_a_dataset_has_a_name_that_is_safe_everywhere(name):
    with pytest.raises(ValidationError):
        Dataset(name=name, source="/a", target="/b")


def forms() -> Iterator[type[BaseModel]]:
    for value in vars(policy).values():
        if isinstance(value, type) and issubclass(value, BaseModel):
            yield value


@pytest.mark.parametrize(
    ("form", "field"),
    [
        pytest.param(form, field, id=f"{form.__name__}.{field}")
        for form in forms()
        for field in form.model_fields
    ],
)
def test_every_field_has_a_title_and_a_description_of_whole_sentences(form, field):
    info = form.model_fields[field]
    assert info.title
    assert info.title[0].isupper()
    assert not info.title.endswith(".")
    assert info.description
    assert info.description.endswith(".")


ALL = tuple(Preserve)


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ("mode", ("mode",)),
        ("times, mode,mode", ("mode", "times")),
        (["devices", "mode"], ("mode", "devices")),
        ([], ()),
        ("all", ALL),
        (["all"], ALL),
        ("all,-owner", tuple(name for name in ALL if name != "owner")),
        ("-acls,-links", ("mode", "owner", "times", "xattrs", "sparse")),
        (PRESERVED, PRESERVED),
    ],
)
def test_what_is_preserved_is_named_in_any_order_or_by_what_is_not(given, wanted):
    policy = Policy(preserve=given)
    assert policy.preserve == wanted
    assert Policy.model_validate_json(policy.model_dump_json()) == policy


def test_everything_but_special_files_and_devices_is_preserved_by_default():
    assert set(Preserve) - set(Policy().preserve) == {"specials", "devices"}


@pytest.mark.parametrize("given", ["x", ["mode", "x"], "all,-x", "", "mode,,times"])
def test_a_name_of_nothing_that_can_be_preserved_is_refused_with_those_that_can(given):
    with pytest.raises(ValidationError, match="choose from mode, owner, times") as no:
        Policy(preserve=given)
    assert no.value.errors()[0]["loc"] == ("preserve",)


@pytest.mark.parametrize("given", [5, {"mode": True}, None])
def test_what_is_no_list_of_names_is_refused(given):
    with pytest.raises(ValidationError):
        Policy(preserve=given)


def test_acls_without_the_mode_that_they_hold_are_refused():
    with pytest.raises(ValidationError, match="acls hold the mode"):
        Policy(preserve="acls,owner")


def test_the_form_offers_each_name():
    schema = Policy.model_json_schema()
    assert schema["properties"]["preserve"]["items"] == {"$ref": "#/$defs/Preserve"}
    assert schema["$defs"]["Preserve"]["enum"] == [str(name) for name in Preserve]


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"workspace": "shared"}, "workspace"),
        ({"workspace": "/w", "nodes": 0}, "nodes"),
        ({"workspace": "/w", "partition": "a b; rm"}, "partition"),
        ({"workspace": "/w", "extra": ["--array=1-9"]}, "set by Haulage"),
        ({"workspace": "/w", "extra": ["rm -rf"]}, "no option"),
        ({"workspace": "/w", "prologue": ["a\nb"]}, "line break"),
        ({"workspace": "/w", "lease": 0.1}, "lease"),
        ({"nodes": 1}, "workspace"),
    ],
)
def test_a_wrong_launcher_is_refused_by_the_name_of_its_field(wrong, words):
    with pytest.raises(ValidationError, match=words):
        Policy(launcher={"kind": "slurm", **wrong})


def test_a_launcher_is_a_value_and_local_unless_it_is_named():
    assert Policy().launcher == Local()
    given = {"kind": "slurm", "workspace": "/w", "nodes": 8, "slots_per_node": 8}
    policy = Policy.model_validate({"launcher": given})
    assert isinstance(policy.launcher, Slurm)
    assert policy.launcher.slots == 64
    assert Policy.model_validate_json(policy.model_dump_json()) == policy
