"""The commands that move, or say what would be moved."""

import argparse
import json
import secrets
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

import pyarrow as pa

from haulage.catalog import datasets
from haulage.catalog.db.engine import Catalog, open_catalog
from haulage.catalog.db.read_only import looked_into
from haulage.catalog.failures import Failure
from haulage.cli.arguments import changed_by, dataset_of, once_of
from haulage.cli.progress import runner_with_progress
from haulage.config.policy import Dataset
from haulage.config.units import shown_bytes
from haulage.errors import RefusedError
from haulage.exchange import progress_file
from haulage.exchange.shard_files import Order
from haulage.model import Verb
from haulage.paths import shown
from haulage.run import sequence
from haulage.run.context.runner import Summary
from haulage.run.dry_run import Planned
from haulage.run.guards.preflight import root_of
from haulage.run.summary import PLANNED


def sync(args: argparse.Namespace) -> int:
    """Make the target equal to the source; with --dry-run only say what that takes."""
    if args.dry_run:
        return plan(args)
    dataset = _dataset(args, open_catalog)
    with runner_with_progress(quiet=args.json) as runner:
        summary = sequence.sync(
            dataset,
            runner,
            once=once_of(args),
            catalog_url=args.catalog,
            keep_policy=bool(args.dataset),
        )
    return tell(summary, as_json=args.json)


def plan(args: argparse.Namespace) -> int:
    """Carry out `plan` and `sync --dry-run`: one line an action, then the sums."""
    dataset = _dataset(args, looked_into)

    def tell_page(page: Planned) -> None:
        for table in (page.plan.actions, page.plan.deletes):
            _tell_actions(table, as_json=args.json)
        _tell_failures(page.failures, as_json=args.json)

    summary = sequence.plan(
        dataset, tell_page, once=once_of(args), catalog_url=args.catalog
    )
    return tell(summary, as_json=args.json)


def resume(args: argparse.Namespace) -> int:
    """Go on with a run that stopped."""
    with runner_with_progress(quiet=args.json) as runner:
        summary = sequence.resume(
            args.run,
            runner,
            catalog_url=args.catalog,
            take_over=bool(args.take_over),
        )
    return tell(summary, as_json=args.json)


def abandon(args: argparse.Namespace) -> int:
    """Give up a run that stopped."""
    ended = sequence.abandon(
        args.run, catalog_url=args.catalog, take_over=bool(args.take_over)
    )
    print(
        json.dumps({"run": ended.id, "state": ended.state})
        if args.json
        else f"run {ended.id} is {ended.state}; the next sync begins without it"
    )
    return 0


def verify(args: argparse.Namespace) -> int:
    """Read a dataset's target again and hold it against its manifest."""
    with runner_with_progress(quiet=args.json) as runner:
        summary = sequence.verify(
            args.dataset, runner, once=once_of(args), catalog_url=args.catalog
        )
    return tell(summary, as_json=args.json)


def run_one_shard(args: argparse.Namespace) -> int:
    """Do the actions of one shard file in this process, as a mover does."""
    from haulage.workers.mover import run_shard  # no other command moves itself

    shard = Path(args.shard)
    if not shard.is_file():
        raise RefusedError(f"{shard} is not a shard file; see a run's workspace")
    outcome = Path(args.outcome or shard.with_suffix(".outcome.parquet"))
    token = args.token or secrets.token_hex(6)
    order = Order(shard, outcome, outcome.with_suffix(".progress"), token)
    progress_file.begin(order.progress)
    tally = run_shard(order, lambda: False)
    order.progress.unlink()
    print(json.dumps({"outcome": str(outcome), "tally": tally}))
    wrong = ("failed", "unstable", "mismatch", "blocked")
    return 1 if any(tally.get(name) for name in wrong) else 0


def _dataset(
    args: argparse.Namespace,
    opened: Callable[[str | None], AbstractContextManager[Catalog]],
) -> Dataset:
    if args.dataset:
        if args.source or args.target:
            raise RefusedError("give either SOURCE and TARGET or --dataset, not both")
        with opened(args.catalog) as catalog:
            known = datasets.find(catalog, args.dataset).dataset
        return changed_by(args, known)
    if not args.source or not args.target:
        raise RefusedError("give SOURCE and TARGET, or --dataset NAME")
    return dataset_of(args, root_of(args.source), root_of(args.target))


def _tell_actions(actions: pa.Table, *, as_json: bool) -> None:
    for number, path in zip(
        actions["verb"].to_pylist(), actions["path"].to_pylist(), strict=True
    ):
        verb = Verb(number).name.lower()
        if as_json:
            print(json.dumps({"verb": verb, "path": shown(path)}))
        else:
            print(f"{verb:<7} {shown(path)}")


def _tell_failures(failures: Sequence[Failure], *, as_json: bool) -> None:
    for failure in failures:
        path, reason = shown(failure.path), failure.reason
        if as_json:
            told = {"status": failure.status, "path": path, "reason": reason}
            print(json.dumps(told))
        else:
            print(f"{'failed':<7} {path}: {reason}")


def tell(summary: Summary, *, as_json: bool) -> int:
    """Print what became of a run; return its exit code."""
    if as_json:
        print(json.dumps(summary.as_dict()))
        return summary.exit_code
    for line in _lines(summary):
        print(line)
    if summary.failed and summary.state != PLANNED:
        print(f"see: haulage failures {summary.run_id}", file=sys.stderr)
    return summary.exit_code


def _lines(summary: Summary) -> Iterator[str]:
    yield f"run {summary.run_id} of {summary.dataset}: {summary.state}"
    if summary.state != PLANNED:
        rate = summary.copied_bytes / max(summary.seconds, 0.001)
        yield (
            f"  copied   {summary.copied:>12,} files, "
            f"{shown_bytes(summary.copied_bytes)} in {summary.seconds:.1f} s "
            f"({shown_bytes(rate)}/s)"
        )
        if summary.checked:
            yield (
                f"  checked  {summary.checked:>12,} files, "
                f"{shown_bytes(summary.checked_bytes)} read to compare"
            )
        yield f"  made     {summary.made:>12,} directories and links"
        yield f"  updated  {summary.updated:>12,} attributes only"
        yield f"  verified {summary.verified:>12,}"
        yield f"  deleted  {summary.deleted:>12,}, kept {summary.kept:,}"
        if summary.restored:
            yield f"  restored {summary.restored:>12,}"
    if summary.state != PLANNED or summary.failed:
        yield f"  failed   {summary.failed:>12,}"
    yield f"  listed   {summary.listed:>12,}, unchanged {summary.unchanged:,}"
    for note in summary.notes:
        yield f"  note: {note}"
