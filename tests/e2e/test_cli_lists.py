"""The command line: what its lists tell, and that no name in them is raw."""

import csv
import io
import os
import shutil
import subprocess

import pyarrow.parquet as pq
import pytest

from tests.catalogs import recorded
from tests.e2e.conftest import give_to_nobody
from tests.e2e.place import Place, paths_in, write

NASTY = (b"new\nline", b"bell\x07 \x1b[31mred", b"\xff\xfe not utf-8", b"tab\t\x7f\x85")
NASTY_SHOWN = {
    "new\\x0aline",
    "bell\\x07 \\x1b[31mred",
    "\\xff\\xfe not utf-8",
    "tab\\x09\\x7f\\x85",
}


def assert_printable(out: bytes) -> None:
    """A terminal that gets this does nothing but print."""
    for line in out.decode().splitlines():
        assert line.isprintable(), ascii(line)


@pytest.fixture
def nasty(place: Place) -> Place:
    """Return a place with names that would play with a terminal, of which one failed,
    one was deleted, and all the others arrived."""
    for name in NASTY:
        with open(os.path.join(os.fsencode(place.source), name), "wb") as file:
            file.write(name)
    (place.source / "dir\r").mkdir()
    (place.source / "link").symlink_to("to\x1b[2J")
    write(place.source / "gone\x08")
    write(place.source / "full\x0b" / "file")
    assert place.sync().exit_code == 0
    return place


def test_a_plan_prints_no_name_raw(nasty: Place) -> None:
    other = nasty.root / "other target"
    words = ("plan", nasty.source, other)
    ended = nasty.haulage(*words)
    assert ended.code == 0, ended.text
    assert_printable(ended.out)
    for name in NASTY_SHOWN:
        assert f"copy    {name}" in ended.out.decode().splitlines()
    listed = nasty.haulage(*words, "--json").lines()
    assert {row["path"] for row in listed if "verb" in row} >= NASTY_SHOWN
    assert not other.exists()


def test_failures_and_runs_print_no_name_raw(nasty: Place) -> None:
    (nasty.source / "gone\x08").unlink()
    shutil.rmtree(nasty.source / "full\x0b")
    write(nasty.source / "full\x0b")
    ended = nasty.sync_by_command()
    assert ended.code == 1
    run = ended.summary()["run_id"]
    failed = nasty.haulage("failures", run)
    assert b"full\\x0b" in failed.out
    rows = nasty.haulage("failures", run, "--json").lines()
    assert [row["path"] for row in rows] == ["full\\x0b"]
    options = ("--delete", "guarded", "--max-delete-share", "1")
    run = nasty.sync_by_command(*options).summary()["run_id"]
    shown = nasty.haulage("show", run)
    assert b"deleted: gone\\x08\n" in shown.out
    assert "gone\\x08" in nasty.haulage("show", run, "--json").summary()["deleted"]
    for words in (["show", run], ["runs"], ["status"], ["failures", run]):
        assert_printable(nasty.haulage(*words).out)
        nasty.haulage(*words, "--json").lines()
    assert_printable(failed.out)


def test_a_reason_names_no_path_raw(nobodys_place: Place) -> None:
    place = nobodys_place
    closed = write(place.source / "shut\x1b[1m\n")
    give_to_nobody(place.source)
    os.chmod(closed, 0)
    ended = place.sync_by_command()
    assert ended.code == 1, ended.text
    run = ended.summary()["run_id"]
    listed = place.haulage("failures", run)
    assert_printable(listed.out)
    assert b"Permission denied" in listed.out
    assert_printable(place.haulage("show", run).out)


def test_a_manifest_prints_no_name_raw(nasty: Place) -> None:
    table = nasty.haulage("manifest", nasty.name)
    assert table.code == 0, table.text
    assert_printable(table.out)
    rows = nasty.haulage("manifest", nasty.name, "--json").lines()
    assert {row["path"] for row in rows} >= NASTY_SHOWN
    assert "to\\x1b[2J" in {row["target"] for row in rows}
    text = nasty.haulage("manifest", nasty.name, "--format", "csv").out
    assert_printable(text)
    read = list(csv.DictReader(io.StringIO(text.decode())))
    assert {row["path"] for row in read} == {row["path"] for row in rows}


def test_a_manifest_in_parquet_has_the_bytes_of_each_name(nasty: Place) -> None:
    file = nasty.root / "manifest.parquet"
    words = ("manifest", nasty.name, "--format", "parquet")
    assert nasty.haulage(*words, "-o", file).code == 0
    paths = set(pq.read_table(file)["path"].to_pylist())
    assert {path.rstrip(b"/") for path in paths} - {b""} == paths_in(nasty.target)
    piped = io.BytesIO(nasty.haulage(*words).out)
    assert set(pq.read_table(piped)["path"].to_pylist()) == paths


@pytest.mark.parametrize(
    "kind", [pytest.param("csv", marks=pytest.mark.torture), "parquet"]
)
def test_an_empty_manifest_is_a_file_with_columns(place: Place, kind: str) -> None:
    catalog = place.catalog()
    recorded(catalog, place.dataset())
    catalog.engine.dispose()
    ended = place.haulage("manifest", place.name, "--format", kind)
    assert ended.code == 0, ended.text
    columns = (
        pq.read_schema(io.BytesIO(ended.out)).names
        if kind == "parquet"
        else next(csv.reader(io.StringIO(ended.out.decode())))
    )
    assert "path" in columns


def test_a_summary_in_json_has_the_numbers(place: Place) -> None:
    write(place.source / "dir" / "file", b"12345")
    summary = place.sync_by_command().summary()
    wanted = {"state": "done", "exit_code": 0, "copied": 1, "copied_bytes": 5}
    assert summary.items() >= wanted.items()
    told = place.haulage("status", place.name, "--json").lines()
    assert [row["run"] for row in told] == [summary["run_id"]]
    assert told[0]["summary"] == summary
    listed = place.haulage("runs", place.name)
    assert listed.out.decode().startswith(f"{summary['run_id']}  done")
    end = summary["run_id"][-6:]
    assert place.haulage("show", end, "--json").summary()["run"] == summary["run_id"]


def test_a_list_whose_reader_had_enough_ends_quietly(place: Place) -> None:
    for number in range(2000):
        write(place.source / f"{number}", b"")
    place.sync(verify="none")
    command = f"{' '.join(place.command('manifest', place.name))} | head -n 1"
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command],
        env=place.environment(),
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")
