"""The command line: what it refuses, and how it says so."""

import os
import shutil
import socket
import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from haulage.catalog.runs import runs
from tests.e2e.conftest import give_to_nobody
from tests.e2e.place import Ended, Place, paths_in, write
from tests.e2e.processes import start
from tests.trees.compare import assert_same


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


@pytest.mark.parametrize("name", ["n" * 300, "/proc/target"], ids=["long", "proc"])
def test_a_target_that_can_not_be_made_is_refused(place: Place, name: str) -> None:
    target = place.root / name
    assert_refused(place, sync(place, place.source, target), target, "cannot be made")


@pytest.mark.parametrize(
    ("root", "told"),
    [
        ("host:/backup", "mount what host has"),
        ("me@host:backup", "./me@host:backup"),
        ("s3:/bucket/x", "s3://BUCKET/PREFIX"),
        ("~/backup", "give the absolute path"),
        ("~me/backup", "./~me/backup"),
    ],
)
def test_a_root_that_other_tools_find_elsewhere_is_refused(
    place: Place, root: str, told: str
) -> None:
    before = sorted(place.root.iterdir())
    for ends in ((place.source, root), (root, place.target)):
        assert_refused(place, place.haulage("sync", *ends), root, told)
    assert sorted(place.root.iterdir()) == before


def test_a_directory_is_named_like_a_host_by_a_path(place: Place) -> None:
    write(place.source / "file")
    for root in ("./host:", "./~"):
        assert place.haulage("sync", place.source, root).code == 0
        assert paths_in(place.root / root) == {b"file"}


def test_a_target_whose_parent_is_missing_is_made_only_when_asked(place: Place) -> None:
    write(place.source / "file")
    mistyped = place.root / "backupp" / "of" / "tree"
    for command in ("plan", "sync"):
        ended = place.haulage(command, place.source, mistyped)
        assert_refused(place, ended, mistyped.parent, "--make-parents")
    assert not (place.root / "backupp").exists()
    ended = sync(place, place.source, mistyped, "--name", "made", "--make-parents")
    assert ended.code == 0, ended.text
    assert_same(place.source, mistyped)
    shutil.rmtree(place.root / "backupp")
    again = place.haulage("sync", "--dataset", "made")
    assert_refused(place, again, mistyped.parent, "--make-parents")


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
    assert_refused(place, ended, "/proc/sys", "cannot be written")


def test_a_target_that_this_user_may_not_write_is_refused(nobodys_place: Place) -> None:
    place = nobodys_place
    write(place.source / "file")
    give_to_nobody(place.source)
    place.target.mkdir(mode=0o755)
    ended = sync(place, place.source, place.target)
    assert_refused(place, ended, place.target, "cannot be written")


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
    elsewhere = replace(place, catalog_url=url)  # in the environment: ps shows none
    ended = elsewhere.haulage("sync", place.source, place.target)
    assert_refused(place, ended, *told)
    assert "secret" not in ended.text


@pytest.mark.parametrize(
    "url", ["postgresql://me:secret@host/db", "postgresql://host/db?password=secret"]
)
def test_a_catalogs_password_on_the_command_line_is_refused(
    place: Place, url: str
) -> None:
    ended = sync(place, place.source, place.target, "--catalog", url)
    assert_refused(place, ended, "HAULAGE_CATALOG")
    assert "secret" not in ended.text


def test_a_second_run_of_an_active_dataset_is_refused(any_place: Place) -> None:
    place = any_place
    write(place.source / "file")
    catalog = place.catalog()
    mine = runs.begin(catalog, place.dataset(), trigger="test")
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


def test_run_shard_refuses_what_is_no_shard(place: Place) -> None:
    file = write(place.root / "text", b"no parquet\n")
    assert_refused(place, place.haulage("run-shard", file), file)


def test_a_command_without_words_is_refused_with_its_usage(place: Place) -> None:
    for words in ([], ["sync"], ["sync", str(place.source)], ["nonsense"]):
        ended = place.haulage(*words)
        assert ended.code == 2
        assert "haulage" in ended.text
