"""The `haulage` command: its sub-commands, and what their errors become."""

import haulage.start  # comes before all else

# isort: split

import haulage.lean  # noqa: F401  comes before pyarrow

# isort: split

import argparse
import importlib
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from haulage.cli import unexpected
from haulage.cli.arguments import add_movers, add_policy, add_take_over
from haulage.cli.output import OutputError, take_over
from haulage.cli.passwords import check_shows_none
from haulage.errors import CancelledError, HaulageError
from haulage.launch import forks
from haulage.launch.launcher import STOP
from haulage.start import insist_on_utf8

DONE, NOTHING_DONE = 0, 2


@dataclass(frozen=True, slots=True)
class _Command:
    """A sub-command: the function that does it, its one sentence, and what it takes.

    The function is named, not imported, so that only the chosen one's module is loaded.
    """

    function: str
    text: str
    adders: tuple[Callable[[argparse.ArgumentParser], None], ...]
    moves: bool = False  # by movers or listers of this machine
    lists: bool = False  # so that without its output it has done nothing


@dataclass(frozen=True, slots=True)
class _Group:
    """A sub-command that has sub-commands of its own."""

    text: str
    commands: "_Commands"


_STOPPING = (signal.SIGTERM, signal.SIGHUP)
_Commands = Mapping[str, _Command | _Group]


def main(argv: Sequence[str] | None = None) -> int:
    """Run one sub-command and return its exit code.

    0: all done. 1: done, with failures listed. 2: nothing done (usage, refused, fatal).
    """
    insist_on_utf8()
    out = take_over()
    args = _parser().parse_args(argv)
    out.must_arrive = args.lists or getattr(args, "dry_run", False)
    for number in _STOPPING:
        if signal.getsignal(number) is not signal.SIG_IGN:  # as nohup has it
            signal.signal(number, _stop)
    try:
        code = _carry_out(args)
        sys.stdout.flush()
    except OutputError as err:
        return DONE if err.reader_had_enough else _nothing_done(str(err))
    except (CancelledError, KeyboardInterrupt) as err:
        return _nothing_done(str(err) or "stopped")
    except HaulageError as err:
        return _nothing_done(str(err))
    except Exception as err:  # noqa: BLE001  exit code 1 would say that it was done
        return _nothing_done(unexpected.told(err))
    if out.failure and not out.failure.reader_had_enough:
        print(f"haulage: {out.failure}", file=sys.stderr)
    return code


def _carry_out(args: argparse.Namespace) -> int:
    if catalog := getattr(args, "catalog", None):
        check_shows_none("--catalog", catalog, "HAULAGE_CATALOG")
    module, _, function = args.command.partition(":")
    if args.moves:
        forks.prepare()  # while this process has imports of its own to do
    code: int = getattr(importlib.import_module(module), function)(args)
    return code


def _nothing_done(why: str) -> int:
    with suppress(MemoryError):
        print(f"haulage: {why}", file=sys.stderr)
    return NOTHING_DONE


def _stop(*_signal: object) -> None:
    """Stop as Ctrl-C does."""
    # A second signal would find the lock of STOP taken, by this very thread.
    for number in _STOPPING:
        signal.signal(number, signal.SIG_IGN)
    STOP.set()
    raise KeyboardInterrupt


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="haulage",
        description="Move and keep in sync huge file trees, and prove that every byte "
        "arrived.",
        epilog="Exit codes: 0 all done, 1 done with failures listed, 2 nothing done.",
    )
    _add_commands(parser, _COMMANDS)
    return parser


def _add_commands(parser: argparse.ArgumentParser, commands: _Commands) -> None:
    added = parser.add_subparsers(metavar="COMMAND", required=True)
    for name, command in commands.items():
        sub = added.add_parser(name, help=command.text, description=command.text)
        if isinstance(command, _Group):
            _add_commands(sub, command.commands)
            continue
        sub.set_defaults(
            command=command.function, moves=command.moves, lists=command.lists
        )
        for add in command.adders:
            add(sub)


