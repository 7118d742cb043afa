"""The options of a sync and of a plan: what is common, and the rest."""

import argparse
from collections.abc import Sequence
from enum import StrEnum
from typing import Any

from haulage.cli.options.general import add_dry_run, add_movers, add_take_over


class _Rule(argparse.Action):
    """Gathers --include, --exclude and --filter in the order they were typed in."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[Any] | None,
        option_string: str | None = None,
    ) -> None:
        sign = {"--include": "+ ", "--exclude": "- "}.get(option_string or "", "")
        namespace.rules = [*(namespace.rules or []), f"{sign}{values}"]


def add_entries(parser: argparse.ArgumentParser) -> None:
    """Add what says which entries are synced, and to where."""
    group = parser.add_argument_group("what is synced")
    group.add_argument(
        "source", nargs="?", metavar="SOURCE",
        help="a directory, s3://BUCKET/PREFIX, gs://... or az://...",
    )  # fmt: skip
    group.add_argument(
        "target", nargs="?", metavar="TARGET", help="as SOURCE; it becomes equal to it"
    )
    group.add_argument(
        "--name", help="record the pair under this name (default: made of the pair)"
    )
    group.add_argument(
        "--dataset", metavar="NAME", help="a recorded pair, with its options"
    )
    group.add_argument(
        "--exclude", action=_Rule, dest="rules", metavar="PATTERN",
        help="leave out what matches: '*.tmp', /cache/",
    )  # fmt: skip
    group.add_argument(
        "--include", action=_Rule, dest="rules", metavar="PATTERN",
        help="but not this; the first rule that matches decides",
    )  # fmt: skip


def add_actions(parser: argparse.ArgumentParser) -> None:
    """Add what most syncs need."""
    group = parser.add_argument_group("what is done")
    add_dry_run(group)
    _add_actions(group)


def add_planned_actions(parser: argparse.ArgumentParser) -> None:
    """Add the same for a plan, which is a dry run anyway."""
    _add_actions(parser.add_argument_group("what is planned"))


def _add_actions(group: argparse._ArgumentGroup) -> None:
    # The choices are slow to import.
    from haulage.config.policy import Compare, Delete, Verify
    from haulage.model import Preserve

    _add_choice(
        group, "--delete", Delete,
        "entries gone at the source: off keeps them, plan lists them, guarded deletes "
        "those that Haulage made (default off)",
    )  # fmt: skip
    for name, shown, text in (
        ("--trash", "AGE", "keep deleted entries aside for so long: 12h, 30d"),
        ("--max-delete", "N", "delete nothing if more entries would go (100000)"),
        ("--max-delete-share", "SHARE", "nor if more than this share would go (0.5)"),
    ):
        group.add_argument(name, metavar=shown, help=text)
    _add_choice(
        group, "--compare", Compare, "what counts as changed (default metadata)"
    )
    _add_choice(group, "--verify", Verify, "how each copy is proven (default checksum)")
    group.add_argument(
        "--preserve", metavar="LIST",
        help=f"of {', '.join(Preserve)}; or all, or all,-NAME (default all but "
        "specials and devices)",
    )  # fmt: skip
    add_movers(group)


def _add_choice(
    group: argparse._ArgumentGroup, name: str, choices: type[StrEnum], text: str
) -> None:
    group.add_argument(name, choices=[str(choice) for choice in choices], help=text)


def add_rest(parser: argparse.ArgumentParser) -> None:
    """Add what few nights need, but for the stores."""
    _add_once(parser)
    _add_filters(parser)
    _add_guards(parser)
    _add_work(parser)
    _add_lustre(parser)


def _add_once(parser: argparse.ArgumentParser) -> None:
    from haulage.config.policy import Step

    group = parser.add_argument_group(
        "for this run alone (never recorded, like --compare and --movers)"
    )
    group.add_argument(
        "--only", dest="steps", action="append", choices=[str(step) for step in Step],
        help="do this step alone (may be given again)",
    )  # fmt: skip
    group.add_argument(
        "--allow-empty-source", action="store_const", const=True,
        help="go on though the source is empty and the manifest is not",
    )  # fmt: skip
    group.add_argument(
        "--afresh", action="store_const", const=True,
        help="compare with a listing of the target, whatever is left in it",
    )  # fmt: skip
    group.add_argument(
        "--make-parents", action="store_const", const=True,
        help="make the missing directories above the target",
    )  # fmt: skip
    add_take_over(group)
    group.add_argument("--listers", metavar="N", help="processes that list (default 2)")


def _add_filters(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("more filters")
    group.add_argument(
        "--filter", action=_Rule, dest="rules", metavar="RULE",
        help="'- PATTERN' excludes, '+ PATTERN' includes",
    )  # fmt: skip
    group.add_argument(
        "--no-rules", action="store_true",
        help="with --dataset: these rules instead of the dataset's, not before them",
    )  # fmt: skip
    for name, text in (("--min-size", "smaller"), ("--max-size", "larger")):
        group.add_argument(
            name, metavar="SIZE", help=f"leave out {text} files: 512, 64K, 1.5G"
        )
    for name, text in (
        ("--min-age", "modified within"),
        ("--max-age", "not modified within"),
        ("--min-atime-age", "read within"),
        ("--max-atime-age", "not read within"),
    ):
        group.add_argument(
            name, metavar="AGE", help=f"leave out files {text} 90s, 12h, 7d"
        )
    group.add_argument(
        "-x", "--one-file-system", action="store_const", const=True,
        help="leave out file systems mounted below the source",
    )  # fmt: skip


def _add_guards(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("more guards")
    group.add_argument(
        "--max-delete-bytes", metavar="SIZE",
        help="delete nothing if more bytes would go (no cap)",
    )  # fmt: skip
    group.add_argument(
        "--share-target", action="store_const", const=True,
        help="go on where another dataset has its target, or one above or below it",
    )  # fmt: skip
    group.add_argument(
        "--trust-metadata", action="store_const", const=True,
        help="take set-id bits, foreign owners and links that lead outside from a "
        "bucket that nobody else may write to",
    )  # fmt: skip


def _add_work(parser: argparse.ArgumentParser) -> None:
    from haulage.config.policy import Fsync

    group = parser.add_argument_group("how the work is done")
    _add_choice(
        group, "--fsync", Fsync, "when writes are forced to the disk (default run)"
    )
    for name, shown, text in (
        (
            "--sample-share",
            "SHARE",
            "of files that --verify sample reads (default 0.05)",
        ),
        ("--attempts", "N", "tries at what may pass (default 3)"),
        ("--shard-entries", "N", "close a shard at so many entries (default 5000)"),
        ("--shard-bytes", "SIZE", "close a shard at so many bytes (default 1G)"),
        ("--keep-days", "N", "forget runs after so many days (default 180)"),
        ("--keep-runs", "N", "but never so many of the newest (default 60)"),
    ):
        group.add_argument(name, metavar=shown, help=text)


def _add_lustre(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("on Lustre")
    group.add_argument(
        "--stripe", metavar="RULES", help="keep, or SIZE=COUNT[xSIZE][@POOL],..."
    )
    group.add_argument(
        "--mdts", action="store_const", const=True,
        help="make first-level directories on each MDT in turn",
    )  # fmt: skip
