"""A mover that comes late: another attempt has done its shard since, and more."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import NamedTuple

import pytest

from haulage.errors import CancelledError
from haulage.exchange import progress_file
from haulage.model import Action, Verb
from haulage.workers.mover import run_shard
from tests.engine_builders import OLD_NS, action_on, job_between, order_for, put
from tests.trees.compare import leftovers

LATE, LATER = "1a7e00000000", "1a7e00000001"
NEW_NS = OLD_NS + 7_000_000_000
NAMES = (b"a", b"large", b"z")
_at_rename: list[Callable[[], None]] = []


def _listen(event: str, _args: object) -> None:
    if event == "os.rename" and _at_rename:
        _at_rename[-1]()


sys.addaudithook(_listen)  # for good, but deaf unless a test listens


@contextmanager
def before_each_rename(do: Callable[[], None]) -> Iterator[None]:
    """Call `do` right before the kernel is asked to rename anything."""
    _at_rename.append(do)
    try:
        yield
    finally:
        _at_rename.pop()


class Roots(NamedTuple):
    """Where both attempts work."""

    source: Path
    target: Path


class Shard(NamedTuple):
    """What both attempts are asked to do, in trees that `prepare` and `renew` made."""

    actions: Callable[[Roots], list[Action]]
    prepare: Callable[[Roots], None] = lambda _: None
    actions_later: Callable[[Roots], list[Action]] | None = None


def copies(roots: Roots) -> list[Action]:
    return [action_on(roots.source, name) for name in NAMES]


def links(roots: Roots) -> list[Action]:
    return [action_on(roots.source, name, Verb.LINK) for name in (b"link", b"link-2")]


def nodes(roots: Roots) -> list[Action]:
    return [action_on(roots.source, b"fifo", Verb.SPECIAL)]


def hard_links(roots: Roots) -> list[Action]:
    names = (b"hard-1", b"hard-2")
    return [
        action_on(roots.source, name, Verb.HARD, leader=b"leader") for name in names
    ]


def attributes(roots: Roots) -> list[Action]:
    was = {"was_mtime_s": OLD_NS // 10**9, "was_mtime_ns": OLD_NS % 10**9}
    return [action_on(roots.source, b"dressed", Verb.META, **was)]


def directories(roots: Roots) -> list[Action]:
    return [action_on(roots.source, path, Verb.DIR) for path in (b"dir/", b"")]


def deletes(roots: Roots) -> list[Action]:
    return [action_on(roots.target, b"gone", Verb.DELETE)]


def come_back(roots: Roots) -> list[Action]:
    return [action_on(roots.source, b"gone")]


def made_apart(roots: Roots) -> None:
    """Let the target's names be files of their own, as a new leader leaves them."""
    for name in (b"leader", b"hard-1", b"hard-2"):
        put(roots.target, name, b"led")


def dressed(roots: Roots) -> None:
    put(roots.target, b"dressed", b"same", mode=0o600)


def with_dir(roots: Roots) -> None:
    (roots.target / "dir").mkdir()


def to_delete(roots: Roots) -> None:
    put(roots.target, b"gone", b"as we made it")


SHARDS = {
    "copies": Shard(copies),
    "links": Shard(links),
    "nodes": Shard(nodes),
    "hard links": Shard(hard_links, made_apart),
    "attributes": Shard(attributes, dressed),
    "directories": Shard(directories, with_dir),
    "deletes": Shard(deletes, to_delete, come_back),
}


def plant(roots: Roots) -> None:
    """Make the source that the late attempt knows."""
    for root in roots:
        root.mkdir(parents=True)
    for name in NAMES:
        put(roots.source, name, b"old")
    put(roots.source, b"large", b"O" * 2_500_000)
    put(roots.source, b"dressed", b"same", mode=0o640)
    put(roots.source, b"leader", b"led")
    for other in ("hard-1", "hard-2"):
        os.link(roots.source / "leader", roots.source / other)
    (roots.source / "link").symlink_to("old")
    (roots.source / "link-2").symlink_to("old")
    os.mkfifo(roots.source / "fifo", 0o600)
    (roots.source / "dir").mkdir(mode=0o700)


def renew(roots: Roots) -> None:
    """Make of the source what the later attempt finds."""
    for name in (*NAMES, b"gone"):
        put(roots.source, name, b"newer", mtime_ns=NEW_NS)
    (roots.source / "dressed").chmod(0o604)
    (roots.source / "fifo").chmod(0o644)
    (roots.source / "dir").chmod(0o755)
    for link in ("link", "link-2"):
        (roots.source / link).unlink()
        (roots.source / link).symlink_to("newer")


def known(root: Path) -> dict[Path, tuple[int, ...]]:
    """Return what would differ if anything below `root` were touched."""
    return {
        path: (now.st_ino, now.st_mtime_ns, now.st_ctime_ns, now.st_mode, now.st_nlink)
        for path, now in ((path, path.lstat()) for path in [root, *root.rglob("*")])
    }


def replaced_at(root: Path, shard: Shard, moment: int) -> bool:
    """Do a shard, but have it done by another attempt at one moment of that; tell
    whether the moment came. Whatever the first does afterwards must not show.
    """
    roots = Roots(root / "source", root / "target")
    plant(roots)
    shard.prepare(roots)
    job = job_between(*roots)
    late = order_for(root / "work", shard.actions(roots), job, LATE)
    moments = count()
    after: list[dict[Path, tuple[int, ...]]] = []

    def come() -> None:
        if after or next(moments) != moment:
            return
        after.append({})
        late.progress.unlink()
        renew(roots)
        actions = (shard.actions_later or shard.actions)(roots)
        later = order_for(root / "work", actions, job, LATER)
        run_shard(replace(later, dead_tokens=(LATE,)), lambda: False)
        after[0] = known(roots.target)

    def asked() -> bool:
        come()
        return False

    with before_each_rename(come), suppress(CancelledError):
        run_shard(late, asked)
    assert leftovers(roots.target) == []
    if after:
        assert known(roots.target) == after[0], f"at moment {moment}"
    return bool(after)


@pytest.mark.parametrize("what", SHARDS)
def test_a_late_mover_changes_nothing_whenever_it_was_replaced(
    tmp_path: Path, what: str
) -> None:
    moments = 0
    while replaced_at(tmp_path / str(moments), SHARDS[what], moments):
        moments += 1
    assert moments >= 2


def test_a_mover_whose_shard_was_taken_before_it_began_does_nothing(
    tmp_path: Path,
) -> None:
    roots = Roots(tmp_path / "source", tmp_path / "target")
    plant(roots)
    order = order_for(tmp_path / "work", copies(roots), job_between(*roots), LATE)
    order.progress.unlink()
    with pytest.raises(CancelledError, match="another attempt"):
        run_shard(order, lambda: False)
    assert list(roots.target.iterdir()) == []
    progress_file.begin(order.progress)
    assert run_shard(order, lambda: False)["copied"] == 3
