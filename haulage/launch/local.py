"""Movers as processes of this machine, each reused for many shards."""

import json
import os
import signal
import subprocess
import threading
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

from haulage.errors import FatalError, RefusedError
from haulage.exchange import progress_file
from haulage.exchange.shard_files import Order
from haulage.launch import forks
from haulage.launch.forks import Fork
from haulage.launch.launcher import STOP, Answer, Load, NodeWork
from haulage.launch.leftovers import end_leftover_movers
from haulage.private import make_directory, make_file

_STOP_WAIT_S = 5.0
_LOG_TAIL_BYTES = 500


class LocalPool:
    """A launcher with `movers` processes, each fed by a thread of its own."""

    def __init__(
        self, movers: int, logs: Path, environ: Mapping[str, str] | None = None
    ) -> None:
        """Prepare the feeders; a mover starts with its first order.

        `environ` is added to the environment that movers inherit.
        """
        environ = {**os.environ, **(environ or {})}
        self._changed = threading.Condition()
        self._waiting: deque[tuple[str, Order]] = deque()
        self._answers: dict[str, deque[Answer]] = {}
        self._tokens: set[str] = set()
        self._closed = False
        self._movers = movers
        make_directory(logs)
        self._logs = logs
        self._environ = environ
        self._feeders: list[_Feeder] = []
        self._add_feeders()

    @property
    def where(self) -> str:
        """See Launcher."""
        return f"local movers of process {os.getpid()}"

    def _add_feeders(self) -> None:
        for number in range(len(self._feeders), self._movers):
            log, take = self._logs / f"mover-{number}.log", partial(self._take, number)
            self._feeders.append(_Feeder(log, take, self._answer, self._environ))

    def warm_up(self) -> None:
        """See Launcher."""
        self.begin(warm=True)

    def begin(self, *, warm: bool = False) -> None:
        """Start the feeders; if `warm`, the movers too, to have their imports done."""
        with self._changed:
            for feeder in self._feeders:
                feeder.begin(warm=warm)

    def start_or_attach(self, name: str, orders: Sequence[Order], load: Load) -> None:
        """See Launcher."""
        self.begin()
        with self._changed:
            self._answers.setdefault(name, deque())
            new = [order for order in orders if order.token not in self._tokens]
            self._tokens.update(order.token for order in new)
            self._waiting.extend((name, order) for order in new)
            self._changed.notify_all()

    def poll(self, name: str, timeout_s: float) -> list[Answer]:
        """See Launcher."""
        with self._changed:
            self._changed.wait_for(lambda: self._answers[name], timeout_s)
            answers = list(self._answers[name])
            self._answers[name].clear()
            return answers

    def under_way(self, name: str) -> Load:
        """See Launcher."""
        found = [feeder.order for feeder in self._feeders if feeder.job == name]
        done = [progress_file.read(order.progress) for order in found if order]
        return Load(sum(one for one, _ in done), sum(moved for _, moved in done))

    def nodes(self) -> list[NodeWork]:
        """See Launcher."""
        return []

    def scale(self, movers: int) -> None:
        """See Launcher."""
        with self._changed:
            self._movers = movers
            self._add_feeders()
            self._changed.notify_all()
        self.begin()

    def drain(self, node: str) -> None:
        """See Launcher."""
        raise RefusedError(f"{node}: all movers are of this machine, {self.where}")

    def cancel(self, name: str) -> None:
        """See Launcher."""
        with self._changed:
            dropped = [order for job, order in self._waiting if job == name]
            self._waiting = deque(pair for pair in self._waiting if pair[0] != name)
            for order in dropped:
                self._answers[name].append(Answer(order.token, cancelled=True))
            self._changed.notify_all()
        for feeder in self._feeders:
            feeder.stop(name)

    def finish(self, name: str) -> None:
        """See Launcher; movers wait for the next one."""

    def leave(self, name: str) -> None:
        """See Launcher; these movers need their driver."""
        self.cancel(name)

    def end_leftovers(self, keep: Collection[str]) -> None:
        """See Launcher; without their driver no attempt goes on."""
        end_leftover_movers(self._logs)

    def kill(self) -> None:
        """See Launcher."""
        for feeder in self._feeders:
            feeder.kill()

    def close(self) -> None:
        """See Launcher."""
        with self._changed:
            self._closed = True
            self._waiting.clear()
            self._changed.notify_all()
        for feeder in self._feeders:
            feeder.end()

    def _take(self, number: int) -> tuple[str, Order] | None:
        """Return the next order for a mover, or None when there will be no more."""
        with self._changed:
            while not self._has_order_for(number):
                self._changed.wait(0.5)
            if self._closed or STOP.is_set():
                return None
            return self._waiting.popleft()

    def _has_order_for(self, number: int) -> bool:
        """Tell whether a mover need not wait, because there is an order, or the end."""
        is_wanted = number < self._movers
        return (bool(self._waiting) and is_wanted) or self._closed or STOP.is_set()

    def _answer(self, name: str, answer: Answer) -> None:
        with self._changed:
            self._answers[name].append(answer)
            self._changed.notify_all()


