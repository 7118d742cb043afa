"""The examples that --help gives do what they say, from the first night on."""

import shlex

from haulage.cli.table import SECTIONS, Command
from tests.e2e.place import Place, write

RUN = "4rzo7o"  # of the examples


def examples(name: str) -> list[str]:
    """Return the examples of a command that need no bucket and come to an end."""
    (command,) = (s.commands[name] for s in SECTIONS if name in s.commands)
    assert isinstance(command, Command)
    return [
        line
        for line in command.examples
        if "s3://" not in line and "--watch" not in line
    ]


def typed(place: Place, line: str) -> None:
    """Type an example, of the last run, between the directories of the place."""
    names = {"/data": str(place.source), "/backup": str(place.target)}
    words = [names.get(word, word) for word in shlex.split(line)[1:]]
    if RUN in words:
        words[words.index(RUN)] = place.last_run().id[-len(RUN) :]
    ended = place.haulage(*words)
    assert ended.code == 0, (line, ended.text)


def test_the_examples_of_help_work_one_after_the_other(place: Place) -> None:
    for number in range(3):
        write(place.source / f"{number}")
    first, second = examples("sync")
    for line in (examples("plan")[0], first):
        typed(place, line)
    assert {entry.name for entry in place.target.iterdir()} >= {"0", "1", "2"}
    (place.source / "0").unlink()
    typed(place, second)
    assert not (place.target / "0").exists()
    for name in ("show", "failures", "undo", "verify", "status", "runs", "manifest"):
        typed(place, examples(name)[-1])
    assert (place.target / "0").exists()
    assert (place.root / "docs.parquet").exists()
