"""Completes command lines: the script for a shell, and the answers it asks for."""

import argparse
import os
import signal

import argcomplete
from argcomplete.completers import BaseCompleter, FilesCompleter
from argcomplete.shell_integration import shellcode

from haulage.cli.parser import parser_for

_DEADLINE_S = 5  # of a database that does not answer, while a person waits


def print_script(args: argparse.Namespace) -> int:
    """Print what makes a shell ask this program how a line may go on."""
    print(shellcode(["haulage"], shell=args.shell))
    return 0


def answer() -> None:
    """Tell the shell how its line may go on, and exit."""
    parser = parser_for(os.environ["COMP_LINE"].split())
    argcomplete.autocomplete(
        parser, always_complete_options=False, default_completer=_Values()
    )


class _Values(BaseCompleter):
    """Completes what the catalog names, and files elsewhere."""

    def __call__(
        self,
        *,
        prefix: str,
        action: argparse.Action,
        parser: argparse.ArgumentParser,
        parsed_args: argparse.Namespace,
    ) -> list[str]:
        if action.dest not in ("dataset", "run", "plan"):
            return FilesCompleter()(prefix)
        from haulage.catalog import names

        listed = {
            "dataset": names.dataset_names,
            "run": names.run_ids,
            "plan": names.plan_numbers,
        }[action.dest]
        signal.alarm(_DEADLINE_S)
        return listed(getattr(parsed_args, "catalog", None))