class _Feeder:
    """One mover process and the thread that gives it orders."""

    def __init__(
        self,
        log: Path,
        take: Callable[[], tuple[str, Order] | None],
        answer: Callable[[str, Answer], None],
        environ: Mapping[str, str],
    ) -> None:
        self._log = log
        self._environ = environ
        self._take = take
        self._answer = answer
        self._process: Fork | None = None
        self.job: str | None = None
        self.order: Order | None = None
        self._thread: threading.Thread | None = None

    def begin(self, *, warm: bool) -> None:
        """Start the thread, once; it starts a mover now or with the first order.

        A signal may interrupt the calling thread anywhere.
        """
        if self._thread is None:
            feed = threading.Thread(target=self._feed, kwargs={"warm": warm})
            feed.daemon = True
            self._thread = feed
            feed.start()

    def _start(self) -> Fork:
        make_file(self._log)
        with self._log.open("ab") as log:
            return forks.start("mover", self._environ, log.fileno())

    def _feed(self, *, warm: bool) -> None:
        if warm:
            with suppress(OSError, FatalError):  # the first order will tell of it
                self._process = self._start()
        while pair := self._take():
            self.job, self.order = job, order = pair
            answer = self._answer_to(order)
            self.job = self.order = None
            if answer.cancelled:  # it was told to end, and takes no other order
                self._drop()
            self._answer(job, answer)

    def _answer_to(self, order: Order) -> Answer:
        """Carry out an order; whatever happens, the caller gets an answer."""
        try:
            return self._carry_out(order)
        except (OSError, ValueError) as err:  # no process, or no JSON
            return Answer(order.token, lost=f"no mover for it: {err}")
        except FatalError as err:
            return Answer(order.token, fatal=str(err))
        except Exception as err:  # noqa: BLE001  else the run would wait for ever
            return Answer(order.token, fatal=f"no mover for it: {err!r}")

    def _carry_out(self, order: Order) -> Answer:
        process = self._process
        if process is None or process.poll() is not None:
            self._drop()
            process = self._process = self._start()
        try:
            process.stdin.write(order.to_line())
        except BrokenPipeError:
            return self._lost(process, order)
        line = process.stdout.readline()
        return _parse(order, line) if line else self._lost(process, order)

    def _drop(self) -> None:
        """Discard a mover that has ended or must end; the next order starts one."""
        if process := self._process:
            self._process = None
            _see_off(process)

    def stop(self, job: str) -> None:
        """Tell the mover to stop if it has an order of `job`."""
        if self.job == job and self._process:
            self._process.terminate()

    def kill(self) -> None:
        """End the mover, if there is one."""
        if process := self._process:
            process.kill()

    def _lost(self, process: Fork, order: Order) -> Answer:
        code = process.wait()
        how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        with self._log.open("rb") as log:
            log.seek(max(0, self._log.stat().st_size - _LOG_TAIL_BYTES))
            tail = log.read().decode(errors="replace").strip()
        return Answer(order.token, lost=f"mover {process.pid}: {how}. {tail}".strip())

    def end(self) -> None:
        """Tell the mover to stop and wait for it; its current order is answered."""
        if process := self._process:
            process.terminate()
        thread = self._thread
        if thread and thread.ident:
            thread.join(_STOP_WAIT_S)
            self._drop()
            thread.join()


def _see_off(process: Fork) -> None:
    """Wait briefly for a mover that was told to stop, kill it, and clean up."""
    process.terminate()
    try:
        process.wait(_STOP_WAIT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    process.close()


def _parse(order: Order, line: bytes) -> Answer:
    fields = json.loads(line)
    return Answer(
        order.token,
        tally=fields.get("tally"),
        fatal=fields.get("fatal"),
        cancelled="cancelled" in fields,
    )
