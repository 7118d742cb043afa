"""The command line: what it refuses and how it says so, and what its lists tell."""

import csv
import io
import os
import re
import shutil
import socket
import sqlite3
import subprocess
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from haulage.catalog import datasets, runs
from haulage.catalog.runs import RunState
from haulage.model import Verb
from haulage.shardfile import read_outcomes, read_shard
from tests.e2e.conftest import give_to_nobody
from tests.e2e.place import Ended, Place, grow_old, paths_in, write
from tests.e2e.processes import of_place, start, wait_until
from tests.trees.compare import assert_same

NASTY = (b"new\nline", b"bell\x07 \x1b[31mred", b"\xff\xfe not utf-8", b"tab\t\x7f\x85")
NASTY_SHOWN = {
    "new\\x0aline",
    "bell\\x07 \\x1b[31mred",
    "\\xff\\xfe not utf-8",
    "tab\\x09\\x7f\\x85",
}
COMMANDS = (
    *("sync", "plan", "resume", "verify", "status", "runs", "show", "failures"),
    *("manifest", "run-shard", "up", "down"),
)


def assert_refused(place: Place, ended: Ended, *told: str | Path) -> None:
    """The command did nothing, said why, and left no run that waits."""
    assert ended.code == 2, (ended.out, ended.text)
    assert "Traceback" not in ended.text
    for word in told:
        assert str(word) in ended.text
    assert not place.target.exists() or paths_in(place.target) == set()
    if (place.root / "catalog.db").exists():
        active = [
            run for run in runs.recent(place.catalog(), None, 9) if not run.summary
        ]
        assert active == []


def sync(place: Place, source: Path, target: Path, *options: str) -> Ended:
    return place.haulage("sync", source, target, *options)


def test_a_source_that_is_missing_is_refused(place: Place) -> None:
    missing = place.root / "missing"
    assert_refused(place, sync(place, missing, place.target), missing, "exist")


def test_a_source_that_is_no_directory_is_refused(place: Place) -> None:
    file = write(place.root / "file")
    assert_refused(place, sync(place, file, place.target), file, "directory")


def test_a_target_that_is_no_directory_is_refused(place: Place) -> None:
    file = write(place.root / "file")
    assert_refused(place, sync(place, place.source, file), file, "directory")
    assert file.read_bytes() == b"content"


@pytest.mark.parametrize("through_link", [False, True])
@pytest.mark.parametrize("case", ["target inside", "source inside", "same"])
def test_roots_that_overlap_are_refused(
    place: Place, case: str, through_link: bool
) -> None:
    write(place.source / "sub" / "file")
    link = place.root / "link"
    link.symlink_to(place.source)
    base = link if through_link else place.source
    source, target = {
        "target inside": (place.source, base / "sub" / "new"),
        "source inside": (base / "sub", place.source),
        "same": (place.source, base / "sub" / ".."),
    }[case]
    before = paths_in(place.source)
    ended = sync(place, source, target)
    assert_refused(place, ended, source, "same" if case == "same" else "inside")
    assert paths_in(place.source) == before


def test_a_target_on_a_read_only_mount_is_refused(place: Place) -> None:
    write(place.source / "file")
    ended = sync(place, place.source, Path("/proc/sys/haulage"))
    assert_refused(place, ended, "/proc/sys", "can not be written")


def test_a_target_that_this_user_may_not_write_is_refused(nobodys_place: Place) -> None:
    place = nobodys_place
    write(place.source / "file")
    give_to_nobody(place.source)
    place.target.mkdir(mode=0o755)
    ended = sync(place, place.source, place.target)
    assert_refused(place, ended, place.target, "can not be written")


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--exclude", "a[b"], ["a[b", "unclosed"]),
        (["--filter", "x y"], ["x y"]),
        (["--min-size", "many"], ["--min-size", "many"]),
        (["--max-age", "later"], ["--max-age", "later"]),
        (["--movers", "0"], ["--movers", "0"]),
        (["--movers", "two"], ["--movers", "two"]),
        (["--max-delete-share", "1.5"], ["--max-delete-share", "1.5"]),
        (["--max-delete", "-1"], ["--max-delete", "-1"]),
        (["--shard-bytes", "1"], ["--shard-bytes", "1"]),
        (["--attempts", "99"], ["--attempts", "99"]),
        (["--verify", "perhaps"], ["--verify", "perhaps"]),
        (["--name", "no name"], ["name", "no name"]),
        (["--dataset", "known"], ["--dataset"]),
        (["--no-such-option"], ["--no-such-option"]),
    ],
    ids=" ".join,
)
def test_an_option_that_makes_no_sense_is_refused(
    place: Place, options: list[str], told: list[str]
) -> None:
    write(place.source / "file")
    assert_refused(place, sync(place, place.source, place.target, *options), *told)


