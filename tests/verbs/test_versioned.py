"""Listings of buckets: versions tell what changed, not times."""

import numpy as np
import pyarrow as pa
import pytest

from haulage.model import Action, Kind, Verb
from haulage.planning.actions import Intent, plan
from haulage.planning.changed_fields import Against, Field
from haulage.planning.match_listing import compare
from haulage.storage.store import Now
from haulage.storage.versions import is_as_listed, is_version
from haulage.verbs.versions import as_recorded, is_racy_entry
from tests.engine_builders import GIGA, entry, listed, recorded
from tests.verbs.ways import action_of

ETAG = {"etag": b"one", "ino": 0, "nlink": 0, "dev": 0}


def everything(table):
    return np.ones(table.num_rows, np.bool_)


def difference(now, was, **against):
    wanted = Against([was], everything, versioned=True, **against)
    first, *_ = compare([now], wanted)
    return first


BY_VERSIONS = Intent(versioned=True)


def verbs(now, was, intent=BY_VERSIONS, **against):
    actions = plan(difference(now, was, **against), intent).actions
    return [Verb(verb).name for verb in actions["verb"].to_pylist()]


def test_what_was_written_with_attributes_of_its_own_is_unchanged():
    now = listed(entry(b"f", **ETAG, mtime_s=99, mode=0o600, uid=1))
    was = recorded(entry(b"f", **ETAG, mtime_s=-1, mode=0o4755, uid=0))
    assert difference(now, was).changed.num_rows == 0


def test_a_link_that_is_listed_as_an_object_is_unchanged():
    now = listed(entry(b"l", **ETAG))
    was = recorded(entry(b"l", **ETAG, kind=Kind.SYMLINK, target=b"to"), verified=0)
    assert difference(now, was, proof=2).changed.num_rows == 0


def test_another_version_is_copied():
    was = recorded(entry(b"f", **ETAG))
    assert verbs(listed(entry(b"f", **{**ETAG, "etag": b"two"})), was) == ["COPY"]
    assert verbs(listed(entry(b"f", **ETAG, size=11)), was) == ["COPY"]


def test_the_same_version_of_another_time_has_other_attributes_alone():
    now = listed(entry(b"f", **ETAG, ctime_s=99))
    assert verbs(now, recorded(entry(b"f", **ETAG))) == ["META"]


def test_only_size_counts_where_that_is_asked_for_but_versions_still_do():
    intent = Intent(versioned=True, uncompared=Field.TIME | Field.INODE)
    now = listed(entry(b"f", **{**ETAG, "etag": b"two"}))
    assert verbs(now, recorded(entry(b"f", **ETAG)), intent) == ["COPY"]


def test_a_directory_that_nothing_stands_for_is_unchanged():
    implied = entry(b"d/", nlink=0, ctime_s=0)
    assert difference(listed(implied), recorded(implied)).changed.num_rows == 0


@pytest.mark.parametrize("etag", [None, b"one"])
def test_what_was_found_in_the_target_is_looked_at(etag):
    was = recorded(entry(b"f", etag=etag))
    found = difference(listed(entry(b"f", **ETAG)), was, adopted=True)
    assert bool(found.fields[0] & Field.TIME) == (etag is None)
    assert found.fields[0] & Field.ADOPTED


def test_what_a_bucket_holds_no_more_is_gone():
    was = recorded(entry(b"a", **ETAG), entry(b"b", **ETAG))
    gone = difference(listed(entry(b"b", **ETAG)), was).gone
    assert gone["path"].to_pylist() == [b"a"]


def test_etags_are_compared_as_they_are_and_null_is_none():
    both = pa.concat_tables(
        [listed(entry(b"a", **ETAG)), listed(entry(b"b", **{**ETAG, "etag": None}))]
    )
    was = pa.concat_tables(
        [
            recorded(entry(b"a", **{**ETAG, "etag": None})),
            recorded(entry(b"b", **{**ETAG, "etag": None})),
        ]
    )
    assert difference(both, was).changed["path"].to_pylist() == [b"a"]


def action(**fields) -> Action:
    return action_of(entry(b"f", **fields))


def test_a_version_is_an_etag_or_a_time_and_an_inode():
    assert is_version(action(**ETAG), entry(b"f", **ETAG, mtime_s=1))
    assert not is_version(action(**ETAG), entry(b"f", **{**ETAG, "etag": b"two"}))
    assert not is_version(action(**ETAG), entry(b"f", **ETAG, size=11))
    assert is_version(action(), entry(b"f", ctime_s=9, mode=0))
    for other in ({"mtime_ns": 6}, {"ino": 9}, {"size": 11}):
        assert not is_version(action(), entry(b"f", **other))


def test_as_listed_is_more_than_a_version():
    assert is_as_listed(action(), entry(b"f"))
    assert not is_as_listed(action(), entry(b"f", ctime_ns=7))
    assert not is_as_listed(action(), entry(b"f", kind=Kind.SYMLINK))
    assert is_as_listed(action(**ETAG), entry(b"f", **ETAG, ctime_ns=7))


def test_the_manifest_keeps_the_listings_time_of_the_same_version():
    listed_ns = action(**ETAG, ctime_s=5, ctime_ns=123)
    seen = entry(b"f", **ETAG, ctime_s=5, ctime_ns=0)
    assert as_recorded(listed_ns, seen).ctime_ns == 123
    other = entry(b"f", **{**ETAG, "etag": b"two"}, ctime_s=6)
    assert as_recorded(listed_ns, other) == other
    assert as_recorded(action(), entry(b"f", ctime_s=6)).ctime_s == 6


def test_objects_are_never_racy():
    now = Now(1_500_000_000 * GIGA, 1_500_000_000 * GIGA)
    assert is_racy_entry(entry(b"f"), now)
    assert not is_racy_entry(entry(b"f", **ETAG), now)


def test_a_name_that_is_not_joined_with_its_group_is_looked_at_where_it_can_be():
    now, was = listed(entry(b"f", **ETAG)), recorded(entry(b"f", **ETAG), racy=True)
    assert verbs(now, was, joins=True) == ["META"]
    assert verbs(
        now,
        was,
        Intent(versioned=True, uncompared=Field.TIME | Field.INODE),
        joins=True,
    ) == ["META"]
    assert verbs(now, was) == []


def test_an_action_says_what_an_object_was_known_to_stand_for():
    stood_for = {"mode": 0o600, "mtime_s": 1, "dev": 3, "ino": 4, "nlink": 2}
    now = listed(entry(b"f", **ETAG, ctime_s=99, mtime_s=99))
    was = recorded(entry(b"f", **{**ETAG, **stood_for}))
    (row,) = plan(difference(now, was), BY_VERSIONS).actions.to_pylist()
    assert {name: row[name] for name in stood_for} == stood_for
    assert row["ctime_s"] == 99


def test_one_of_several_names_is_to_be_looked_at_again():
    assert is_racy_entry(entry(b"f", etag=b"one", nlink=2), Now(0, 0))
    assert not is_racy_entry(entry(b"f", etag=b"one", nlink=0), Now(0, 0))
