"""Find out which attempts no slot does any more, without giving one to two movers."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from haulage.boottime import now_s
from haulage.exchange import progress_file
from haulage.exchange.wave_files import Claim, SlotRecord
from haulage.launch.engine import SlotLife, SlotView

MARGIN = 1.1  # clocks of two machines do not run alike


@dataclass(slots=True)
class _Doubt:
    """An attempt of which nothing was heard since, or that was revoked since."""

    sign: object
    since_s: float
    is_revoked: bool = False


class Doubts:
    """What is known of the slots of one wave, and of attempts that may be lost.

    An attempt is lost at once if its slot or the engine has seen all its processes end.
    Otherwise its progress file must not have changed for `hold_s`; then it is removed,
    and after the same time again the mover's lease is over, whatever it does.
    """

    def __init__(self, hold_s: float, clock: Callable[[], float] = now_s) -> None:
        self._hold_s = hold_s
        self._clock = clock
        self._heard: dict[str, tuple[int, float]] = {}  # slot: its beat, since when
        self._doubts: dict[str, _Doubt] = {}

    def hear(self, record: SlotRecord) -> None:
        """Take note of what a slot told last."""
        beat, _ = self._heard.get(record.slot, (-1, 0.0))
        if beat != record.beat:
            self._heard[record.slot] = (record.beat, self._clock())

    def why_lost(
        self,
        claim: Claim,
        progress: Path,
        record: SlotRecord | None,
        view: SlotView | None,
    ) -> str | None:
        """Return why an attempt is lost, or None while its mover may go on."""
        if why := why_ended(claim, record, view):
            return why
        if self._is_heard(claim.slot):
            self._doubts.pop(claim.token, None)
            return None
        where = f" on {record.node}" if record else ""
        return self._why_silent(claim, progress, where)

    def _is_heard(self, slot: str) -> bool:
        _, heard_s = self._heard.setdefault(slot, (-1, self._clock()))
        return self._clock() - heard_s < self._hold_s

    def _why_silent(self, claim: Claim, progress: Path, where: str) -> str | None:
        sign, now = _sign_of(progress), self._clock()
        doubt = self._doubts.setdefault(claim.token, _Doubt(sign, now))
        if not doubt.is_revoked and sign != doubt.sign:
            self._doubts[claim.token] = _Doubt(sign, now)
        elif not doubt.is_revoked and now - doubt.since_s >= self._hold_s:
            progress_file.revoke(progress)
            self._doubts[claim.token] = _Doubt(None, self._clock(), is_revoked=True)
        elif doubt.is_revoked and now - doubt.since_s >= self._hold_s * MARGIN:
            return f"slot {claim.slot}{where} was not heard for {self._hold_s:g} s"
        return None


def why_ended(
    claim: Claim, record: SlotRecord | None, view: SlotView | None
) -> str | None:
    """Return how the slot of a claim ended, if all its processes are known to be gone.

    What an engine says is about one start of a slot, which may not be the claim's.
    """
    if record and record.ended is not None:
        return f"slot {claim.slot} on {record.node}: {record.ended}"
    if not view or view.life is not SlotLife.ENDED:
        return None
    is_its_start = claim.slot == f"{view.slot}.{view.start}"
    return f"slot {claim.slot} on {view.node}: {view.why}" if is_its_start else None


def _sign_of(progress: Path) -> object:
    """Return something that a renewal changes."""
    for name in progress_file.names_of(progress):
        try:
            found = name.stat()
        except FileNotFoundError:
            continue
        return name, found.st_mtime_ns
    return None
