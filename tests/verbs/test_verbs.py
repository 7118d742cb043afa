"""What every verb promises, whatever the two stores are that it works between."""

import pytest

from haulage.errors import (
    FatalError,
    MismatchError,
    UnstableError,
    VanishedError,
)
from haulage.model import Kind, Status, Verb, Verified
from haulage.verbs.check import check
from haulage.verbs.copy import copy
from haulage.verbs.delete import check_source_has_entries, delete
from haulage.verbs.dirs import finish_dir, mkdir
from haulage.verbs.link import link
from haulage.verbs.meta import meta
from haulage.verbs.parts import discard, part, publish
from haulage.verbs.perform import perform
from haulage.verbs.verify import verify
from tests.engine_builders import checksum_of
from tests.stores import PART

LATER_S = 1_600_000_000


def copied(pair, path, content=b"content", **fields):
    """Copy a new entry; return the action for it as a manifest would tell of it."""
    pair.put(path, content, **fields)
    action = pair.listed(path)
    verb = link if action.kind == Kind.SYMLINK else copy
    outcome = verb(pair.attempt, action, 0)
    entry = outcome.entry or pair.look(path).entry
    proof = {"made": outcome.made, "checksum": outcome.checksum, "verified": 0}
    was = {"was_mtime_s": entry.mtime_s, "was_mtime_ns": entry.mtime_ns}
    return action._replace(**entry._asdict() | proof | was)


def changed(pair, action, content=None, **fields):
    """Change the source's entry; return the action for the next night."""
    path = action.path
    pair.put(path, b"content" if content is None else content, **fields)
    known = {"made": action.made, "checksum": action.checksum, "verified": 1}
    was = {"was_mtime_s": action.mtime_s, "was_mtime_ns": action.mtime_ns}
    return pair.listed(path, **known, **was)


@pytest.mark.parametrize("content", [b"", b"content"])
def test_a_copy_has_the_content_and_the_attributes(pair, content):
    pair.put(b"d/f", content, mode=0o640)
    outcome = copy(pair.attempt, pair.listed(b"d/f"), 0)
    assert outcome.status is Status.COPIED
    assert outcome.moved == len(content)
    assert outcome.checksum in (None, checksum_of(content))
    assert pair.content(b"d/f") == content
    assert pair.arrived(b"d/f").mode == 0o640
    assert pair.arrived(b"d/f").mtime_s == pair.look(b"d/f").entry.mtime_s


def test_what_is_gone_is_not_copied_and_leaves_nothing(pair):
    pair.put(b"f")
    action = pair.listed(b"f")
    with pytest.raises(VanishedError):
        copy(pair.attempt, action._replace(path=b"gone"), 0)
    assert pair.attempt.target.look(b"gone") is None


def test_a_link_goes_where_the_source_has_it_go(pair):
    pair.put(b"l", kind=Kind.SYMLINK, target=b"to", size=2)
    action = pair.look(b"l").entry
    outcome = link(pair.attempt, pair.listed(b"l")._replace(target=action.target), 0)
    assert outcome.status is Status.MADE
    assert pair.arrived(b"l").target == b"to"


def test_a_file_that_took_a_link_s_name_is_no_link(pair):
    pair.put(b"l")
    with pytest.raises(UnstableError, match="no longer a symbolic link"):
        link(pair.attempt, pair.listed(b"l")._replace(target=b"to"), 0)


def test_attributes_alone_move_no_byte(pair):
    action = copied(pair, b"f")
    again = meta(pair.attempt, changed(pair, action, mode=0o600, mtime_s=LATER_S), 0)
    assert again.moved == 0 or again.status is Status.COPIED
    assert pair.arrived(b"f").mode == 0o600
    assert pair.arrived(b"f").mtime_s == LATER_S
    assert pair.content(b"f") == b"content"


def test_attributes_of_what_nobody_made_are_not_set_but_all_is_copied(pair):
    action = copied(pair, b"f")
    pair.attempt.target.write(b"f", 7, b"theirs!", pair.look(b"f"))
    later = changed(pair, action, mtime_s=LATER_S)._replace(
        made=b"other" if action.etag_at_target else None, was_mtime_ns=3
    )
    assert meta(pair.attempt, later, 0).status is Status.COPIED
    assert pair.content(b"f") == b"content"


