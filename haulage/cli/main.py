"""The `haulage` command: its sub-commands, and what their errors become."""

import haulage.start  # comes before all else

# isort: split

import haulage.lean  # noqa: F401  comes before pyarrow

# isort: split

import argparse
import importlib
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress

from haulage.cli import unexpected
from haulage.cli.output import OutputError, take_over
from haulage.cli.parser import parser_for
from haulage.cli.passwords import check_shows_none
from haulage.errors import CancelledError, HaulageError
from haulage.start import insist_on_utf8

DONE, NOTHING_DONE = 0, 2
_STOPPING = (signal.SIGTERM, signal.SIGHUP)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one sub-command and return its exit code.

    0: all done. 1: done, with failures listed. 2: nothing done (usage, refused, fatal).
    """
    insist_on_utf8()
    if "_ARGCOMPLETE" in os.environ:  # a shell asks what may follow
        from haulage.cli.commands.completion import answer

        answer()
    out = take_over()
    words = sys.argv[1:] if argv is None else argv
    args = parser_for(words).parse_args(words)
    out.must_arrive = args.lists or getattr(args, "dry_run", False)
    try:
        _heed_signals()
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
        from haulage.launch import forks

        forks.prepare()  # while this process has imports of its own to do
    code: int = getattr(importlib.import_module(module), function)(args)
    return code


def _nothing_done(why: str) -> int:
    with suppress(MemoryError):
        print(f"haulage: {why}", file=sys.stderr)
    return NOTHING_DONE


def _heed_signals() -> None:
    """Have a signal stop the command as Ctrl-C does."""
    from haulage.launch.launcher import STOP  # --help does without

    def stop(*_signal: object) -> None:
        # A second signal would find the lock of STOP taken, by this very thread.
        for number in _STOPPING:
            signal.signal(number, signal.SIG_IGN)
        STOP.set()
        raise KeyboardInterrupt

    for number in _STOPPING:
        if signal.getsignal(number) is not signal.SIG_IGN:  # as nohup has it
            signal.signal(number, stop)


if __name__ == "__main__":
    sys.exit(main())
