"""Writes a history as a script of bash that stands alone."""

import shlex
from collections.abc import Iterator, Sequence

from tests.fuzz.history import Fate, History, Night
from tests.fuzz.world import dismissed, invited

_HEAD = """\
H=${HAULAGE:-haulage}
D=$(mktemp -d "${CASE_DIR:-/tmp}/fuzz.XXXXXX") && cd "$D" || exit
export LC_ALL=C HAULAGE_HOME=$D/home HAULAGE_CATALOG=sqlite:///$D/catalog.db
mkdir -p source/{keeper,t{0..6}} target outside away home; printf outside > outside/file
for n in {0..8}; do printf kept > source/keeper/keeper$n; done
h() { w=$1; shift; "$H" "$w" source target --name fuzz "$@"; echo "$w: exit code $?"; }
"""
_TAIL = """\
"$H" failures "$("$H" runs fuzz --limit 1 | cut -d' ' -f1)"
rsync -naiHAXS --numeric-ids --delete -c --devices --specials --modify-window=-1 \\
  '--exclude=/.haulage-*' source/ target/
"""


def script(history: History, wrong: Sequence[str]) -> str:
    """Return the script, with what is wrong as its first lines."""
    lines = [f"# {line}" for each in wrong for line in each.splitlines()]
    lines += [_HEAD]
    for number, night in enumerate(history, 1):
        lines += [
            f"echo '== night {number}'",
            *_night(night, is_last=night is history[-1]),
        ]
    return "\n".join(["#!/bin/bash", *lines, _TAIL])


def _night(night: Night, *, is_last: bool) -> Iterator[str]:
    yield from _here("source", night.day)
    yield from _here("target", [invited(path) for path in night.guests])
    if night.rested:
        yield "sleep 2.1"
    options = shlex.join(night.options)
    if is_last:
        yield f"h plan {options}"
    if night.fate is not Fate.PEACE:
        yield f"h sync {options} & sleep {night.killed_after_s}; kill -9 $!; wait"
    if night.fate is Fate.RESUMED:
        yield '"$H" resume "$("$H" runs fuzz --limit 1 | cut -d\' \' -f1)"'
    else:
        yield f"h sync {options}"
    if night.again:
        yield f"h sync {options}"
    if night.verified:
        yield '"$H" verify fuzz'
    yield from _here("target", [dismissed(path) for path in night.guests])


def _here(directory: str, lines: Sequence[str]) -> Iterator[str]:
    if lines:
        yield f"(cd {directory} && bash 2>/dev/null) <<'LINES'"
        yield from lines
        yield "LINES"