def test_a_check_copies_what_differs_and_nothing_else(pair):
    action = copied(pair, b"f")._replace(checksum=checksum_of(b"content"))
    same = check(pair.attempt, changed(pair, action, mtime_s=LATER_S), 0)
    assert same.status in (Status.UPDATED, Status.UNCHANGED)
    assert (same.moved, same.checksum) == (0, checksum_of(b"content"))
    assert pair.arrived(b"f").mtime_s == LATER_S
    other = check(pair.attempt, changed(pair, action, b"CONTENT"), 0)
    assert other.status is Status.COPIED
    assert pair.content(b"f") == b"CONTENT"


@pytest.mark.parametrize("known", [True, False])
def test_other_content_in_the_target_is_a_mismatch(pair, known):
    action = copied(pair, b"f")
    checksum = checksum_of(b"content") if known else None
    action = action._replace(checksum=checksum)
    proven = verify(pair.attempt, action, 0)
    assert (proven.status, proven.verified) == (Status.VERIFIED, Verified.CHECKSUM)
    assert proven.checksum == checksum_of(b"content")
    pair.attempt.target.write(b"f", 7, b"CONTENT", pair.look(b"f"))
    with pytest.raises(MismatchError):
        verify(pair.attempt, action, 0)
    with pytest.raises(MismatchError, match="missing"):
        verify(pair.attempt, action._replace(path=b"gone"), 0)


def test_only_what_the_source_has_no_more_is_deleted(pair):
    action = copied(pair, b"f")
    kept = delete(pair.attempt, action, 0)
    assert (kept.status, kept.reason) == (Status.KEPT, "is at the source again")
    pair.attempt.source.remove(action._replace(made=pair.look(b"f").entry.etag))
    assert delete(pair.attempt, action, 0).status is Status.DELETED
    assert delete(pair.attempt, action, 0).status is Status.ABSENT


def test_what_somebody_changed_in_the_target_is_not_deleted(pair):
    action = copied(pair, b"f")
    pair.attempt.target.write(b"f", 7, b"theirs, longer", pair.look(b"f"))
    pair.attempt.source.remove(action._replace(made=pair.look(b"f").entry.etag))
    assert delete(pair.attempt, action, 0).status is Status.KEPT
    assert pair.content(b"f") == b"theirs, longer"


def test_nothing_is_deleted_against_an_empty_source(pair):
    with pytest.raises(FatalError, match="the source is empty now"):
        check_source_has_entries(pair.attempt)
    pair.put(b"f")
    check_source_has_entries(pair.attempt)


def test_a_directory_has_its_attributes_at_last(pair):
    pair.put(b"d/", mode=0o750)
    action = pair.listed(b"d/")
    assert mkdir(pair.attempt, action, 0).status is Status.MADE
    outcome = finish_dir(pair.attempt, action, 0)
    assert (outcome.status, outcome.verified) == (Status.UPDATED, Verified.METADATA)
    assert pair.arrived(b"d/").mode == 0o750


def test_parts_make_one_file_that_is_proven(pair):
    content = bytes(range(256)) * (2 * PART // 256) + b"end"
    pair.put(b"large", content)
    action, cut = pair.listed(b"large"), [(0, PART), (PART, PART + 3)]
    ready = []
    for row, (offset, length) in enumerate(cut):
        piece = action._replace(offset=offset, length=length)
        outcome = part(pair.attempt, piece, row)
        assert (outcome.status, outcome.moved) == (Status.PART, length)
        ready.append(piece._replace(verb=Verb.PUBLISH, checksum=outcome.checksum))
    assert pair.attempt.target.look(b"large") is None
    outcome = publish(pair.attempt, ready[-1], 1, ready)
    assert outcome.status is Status.COPIED
    assert outcome.checksum in (None, checksum_of(content))
    assert pair.content(b"large") == content


def test_parts_that_are_dropped_are_published_no_more(pair):
    pair.put(b"large", bytes(PART + 1))
    action = pair.listed(b"large")
    piece = action._replace(length=PART)
    ready = [piece._replace(checksum=part(pair.attempt, piece, 0).checksum)]
    assert discard(pair.attempt, action, 0).status is Status.ABSENT
    with pytest.raises(UnstableError):
        publish(pair.attempt, ready[0], 0, ready)
    assert pair.attempt.target.look(b"large") is None


def test_what_one_entry_suffers_from_is_its_outcome(pair):
    pair.put(b"f")
    action = pair.listed(b"f", verb=Verb.COPY)
    rows = [action._replace(path=b"gone"), action]
    statuses = [outcome.status for outcome in perform(pair.attempt, rows)]
    assert statuses == [Status.VANISHED, Status.COPIED]
