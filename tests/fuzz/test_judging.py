"""The judges see what is wrong; otherwise nights without a complaint say nothing."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.place import write
from tests.fuzz.history import Night
from tests.fuzz.nights import Telling, pass_nights
from tests.fuzz.options import FULL
from tests.fuzz.world import World

Meddling = Callable[[Path], object]


def _edit(target: Path) -> None:
    kept = target / "keeper" / "keeper1"
    info = kept.stat()
    kept.write_bytes(b"kepT")
    os.utime(kept, ns=(info.st_atime_ns, info.st_mtime_ns))


def _remove(target: Path) -> None:
    (target / "keeper" / "keeper2").unlink()


def _add(target: Path) -> None:
    write(target / "keeper" / "new")


class Meddler(World):
    """A world in which somebody is at the target after each run."""

    deed: Meddling

    def run(self, night: Night):
        ended = super().run(night)
        Meddler.deed(self.place.target)
        return ended


@pytest.mark.parametrize(
    ("deed", "kinds"),
    [
        (_edit, {"differs", "rsync", "manifest"}),
        (_remove, {"differs", "rsync", "manifest"}),
        (_add, {"differs", "rsync"}),
    ],
)
def test_what_is_not_like_the_source_is_told(
    tmp_path: Path, deed: Meddling, kinds: set[str]
) -> None:
    telling = Telling(Meddler.made_in(tmp_path))
    night = Night((), FULL, is_full=True, rested=False)
    Meddler.deed = staticmethod(lambda _: None)
    pass_nights([telling], [night])
    assert telling.wrong == []
    Meddler.deed = staticmethod(deed)
    pass_nights([telling], [night])
    assert {line.partition(":")[0] for line in telling.wrong} >= kinds
