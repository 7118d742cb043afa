"""Lets histories come to pass, many at once, and collects the complaints."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from haulage.catalog import datasets, failures
from haulage.catalog.db.engine import Catalog, open_catalog
from haulage.catalog.failures import Failure
from haulage.catalog.manifests.reader import Manifest
from haulage.catalog.runs import runs
from tests.e2e.place import Ended, Place
from tests.fuzz.history import Fate, Night
from tests.fuzz.judging import (
    Planned,
    acted_again,
    overclaimed,
    stats,
    undone,
    unequal,
    unplanned,
)
from tests.fuzz.world import Stats, World, guest_in, rest
from tests.trees.compare import Aspect

_NOT_FAILED = ("kept", "lost")
_ENDED = (0, 1)


@dataclass
class Telling:
    """A world, the nights that passed in it, and what was wrong with the last one."""

    world: World
    passed: list[Night] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    holes_may_be_filled: bool = False

    def night(self, night: Night, *, is_judged: bool = True) -> None:
        """Plan, run and judge, or only run; the day is over."""
        self.passed.append(night)
        if not is_judged:
            self.holes_may_be_filled |= _fills_holes(night)
            self.world.run(night)
            self.world.dismiss(night)
            return
        self.holes_may_be_filled |= _fills_holes(night)
        self.wrong = list(self._judged(night))
        self.world.dismiss(night)

    def _judged(self, night: Night) -> Iterator[str]:
        place = self.world.place
        outside = stats(place.root / "outside")
        before = stats(place.target)
        planned = self.world.call(*self.world.words("plan", night))
        yield from _changed("plan: target", before, stats(place.target))
        ended = self.world.run(night)
        after = stats(place.target)
        yield from _changed("outside", outside, stats(place.root / "outside"))
        yield from _errors(planned, ended)
        yield from self._guests_gone(night, after)
        if not {planned.code, ended.code} <= set(_ENDED):
            yield from _refused(night, planned, ended)
            return
        with open_catalog(place.catalog_url) as catalog:
            yield from self._of_run(night, catalog, ended)
            if night.fate is Fate.PEACE:
                told = Planned.of(planned)
                yield from unplanned(told, before, after, ended.summary())
                if _deletes(night) and ended.summary()["waiting_plan"] is None:
                    yield from undone(told, after, ended.summary(), _failed(catalog))
        if night.is_full:
            yield from self._full(night, ended)
        if night.verified:
            yield from self._verified()

    def _of_run(self, night: Night, catalog: Catalog, ended: Ended) -> Iterator[str]:
        """Judge what every run has to keep to."""
        told = _failed(catalog)
        red = [each for each in told.values() if each.status not in _NOT_FAILED]
        if ended.code != (1 if red else 0):
            yield f"exit: code {ended.code}, failures {told}"
        if ended.summary()["failed"] != len(red):
            yield f"exit: {ended.summary()['failed']} failed by the summary, but {told}"
        yield from unexpected_failures(night, told)
        row = datasets.find(catalog, self.world.place.name)
        pages = Manifest(catalog, row.manifest_id).tables()
        rows = {row["path"]: row for page in pages for row in page.to_pylist()}
        yield from overclaimed(self.world.place, rows)

    def _full(self, night: Night, ended: Ended) -> Iterator[str]:
        ignored = {Aspect.HOLES} if self.holes_may_be_filled else set()
        yield from unequal(self.world.place, frozenset(ignored))
        if night.again:
            again = self.world.call(*self.world.words("sync", night))
            yield from acted_again(again.summary())

    def _verified(self) -> Iterator[str]:
        told = self.world.call("verify", self.world.place.name, "--json")
        if told.code:
            with open_catalog(self.world.place.catalog_url) as catalog:
                yield f"verify: exit code {told.code}, {_failed(catalog)}"

    def _guests_gone(self, night: Night, after: Stats) -> Iterator[str]:
        for directory in night.guests:
            if guest_in(directory) not in after:
                yield f"foreign: the file in {directory!r} is gone"


def pass_nights(tellings: Sequence[Telling], nights: Sequence[Night]) -> None:
    """Let one night pass in each of some worlds, after one wait for all of them."""
    begin(tellings, nights)
    for telling, night in zip(tellings, nights, strict=True):
        telling.night(night)


def begin(tellings: Sequence[Telling], nights: Sequence[Night]) -> None:
    """Let the days before some nights pass."""
    for telling, night in zip(tellings, nights, strict=True):
        telling.world.pass_day(night)
    if any(night.rested for night in nights):
        rest()


def _refused(night: Night, planned: Ended, ended: Ended) -> Iterator[str]:
    """Complain of a full night that was refused, or a run without its plan."""
    if night.is_full or planned.code != ended.code:
        yield f"refused: {planned.code} {planned.text} / {ended.code} {ended.text}"


def _failed(catalog: Catalog) -> dict[bytes, Failure]:
    """Return what the newest run has told of entries."""
    run = runs.recent(catalog, None, 1)[0]
    return {each.path: each for each in failures.of_run(catalog, run.id)}


def told_of(place: Place) -> dict[bytes, Failure]:
    """Return what the newest run has told of entries."""
    with open_catalog(place.catalog_url) as catalog:
        return _failed(catalog)


def unexpected_failures(night: Night, told: Mapping[bytes, Failure]) -> Iterator[str]:
    """Tell of the failures that the night's options do not lead to.

    What takes the name of a directory waits until that is empty.
    """
    expected = _NOT_FAILED if night.is_full else (*_NOT_FAILED, "blocked")
    for path, each in told.items():
        if each.status not in expected:
            yield f"failed: {path!r}: {each.status}: {each.reason}"


def _deletes(night: Night) -> bool:
    options = night.options
    if "--only" in options and "delete" not in options:
        return False
    return "guarded" in options


def _fills_holes(night: Night) -> bool:
    """Tell whether a night copies without keeping holes: they stay filled."""
    if "--preserve" not in night.options:
        return False
    names = night.options[night.options.index("--preserve") + 1]
    return "-sparse" in names or ("all" not in names and "sparse" not in names)


def _changed(what: str, before: Stats, after: Stats) -> Iterator[str]:
    def seen(of: Stats) -> Mapping[bytes, tuple[Any, ...]]:
        return {
            path: (info.st_mode, info.st_ino, info.st_ctime_ns)
            for path, info in of.items()
        }

    was, now = seen(before), seen(after)
    for path in sorted(was.keys() | now.keys()):
        if was.get(path) != now.get(path):
            yield f"{what}: {path!r} was changed"


def _errors(*ended: Ended) -> Iterator[str]:
    for each in ended:
        if b"Traceback" in each.err or b"unexpected error" in each.err:
            yield f"error: {each.text}"
