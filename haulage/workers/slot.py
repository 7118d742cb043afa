"""A slot: some movers on some host, which do the orders of a wave until none is left.

An engine (a batch system, a cluster) starts it with the wave's directory and the job's
name as arguments, and says in the environment which slot it is. It answers for movers
that die, and tells every few seconds how far it is.

Exit codes: 0 when the queue is empty or the driver wants it to end; 75 when the engine
ended it, and what it had claimed is given back; 70 when its movers kept dying; 78 when
this host cannot do the work, which is told in the slot's record.
"""

import haulage.start  # comes before all else

# isort: split

import haulage.lean  # noqa: F401  comes before pyarrow

# isort: split

import gc
import importlib.metadata
import os
import signal
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import NoReturn

from haulage.boottime import now_s
from haulage.exchange import progress_file
from haulage.exchange.fitness import unfit
from haulage.exchange.wave_files import Control, Setup, SlotRecord, WaveFiles
from haulage.launch.engine import NODE, SLOT, SLOT_START
from haulage.workers.claiming import UNFIT, Cell, move

EMPTY, DYING, ENDED_EARLY = 0, 70, 75
_DEATHS = 3  # of movers, after which the host is not trusted
# How an engine announces the end. The first ones leave time for the present entry.
_SOON = (signal.SIGUSR1, signal.SIGUSR2)
_NOW = (signal.SIGTERM, signal.SIGINT)
_AWAITED = {signal.SIGCHLD, *_SOON, *_NOW}


@dataclass(slots=True)
class _Slot:
    """The process that starts movers and watches them."""

    files: WaveFiles
    job: str
    name: str
    node: str
    setup: Setup
    version: str = field(default_factory=partial(importlib.metadata.version, "haulage"))
    movers: dict[int, Cell] = field(default_factory=dict)
    deaths: int = 0
    code: int = EMPTY
    numbers: int = 0
    beats: int = 0
    began_s: float = field(default_factory=now_s)
    gone: tuple[int, int] = (0, 0)  # what movers that ended had done

    def begin(self) -> None:
        """Start the movers, each a fork of this process, which has done the imports."""
        for _ in range(self.setup.movers):
            self._start()
        self.tell()

    def _start(self) -> None:
        cell = Cell()
        self.numbers += 1
        name = f"{self.name}.{self.numbers}"
        if pid := os.fork():
            self.movers[pid] = cell
        else:
            _become(lambda: move(self.files, name, cell, self.is_unfit))

    def is_unfit(self) -> bool:
        """Tell whether this host lacks something that the driver has."""
        return unfit(self.setup, self.version) is not None

    def watch(self) -> int:
        """Wait until all movers have ended; return the slot's exit code."""
        while self.movers:
            got = signal.sigtimedwait(_AWAITED, self.setup.look_s)
            if got is None:
                self.obey(self.files.controlled())
                self.tell()
            elif got.si_signo != signal.SIGCHLD:
                self.code = ENDED_EARLY
                self.send(signal.SIGUSR1 if got.si_signo in _SOON else signal.SIGTERM)
            self.reap()
        return self.code

    def obey(self, control: Control) -> None:
        """Do what the driver wants."""
        if control.stop:
            self.send(signal.SIGTERM)
        elif self.is_ending(control):
            self.send(signal.SIGUSR1)

    def is_ending(self, control: Control) -> bool:
        """Tell whether this slot is to take no more orders."""
        slot, _, _ = self.name.rpartition(".")
        return slot in control.ending or self.node in control.drained

    def send(self, number: signal.Signals) -> None:
        """Send all movers a signal."""
        for pid in self.movers:
            os.kill(pid, number)

    def reap(self) -> None:
        """Take note of movers that ended, and answer for those that died."""
        while self.movers:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if not pid:
                return
            self._ended(self.movers.pop(pid), pid, os.waitstatus_to_exitcode(status))

    def _ended(self, cell: Cell, pid: int, code: int) -> None:
        entries, size = cell.done
        self.gone = (self.gone[0] + entries, self.gone[1] + size)
        if code in (EMPTY, UNFIT):
            self.code = max(self.code, code)
            return
        self.deaths += 1
        how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        if claim := cell.claim:
            words = f"mover {pid} on {self.node}: {how}"
            self.files.answer(claim, {"token": claim.token, "lost": words})
        if self.deaths >= _DEATHS:
            self.code = DYING
            self.send(signal.SIGTERM)
        elif self.code == EMPTY:
            self._start()

    def tell(self, ended: str | None = None) -> None:
        """Write the slot's record."""
        self.beats += 1
        done = [self.gone, *(cell.done for cell in self.movers.values())]
        self.files.tell(
            SlotRecord(
                job=self.job,
                slot=self.name,
                node=self.node,
                pid=os.getpid(),
                beat=self.beats,
                seconds=now_s() - self.began_s,
                entries=sum(entries for entries, _ in done),
                bytes=sum(size for _, size in done),
                under_way=tuple(
                    (claim.token, *progress_file.read(cell.progress))
                    for cell in self.movers.values()
                    if (claim := cell.claim)
                ),
                unfit=unfit(self.setup, self.version) if self.code == UNFIT else None,
                ended=ended,
            )
        )


def _become(work: Callable[[], int]) -> NoReturn:
    """Do the work of a forked process, and exit with its exit code."""
    code = 1
    try:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _AWAITED)
        code = work()
    except BaseException:  # noqa: BLE001  told on its standard error, then it ends
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def main() -> int:
    """Work for the wave in the directory that is the first argument."""
    signal.pthread_sigmask(signal.SIG_BLOCK, _AWAITED)
    files = WaveFiles(Path(sys.argv[1]))
    restarts = os.environ.get(SLOT_START, "0")
    name = f"{os.environ[SLOT]}.{restarts}"
    try:
        setup = files.setup()
    except FileNotFoundError:
        return EMPTY  # the wave is over
    except PermissionError as err:
        print(  # noqa: T201  the driver shows it
            f"{err.filename} cannot be read as uid {os.getuid()}; slots must run as "
            "the user of the driver",
            file=sys.stderr,
        )
        return UNFIT
    slot = _Slot(
        files, sys.argv[2], name, os.environ.get(NODE) or os.uname().nodename, setup
    )
    os.environ.update(setup.environ)
    if slot.is_unfit():
        slot.code = UNFIT
    else:
        gc.collect()
        gc.freeze()  # so that forks share what is there
        slot.begin()
        slot.watch()
    slot.tell(ended=f"exit code {slot.code}")
    return slot.code


if __name__ == "__main__":
    sys.exit(main())
