"""What --help says: it fits a screen, names every option, and its examples work."""

import argparse
import re
import shlex
from collections.abc import Iterator, Mapping
from typing import cast

import pytest

from haulage.cli.arguments import dataset_of
from haulage.cli.help import Parser
from haulage.cli.parser import parser_for
from haulage.cli.table import SECTIONS, Command, Commands, Group

SCREEN = 60  # lines


def commands_in(commands: Commands, before: str = "") -> Iterator[tuple[str, Command]]:
    for name, command in commands.items():
        if isinstance(command, Group):
            yield from commands_in(command.commands, f"{before}{name} ")
        else:
            yield f"{before}{name}", command


COMMANDS: Mapping[str, Command] = {
    words: command
    for section in SECTIONS
    for words, command in commands_in(section.commands)
}
BIG = [words for words, command in COMMANDS.items() if command.rest]
GROUPS = [c for s in SECTIONS for c in s.commands.values() if isinstance(c, Group)]
EXAMPLES = [line for command in COMMANDS.values() for line in command.examples]
EXAMPLES += [line for group in GROUPS for line in group.examples]


def parser_of(words: str) -> Parser:
    """Return the parser of a sub-command."""
    parser = parser_for(words.split())
    for word in words.split():
        actions = parser._actions
        (added,) = (a for a in actions if isinstance(a, argparse._SubParsersAction))
        parser = cast("Parser", added.choices[word])
    return parser


@pytest.fixture(autouse=True)
def _terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")


def printed(words: str, capsys: pytest.CaptureFixture[str]) -> str:
    """Return what a command line that asks for help prints."""
    with pytest.raises(SystemExit) as ended:
        parser_for(words.split()).parse_args(words.split())
    assert not ended.value.code
    return capsys.readouterr().out


@pytest.mark.parametrize("words", ["", "deletes ", *(f"{name} " for name in COMMANDS)])
def test_each_help_fits_a_terminal(words, capsys):
    lines = printed(f"{words}--help", capsys).splitlines()
    assert [line for line in lines if len(line) > 80] == []
    assert len(lines) < SCREEN


@pytest.mark.parametrize("words", BIG)
def test_help_leaves_out_what_is_rare_and_says_how_to_see_it(words, capsys):
    short = printed(f"{words} --help", capsys)
    assert "--help-all" in short
    assert "--target-endpoint" not in short
    assert "--stripe" not in short
    assert "--exclude" in short


@pytest.mark.parametrize("words", COMMANDS)
def test_all_help_names_each_option_once_and_says_what_it_does(words, capsys):
    every = "--help-all" if words in BIG else "--help"
    text = printed(f"{words} {every}", capsys)
    named = [
        word
        for row in text.splitlines()
        if row.startswith("  -")
        for word in re.split(r"[ ,]+", re.split(r"(?<=\S)  ", row)[0])
    ]
    for action in parser_of(words)._actions:
        assert action.help, action
        for option in action.option_strings:
            assert named.count(option) == 1, option


def test_all_help_is_no_wider_than_a_terminal(capsys):
    lines = printed("sync --help-all", capsys).splitlines()
    assert [line for line in lines if len(line) > 80] == []


@pytest.mark.parametrize("words", COMMANDS)
def test_each_command_has_examples_of_itself(words):
    examples = COMMANDS[words].examples
    assert 1 <= len(examples) <= 3
    assert [line for line in examples if not line.startswith(f"haulage {words}")] == []


@pytest.mark.parametrize("line", EXAMPLES)
def test_each_example_is_a_command_line_that_is_taken(line):
    words = shlex.split(line.partition(" > ")[0])[1:]
    args = parser_for(words).parse_args(words)
    assert args.command
    if words[0] in BIG:
        dataset_of(args, args.source or "/data", args.target or "/backup")


def test_the_version_is_the_one_that_is_installed(capsys):
    assert printed("--version", capsys).startswith("haulage 0.")


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("", ["COMMAND", "'haulage --help'"]),
        ("sink", ["'sink'", "'haulage --help'"]),
        ("sync a b --exlude c", ["mean --exclude?", "'haulage sync --help'"]),
        ("sync a b c", ["arguments: c;", "'haulage sync --help'"]),
        ("deletes show", ["PLAN", "'haulage deletes show --help'"]),
        ("deletes apply x --yes-delete 1", ["'x'", "'haulage deletes apply --help'"]),
    ],
)
def test_a_line_that_is_wrong_names_the_word_and_where_help_is(line, told, capsys):
    with pytest.raises(SystemExit) as ended:
        parser_for(line.split()).parse_args(line.split())
    assert ended.value.code == 2
    text = capsys.readouterr().err
    assert [word for word in told if word not in text] == []
