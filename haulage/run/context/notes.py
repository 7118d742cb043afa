"""Listing notes: entries left out and rules unused, for the end of a run."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from haulage.config.policy import Filters
from haulage.paths import shown

_NAMED = 5  # paths or rules that a note names
_LEFT_OUT = "other_file_systems"
_OWN = "own"
_DECIDED = "rule_{}_decided"


@dataclass(slots=True)
class ListingNotes:
    """Notes of a listing, kept in a run's `counts`, where a resumed run finds them.

    The first names are only those of this part of the run.
    """

    counts: Counter[str] = field(default_factory=Counter)
    names: list[str] = field(default_factory=list)
    own: list[str] = field(default_factory=list)

    def leave_out(self, path: bytes) -> None:
        """Note a directory of another file system that was not entered."""
        self.counts[_LEFT_OUT] += 1
        if len(self.names) < _NAMED:
            self.names.append(shown(path))

    def leave_out_own(self, path: bytes) -> None:
        """Note an entry that is the target, or Haulage's own."""
        self.counts[_OWN] += 1
        if len(self.own) < _NAMED:
            self.own.append(shown(path))

    def note_decided(self, rules: Iterable[int]) -> None:
        """Note which rules have decided about a path, by their numbers."""
        for number in rules:
            self.counts[_DECIDED.format(number)] = 1

    def notes(self, filters: Filters) -> Iterator[str]:
        """Yield the notes: what a listing by `filters` left out, and unused rules."""
        if left_out := self.counts[_LEFT_OUT]:
            yield (
                f"{left_out} directories of other file systems were not entered "
                f"(mount points and subvolumes){_listed(self.names, left_out)}"
            )
        if own := self.counts[_OWN]:
            yield (
                f"{own} entries were left out because they are the target or "
                f"Haulage's own{_listed(self.own, own)}"
            )
        idle = [
            repr(rule)
            for number, rule in enumerate(filters.rules)
            if not self.counts[_DECIDED.format(number)]
        ]
        if idle:
            first = idle[:_NAMED]
            yield (
                f"{len(idle)} of {len(filters.rules)} rules matched nothing that an "
                f"earlier rule had not matched{_listed(first, len(idle))}"
            )


def _listed(first: list[str], count: int) -> str:
    """Name the first of `count` entries, as far as their names are known."""
    if not first:
        return ""
    return f": {', '.join(first)}{', ...' if count > len(first) else ''}"
