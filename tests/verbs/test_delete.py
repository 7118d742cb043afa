import os

import pytest

from haulage.errors import FatalError
from haulage.model import Status, Verb
from haulage.verbs.delete import check_source_has_entries, delete
from tests.engine_builders import OLD_NS, action_on, as_nobody, put, read, working


@pytest.fixture
def made(ends):
    """Give ends of which the target has what we made and the source no longer has."""
    put(ends.source, b"still here")
    put(ends.target, b"d/f", b"ours")
    (ends.target / "d" / "l").symlink_to("to")
    path = ends.target / "d" / "l"
    os.utime(path, ns=(OLD_NS, OLD_NS), follow_symlinks=False)
    (ends.target / "d" / "e").mkdir()
    return ends


def remove(ends, path: bytes, **fields):
    return delete(ends.attempt, action_on(ends.target, path, Verb.DELETE, **fields), 0)


def test_what_we_made_and_the_source_no_longer_has_is_removed(made):
    for path in (b"d/f", b"d/l", b"d/e/", b"d/"):
        assert remove(made, path).status == Status.DELETED
    assert os.listdir(made.target) == []


def test_what_is_gone_already_is_absent(made):
    actions = [
        action_on(made.target, path, Verb.DELETE) for path in (b"d/f", b"d/e/", b"d/l")
    ]
    for action in actions:
        delete(made.attempt, action, 0)
    assert [delete(made.attempt, a, 0).status for a in actions] == [Status.ABSENT] * 3


def test_nothing_is_removed_below_a_parent_that_is_gone(made):
    action = action_on(made.target, b"d/f", Verb.DELETE)
    (made.target / "d").rename(made.target / "moved")
    assert delete(made.attempt, action, 0).status == Status.ABSENT
    assert read(made.target, b"moved/f") == b"ours"


@pytest.mark.parametrize("path", [b"d/f", b"d/l", b"d/e/", b"d/"])
def test_what_the_source_has_again_is_kept(made, path):
    (made.source / "d" / "e").mkdir(parents=True)
    (made.source / "d" / "l").symlink_to("anything")
    put(made.source, b"d/f", b"again")
    outcome = remove(made, path)
    assert outcome.status == Status.KEPT
    assert "at the source again" in str(outcome.reason)
    assert os.path.lexists(os.path.join(os.fsencode(made.target), path))


def test_what_the_source_has_again_in_a_directory_known_before_is_kept(made):
    (made.source / "d").mkdir()
    assert remove(made, b"d/l").status == Status.DELETED
    (made.source / "d").rename(made.source / "old")
    put(made.source, b"d/f", b"again")
    assert remove(made, b"d/f").status == Status.KEPT


@pytest.mark.parametrize(
    ("content", "mtime_ns", "reason"),
    [(b"edit", OLD_NS + 1, "mtime"), (b"longer", OLD_NS, "size")],
)
def test_what_changed_in_the_target_is_kept(made, content, mtime_ns, reason):
    action = action_on(made.target, b"d/f", Verb.DELETE)
    put(made.target, b"d/f", content, mtime_ns=mtime_ns)
    outcome = delete(made.attempt, action, 0)
    assert outcome.status == Status.KEPT
    assert reason in str(outcome.reason)
    assert read(made.target, b"d/f") == content


def test_what_became_another_kind_in_the_target_is_kept(made):
    action = action_on(made.target, b"d/f", Verb.DELETE)
    os.unlink(made.target / "d" / "f")
    (made.target / "d" / "f").symlink_to("theirs")
    outcome = delete(made.attempt, action, 0)
    assert outcome.status == Status.KEPT
    assert "type" in str(outcome.reason)
    link = action_on(made.target, b"d/e/", Verb.DELETE)
    os.rmdir(made.target / "d" / "e")
    put(made.target, b"d/e", b"theirs")
    assert delete(made.attempt, link, 0).status == Status.KEPT
    assert read(made.target, b"d/e") == b"theirs"


