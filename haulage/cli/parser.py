"""Builds the parser of the command line from the table of commands."""

import argparse
from collections.abc import Collection

from haulage.cli.help import Parser, Version
from haulage.cli.table import SECTIONS, Command, Commands, Group, Section

_FAREWELL = """\
'haulage COMMAND --help' shows what a command takes, with examples.
Exit codes: 0 all done, 1 done with failures listed, 2 nothing done or stopped."""


def parser_for(words: Collection[str]) -> Parser:
    """Return the parser for a command line of these words.

    Only the commands that are among the words have their options.
    """
    overview = "\n\n".join(_overview(section) for section in SECTIONS)
    parser = Parser(
        prog="haulage",
        description="Move and keep in sync huge file trees, and prove that every byte "
        f"arrived.\n\n{overview}",
        epilog=_FAREWELL,
    )
    parser.add_argument(
        "--version", action=Version, nargs=0, help="show the version and exit"
    )
    every = {name: c for section in SECTIONS for name, c in section.commands.items()}
    _add_commands(parser, every, words, text=argparse.SUPPRESS)
    parser.usage = "%(prog)s COMMAND ..."  # not before: sub-commands begin with it
    return parser


def _overview(section: Section) -> str:
    lines = [f"    {name:<10}  {c.text}" for name, c in section.commands.items()]
    return "\n".join([f"{section.title}:", *lines])


def _add_commands(
    parser: Parser, commands: Commands, words: Collection[str], text: str | None = None
) -> None:
    added = parser.add_subparsers(metavar="COMMAND", required=True, help=text)
    for name, command in commands.items():
        sub = added.add_parser(name, help=command.text)
        if name not in words:
            continue
        sub.description = f"{command.text}\n{command.more}".strip()
        title = "example:" if len(command.examples) == 1 else "examples:"
        sub.epilog = "\n".join([title, *(f"  {line}" for line in command.examples)])
        if isinstance(command, Group):
            _add_commands(sub, command.commands, words)
        else:
            _fill(sub, command)


def _fill(parser: Parser, command: Command) -> None:
    """Give the parser of a command what it takes."""
    parser.set_defaults(
        command=command.function, moves=command.moves, lists=command.lists
    )
    if command.usage:
        lines = [f"{parser.prog} {line}" for line in command.usage]
        parser.usage = "\n       ".join(lines)
    for add in command.options:
        add(parser)
    if command.rest:
        parser.begin_rest()
    for add in command.rest:
        add(parser)
