"""Build what tests of the engine need: entries, tables, actions, work on two trees."""

import os
import pickle
import stat
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import xxhash

from haulage.exchange import progress_file
from haulage.exchange.shard_files import Job, Order, write_shard
from haulage.model import ACTION, ENTRY, MANIFEST, Action, Entry, Kind, Verb
from haulage.place import Place, part_bytes
from haulage.storage.store import Store
from haulage.storage.tree.beside import KernelFiles
from haulage.storage.tree.descent import Descent
from haulage.storage.tree.files import entry_of
from haulage.storage.tree.kernel.copying import Kernel
from haulage.storage.tree.metadata.entries import Inheritance
from haulage.storage.tree.metadata.preserve import Preserved
from haulage.storage.tree.store import Settings
from haulage.verbs.attempt.attempt import Attempt, Room

NOBODY = 65_534
OLD_NS = 1_500_000_000_123_456_789  # long before any test, with every digit in use
GIGA = 1_000_000_000


def entry(path: bytes, **fields: Any) -> Entry:
    """Return an ordinary file, or directory by its slash, but for `fields`."""
    is_dir = path.endswith(b"/") or not path
    values: dict[str, Any] = {
        "kind": Kind.DIR if is_dir else Kind.FILE,
        "mode": 0o755 if is_dir else 0o644,
        "uid": 1000,
        "gid": 1000,
        "size": 4096 if is_dir else 10,
        "mtime_s": 1_500_000_000,
        "mtime_ns": 5,
        "ctime_s": 1_500_000_001,
        "ctime_ns": 6,
        "dev": 7,
        "ino": 8,
        "nlink": 1,
        "target": None,
    }
    return Entry(path=path, **(values | fields))


def listed(*entries: Entry) -> pa.Table:
    """Return a page of a listing."""
    return pa.Table.from_pylist([e._asdict() for e in entries], schema=ENTRY)


def recorded(*entries: Entry, **proof: Any) -> pa.Table:
    """Return manifest rows, all with the same proof."""
    known = {"checksum": bytes(16), "verified": 2, "racy": False} | proof
    rows = [e._asdict() | known for e in entries]
    return pa.Table.from_pylist(rows, schema=MANIFEST)


def paths_of(table: pa.Table) -> list[bytes]:
    """Return a table's paths."""
    paths: list[bytes] = table["path"].to_pylist()
    return paths


def action_on(root: Path, path: bytes, verb: Verb = Verb.COPY, **fields: Any) -> Action:
    """Return an action for what stands at `path` now, as a listing would see it."""
    full = os.path.join(os.fsencode(root), path)
    found = os.lstat(full)
    target = os.readlink(full) if stat.S_ISLNK(found.st_mode) else None
    values: dict[str, Any] = entry_of(path, found, target)._asdict()
    values |= {
        "verb": verb,
        "checksum": None,
        "verified": 0,
        "racy": False,
        "made": None,
        "was_mtime_s": values["mtime_s"],
        "was_mtime_ns": values["mtime_ns"],
        "offset": 0,
        "length": found.st_size,
        "shared": 1,
        "leaving": 0,
    }
    return Action(**(values | fields))


def actions_table(actions: Iterable[Action]) -> pa.Table:
    """Return actions as the table that a shard holds."""
    return pa.Table.from_pylist([a._asdict() for a in actions], schema=ACTION)


def job_between(source: Path, target: Path, **fields: Any) -> Job:
    """Return what a mover must know to work from `source` to `target`."""
    values: dict[str, Any] = {
        "source": Place(str(source)),
        "target": Place(str(target)),
        "temp_token": "0123456789ab",
        "hashing": True,
        "fsync": False,
        "verify_content": True,
        "allow_empty_source": False,
    }
    return Job(**(values | fields))


@contextmanager
def working(source: Path, target: Path, **fields: Any) -> Iterator[Attempt]:
    """Give an attempt between two directories; `fields` are its, or its stores'."""

    def check() -> None:
        attempt.check_cancelled()

    preserved = fields.pop("preserved", None) or Preserved()
    hashing = fields.setdefault("hashing", True)
    kernel = Kernel(check, hashing, preserved.sparse)
    of_stores = {"temp", "trash", "rules", "fsync"} & fields.keys()
    values: dict[str, Any] = {
        "temp": b".haulage-abcdefabcdef-",
        "split": b".haulage-0123456789ab-",
        "fsync": False,
        "ranges": source.parent / "no-ranges",
        "check": check,
        "preserved": preserved,
    } | {name: fields.pop(name) for name in of_stores}
    of_source, of_target = (
        KernelFiles(Descent(str(root)), Settings(**values), kernel)
        for root in (source, target)
    )
    given: dict[str, Any] = {
        "kernel": kernel,
        "verifies_content": True,
        "cancelled": lambda: False,
        "room": Room(0),
        "ranges": ThreadPoolExecutor(1, "range"),
    }
    attempt = Attempt(of_source, of_target, **(given | fields))
    try:
        yield attempt
    finally:
        attempt.ranges.shutdown()
        attempt.source.close()
        attempt.target.close()