def test_what_already_became_what_the_source_has_now_is_left(made):
    action = action_on(made.target, b"d/f", Verb.DELETE)
    os.unlink(made.target / "d" / "f")
    (made.target / "d" / "f").symlink_to("new")
    (made.source / "d").mkdir()
    (made.source / "d" / "f").symlink_to("new")
    assert delete(made.attempt, action, 0).status == Status.REPLACED
    assert os.readlink(made.target / "d" / "f") == "new"


def test_a_directory_with_content_that_we_did_not_make_is_kept(made):
    put(made.target, b"d/e/theirs", b"precious")
    outcome = remove(made, b"d/e/")
    assert outcome.status == Status.KEPT
    assert "content that we did not make" in str(outcome.reason)
    assert read(made.target, b"d/e/theirs") == b"precious"


def test_a_link_in_the_place_of_a_parent_in_the_target_is_not_followed(made, tmp_path):
    put(tmp_path, b"outside/f", b"ours")
    action = action_on(made.target, b"d/f", Verb.DELETE)
    (made.target / "d").rename(made.target / "moved")
    (made.target / "d").symlink_to(tmp_path / "outside")
    assert delete(made.attempt, action, 0).status == Status.ABSENT
    assert read(tmp_path, b"outside/f") == b"ours"
    assert read(made.target, b"moved/f") == b"ours"


def test_a_link_in_the_place_of_a_parent_in_the_source_is_not_followed(made, tmp_path):
    put(tmp_path, b"outside/f", b"not the source's")
    (made.source / "d").symlink_to(tmp_path / "outside")
    assert remove(made, b"d/f").status == Status.DELETED
    assert read(tmp_path, b"outside/f") == b"not the source's"


def test_an_empty_source_is_fatal_and_one_with_any_entry_is_not(made):
    check_source_has_entries(made.attempt)
    check_source_has_entries(made.attempt)
    os.unlink(made.source / "still here")
    with pytest.raises(FatalError, match="source is empty now"):
        check_source_has_entries(made.attempt)
    os.mkfifo(made.source / ".hidden")
    check_source_has_entries(made.attempt)


def test_a_source_that_can_not_be_looked_at_is_no_proof(commons):
    put(commons, b"s/locked/f", b"still there")
    put(commons, b"t/locked/f", b"ours")
    os.chmod(commons / "t" / "locked", 0o777)
    os.chmod(commons / "s" / "locked", 0)

    def removed():
        with working(commons / "s", commons / "t") as attempt:
            try:
                action = action_on(commons / "t", b"locked/f", Verb.DELETE)
                return delete(attempt, action, 0).status
            except PermissionError:
                return "refused"

    assert as_nobody(removed) == "refused"
    assert read(commons, b"t/locked/f") == b"ours"


def test_what_an_earlier_attempt_moved_aside_counts_as_deleted(made):
    made.attempt.target.trash = b".haulage-trash/run/"
    paths = (b"d/f", b"d/l", b"d/e/", b"d/")
    actions = [action_on(made.target, path, Verb.DELETE) for path in paths]
    for _ in range(2):
        statuses = [delete(made.attempt, action, 0).status for action in actions]
        assert statuses == [Status.DELETED] * 4
    assert read(made.target, b".haulage-trash/run/d/f") == b"ours"


def test_a_directory_with_foreign_content_is_kept_although_there_is_a_trash(made):
    made.attempt.target.trash = b".haulage-trash/run/"
    put(made.target, b"d/foreign")
    for path in (b"d/f", b"d/l", b"d/e/"):
        assert remove(made, path).status == Status.DELETED
    assert remove(made, b"d/").status == Status.KEPT
    assert os.listdir(made.target / "d") == ["foreign"]


def test_a_source_with_nothing_but_a_trash_is_an_empty_one(ends):
    put(ends.source, b".haulage-trash/run/f")
    with pytest.raises(FatalError, match="the source is empty now"):
        check_source_has_entries(ends.attempt)
