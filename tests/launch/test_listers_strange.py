"""Buckets of servers that list wrongly: each key once, or a failure that is loud."""

import pyarrow as pa
import pytest

from haulage.errors import FatalError
from haulage.launch.listers.pool import Listers
from haulage.place import Place
from tests.engine_builders import paths_of
from tests.servers.strange import Habit, strange

KEYS = ["p/b/2", "p/a", "p/b/1", "p/d é&?", "p/c", "p/b-", "q"]
SORTED = [b"", b"a", b"b-", b"b/", b"b/1", b"b/2", b"c", "d é&?".encode()]
ENVIRON = {
    "AWS_ACCESS_KEY_ID": "key",
    "AWS_SECRET_ACCESS_KEY": "secret",
    "AWS_EC2_METADATA_DISABLED": "true",
}


def listed(endpoint, spool, **options) -> list[bytes]:
    place = Place("s3://any/p", endpoint=endpoint, region="us-east-1", path_style=True)
    options = {"environ": ENVIRON, **options}
    with Listers(place, {}, count=1, spool=spool, **options) as listers:
        pieces = list(listers.pieces())
    tables = [piece for piece in pieces if isinstance(piece, pa.Table)]
    assert len(tables) == len(pieces)
    return paths_of(pa.concat_tables(tables))


@pytest.mark.parametrize("page_keys", [2, 1000])
@pytest.mark.parametrize(
    "habit", [Habit.NONE, Habit.UNSORTED, Habit.EMPTY_PAGE, Habit.DUPLICATE_KEY]
)
def test_each_key_is_listed_once_and_in_order(tmp_path, habit, page_keys):
    with strange(KEYS, habit, page_keys) as endpoint:
        assert listed(endpoint, tmp_path) == SORTED


@pytest.mark.parametrize("habit", [Habit.UNSORTED, Habit.DUPLICATE_KEY])
def test_another_order_is_remembered_for_the_next_listing(tmp_path, habit):
    note = tmp_path / "kept" / "note"
    with strange(KEYS, habit, 2) as endpoint:
        listed(endpoint, tmp_path / "a", disorder=note)
        assert note.read_text() == "early"
        assert listed(endpoint, tmp_path / "b", disorder=note) == SORTED


def test_a_token_that_comes_again_and_again_ends_the_listing(tmp_path):
    with (
        strange(KEYS, Habit.REPEATED_TOKEN, 2) as endpoint,
        pytest.raises(FatalError, match="token twice"),
    ):
        listed(endpoint, tmp_path)


def test_an_order_that_breaks_late_ends_the_listing(tmp_path, monkeypatch):
    # one lane gives nothing away, so that nobody is at the end before the rest is told
    monkeypatch.setattr("haulage.launch.listers.pool._BUCKET_LANES", 1)
    keys = [f"p/{number:06}" for number in range(40_000)]
    with (
        strange([*keys, "p/000000a"], Habit.UNSORTED) as endpoint,
        pytest.raises(FatalError, match="start a new one"),
    ):
        listed(endpoint, tmp_path / "a", disorder=tmp_path / "note")
    assert (tmp_path / "note").read_text() == "late"
