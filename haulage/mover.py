"""A mover: takes shard files, does their actions, and writes what became of each.

What local workers, pods and cluster jobs execute. It needs the source, the target and
the workspace, and no database. Orders are lines of JSON on standard input; a line on
standard output answers each. It stops, removing its temporary, when it is told to
(SIGTERM) or when its input ends, because then nobody waits for it any more.
"""

import haulage.lean  # noqa: F401  comes before pyarrow

# isort: split

import json
import mmap
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from queue import SimpleQueue

import pyarrow as pa

from haulage.errors import (
    BlockedError,
    CancelledError,
    FatalError,
    HaulageError,
    MismatchError,
    UnstableError,
    VanishedError,
    sort_os_error,
)
from haulage.model import Action, Outcome, Status, Verb, shown
from haulage.ops.delete import check_source_has_entries, delete
from haulage.ops.dirs import finish_dir
from haulage.ops.split import discard, part, publish
from haulage.ops.sweep import sweep
from haulage.ops.transfer import check, copy, link, meta, mkdir
from haulage.ops.verify import verify
from haulage.ops.work import Work
from haulage.shardfile import PROGRESS, Job, Order, read_shard, write_outcomes
from haulage.storage.descent import Descent
from haulage.storage.posix import temp_name

_STATUS_OF = (
    (UnstableError, Status.UNSTABLE),
    (MismatchError, Status.MISMATCH),
    (VanishedError, Status.VANISHED),
    (BlockedError, Status.BLOCKED),
)


def run_shard(order: Order, cancelled: Callable[[], bool]) -> dict[str, int]:
    """Do one shard and return its tally.

    FatalError and CancelledError leave it unfinished.
    """
    actions, job = read_shard(order.shard)
    rows = [Action(*row) for row in zip(*map(_plain, actions.columns), strict=True)]
    work = _work(job, order.token, cancelled)
    try:
        for token in order.dead_tokens:
            sweep(work, rows, token)
        if order.only_sweep:
            return {}
        if any(row.verb == Verb.DELETE for row in rows) and not job.allow_empty_source:
            check_source_has_entries(work)
        outcomes = list(_outcomes(work, rows, order.progress))
    finally:
        work.source.close()
        work.target.close()
    return write_outcomes(order.outcome, actions, outcomes)


def _plain(column: pa.ChunkedArray) -> list[object]:
    values: list[object] = column.to_pylist()
    return values


def _work(job: Job, token: str, cancelled: Callable[[], bool]) -> Work:
    return Work(
        source=_open_root(job.source),
        target=_open_root(job.target),
        temp_prefix=temp_name(token, ""),
        split_prefix=temp_name(job.temp_token, ""),
        hashing=job.hashing,
        verifies_content=job.verify_content,
        fsync=job.fsync,
        began_ns=job.began_ns,
        cancelled=cancelled,
    )


def _open_root(root: str) -> Descent:
    try:
        return Descent(root)
    except OSError as err:
        raise FatalError(f"{root}: {err.strerror}; is it mounted here?") from err


def _outcomes(work: Work, rows: list[Action], progress: Path) -> Iterator[Outcome]:
    """Yield one outcome for each action, in order, telling how far the shard is."""
    last = len(rows) - 1
    first = 0  # of the rows that are done together, which are a split file's parts
    with _progress_map(progress) as shared:
        for row, action in enumerate(rows):
            if work.cancelled():
                raise CancelledError("stopped on request")
            if action.verb != Verb.PUBLISH:
                yield _perform(_doing(action.verb), work, action, row)
            elif row < last and rows[row + 1].path == action.path:
                yield Outcome(Status.PART)
                continue
            else:
                parts = rows[first : row + 1]
                yield _perform(partial(publish, parts=parts), work, action, row)
            first = row + 1
            PROGRESS.pack_into(shared, 0, first, work.moved)


def _progress_map(file: Path) -> mmap.mmap:
    file.write_bytes(bytes(PROGRESS.size))
    with file.open("r+b") as shared:
        return mmap.mmap(shared.fileno(), PROGRESS.size)


_Do = Callable[[Work, Action, int], Outcome]
_BY_VERB: dict[int, _Do] = {
    Verb.COPY: copy,
    Verb.CHECK: check,
    Verb.META: meta,
    Verb.LINK: link,
    Verb.MKDIR: mkdir,
    Verb.PART: part,
    Verb.VERIFY: verify,
    Verb.DELETE: delete,
    Verb.DIR: finish_dir,
    Verb.SWEEP: discard,
}


def _doing(verb: int) -> _Do:
    do = _BY_VERB.get(verb)
    if do is None:
        raise FatalError(
            f"verb {verb} is not known to this mover; install the same version of "
            f"Haulage everywhere"
        )
    return do


def _perform(do: _Do, work: Work, action: Action, row: int) -> Outcome:
    """Do one action; what only this entry suffers from becomes its outcome."""
    try:
        return do(work, action, row)
    except (CancelledError, FatalError):
        raise
    except HaulageError as err:
        return _failure(err, 0)
    except OSError as err:
        sorted_error = sort_os_error(err, Verb(action.verb).name.lower())
        if isinstance(sorted_error, FatalError):
            raise FatalError(f"{shown(action.path)}: {sorted_error}") from err
        return _failure(sorted_error, err.errno or 0)


def _failure(err: HaulageError, number: int) -> Outcome:
    for kind, status in _STATUS_OF:
        if isinstance(err, kind):
            return Outcome(status, errno=number, reason=str(err))
    return Outcome(Status.FAILED, errno=number, reason=str(err))


def main() -> int:
    """Serve orders until standard input ends or a signal says stop."""
    stop = threading.Event()
    orders: SimpleQueue[bytes] = SimpleQueue()

    def end(*_signal: object) -> None:
        stop.set()
        orders.put(b"")

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the launcher decides, then tells us
    threading.Thread(target=_receive, args=(orders, end), daemon=True).start()
    while (line := orders.get()) and not stop.is_set():
        answer = _serve(Order.from_line(line), stop.is_set)
        try:
            os.write(1, json.dumps(answer).encode() + b"\n")
        except BrokenPipeError:
            return 1  # whoever ordered this is gone
    return 0


def _receive(orders: "SimpleQueue[bytes]", end: Callable[[], None]) -> None:
    """Queue orders; the end of the input stops the work under way as well.

    Standard input is read without Python's buffer, whose lock this thread would hold
    when the interpreter ends.
    """
    rest = b""
    while chunk := os.read(0, 1 << 16):
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            orders.put(line)
    end()


def _serve(order: Order, cancelled: Callable[[], bool]) -> dict[str, object]:
    try:
        return {"token": order.token, "tally": run_shard(order, cancelled)}
    except CancelledError as err:
        return {"token": order.token, "cancelled": str(err)}
    except FatalError as err:
        return {"token": order.token, "fatal": str(err)}


if __name__ == "__main__":
    sys.exit(main())