def files(store: Store) -> KernelFiles:
    """Return an end of an attempt between two directories."""
    assert isinstance(store, KernelFiles)
    return store


def preserve(attempt: Attempt, preserved: Preserved) -> None:
    """Have an attempt between two directories preserve this from now on."""
    for store in map(files, (attempt.source, attempt.target)):
        store.preserved = preserved
        store.inheritance = Inheritance(preserved)
    assert attempt.kernel
    attempt.kernel.sparse = preserved.sparse


def put(root: Path, path: bytes, content: bytes = b"", **attributes: Any) -> bytes:
    """Write a file that is old enough not to be racy, with its directories.

    `attributes` are `mode`, `mtime_ns` and `owner`. Return its full path.
    """
    full = os.path.join(os.fsencode(root), path)
    os.makedirs(os.path.dirname(full), exist_ok=True)
    with open(full, "wb") as file:
        file.write(content)
    if "owner" in attributes:
        os.chown(full, *attributes["owner"])
    os.chmod(full, attributes.get("mode", 0o644))
    mtime_ns = attributes.get("mtime_ns", OLD_NS)
    os.utime(full, ns=(mtime_ns, mtime_ns))
    return full


def read(root: Path, path: bytes) -> bytes:
    """Return a file's content."""
    with open(os.path.join(os.fsencode(root), path), "rb") as file:
        return file.read()


def checksum_of(content: bytes) -> bytes:
    """Return the checksum under which the engine knows `content`."""
    step = part_bytes(len(content))
    starts = range(0, max(1, len(content)), step)
    digests = [xxhash.xxh3_128_digest(content[at : at + step]) for at in starts]
    return digests[0] if len(digests) == 1 else linear_checksum_of(b"".join(digests))


def linear_checksum_of(content: bytes) -> bytes:
    """Return the checksum under which earlier versions knew `content`."""
    return xxhash.xxh3_128_digest(content)


def in_child(function: Callable[[], Any], uid: int | None = None) -> Any:
    """Return what `function` returns in a child process, as `uid` if that is given.

    What is raised there fails the test with the child's trace.
    """
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        _run_child(function, uid, writing)
    os.close(writing)
    with open(reading, "rb") as pipe:
        report = pipe.read()
    _, status = os.waitpid(child, 0)
    assert report, f"the child ended with status {os.waitstatus_to_exitcode(status)}"
    failed, result = pickle.loads(report)
    assert not failed, result
    return result


def _run_child(function: Callable[[], Any], uid: int | None, writing: int) -> None:
    try:
        if uid is not None:
            os.setgroups([])
            os.setgid(uid)
            os.setuid(uid)
        report = (False, function())
    except BaseException:  # noqa: BLE001  told to the parent
        report = (True, traceback.format_exc())
    with open(writing, "wb") as pipe:
        pipe.write(pickle.dumps(report))
    os._exit(0)


def as_nobody(function: Callable[[], Any]) -> Any:
    """Return what `function` returns for a user without privileges."""
    return in_child(function, NOBODY) if os.geteuid() == 0 else function()


def order_for(
    workspace: Path, actions: Iterable[Action], job: Job, token: str
) -> Order:
    """Write a shard and return the order to do it."""
    workspace.mkdir(exist_ok=True)
    shard = workspace / f"{token}.shard"
    write_shard(shard, actions_table(actions), job)
    progress = workspace / f"{token}.progress"
    progress_file.begin(progress)
    return Order(shard, workspace / f"{token}.outcome", progress, token)


def allocate_huge(path: Path) -> None:
    """Make a file that is long enough to be met under way; none of it is written."""
    with path.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, 3 << 29)  # no hole: it is read


def until(condition: Callable[[], Any], limit_s: float = 90) -> Any:
    """Return what `condition` gives as soon as it is true; fail when it never is."""
    deadline = time.monotonic() + limit_s
    while not (found := condition()):
        assert time.monotonic() < deadline, "what was waited for did not happen"
        time.sleep(0.005)
    return found
