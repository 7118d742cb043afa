import pytest

from haulage.errors import FatalError, MismatchError
from haulage.model import Kind, Status, Verified
from haulage.verbs.copy import copy
from haulage.verbs.delete import check_source_has_entries, delete
from haulage.verbs.dirs import finish_dir, mkdir
from haulage.verbs.link import link
from haulage.verbs.verify import verify
from tests.engine_builders import checksum_of
from tests.stores import carrying, objects_shelf
from tests.verbs.ways import Way


def copied(way, path, content=b"content", **fields):
    way.put(path, content, **fields)
    action = way.listed(path)
    verb = link if action.kind == Kind.SYMLINK else copy
    outcome = verb(way.attempt, action, 0)
    recorded = action._replace(**(outcome.entry or way.look(path).entry)._asdict())
    return recorded._replace(made=outcome.made, checksum=outcome.checksum)


def spoil(way, path, content, **fields):
    """Give the target other content behind our back."""
    seen = way.look(path)
    entry = seen.entry._replace(size=len(content), etag=None, **fields)
    way.attempt.target.write(path, 7, content, seen._replace(entry=entry))


@pytest.mark.parametrize("content", [b"", b"content"])
def test_what_arrived_is_proven_by_its_content_or_by_its_attributes(way, content):
    action = copied(way, b"f", content)
    outcome = verify(way.attempt, action, 0)
    assert (outcome.status, outcome.verified) == (Status.VERIFIED, Verified.CHECKSUM)
    assert (outcome.checksum, outcome.made) == (checksum_of(content), action.made)
    way.attempt.verifies_content = False
    outcome = verify(way.attempt, action, 0)
    assert (outcome.verified, outcome.checksum) == (Verified.METADATA, action.checksum)


def test_a_link_is_proven_by_where_it_goes(way):
    action = copied(way, b"l", kind=Kind.SYMLINK, target=b"to", size=2)
    assert verify(way.attempt, action, 0).verified is Verified.METADATA
    with pytest.raises(MismatchError, match="target"):
        verify(way.attempt, action._replace(target=b"of", etag=None), 0)


def finished(way, path):
    listed = way.listed(path)
    mkdir(way.attempt, listed, 0)
    outcome = finish_dir(way.attempt, listed, 0)
    assert outcome.entry
    recorded = listed._replace(**outcome.entry._asdict())
    return recorded._replace(made=outcome.made)


def test_a_directory_is_proven_by_its_attributes(way):
    way.put(b"d/", mode=0o750)
    action = finished(way, b"d/")._replace(size=way.look(b"d/").entry.size)
    assert verify(way.attempt, action, 0).verified is Verified.METADATA
    with pytest.raises(MismatchError, match="mtime_ns"):
        verify(way.attempt, action._replace(mtime_ns=8, etag=None, nlink=2), 0)
    with pytest.raises(MismatchError, match="missing"):
        verify(way.attempt, action._replace(path=b"gone/", made=b"x"), 0)


def test_a_directory_that_no_object_stands_for_is_proven_by_being_there(way):
    way.put(b"d/")
    action = finished(way, b"d/")
    implied = action._replace(nlink=0, etag=None, mtime_s=0, mtime_ns=0, made=None)
    assert verify(way.attempt, implied, 0).status is Status.VERIFIED


def test_without_a_checksum_the_source_is_read(way):
    action = copied(way, b"f")._replace(checksum=None)
    assert verify(way.attempt, action, 0).checksum == checksum_of(b"content")
    way.put(b"f", b"CONTENT", mtime_s=1_600_000_000)
    with pytest.raises(MismatchError, match="source changed"):
        verify(way.attempt, action, 0)


def test_other_content_other_attributes_and_nothing_are_mismatches(way):
    action = copied(way, b"f")
    for verifies in (True, False):
        way.attempt.verifies_content = verifies
        spoil(way, b"f", b"longer than it was")
        with pytest.raises(MismatchError):
            verify(way.attempt, action, 0)
        spoil(way, b"f", b"content", mtime_s=1)
        with pytest.raises(MismatchError, match=r"mtime_s is 1|etag|version"):
            verify(way.attempt, action, 0)
        gone = action._replace(path=b"gone")
        with pytest.raises(MismatchError, match="missing"):
            verify(way.attempt, gone, 0)
    way.attempt.verifies_content = True
    spoil(way, b"f", b"CONTENT")
    with pytest.raises(MismatchError):
        verify(way.attempt, action, 0)


def test_only_what_the_source_has_no_more_is_deleted(way):
    action = copied(way, b"f")
    kept = delete(way.attempt, action, 0)
    assert (kept.status, kept.reason) == (Status.KEPT, "is at the source again")
    source = way.look(b"f").entry
    way.attempt.source.remove(action._replace(made=source.etag))
    assert delete(way.attempt, action, 0).status is Status.DELETED
    assert way.attempt.target.look(b"f") is None
    assert delete(way.attempt, action, 0).status is Status.ABSENT


def test_nothing_is_deleted_against_an_empty_source(way):
    with pytest.raises(FatalError, match="not mounted"):
        check_source_has_entries(way.attempt)
    way.put(b"f")
    check_source_has_entries(way.attempt)


def test_a_copy_from_object_to_object_is_proven_by_both_etags(
    moto_s3, bucket, tmp_path
):
    shelf = objects_shelf(moto_s3, bucket(moto_s3), tmp_path)
    with carrying(shelf.open(prefix="from"), shelf.open(prefix="to")) as attempt:
        way = Way(shelf, shelf, attempt)
        action = copied(way, b"f")
        assert verify(attempt, action, 0).verified is Verified.CHECKSUM
        way.attempt.target.write(b"f", 0, b"CONTENT", way.look(b"f"))
        with pytest.raises(MismatchError, match="another version"):
            verify(attempt, action, 0)
