"""Locales whose encoding is not UTF-8 change nothing: names are bytes."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.place import Ended, Place, write
from tests.trees.compare import assert_same

LATIN_1 = b"lat\xe9in"


@pytest.fixture(scope="module")
def german(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Return variables for a locale that writes names as ISO 8859-1."""
    if not shutil.which("localedef"):
        pytest.skip("no localedef here (package locales)")
    root = tmp_path_factory.mktemp("locales")
    made = ["localedef", "-i", "de_DE", "-f", "ISO-8859-1", str(root / "de_DE")]
    if subprocess.run(made, capture_output=True, check=False).returncode > 1:
        pytest.skip("no definition of de_DE here (package locales)")
    return {"LOCPATH": str(root), "LC_ALL": "de_DE", "PGCLIENTENCODING": "LATIN1"}


def in_locale(place: Place, locale: dict[str, str], *words: str | Path) -> Ended:
    done = subprocess.run(
        place.command(*words),
        env={**place.environment(), **locale},
        cwd=place.root,
        capture_output=True,
        check=False,
    )
    return Ended(done.returncode, done.stdout, done.stderr)


def test_a_locale_plays_no_part_in_what_is_listed_copied_deleted_and_printed(
    any_place: Place, german: dict[str, str]
) -> None:
    place = any_place.with_source(any_place.root / "Büro")
    for name in ("café", "日本/eins", "weg ö", "plain"):
        write(place.source / name)
    write(Path(os.fsdecode(os.fsencode(place.source) + b"/" + LATIN_1)))
    write(place.source / "ü.tmp")
    options = ("--exclude", "ü*", "--delete", "guarded", "--max-delete-share", "1")
    words = ("sync", "Büro", place.target, "--name", "tree", "--json", *options)
    first = in_locale(place, german, *words)
    assert first.code == 0, first.text
    (place.source / "weg ö").unlink()
    (place.source / "ü.tmp").rename(place.root / "aside")
    second = in_locale(place, {}, *words)
    assert second.summary()["copied"] == 0
    assert second.summary()["deleted"] == 1
    assert_same(place.source, place.target)
    for command in (["manifest", "tree"], ["show", second.summary()["run_id"]]):
        told = in_locale(place, german, *command)
        assert (told.code, told.out) == (0, place.haulage(*command).out)
    assert "日本".encode() in in_locale(place, german, "manifest", "tree").out


LIST = """
import os, sys
from haulage.storage.tree.descent import Descent
from haulage.storage.tree.listing.walk import Span, Walk
for page in Walk(Descent(sys.argv[1]), Span()).pieces():
    print(page.entries["path"].to_pylist())
"""
SYNC = """
from haulage.config.policy import Dataset
from haulage.run import sequence
from haulage.run.context.runner import ThreadRunner
sequence.sync(Dataset(name="tree", source="source", target="target"), ThreadRunner())
"""


def test_a_program_of_another_encoding_lists_right_and_is_refused_a_run(
    place: Place, german: dict[str, str]
) -> None:
    write(place.source / "café")

    def run(code: str) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            [sys.executable, "-c", code, str(place.source)],
            env={**place.environment(), **german},
            cwd=place.root,
            capture_output=True,
            check=False,
        )

    assert "café".encode() in eval(run(LIST).stdout)
    assert b"RefusedError: this process decodes file names" in run(SYNC).stderr
    assert not place.target.exists()
