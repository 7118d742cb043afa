"""One wave at its driver: its files, its open attempts, and their answers."""

import shutil
import threading
from collections import deque
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path
from typing import Any

from haulage.exchange import progress_file
from haulage.exchange.shard_files import Order
from haulage.exchange.wave_files import (
    Claim,
    Control,
    Setup,
    SlotRecord,
    WaveFiles,
    token_of,
)
from haulage.launch.launcher import Answer, Load
from haulage.launch.slots.doubts import Doubts
from haulage.launch.slots.jobs import Jobs


@dataclass(slots=True)
class RemoteWave:
    """The orders of one wave that slots carry out. Any thread may call it."""

    files: WaveFiles
    jobs: Jobs
    doubts: Doubts
    open: dict[str, Path] = field(default_factory=dict)  # token: its progress file
    records: Mapping[str, SlotRecord] = field(default_factory=dict)
    control: Control = field(default_factory=Control)
    fatal: str | None = None
    is_over: bool = False
    _ready: deque[Answer] = field(default_factory=deque)
    _read: list[str] = field(default_factory=list)
    _numbers: Any = field(default_factory=count)
    _lock: threading.RLock = field(default_factory=threading.RLock)

    def begin(self, setup: Setup) -> None:
        """Make the wave's directory, or find what an earlier driver left there."""
        self.files.begin(setup)
        self.control = self.files.controlled()
        if self.control.stop:
            self.tell(replace(self.control, stop=False))
        self.jobs.remember()

    def attach(self, orders: Sequence[Order]) -> None:
        """Await the answers to orders that are queued, claimed or answered already."""
        with self._lock:
            self.open |= {order.token: order.progress for order in orders}
            self.is_over = False

    def add(self, orders: Sequence[Order], hold_s: float) -> None:
        """Queue orders."""
        self.attach(orders)
        for order in orders:
            self.files.put(next(self._numbers), replace(order, hold_s=hold_s))

    def collect(self) -> list[Answer]:
        """Return new answers; those of the last call are recorded by now."""
        with self._lock:
            for name in self._read:
                self.files.drop_answer(name)
            self._read = []
            for name, fields in self.files.answers():
                self._read.append(name)
                self._add(_answer_of(name, fields))
            found = list(self._ready)
            self._ready.clear()
            return found

    def _add(self, answer: Answer) -> None:
        if self.open.pop(answer.token, None) is not None:
            self._ready.append(answer)

    def lose(self, claim: Claim, why: str) -> None:
        """Answer for a mover that never will."""
        with self._lock:
            if self.files.has_answer(claim.name):
                return  # its last act was to answer
            self.files.let_go(claim)
            self._add(Answer(claim.token, lost=why))

    def withdraw(self) -> None:
        """Take back what nobody has claimed."""
        with self._lock:
            for name in self.files.waiting():
                if self.files.withdraw(name):
                    self._add(Answer(token_of(name), cancelled=True))

    def end(self) -> None:
        """Let no slot begin or go on."""
        self.is_over = True
        self.tell(replace(self.control, stop=True))
        self.files.forget_secrets()

    def tell(self, control: Control) -> None:
        """Tell the slots what is wanted of them."""
        self.control = control
        self.files.control(control)

    def hear(self) -> None:
        """Read what the slots have told."""
        self.records = {record.slot: record for record in self.files.records()}
        for record in self.records.values():
            self.doubts.hear(record)

    def under_way(self) -> Load:
        """Return what the slots have told of orders that are open."""
        with self._lock:
            told = [
                (entries, size)
                for record in self.records.values()
                for token, entries, size in record.under_way
                if token in self.open
            ]
        return Load(sum(one for one, _ in told), sum(size for _, size in told))

    def has_any(self, tokens: Collection[str]) -> bool:
        """Tell whether any of these attempts is queued, claimed or answered here."""
        return not known_tokens([self.files]).keys().isdisjoint(tokens)

    def revoke(self, keep: Collection[str]) -> list[Claim]:
        """Take back every order but those in `keep`; return those that had a mover."""
        for name in self.files.waiting():
            if token_of(name) not in keep:
                self.files.withdraw(name)
        claims = [one for one in self.files.claims() if one.token not in keep]
        for claim in claims:
            if (order := self.files.claimed(claim)) is not None:
                progress_file.revoke(order.progress)
        return claims

    def remove(self) -> None:
        """Remove the wave's directory; a slot that looks for it ends."""
        shutil.rmtree(self.files.root, ignore_errors=True)


def known_tokens(waves: Iterable[WaveFiles]) -> dict[str, WaveFiles]:
    """Return the attempts that are queued, claimed or answered, and where."""
    found: dict[str, WaveFiles] = {}
    for files in waves:
        names = [*files.waiting(), *(claim.name for claim in files.claims())]
        names += files.answered()
        found |= dict.fromkeys(map(token_of, names), files)
    return found


def _answer_of(name: str, fields: Mapping[str, Any]) -> Answer:
    return Answer(
        token_of(name),
        tally=fields.get("tally"),
        fatal=fields.get("fatal"),
        lost=fields.get("lost"),
        cancelled="cancelled" in fields,
        given_back="cancelled" in fields,
    )
