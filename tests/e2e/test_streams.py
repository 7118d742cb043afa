"""Standard streams that are closed, full or read by nobody, and errors unforeseen."""

import signal
import subprocess
from pathlib import Path

import pytest

from tests.e2e.place import Ended, Place, write
from tests.trees.walk import entries_of

SYNC = ("sync", "source", "target", "--name", "tree", "--movers", "1")


def by_shell(place: Place, line: str, **more: str) -> Ended:
    """Run a line of bash in which $H is `haulage`, and say how that ended."""
    done = subprocess.run(
        ["bash", "-c", line],
        env={**place.environment(), "H": place.command()[0], **more},
        cwd=place.root,
        capture_output=True,
        check=False,
    )
    return Ended(done.returncode, done.stdout, done.stderr)


@pytest.mark.parametrize(
    "closed", [pytest.param("2>&-", marks=pytest.mark.torture), "<&- >&-"]
)
def test_closed_streams_change_nothing(place: Place, closed: str) -> None:
    write(place.source / "file")
    ended = by_shell(place, f"$H {' '.join(SYNC)} {closed}")
    assert ended.code == 0, ended.text
    assert b"Traceback" not in ended.err
    assert (place.target / "file").read_bytes() == b"content"
    logs = b"".join(log.read_bytes() for log in place.home.rglob("*.log"))
    assert logs == b""


@pytest.mark.parametrize(
    ("out", "unbuffered"),
    [
        (">/dev/full", ""),
        pytest.param("| true", "1", marks=pytest.mark.torture),
        pytest.param("2>/dev/full >&2", "", marks=pytest.mark.torture),
    ],
)
def test_a_runs_exit_code_stays_whatever_becomes_of_its_output(
    place: Place, out: str, unbuffered: str
) -> None:
    write(place.source / "taken")
    write(place.target / "taken" / "below")
    line = f"$H {' '.join(SYNC)} {out}; exit ${{PIPESTATUS[0]}}"
    ended = by_shell(place, line, PYTHONUNBUFFERED=unbuffered)
    assert ended.code == 1, ended.text
    assert b"Traceback" not in ended.err
    assert place.last_run().state == "done"


def test_a_list_that_can_not_be_written_is_an_error(place: Place) -> None:
    write(place.source / "file")
    assert place.sync().exit_code == 0
    for words in ("manifest tree", "runs", "plan source elsewhere"):
        ended = by_shell(place, f"$H {words} >/dev/full")
        assert ended.code == 2
        assert "No space left on device" in ended.text


def test_an_error_that_nobody_foresaw_ends_in_words_and_is_logged(place: Place) -> None:
    write(place.source / "file")
    write(place.root / "own" / "alembic.py", b"raise ValueError('no such \\u65e5')")
    own = str(place.root / "own")
    ended = by_shell(place, f"$H {' '.join(SYNC)}", PYTHONPATH=own, LC_ALL="C")
    assert (ended.code, ended.out) == (2, b"")
    assert "unexpected error: ValueError: no such \u65e5" in ended.text
    assert "Traceback" not in ended.text
    log = place.home / "errors.log"
    assert str(log) in ended.text
    assert "alembic.py" in log.read_text("utf-8")
    assert log.stat().st_mode & 0o777 == 0o600


def test_a_current_directory_that_is_gone_is_told(place: Place) -> None:
    write(place.source / "file")
    gone = "mkdir gone; cd gone; rmdir ../gone;"
    ended = by_shell(place, f"{gone} $H sync source target")
    assert ended.code == 2
    assert "current directory" in ended.text
    whole = f"{gone} $H sync {place.source} {place.target}"
    assert by_shell(place, whole).code == 0
    assert entries_of(place.target) == [place.target / "file"]


@pytest.mark.parametrize(
    "limit_kib",
    [
        280_000,
        *(pytest.param(kib, marks=pytest.mark.torture) for kib in (300_000, 320_000)),
    ],
)
def test_where_no_memory_is_left_a_command_ends_with_two(
    place: Place, limit_kib: int
) -> None:
    write(place.source / "file")
    ended = by_shell(place, f"ulimit -v {limit_kib}; $H {' '.join(SYNC)}")
    # Native code ends a process by itself, before Python can say anything.
    by_native_code = ended.code == 128 + signal.SIGABRT or "OpenBLAS" in ended.text
    assert ended.code == 2 or by_native_code, ended.text
    assert not (Path(place.target) / "file").exists()