def test_what_the_catalog_does_not_know_is_refused(place: Place) -> None:
    for words in (
        ["sync", "--dataset", "unknown"],
        ["verify", "unknown"],
        ["manifest", "unknown"],
        ["runs", "unknown"],
        ["status", "unknown"],
        ["resume", "unknown"],
        ["show", "unknown"],
        ["failures", "unknown"],
        ["run-shard", "unknown"],
    ):
        assert_refused(place, place.haulage(*words), "unknown")


def closed_port() -> int:
    with socket.socket() as door:
        door.bind(("127.0.0.1", 0))
        port: int = door.getsockname()[1]
        return port


def make_newer(file: Path) -> None:
    with sqlite3.connect(file) as door:
        door.execute("UPDATE alembic_version SET version_num = '9999'")
    door.close()


def move_to_another_machine(file: Path) -> None:
    with sqlite3.connect(file) as door:
        door.execute("UPDATE catalog_info SET value = 'else' WHERE key = 'machine'")
    door.close()


@pytest.mark.parametrize("case", ["newer", "no database", "elsewhere", "down", "odd"])
def test_a_catalog_that_can_not_be_used_is_refused(place: Place, case: str) -> None:
    write(place.source / "file")
    file = place.root / "other.db"
    url = f"sqlite:///{file}"
    told: list[str | Path] = [file]
    if case == "no database":
        write(file, b"this is text\n" * 100)
    elif case == "down":
        url = f"postgresql://me:secret@127.0.0.1:{closed_port()}/haulage"
        told = ["127.0.0.1"]
    elif case == "odd":
        url, told = "mysql://host/haulage", ["mysql"]
    else:
        place.haulage("runs", "--catalog", url)
        make_newer(file) if case == "newer" else move_to_another_machine(file)
        told += ["9999"] if case == "newer" else ["machine else"]
    ended = sync(place, place.source, place.target, "--catalog", url)
    assert_refused(place, ended, *told)
    assert "secret" not in ended.text


def test_a_second_run_of_an_active_dataset_is_refused(any_place: Place) -> None:
    place = any_place
    write(place.source / "file")
    catalog = place.catalog()
    mine = runs.begin(
        catalog, datasets.ensure(catalog, place.dataset()), trigger="test"
    )
    ended = place.sync_by_command()
    assert ended.code == 2
    assert mine.id in ended.text
    assert str(os.getpid()) in ended.text
    assert not place.target.exists()
    for words in (["resume", mine.id], ["verify", place.name]):
        ended = place.haulage(*words)
        assert ended.code == 2, words
        assert mine.id in ended.text
    assert runs.find(catalog, mine.id).token == mine.token
    catalog.engine.dispose()


def test_two_syncs_at_once_do_the_work_once(place: Place) -> None:
    for number in range(300):
        write(place.source / f"{number}")
    words = ("sync", place.source, place.target, "--name", place.name, "--json")
    both = [start(place, *words) for _ in range(2)]
    ended = [(process.communicate(), process.returncode) for process in both]
    codes = sorted(code for _, code in ended)
    assert codes in ([0, 0], [0, 2]), ended
    assert not any(b"Traceback" in err for (_, err), _ in ended), ended
    assert_same(place.source, place.target)


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


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_an_empty_manifest_is_a_file_with_columns(place: Place, kind: str) -> None:
    catalog = place.catalog()
    datasets.ensure(catalog, place.dataset())
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


def test_a_dataset_is_synced_by_its_name_and_keeps_its_policy(place: Place) -> None:
    write(place.source / "file")
    write(place.source / "file.tmp")
    assert place.sync_by_command("--exclude", "*.tmp").code == 0
    write(place.source / "new")
    write(place.source / "new.tmp")
    ended = place.haulage("sync", "--dataset", place.name, "--json")
    assert (ended.code, ended.summary()["copied"]) == (0, 1)
    assert paths_in(place.target) == {b"file", b"new"}


