"""A parser whose --help fits on a screen; --help-all shows the rest."""

import argparse
import difflib
import importlib.metadata
import sys
from collections.abc import Sequence
from typing import Any, NoReturn


class Parser(argparse.ArgumentParser):
    """A parser with common options and, where there are so many, with a rest."""

    def __init__(self, **named: Any) -> None:  # noqa: ANN401  as of argparse
        super().__init__(**named, formatter_class=_Formatter)
        self._positionals.title = "arguments"
        self._common: int | None = None  # so many of its groups are common

    def begin_rest(self) -> None:
        """Leave all groups that are added from here on out of --help."""
        self._common = len(self._action_groups)
        self._optionals.title = "general"
        self.add_argument(
            "--help-all", action=_HelpAll, nargs=0,
            help="also show filters, guards, shards, Lustre, SLURM, buckets",
        )  # fmt: skip

    def format_help(self) -> str:
        return self._help(self._action_groups[: self._common])

    def format_all_help(self) -> str:
        """Return the help with the rest."""
        return self._help(self._action_groups)

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:  # noqa: ANN401  as of argparse
        """Refuse here what is not known; argparse would have the top parser say so."""
        namespace, unknown = super().parse_known_args(args, namespace)
        if unknown:
            near = difflib.get_close_matches(unknown[0], self._option_string_actions)
            hint = f" (did you mean {near[0]}?)" if near else ""
            self.error(f"unrecognized arguments: {' '.join(unknown)}{hint}")
        return namespace, unknown

    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        hint = f"'{self.prog} --help' says what it takes"
        self.exit(2, f"{self.prog}: error: {message}; {hint}\n")

    def _help(self, groups: Sequence[argparse._ArgumentGroup]) -> str:
        formatter = self._get_formatter()
        formatter.add_usage(self.usage, self._actions, self._mutually_exclusive_groups)
        formatter.add_text(self.description)
        general = self._optionals
        for group in (*(group for group in groups if group is not general), general):
            formatter.start_section(group.title)
            formatter.add_text(group.description)
            # argparse has no other way to print some of its groups.
            formatter.add_arguments(group._group_actions)  # noqa: SLF001
            formatter.end_section()
        formatter.add_text(self.epilog)
        return formatter.format_help()


class _HelpAll(argparse.Action):
    """Prints the help with the rest, and exits."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: object,
        option_string: str | None = None,
    ) -> None:
        assert isinstance(parser, Parser)
        print(parser.format_all_help(), end="")
        parser.exit()


class Version(argparse.Action):
    """Prints the version that is installed, and exits."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: object,
        option_string: str | None = None,
    ) -> None:
        print(f"haulage {importlib.metadata.version('haulage')}")
        parser.exit()


class _Formatter(argparse.RawDescriptionHelpFormatter):
    """Keeps the lines of texts, and names the value once: `-o, --output FILE`."""

    def _format_action_invocation(self, action: argparse.Action) -> str:
        if not action.option_strings or action.nargs == 0:
            return super()._format_action_invocation(action)
        value = self._format_args(action, action.dest.upper())
        return f"{', '.join(action.option_strings)} {value}"
