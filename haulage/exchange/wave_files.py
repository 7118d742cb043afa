"""The files of a wave in the workspace, by which a driver and slots on any host meet.

    orders/NAME            an order that nobody has claimed
    claims/NAME@MOVER      the same file, renamed by the mover that does it
    answers/NAME           how an attempt ended: one object of JSON
    slots/SLOT             what a slot tells of itself, renewed every few seconds
    jobs/NAME              a job of the engine that was submitted, or was about to be
    setup                  what a slot checks before its first claim, and needs to know
    control                what slots are told: to stop, or to end after this order

NAME is a number, by which orders are listed, and the attempt's token. A rename is one
step on every file system, NFS included, and its winner is the only one: so an order has
one mover. Content appears by a rename as well, so it is there as a whole or not at all.
"""

import json
import os
import secrets
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from haulage.exchange.shard_files import Order
from haulage.private import make_directory, make_file

_PARTS = ("orders", "claims", "answers", "slots", "jobs", "logs")
_CONTROL, _SETUP = "control", "setup"
_AT = "@"
_TAIL_BYTES = 2000
_MISSES = 8  # of a listing's names in a row that others had claimed: time for a new one


@dataclass(frozen=True, slots=True)
class Setup:
    """What the slots of a wave need to know.

    `environ` holds the secrets of both stores, so the file is removed with the job.
    """

    version: str
    uid: int
    movers: int  # of each slot
    look_s: float = 10.0  # how often a slot looks at the control file, and tells
    roots: tuple["Root", ...] = ()
    environ: dict[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class Root:
    """A directory as the driver sees it; `marks` are some of its names, as hexadecimal.

    `what` is a word for a person: source, target. What is marked is `seen`: the
    directory, or the first above it, if it is still to be made.
    """

    what: str
    path: str
    seen: str
    marks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Control:
    """What a driver wants of the slots of a wave.

    All `stop` at once, or those named in `ending`, and all on `drained` nodes, end
    after their present order.
    """

    stop: bool = False
    ending: tuple[str, ...] = ()
    drained: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SlotRecord:
    """What a slot tells of itself; `beat` is another number each time.

    `unfit` says why it takes no order. `ended` tells that none of its processes is
    left. `entries` and `bytes` are all that it has done; `under_way` has the token,
    entries and bytes of its present orders.
    """

    job: str
    slot: str
    node: str
    pid: int
    beat: int
    seconds: float = 0.0  # since it began
    entries: int = 0
    bytes: int = 0
    unfit: str | None = None
    ended: str | None = None
    under_way: tuple[tuple[str, int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Claim:
    """An order that a mover has taken; `mover` is its slot's name and a number."""

    name: str
    mover: str

    @property
    def token(self) -> str:
        """Return the attempt's token."""
        return token_of(self.name)

    @property
    def slot(self) -> str:
        """Return the slot in which the mover runs, with the count of its start."""
        return self.mover.rpartition(".")[0]

    @property
    def engine_slot(self) -> str:
        """Return what the engine calls that slot, whenever it was started."""
        return self.slot.rpartition(".")[0]

    @property
    def file_name(self) -> str:
        """Return the name of the claim's file."""
        return f"{self.name}{_AT}{self.mover}"


def token_of(name: str) -> str:
    """Return the token in the name of an order or an answer."""
    return name.partition("-")[2]


class WaveFiles:
    """The directory of one wave, as its driver and its slots use it."""

    def __init__(self, root: Path) -> None:
        """Name the directory; `begin` makes it."""
        self.root = root

    @property
    def logs(self) -> Path:
        """Return where slots write their output."""
        return self.root / "logs"

    def output_of(self, slot: str) -> str:
        """Return the last errors that a slot has printed; nothing if it left none."""
        try:
            text = (self.logs / f"{slot}.err").read_bytes()[-_TAIL_BYTES:]
        except OSError:
            return ""
        return text.decode(errors="replace").strip()

    def begin(self, setup: Setup) -> None:
        """Make the directory, unless that was done."""
        for part in _PARTS:
            make_directory(self.root / part)
        _write(self.root / _SETUP, {**asdict(setup)})

    def setup(self) -> Setup:
        """Read what slots need to know; FileNotFoundError when the wave is over."""
        fields = _read(self.root / _SETUP)
        roots = tuple(
            Root(one["what"], one["path"], one["seen"], tuple(one["marks"]))
            for one in fields.pop("roots")
        )
        return Setup(**fields, roots=roots)

    def forget_secrets(self) -> None:
        """Remove what slots need to begin: from here on none does."""
        (self.root / _SETUP).unlink(missing_ok=True)

    def put(self, number: int, order: Order) -> None:
        """Add an order to the queue."""
        name = f"{number:07}-{order.token}"
        _write_bytes(self.root / "orders" / name, order.to_line())

    def waiting(self) -> list[str]:
        """Return the names of orders that nobody has claimed."""
        return _names(self.root / "orders")

    def take(self, name: str, mover: str) -> Order | None:
        """Claim an order for a mover; None if somebody else has it."""
        mine = self.root / "claims" / Claim(name, mover).file_name
        try:
            os.rename(self.root / "orders" / name, mine)
        except FileNotFoundError:
            # A server that answered twice says this of a rename that was done.
            if not mine.exists():
                return None
        return Order.from_line(mine.read_bytes())

    def withdraw(self, name: str) -> bool:
        """Remove an order; False if it was claimed before."""
        try:
            (self.root / "orders" / name).unlink()
        except FileNotFoundError:
            return False
        return True

    def claims(self) -> list[Claim]:
        """Return the claims that are not answered."""
        return [
            Claim(*name.split(_AT, 1))
            for name in _names(self.root / "claims")
            if _AT in name
        ]

    def claimed(self, claim: Claim) -> Order | None:
        """Return the order of a claim, or None if it was answered meanwhile."""
        file = self.root / "claims" / claim.file_name
        try:
            return Order.from_line(file.read_bytes())
        except FileNotFoundError:
            return None

    def answer(self, claim: Claim, answer: dict[str, object]) -> None:
        """Say how an attempt ended, then let go of the claim."""
        _write(self.root / "answers" / claim.name, answer)
        self.let_go(claim)

    def let_go(self, claim: Claim) -> None:
        """Remove a claim that is answered."""
        (self.root / "claims" / claim.file_name).unlink(missing_ok=True)

    def answered(self) -> list[str]:
        """Return the names of attempts that have ended."""
        return _names(self.root / "answers")

    def has_answer(self, name: str) -> bool:
        """Tell whether an attempt has ended by itself."""
        return (self.root / "answers" / name).exists()

    def answers(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield `(name, answer)` of every attempt that has ended."""
        for name in self.answered():
            with suppress(FileNotFoundError):
                yield name, _read(self.root / "answers" / name)

    def drop_answer(self, name: str) -> None:
        """Remove an answer that is recorded elsewhere."""
        (self.root / "answers" / name).unlink(missing_ok=True)

    def tell(self, record: SlotRecord) -> None:
        """Write what a slot tells of itself, unless the wave is gone."""
        with suppress(FileNotFoundError):
            _write(self.root / "slots" / record.slot, asdict(record))

    def records(self) -> Iterator[SlotRecord]:
        """Yield what each slot has told last."""
        for name in _names(self.root / "slots"):
            fields = _read(self.root / "slots" / name)
            under_way = tuple(map(tuple, fields.pop("under_way")))
            yield SlotRecord(**fields, under_way=under_way)

    def note_job(self, name: str, slots: int) -> None:
        """Note that a job is about to be submitted."""
        _write(self.root / "jobs" / name, {"slots": slots})

    def jobs(self) -> dict[str, int]:
        """Return the jobs that were noted, and how many slots each has."""
        folder = self.root / "jobs"
        return {name: _read(folder / name)["slots"] for name in _names(folder)}

    def control(self, wanted: Control) -> None:
        """Tell the slots what is wanted of them."""
        _write(self.root / _CONTROL, asdict(wanted))

    def controlled(self) -> Control:
        """Return what is wanted of the slots; to stop, where the wave is gone."""
        try:
            fields = _read(self.root / _CONTROL)
        except FileNotFoundError:
            return Control(stop=not self.root.exists())
        return Control(**{**fields, **_tuples(fields)})


@dataclass(slots=True)
class Queue:
    """The orders of a wave as one mover of it sees them.

    A listing is used until its names are claimed by others; each mover goes through it
    in an order of its own, so that they seldom want the same one.
    """

    files: WaveFiles
    mover: str
    _names: list[str] = field(default_factory=list)

    def take(self) -> tuple[Claim, Order] | None:
        """Claim an order; None when there is none left."""
        misses = 0
        while (name := self._next(misses)) is not None:
            if (order := self.files.take(name, self.mover)) is not None:
                return Claim(name, self.mover), order
            misses += 1
        return None

    def _next(self, misses: int) -> str | None:
        """Return a name that may be free; None if a new listing has none."""
        if not self._names or (misses and misses % _MISSES == 0):
            self._names = self.files.waiting()
            secrets.SystemRandom().shuffle(self._names)
        return self._names.pop() if self._names else None


def _names(folder: Path) -> list[str]:
    """Return the names of complete files, sorted; none in a folder that is gone."""
    try:
        names = os.listdir(folder)
    except FileNotFoundError:
        return []
    return sorted(name for name in names if not name.startswith("."))


def _tuples(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: tuple(one) for name, one in fields.items() if isinstance(one, list)}


def _write(file: Path, content: object) -> None:
    _write_bytes(file, json.dumps(content).encode())


def _write_bytes(file: Path, content: bytes) -> None:
    unfinished = file.with_name(f".{file.name}-{secrets.token_hex(4)}")
    make_file(unfinished)
    unfinished.write_bytes(content)
    os.replace(unfinished, file)


def _read(file: Path) -> Any:  # noqa: ANN401  any JSON
    return json.loads(file.read_bytes())
