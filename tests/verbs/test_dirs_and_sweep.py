import os
import stat

import pytest

from haulage.errors import VanishedError
from haulage.model import Status, Verb, Verified
from haulage.storage.tree.files import make_dir, temp_dir_name, temp_name
from haulage.verbs.attempt.sweep import sweep
from haulage.verbs.dirs import finish_dir
from tests.engine_builders import (
    OLD_NS,
    action_on,
    as_nobody,
    files,
    put,
    read,
    working,
)

TOKEN = "dead00000000"


def finished(ends, path: bytes, **fields):
    action = action_on(ends.source, path, Verb.DIR, **fields)
    return finish_dir(ends.attempt, action, 0)


@pytest.mark.parametrize("path", [b"", b"d/", b"d/e/"])
def test_a_directory_gets_what_its_source_has_now(ends, path):
    for root in (ends.source, ends.target):
        (root / "d" / "e").mkdir(parents=True)
    full = os.path.join(os.fsencode(ends.source), path)
    if os.geteuid() == 0:
        os.chown(full, 1234, 4321)
    os.chmod(full, 0o3750)
    os.utime(full, ns=(OLD_NS, OLD_NS))
    outcome = finished(ends, path, mode=0, mtime_s=1)
    assert (outcome.status, outcome.verified) == (Status.UPDATED, Verified.METADATA)
    wanted = os.stat(full)
    found = os.stat(os.path.join(os.fsencode(ends.target), path))
    for name in ("st_mode", "st_uid", "st_gid", "st_mtime_ns"):
        assert getattr(found, name) == getattr(wanted, name), name
    assert outcome.entry.mode == stat.S_IMODE(wanted.st_mode)
    assert outcome.entry.ino == wanted.st_ino


def test_a_directory_that_is_gone_has_vanished(ends):
    (ends.source / "d").mkdir()
    (ends.target / "d").mkdir()
    action = action_on(ends.source, b"d/", Verb.DIR)
    os.rmdir(ends.source / "d")
    with pytest.raises(VanishedError):
        finish_dir(ends.attempt, action, 0)


def test_attributes_of_a_directory_are_not_set_through_a_link(ends, tmp_path):
    (ends.source / "d").mkdir(mode=0o700)
    (tmp_path / "victim").mkdir(mode=0o755)
    (ends.target / "d").symlink_to(tmp_path / "victim")
    with pytest.raises(OSError, match=r"Not a directory|symbolic links"):
        finished(ends, b"d/")
    assert stat.S_IMODE(os.stat(tmp_path / "victim").st_mode) == 0o755


def actions(ends, *paths: bytes) -> list:
    for path in paths:
        put(ends.source, path)
    return [action_on(ends.source, path) for path in paths]


def test_a_sweep_removes_what_the_dead_attempt_left_and_nothing_else(ends):
    rows = actions(ends, b"a", b"d/b")
    put(ends.target, temp_name(TOKEN, 0), b"half")
    put(ends.target, b"d/" + temp_name(TOKEN, 1), b"half")
    put(ends.target, b"d/final", b"whole")
    os.mkdir(os.fsencode(ends.target) + b"/" + temp_dir_name(temp_name(TOKEN, 0)))
    living = temp_name("alive0000000", 0)
    put(ends.target, living, b"in use")
    sweep(ends.attempt.target.descent, rows, TOKEN)
    assert set(os.listdir(ends.target)) == {"d", os.fsdecode(living)}
    assert os.listdir(ends.target / "d") == ["final"]
    assert read(ends.target, living) == b"in use"
    sweep(ends.attempt.target.descent, rows, "alive0000000")


def test_a_sweep_passes_over_parents_that_are_not_there(ends, tmp_path):
    rows = actions(ends, b"none/a", b"file/a", b"link/a", b"z")
    put(ends.target, b"file", b"a file now")
    put(tmp_path, b"outside/" + temp_name(TOKEN, 2), b"not ours")
    (ends.target / "link").symlink_to(tmp_path / "outside")
    put(ends.target, temp_name(TOKEN, 3), b"half")
    sweep(ends.attempt.target.descent, rows, TOKEN)
    assert set(os.listdir(ends.target)) == {"file", "link"}
    assert os.listdir(tmp_path / "outside") == [os.fsdecode(temp_name(TOKEN, 2))]


def test_a_sweep_finds_the_temporary_of_a_parent_that_was_replaced(ends, monkeypatch):
    rows = actions(ends, b"d/e/f")
    put(ends.target, b"d", b"a file in the way")
    real = os.rename

    class KilledError(Exception):
        """Stands for the death of the process between two calls."""

    def rename(*args, **names):
        raise KilledError

    monkeypatch.setattr(os, "rename", rename)
    monkeypatch.setattr(os, "rmdir", rename)
    with pytest.raises(KilledError):
        make_dir(ends.attempt.target.descent, b"d/e/", temp_name(TOKEN, 0))
    monkeypatch.undo()
    assert os.rename is real
    sweep(ends.attempt.target.descent, rows, TOKEN)
    assert [name for name in os.listdir(ends.target) if name != "d"] == []


def test_a_sweep_passes_over_a_parent_that_may_not_be_entered(commons):
    put(commons, b"s/d/f")
    put(commons, b"s/f")
    put(commons, b"t/d/f")
    put(commons, b"t/" + temp_name(TOKEN, 1), b"half")
    os.chmod(commons / "t", 0o777)
    os.chmod(commons / "t" / "d", 0)

    def swept():
        with working(commons / "s", commons / "t") as attempt:
            sweep(
                files(attempt.target).descent,
                [action_on(commons / "s", p) for p in (b"d/f", b"f")],
                TOKEN,
            )
        return os.listdir(commons / "t")

    assert as_nobody(swept) == ["d"]
