"""A launcher whose movers are slots on other machines, started by any engine."""

import logging
import threading
import time
from collections.abc import Collection, Sequence
from pathlib import Path

from haulage.boottime import now_s
from haulage.errors import CancelledError, FatalError, HaulageError, TransientError
from haulage.exchange.shard_files import Order
from haulage.exchange.wave_files import Claim, WaveFiles
from haulage.launch.engine import Engine, SlotView
from haulage.launch.launcher import STOP, Answer, Load, NodeWork
from haulage.launch.local import LocalPool
from haulage.launch.slots.doubts import MARGIN, Doubts, why_ended
from haulage.launch.slots.jobs import Jobs
from haulage.launch.slots.options import SlotOptions
from haulage.launch.slots.supervisor import Supervisor
from haulage.launch.slots.wave import RemoteWave, known_tokens
from haulage.private import make_directory

_log = logging.getLogger(__name__)
_LOOK_S = 0.1, 1.0  # between two looks for answers, growing


class SlotLauncher:
    """Waves of orders in a directory that all hosts see, done by slots of an engine.

    Small orders go to `local`, the movers of the driver.
    """

    def __init__(
        self, engine: Engine, folder: Path, options: SlotOptions, local: LocalPool
    ) -> None:
        """Find what an earlier driver left in `folder`; orders start the rest."""
        make_directory(folder)
        self._engine = engine
        self._folder = folder
        self._options = options
        self._local = local
        self._lock = threading.Lock()
        self._local_names: set[str] = set()
        left = sorted(one for one in folder.iterdir() if one.is_dir())
        self._number = 1 + max((int(one.name) for one in left), default=-1)
        self._known = known_tokens(map(WaveFiles, left))
        self._left = {one: self._wave(one) for one in left}
        self._waves: dict[str, list[RemoteWave]] = {}
        self._supervisor = Supervisor(engine, options)

    @property
    def where(self) -> str:
        """See Launcher."""
        return self._engine.where

    def warm_up(self) -> None:
        """See Launcher; the first orders of a run are small, and done here."""
        self._local.warm_up()

    def start_or_attach(self, name: str, orders: Sequence[Order], load: Load) -> None:
        """See Launcher."""
        attached = [order for order in orders if order.token in self._known]
        self._attach(name, attached)
        new = [order for order in orders if order.token not in self._known]
        if not new:
            return
        if name not in self._waves and self._options.is_small(load):
            self._local_names.add(name)
            self._local.start_or_attach(name, new, load)
            return
        wave = self._begun(name)
        wave.add(new, self._options.hold_s)
        self._supervisor.watch(wave)

    def _attach(self, name: str, orders: Sequence[Order]) -> None:
        for root, wave in self._left.items():
            its = [one for one in orders if self._known[one.token].root == root]
            if not its:
                continue
            if wave not in self._waves.setdefault(name, []):
                wave.begin(self._options.setup)
                self._waves[name].append(wave)
            wave.attach(its)
            self._supervisor.watch(wave)

    def _begun(self, name: str) -> RemoteWave:
        """Return the wave to which new orders of `name` are added."""
        with self._lock:
            if not self._waves.get(name):
                wave = self._wave(self._folder / f"{self._number:05}")
                self._number += 1
                wave.begin(self._options.setup)
                self._waves[name] = [wave]
            return self._waves[name][0]

    def _wave(self, root: Path) -> RemoteWave:
        files, options = WaveFiles(root), self._options
        prefix = f"{options.prefix}-{int(root.name)}"
        jobs = Jobs(files, prefix, options.unseen_s)
        return RemoteWave(files, jobs, Doubts(options.hold_s))

    def poll(self, name: str, timeout_s: float) -> list[Answer]:
        """See Launcher."""
        waves = self._waves.get(name, [])
        if not waves:
            return self._local.poll(name, timeout_s)
        deadline, pause = time.monotonic() + timeout_s, _LOOK_S[0]
        while True:
            found = [answer for wave in waves for answer in wave.collect()]
            if name in self._local_names:
                found += self._local.poll(name, 0)
            if found or time.monotonic() >= deadline:
                return found
            for wave in waves:
                if wave.fatal:
                    raise FatalError(wave.fatal)
            time.sleep(min(pause, max(0.0, deadline - time.monotonic())))
            pause = min(2 * pause, _LOOK_S[1])

    def under_way(self, name: str) -> Load:
        """See Launcher."""
        loads = [wave.under_way() for wave in self._waves.get(name, [])]
        if name in self._local_names:
            loads.append(self._local.under_way(name))
        return Load(sum(one.entries for one in loads), sum(one.bytes for one in loads))

    def nodes(self) -> list[NodeWork]:
        """See Launcher."""
        return self._supervisor.nodes()

    @property
    def views(self) -> list[SlotView]:
        """Return the slots of the run, as the engine saw them last."""
        return list(self._supervisor.views.values())

    def scale(self, movers: int) -> None:
        """See Launcher."""
        self._supervisor.scale(movers)

    def drain(self, node: str) -> None:
        """See Launcher."""
        self._supervisor.drain(node)

    def cancel(self, name: str) -> None:
        """See Launcher."""
        if name in self._local_names:
            self._local.cancel(name)
        for wave in self._waves.get(name, []):
            wave.withdraw()
            self._supervisor.end(wave)

    def kill(self) -> None:
        """See Launcher; slots are stopped by the leases of their attempts."""
        self._local.kill()

    def close(self) -> None:
        """See Launcher; what slots have not answered yet stays for a resume."""
        self._supervisor.close()
        self._local.close()

    def finish(self, name: str) -> None:
        """See Launcher; slots that have begun end by themselves."""
        for wave in self._waves.get(name, []):
            self._supervisor.finish(wave)

    def leave(self, name: str) -> None:
        """See Launcher."""
        if name in self._local_names:
            self._local.leave(name)
        for wave in self._waves.get(name, []):
            self._supervisor.forget(wave)

    def end_leftovers(self, keep: Collection[str]) -> None:
        """See Launcher.

        Without a proof that a slot's processes are gone, their leases run out first.
        """
        self._local.end_leftovers(keep)
        gone = [wave for wave in self._left.values() if not wave.has_any(keep)]
        for wave in gone:
            wave.jobs.remember()
            wave.end()
        if names := {name for wave in gone for name in wave.jobs.by_name}:
            self._cancel(names)
        if claims := [one for wave in self._left.values() for one in wave.revoke(keep)]:
            self._await_end(claims)
        for wave in gone:
            wave.remove()
            self._left.pop(wave.files.root)
        self._known = known_tokens(map(WaveFiles, self._left))

    def _cancel(self, names: set[str]) -> None:
        try:
            self._engine.cancel(names)
        except HaulageError as err:
            _log.warning("jobs of the run could not be cancelled: %s", err)

    def _await_end(self, claims: Collection[Claim]) -> None:
        """Wait until nobody does these orders, or no lease can hold any more."""
        deadline = now_s() + MARGIN * self._options.hold_s
        while now_s() < deadline and not self._have_ended(claims):
            if STOP.wait(_LOOK_S[1]):
                raise CancelledError("stopped while slots of an earlier driver ended")

    def _have_ended(self, claims: Collection[Claim]) -> bool:
        """Tell whether each claim is answered, or its slot has ended."""
        try:
            found = self._engine.look(self._options.prefix)
        except TransientError:
            found = []
        views = {view.slot: view for view in found}
        for wave in self._left.values():
            wave.hear()
            for claim in {*wave.files.claims()} & {*claims}:
                record = wave.records.get(claim.slot)
                view = views.get(claim.engine_slot)
                if not why_ended(claim, record, view):
                    return False
        return True
