"""Keep enough slots alive for the waves of a run, and find attempts that are lost."""

import logging
import threading
import traceback
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from haulage.boottime import now_s
from haulage.errors import HaulageError, RefusedError, TransientError
from haulage.exchange.wave_files import SlotRecord
from haulage.launch.engine import Engine, SlotJob, SlotLife, SlotView
from haulage.launch.launcher import NodeWork
from haulage.launch.slots.options import SlotOptions
from haulage.launch.slots.wave import RemoteWave

_log = logging.getLogger(__name__)
_TICK_S = 0.5
_SLOWER = 1.5, 12.0  # an engine without news is asked less often, up to a bound
_FRUITLESS = 3  # slots that ended before they told anything, or nodes that lack it
_MOST_MEMORY = 2  # times what the options say


@dataclass(slots=True)
class _Due:
    """When the engine is asked again."""

    every_s: float
    at_s: float = 0.0

    def is_now(self) -> bool:
        return now_s() >= self.at_s

    def asked(self, *, news: bool, least_s: float) -> None:
        slower, most = _SLOWER
        longer = min(self.every_s * slower, most * least_s)
        self.every_s = least_s if news else longer
        self.at_s = now_s() + self.every_s


@dataclass(slots=True)
class Supervisor:
    """One thread for all waves of a run; the others only tell it what they want."""

    engine: Engine
    options: SlotOptions
    waves: list[RemoteWave] = field(default_factory=list)
    views: dict[tuple[str, str], SlotView] = field(default_factory=dict)
    unfit: dict[str, str] = field(default_factory=dict)  # node: what it lacks
    drained: set[str] = field(default_factory=set)
    slots: int = 0
    _due: _Due = field(default_factory=lambda: _Due(0.0))
    _told_s: float = 0.0
    _wake: threading.Event = field(default_factory=threading.Event)
    _closed: threading.Event = field(default_factory=threading.Event)
    _lock: threading.RLock = field(default_factory=threading.RLock)
    _thread: threading.Thread | None = None

    def watch(self, wave: RemoteWave) -> None:
        """Have the orders of a wave carried out."""
        with self._lock:
            self.slots = self.slots or self.options.slots
            if wave not in self.waves:
                self.waves.append(wave)
            self._due.at_s = 0.0
            if self._thread is None:
                self._thread = threading.Thread(target=self._watch_on, daemon=True)
                self._thread.start()
        self._wake.set()

    def end(self, wave: RemoteWave) -> None:
        """Cancel the jobs of a wave."""
        wave.end()
        self.forget(wave)
        self._cancel(
            [name for name, job in wave.jobs.by_name.items() if not job.is_gone]
        )

    def finish(self, wave: RemoteWave) -> None:
        """Cancel those jobs of a finished wave of which slots have not begun."""
        wave.files.forget_secrets()
        self.forget(wave)
        wave.hear()
        self._cancel(wave.jobs.not_begun(wave.records))

    def _cancel(self, names: list[str]) -> None:
        if not names:
            return
        try:
            self.engine.cancel(names)
        except HaulageError as err:
            _log.warning("jobs were told to stop, but not cancelled: %s", err)

    def forget(self, wave: RemoteWave) -> None:
        """Stop watching a wave; its slots go on."""
        with self._lock:
            if wave in self.waves:
                self.waves.remove(wave)

    def nodes(self) -> list[NodeWork]:
        """Return what each node does now."""
        with self._lock:
            waves = list(self.waves)
        live = [one for wave in waves for one in wave.records.values() if not one.ended]
        by_node: dict[str, list[SlotRecord]] = {}
        for record in live:
            by_node.setdefault(record.node, []).append(record)
        return [_work_of(node, its) for node, its in sorted(by_node.items())]

    def scale(self, slots: int) -> None:
        """Let so many slots work at the same time."""
        self.slots = slots
        with self._lock:
            self._spare([])
            surplus = self._alive_slots()[slots:]
            self._spare(surplus)
        self._wake.set()

    def _alive_slots(self) -> list[str]:
        lives = (SlotLife.RUNNING, SlotLife.WAITING)
        return [view.slot for view in self.views.values() if view.life in lives]

    def _spare(self, slots: list[str]) -> None:
        for wave in self.waves:
            wave.tell(replace(wave.control, ending=tuple(slots)))

    def drain(self, node: str) -> None:
        """Let no slot of this node take another order; RefusedError if it has none."""
        with self._lock:
            told = [one.node for wave in self.waves for one in wave.records.values()]
            seen = [view.node for view in self.views.values()]
            if node not in {*told, *seen}:
                raise RefusedError(f"no slot of the run is on node {node}")
            self.drained.add(node)
            for wave in self.waves:
                wave.tell(replace(wave.control, drained=tuple(sorted(self.drained))))

    def close(self) -> None:
        """Stop watching; slots go on."""
        self._closed.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join()

    def _watch_on(self) -> None:
        while not self._closed.is_set():
            self._wake.clear()
            try:
                self._tick()
            except TransientError as err:
                _log.warning("%s does not answer: %s", self.engine.where, err)
                self._due.asked(news=False, least_s=self.options.poll_s)
            except Exception as err:  # noqa: BLE001  else the run would wait for ever
                self._fail(str(err) or traceback.format_exc())
            self._wake.wait(_TICK_S)

    def _fail(self, why: str) -> None:
        for wave in self.waves:
            wave.fatal = why

    def _tick(self) -> None:
        with self._lock:
            waves = list(self.waves)
        if now_s() - self._told_s >= min(self.options.setup.look_s, 2 * _TICK_S):
            self._told_s = now_s()
            for wave in waves:
                wave.hear()
                self._note_unfit(wave)
        if self._due.is_now() and any(wave.jobs.by_name for wave in waves):
            self._look(waves)
        for wave in waves:
            self._find_lost(wave)
        self._top_up([wave for wave in waves if not wave.is_over])

    def _look(self, waves: Iterable[RemoteWave]) -> None:
        found = self.engine.look(self.options.prefix)
        views = {(view.job, view.slot): view for view in found}
        self._due.asked(news=views != self.views, least_s=self.options.poll_s)
        self.views = views
        for wave in waves:
            wave.jobs.see(found)
            self._check_fruit(wave)
            self._check_held(wave)

    def _note_unfit(self, wave: RemoteWave) -> None:
        for record in wave.records.values():
            if record.unfit is not None and record.node not in self.unfit:
                self.unfit[record.node] = record.unfit
                _log.warning("node %s is left out: %s", record.node, record.unfit)
        is_any_fit = any(one.unfit is None for one in wave.records.values())
        if len(self.unfit) >= _FRUITLESS and not is_any_fit:
            self._fail(self._lacking())

    def _lacking(self) -> str:
        lines = [f"node {node}: {why}" for node, why in sorted(self.unfit.items())]
        return "no node can do the work. " + ". ".join(lines)

    def _views_of(self, wave: RemoteWave) -> list[SlotView]:
        return [view for view in self.views.values() if view.job in wave.jobs.by_name]

    def _check_fruit(self, wave: RemoteWave) -> None:
        """Give up if slots end before they have told anything."""
        ended = [v for v in self._views_of(wave) if v.life is SlotLife.ENDED]
        mute = [v for v in ended if f"{v.slot}.{v.start}" not in wave.records]
        if len(mute) >= _FRUITLESS and not wave.records:
            output = wave.files.output_of(mute[0].slot)
            output = output or f"It left no output in {wave.files.logs}"
            wave.fatal = f"slots end before they begin ({mute[0].why}). {output}"

    def _check_held(self, wave: RemoteWave) -> None:
        """Give up if nothing starts before a person does something."""
        live = [
            view for view in self._views_of(wave) if view.life is not SlotLife.ENDED
        ]
        if live and all(view.life is SlotLife.HELD for view in live):
            wave.fatal = (
                f"{self.engine.where} starts no slot: {live[0].why}; change that, or "
                "the launcher's options, then resume"
            )

    def _find_lost(self, wave: RemoteWave) -> None:
        by_slot = {view.slot: view for view in self.views.values()}
        for claim in wave.files.claims():
            if (progress := wave.open.get(claim.token)) is None:
                continue
            record = wave.records.get(claim.slot)
            view = by_slot.get(claim.engine_slot)
            why = wave.doubts.why_lost(claim, progress, record, view)
            if why is not None:
                wave.lose(claim, why)

    def _top_up(self, waves: list[RemoteWave]) -> None:
        """Submit slots for orders that wait; a wave without such drains by itself."""
        views = list(self.views.values())
        free = self.slots
        for wave in waves:
            waiting = len(wave.files.waiting())
            if not waiting:
                continue
            alive = wave.jobs.alive(views, wave.records)
            wanted = -(-waiting // self.options.setup.movers)
            more = min(wanted, free - alive)
            free -= max(alive, 0)
            if more > 0 and not wave.jobs.is_unsure() and alive < wanted:
                self._submit(wave, min(more, wanted - alive))
                free -= more

    def _submit(self, wave: RemoteWave, slots: int) -> None:
        name = wave.jobs.begin(slots)
        job = SlotJob(
            name=name,
            command=self.options.command(wave.files.root, name),
            logs=wave.files.logs,
            slots=slots,
            excluded_nodes=frozenset(self.unfit) | frozenset(self.drained),
            memory_factor=self._memory(wave),
        )
        self._due.at_s = now_s() + self.options.poll_s
        try:
            self.engine.submit(job)
        except RefusedError as err:
            wave.jobs.by_name[name].is_gone = True
            wave.fatal = " ".join(
                [self._lacking(), str(err)] if self.unfit else [str(err)]
            )
        else:
            wave.jobs.by_name[name].is_sure = True

    def _memory(self, wave: RemoteWave) -> int:
        ran_out = any(view.out_of_memory for view in self._views_of(wave))
        return _MOST_MEMORY if ran_out else 1


def _work_of(node: str, records: list[SlotRecord]) -> NodeWork:
    return NodeWork(
        node,
        len(records),
        sum(len(one.under_way) for one in records),
        sum(one.entries / one.seconds for one in records if one.seconds),
        sum(one.bytes / one.seconds for one in records if one.seconds),
    )
