"""Turns words of the command line into datasets and policies."""

import argparse
import hashlib
import re
from collections.abc import Sequence
from typing import Any

from pydantic import ValidationError

from haulage.cli.store_options import add_stores, options_of
from haulage.config.policy import (
    Compare,
    Dataset,
    Delete,
    Fsync,
    Once,
    Policy,
    Step,
    Verify,
)
from haulage.errors import RefusedError
from haulage.model import Preserve

# option -> where its value belongs in the policy
_FIELDS = {
    "verify": ("verify",),
    "preserve": ("preserve",),
    "trust_metadata": ("trust_metadata",),
    "stripe": ("stripe",),
    "mdts": ("mdts",),
    "delete": ("delete",),
    "trash": ("trash",),
    "share_target": ("share_target",),
    "fsync": ("fsync",),
    "attempts": ("attempts",),
    "sample_share": ("sample_share",),
    "keep_days": ("keep", "days"),
    "keep_runs": ("keep", "runs"),
    "max_delete": ("guards", "max_count"),
    "max_delete_share": ("guards", "max_share"),
    "max_delete_bytes": ("guards", "max_bytes"),
    "shard_entries": ("shards", "max_entries"),
    "shard_bytes": ("shards", "max_bytes"),
    "min_size": ("filters", "min_size"),
    "max_size": ("filters", "max_size"),
    "min_age": ("filters", "min_age"),
    "max_age": ("filters", "max_age"),
    "min_atime_age": ("filters", "min_atime_age"),
    "max_atime_age": ("filters", "max_atime_age"),
    "one_file_system": ("filters", "one_file_system"),
}
# and what is asked of one run alone
_ONCE = {name: (name,) for name in Once.model_fields}


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


def add_policy(parser: argparse.ArgumentParser) -> None:
    """Add every option that changes the policy of a run."""
    _add_choices(parser)
    _add_once(parser)
    _add_filters(parser)
    _add_guards(parser)
    _add_work(parser)
    add_stores(parser)