def test_an_option_beside_a_dataset_counts_for_this_run(place: Place) -> None:
    write(place.source / "file")
    assert place.sync_by_command().code == 0
    write(place.source / "new.tmp")
    words = ("sync", "--dataset", place.name, "--json")
    assert place.haulage(*words, "--exclude", "*.tmp").summary()["copied"] == 0
    assert place.haulage(*words).summary()["copied"] == 1


def flip_a_byte(file: Path) -> None:
    """Change a file as a failing disk does: no time moves."""
    was = os.stat(file)
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    os.utime(file, ns=(was.st_atime_ns, was.st_mtime_ns))


def test_verify_finds_what_rotted_and_the_next_sync_repairs_it(place: Place) -> None:
    write(place.source / "good", os.urandom(5000))
    write(place.source / "dir" / "bad", os.urandom(5000))
    write(place.source / "missing")
    grow_old()
    assert place.sync().exit_code == 0
    assert place.haulage("verify", place.name).code == 0
    flip_a_byte(place.target / "dir" / "bad")
    (place.target / "missing").unlink()
    ended = place.haulage("verify", place.name, "--json")
    assert ended.code == 1
    assert set(place.failures()) - {b""} == {b"dir/bad", b"missing"}
    repaired = place.sync_by_command()
    assert (repaired.code, repaired.summary()["copied"]) == (0, 2)
    assert_same(place.source, place.target)


def test_verify_finds_a_directory_that_is_missing_or_changed(place: Place) -> None:
    (place.source / "empty").mkdir()
    (place.source / "changed").mkdir()
    grow_old()
    place.sync()
    (place.target / "empty").rmdir()
    os.chmod(place.target / "changed", 0o711)
    assert place.haulage("verify", place.name).code == 1
    assert set(place.failures()) - {b""} == {b"empty/", b"changed/"}
    assert place.sync_by_command().code == 0
    assert_same(place.source, place.target)


def test_a_verification_that_stopped_is_begun_anew_by_resume(place: Place) -> None:
    write(place.source / "a")
    grow_old()
    place.sync()
    catalog = place.catalog()
    run = runs.begin(catalog, datasets.find(catalog, place.name), trigger="verify")
    runs.end(catalog, run, RunState.CANCELLED, {})
    summary = place.haulage("resume", run.id, "--json").summary()
    assert (summary["verified"], summary["listed"]) == (2, 0)


def test_one_shard_of_a_kept_workspace_can_be_run_by_hand(place: Place) -> None:
    for number in range(600):
        write(place.source / f"{number:03}", b"x" * number)
    words = ("sync", place.source, place.target, "--name", place.name)
    process = start(place, *words, "--movers", "1", "--shard-entries", "50")
    wait_until(lambda: any(place.home.glob("work/*/outcomes/*.parquet")), process)
    process.kill()
    process.communicate()
    wait_until(lambda: not of_place(place))
    shard = min(place.home.glob("work/*/shards/copy-*.parquet"))
    outcome = place.root / "outcome.parquet"
    ended = place.haulage("run-shard", shard, "--outcome", outcome)
    assert ended.code == 0, ended.text
    actions, _ = read_shard(shard)
    said = ended.summary()
    assert said["outcome"] == str(outcome)
    assert said["tally"]["copied"] == actions["verb"].to_pylist().count(Verb.COPY)
    assert read_outcomes(outcome)["path"].equals(actions["path"])


def test_run_shard_refuses_what_is_no_shard(place: Place) -> None:
    file = write(place.root / "text", b"no parquet\n")
    assert_refused(place, place.haulage("run-shard", file), file)


def test_help_tells_of_every_command(place: Place) -> None:
    ended = place.haulage("--help")
    assert ended.code == 0
    for command in COMMANDS:
        assert re.search(rf"^    {command}\s", ended.out.decode(), re.MULTILINE), (
            command
        )


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_has_its_help(place: Place, command: str) -> None:
    ended = place.haulage(command, "--help")
    assert ended.code == 0
    assert ended.out.decode().startswith(f"usage: haulage {command}")


def test_a_command_without_words_is_refused_with_its_usage(place: Place) -> None:
    for words in ([], ["sync"], ["sync", str(place.source)], ["nonsense"]):
        ended = place.haulage(*words)
        assert ended.code == 2
        assert "haulage" in ended.text


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