def _ends(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", nargs="?", metavar="SOURCE")
    parser.add_argument("target", nargs="?", metavar="TARGET")
    parser.add_argument("--dataset", metavar="NAME", help="a dataset of the catalog")
    parser.add_argument("--name", help="name of the pair (default: made of the pair)")


def _dry(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--dry-run", "-n", action="store_true", help="only tell what would be done"
    )


def _older(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--older-than", metavar="AGE", default="7d", help="90s, 12h, 7d (default 7d)"
    )


def _catalog(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--catalog", metavar="URL",
        help="postgresql://... or sqlite:///... (default: $HAULAGE_CATALOG, else a "
        "SQLite file in your data directory)",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="for programs")


def _run(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", metavar="RUN", help="a run's id, or its end")


def _plan(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("plan", metavar="PLAN", type=int, help="a delete plan's number")


def _confirmed(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--yes-delete", metavar="N", type=int, required=True,
        help="how many entries the plan deletes, as 'deletes show' says",
    )  # fmt: skip


def _because(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--because", metavar="TEXT", help="why; kept with the plan")


def _name(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("dataset", metavar="DATASET")


def _some_name(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("dataset", metavar="DATASET", nargs="?")


def _watch(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--watch", "-w", action="store_true", help="again each second")


def _limit(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--limit", type=int, default=20, metavar="N")


def _format(parser: argparse.ArgumentParser) -> None:
    formats = ["table", "csv", "parquet"]
    parser.add_argument("--format", choices=formats, default="table")
    parser.add_argument(
        "--output", "-o", metavar="FILE", help="default: standard output"
    )


def _shard(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("shard", metavar="SHARD", help="a shard file")
    parser.add_argument("--outcome", metavar="FILE", help="default: beside the shard")
    parser.add_argument(
        "--token", metavar="HEX", help="of the attempt; default: random"
    )


def _server(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--project", metavar="DIR", help="the checkout (default: here)")


def _server_start(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--port", type=int, help="of the UI (default: 4200 or a free one)"
    )
    parser.add_argument(
        "--database", metavar="URL", help="of Prefect (default: SQLite)"
    )


_DELETES: _Commands = {
    "list": _Command(
        "haulage.cli.commands.deletes:list_plans",
        "List delete plans, newest first.",
        (_some_name, _limit, _catalog),
        lists=True,
    ),
    "show": _Command(
        "haulage.cli.commands.deletes:show_plan",
        "Show all that a plan deletes.",
        (_plan, _catalog),
        lists=True,
    ),
    "apply": _Command(
        "haulage.cli.commands.deletes:apply_plan",
        "Delete what a plan lists, after checking every path again.",
        (_plan, _confirmed, _catalog, add_movers),
        moves=True,
    ),
    "decline": _Command(
        "haulage.cli.commands.deletes:decline_plan",
        "Drop a plan.",
        (_plan, _because, _catalog),
    ),
}

_COMMANDS: _Commands = {
    "sync": _Command(
        "haulage.cli.commands.run:sync",
        "Make TARGET equal to SOURCE.",
        (_ends, _dry, _catalog, add_policy),
        moves=True,
    ),
    "plan": _Command(
        "haulage.cli.commands.run:plan",
        "List what a sync would do.",
        (_ends, _catalog, add_policy),
        moves=True,
        lists=True,
    ),
    "resume": _Command(
        "haulage.cli.commands.run:resume",
        "Go on with a run that stopped.",
        (_run, _catalog, add_take_over),
        moves=True,
    ),
    "abandon": _Command(
        "haulage.cli.commands.run:abandon",
        "Give up a run that stopped; nothing of it is committed.",
        (_run, _catalog, add_take_over),
        moves=True,
    ),
    "verify": _Command(
        "haulage.cli.commands.run:verify",
        "Read a whole target again and hold it against its manifest.",
        (_name, _catalog, add_movers),
        moves=True,
    ),
    "deletes": _Group("Look at deletes that wait, and decide on them.", _DELETES),
    "undo": _Command(
        "haulage.cli.commands.deletes:undo",
        "Bring back what a run moved into the trash.",
        (_run, _catalog, add_movers),
        moves=True,
    ),
    "sweep": _Command(
        "haulage.cli.commands.sweep:sweep",
        "Abort old multipart uploads that a lost machine left in a target bucket.",
        (_name, _older, _dry, _catalog),
    ),
    "status": _Command(
        "haulage.cli.commands.show:status",
        "Show what goes on, or went on last.",
        (_some_name, _watch, _catalog),
        lists=True,
    ),
    "runs": _Command(
        "haulage.cli.commands.show:list_runs",
        "List runs, newest first.",
        (_some_name, _limit, _catalog),
        lists=True,
    ),
    "show": _Command(
        "haulage.cli.commands.show:show",
        "Show all that is known of a run.",
        (_run, _catalog),
        lists=True,
    ),
    "failures": _Command(
        "haulage.cli.commands.show:list_failures",
        "List what failed in a run, and why.",
        (_run, _catalog),
        lists=True,
    ),
    "manifest": _Command(
        "haulage.cli.commands.show:manifest",
        "Print what a target holds and how far it was proven.",
        (_name, _format, _catalog),
        lists=True,
    ),
    "run-shard": _Command(
        "haulage.cli.commands.run:run_one_shard",
        "Do the actions of one shard file, as a mover does.",
        (_shard,),
    ),
    "up": _Command(
        "haulage.cli.server.up:up",
        "Start a local Prefect server and worker for this checkout.",
        (_server, _server_start),
    ),
    "down": _Command(
        "haulage.cli.server.up:down",
        "Stop what 'up' started.",
        (_server,),
    ),
}


if __name__ == "__main__":
    sys.exit(main())