def _add_once(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("for this run alone")
    group.add_argument(
        "--compare", choices=[str(member) for member in Compare],
        help="what counts as changed (default metadata)",
    )  # fmt: skip
    group.add_argument(
        "--only", dest="steps", action="append", choices=[str(step) for step in Step],
        help="run this step alone (may be given again)",
    )  # fmt: skip
    group.add_argument("--allow-empty-source", action="store_const", const=True)
    group.add_argument(
        "--afresh", action="store_const", const=True,
        help="compare with a listing of the target, whatever is left in it",
    )  # fmt: skip
    group.add_argument(
        "--make-parents", action="store_const", const=True,
        help="make what is missing above the target, too",
    )  # fmt: skip
    add_take_over(group)
    add_movers(group)
    group.add_argument("--listers", metavar="N", help="processes that list (default 2)")


def add_take_over(parser: argparse._ActionsContainer) -> None:
    """Add the option by which a person says that another host's driver is dead."""
    parser.add_argument(
        "--take-over", action="store_const", const=True,
        help="the host that drove the run before is dead for certain",
    )  # fmt: skip


def add_movers(parser: argparse._ActionsContainer) -> None:
    """Add the option that says how many processes move in one run."""
    parser.add_argument("--movers", metavar="N", help="processes that move (default 2)")


def _add_choices(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("what is done")
    for name, enum, text in (
        ("--verify", Verify, "how what was copied is proven (default checksum)"),
        (
            "--delete",
            Delete,
            "what happens to entries gone at the source (default off)",
        ),
        ("--fsync", Fsync, "when writes are forced to disk (default run)"),
    ):
        group.add_argument(name, choices=[str(member) for member in enum], help=text)
    group.add_argument(
        "--preserve", metavar="LIST",
        help=f"of {', '.join(Preserve)}; or all, or all,-NAME (default all but "
        "specials and devices)",
    )  # fmt: skip
    group.add_argument(
        "--trust-metadata", action="store_const", const=True,
        help="take set-id bits, foreign owners and links that lead outside from a "
        "bucket that nobody else may write to",
    )  # fmt: skip
    group.add_argument(
        "--share-target", action="store_const", const=True,
        help="go on where another dataset has its target, or one above or below it",
    )  # fmt: skip
    group.add_argument(
        "--stripe", metavar="RULES",
        help="on Lustre: keep, or SIZE=COUNT[xSIZE][@POOL],...",
    )  # fmt: skip
    group.add_argument(
        "--mdts", action="store_const", const=True,
        help="on Lustre: make first-level directories on each MDT in turn",
    )  # fmt: skip


def _add_filters(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("filters (the first rule that matches decides)")
    group.add_argument("--exclude", action=_Rule, dest="rules", metavar="PATTERN")
    group.add_argument("--include", action=_Rule, dest="rules", metavar="PATTERN")
    group.add_argument(
        "--filter", action=_Rule, dest="rules", metavar="RULE",
        help="'+ PATTERN' or '- PATTERN'",
    )  # fmt: skip
    group.add_argument(
        "--no-rules", action="store_true",
        help="with --dataset: these rules instead of the dataset's, not before them",
    )  # fmt: skip
    for name in ("--min-size", "--max-size"):
        group.add_argument(name, metavar="SIZE", help="of files: 512, 64K, 1.5G")
    for name in ("--min-age", "--max-age", "--min-atime-age", "--max-atime-age"):
        group.add_argument(name, metavar="AGE", help="of files: 90s, 12h, 7d")
    group.add_argument("--one-file-system", "-x", action="store_const", const=True)


def _add_guards(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("delete guards, checked before the first unlink")
    group.add_argument("--max-delete", metavar="N", help="most entries")
    group.add_argument(
        "--max-delete-share", metavar="SHARE", help="0 to 1, default 0.5"
    )
    group.add_argument("--max-delete-bytes", metavar="SIZE", help="most bytes")
    group.add_argument(
        "--trash", metavar="AGE", help="keep what is deleted aside for 12h, 30d"
    )


def _add_work(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("how the work is done")
    group.add_argument("--shard-entries", metavar="N", help="default 5000")
    group.add_argument("--shard-bytes", metavar="SIZE", help="default 1G")
    group.add_argument(
        "--attempts", metavar="N", help="tries at what may pass (default 3)"
    )
    group.add_argument(
        "--keep-days", metavar="N", help="forget runs after so many days (default 180)"
    )
    group.add_argument(
        "--keep-runs", metavar="N", help="but never the newest ones (default 60)"
    )
    group.add_argument("--sample-share", metavar="SHARE", help="of --verify sample")


def policy_of(args: argparse.Namespace, base: Policy | None = None) -> Policy:
    """Return `base` changed by the command line; RefusedError names a bad option."""
    fields = (base or Policy()).model_dump()
    for option, where in _FIELDS.items():
        value = getattr(args, option, None)
        if value is None:
            continue
        place = fields
        for step in where[:-1]:
            place = place[step]
        place[where[-1]] = value
    rules = getattr(args, "rules", None) or ()
    known = () if getattr(args, "no_rules", False) else fields["filters"]["rules"]
    fields["filters"]["rules"] = (*rules, *known)  # the first that matches decides
    try:
        return Policy.model_validate(fields)
    except ValidationError as err:
        raise RefusedError(_first_problem(err)) from err


def once_of(args: argparse.Namespace) -> Once:
    """Return what the command line asks of this run alone."""
    given = {name: getattr(args, name, None) for name in _ONCE}
    try:
        return Once.model_validate({k: v for k, v in given.items() if v is not None})
    except ValidationError as err:
        raise RefusedError(_first_problem(err)) from err


def _first_problem(err: ValidationError) -> str:
    problem = err.errors()[0]
    where = tuple(str(part) for part in problem["loc"] if isinstance(part, str))
    options = {fields: option for option, fields in (_FIELDS | _ONCE).items()}
    option = options.get(where)
    name = "--" + option.replace("_", "-") if option else ".".join(where)
    text = re.sub(r"^Value error, ", "", problem["msg"])
    return f"{name}: {text} (given: {problem['input']!r})"


def dataset_of(args: argparse.Namespace, source: str, target: str) -> Dataset:
    """Return the dataset of a pair; unnamed, it is named after the pair itself."""
    name = args.name or _name_of_pair(source, target)
    try:
        plain = Dataset(name=name, source=source, target=target)
    except ValidationError as err:
        raise RefusedError(_first_problem(err)) from err
    return changed_by(args, plain)


def changed_by(args: argparse.Namespace, dataset: Dataset) -> Dataset:
    """Return `dataset` as the command line changes it."""
    return dataset.model_copy(
        update={
            "policy": policy_of(args, dataset.policy),
            "source_store": options_of(args, "source", dataset.source_store),
            "target_store": options_of(args, "target", dataset.target_store),
        }
    )


def _name_of_pair(source: str, target: str) -> str:
    """Return a name that is readable and the pair's own."""
    last = source.rstrip("/").rpartition("/")[2]
    readable = re.sub(r"[^A-Za-z0-9]+", "-", last).strip("-")[:40]
    pair = f"{source}\0{target}".encode("utf-8", "surrogateescape")
    return f"{readable or 'root'}-{hashlib.sha256(pair).hexdigest()[:8]}"
