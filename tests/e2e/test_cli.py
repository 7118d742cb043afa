"""The command line: datasets by their names, verify, one shard by hand, and help."""

import os
import re
from pathlib import Path

import pytest

from haulage.catalog import datasets
from haulage.catalog.runs import runs
from haulage.catalog.runs.runs import RunState
from haulage.exchange.shard_files import read_outcomes, read_shard
from haulage.model import Verb
from tests.e2e.place import Place, grow_old, paths_in, write
from tests.e2e.processes import of_place, start, wait_until
from tests.trees.compare import assert_same

COMMANDS = (
    *("sync", "plan", "resume", "verify", "status", "runs", "show", "failures"),
    *("manifest", "run-shard", "up", "down"),
)


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


def test_rules_beside_a_dataset_come_before_its_own(place: Place) -> None:
    for name in ("secret/key", "a.tmp", "keep.o", "drop.o", "plain"):
        write(place.source / name)
    assert place.sync_by_command("--exclude", "/secret/", "--exclude", "*.o").code == 0
    assert paths_in(place.target) == {b"a.tmp", b"plain"}
    words = ("plan", "--dataset", place.name, "--json")
    rules = ("--exclude", "*.tmp", "--include", "keep.o")
    for number, name in enumerate(("new", "new.tmp")):
        write(place.source / name, b"%d" % number)

    def copied(*more: str) -> set[str]:
        lines = place.haulage(*words, *rules, *more).lines()
        return {row["path"] for row in lines if row.get("verb") == "copy"}

    assert copied() == {"new", "keep.o"}
    assert copied("--no-rules") == {"new", "keep.o", "drop.o", "secret/key"}


def test_a_rule_that_matched_nothing_is_noted(place: Place) -> None:
    write(place.source / "a.o")
    rules = ("--exclude", "*.o", "--exclude", "a.o", "--exclude", "/x[12]")
    for words in (("--dry-run",), ()):
        notes = place.sync_by_command(*rules, *words).summary()["notes"]
        told = [note for note in notes if "rules matched nothing" in note]
        assert told
        assert told[0].startswith("2 of 3 rules")
        assert "'- a.o', '- /x[12]'" in told[0]
    assert place.sync_by_command("--exclude", "*.o").summary()["notes"] == []


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
    run = runs.begin(
        catalog, datasets.find(catalog, place.name).dataset, trigger="verify"
    )
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
