"""What a shell offers after TAB; asked through the script that it was given."""

import shlex
import shutil
import sqlite3
import subprocess

import pytest

from tests.e2e.place import COMMAND, Place, write

ASK = """\
export PATH={bin}:$PATH
source <(haulage completion bash)
COMP_LINE={line} COMP_POINT={point}
_python_argcomplete haulage
printf '%s\\n' "${{COMPREPLY[@]}}"
"""


def offered(place: Place, line: str) -> list[str]:
    """Return what bash offers for the end of this line."""
    script = ASK.format(bin=COMMAND.parent, line=shlex.quote(line), point=len(line))
    return asked(place, "bash", script)


def asked(place: Place, shell: str, script: str) -> list[str]:
    done = subprocess.run(
        [shell, "-c", script],
        env=place.environment(),
        cwd=place.root,
        capture_output=True,
        text=True,
        check=True,
    )
    return [word.strip() for word in done.stdout.splitlines()]


def test_commands_options_and_choices_are_completed(place: Place) -> None:
    assert offered(place, "haulage sy") == ["sync"]
    assert offered(place, "haulage deletes a") == ["apply"]
    assert offered(place, "haulage sync --target-e") == [
        "--target-endpoint",
        "--target-encryption",
    ]
    assert offered(place, "haulage sync --delete ") == ["off", "plan", "guarded"]


def test_a_file_is_completed_where_none_of_the_catalogs_names_belongs(
    place: Place,
) -> None:
    write(place.root / "shard.parquet")
    assert offered(place, "haulage run-shard sh") == ["shard.parquet"]


def test_datasets_runs_and_plans_are_those_of_the_catalog(any_place: Place) -> None:
    place = any_place
    gone = write(place.source / "gone")
    write(place.source / "stays")
    first = place.sync_by_command().summary()["run_id"]
    gone.unlink()
    second = place.sync_by_command("--delete", "plan").summary()["run_id"]
    assert offered(place, "haulage runs t") == ["tree"]
    assert offered(place, "haulage sync --dataset t") == ["tree"]
    assert set(offered(place, "haulage show ")) == {first, second}
    assert offered(place, "haulage deletes show ") == ["1"]


def test_a_catalog_of_an_older_version_is_left_as_it_is(place: Place) -> None:
    place.sync()
    with place.catalog().begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '0011'")
    assert offered(place, "haulage runs t") == ["tree"]
    database = sqlite3.connect(place.root / "catalog.db")
    told = database.execute("SELECT version_num FROM alembic_version").fetchall()
    database.close()
    assert told == [("0011",)]


def test_where_there_is_no_catalog_none_is_made(place: Place) -> None:
    before = set(place.root.rglob("*"))
    url = f"sqlite:///{place.root}/none/catalog.db"
    assert offered(place, f"haulage runs --catalog {url} t") == [""]
    assert set(place.root.rglob("*")) == before


def test_fish_is_told_the_same(place: Place) -> None:
    if not shutil.which("fish"):
        pytest.skip("fish is not installed")
    script = (
        f"set -x PATH {COMMAND.parent} $PATH; set -x HOME {place.root}\n"
        "haulage completion fish | source; complete -C 'haulage sy'"
    )
    (line,) = asked(place, "fish", script)
    assert line.split("\t") == ["sync", "Make TARGET equal to SOURCE."]
