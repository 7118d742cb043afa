"""The commands that only look: what runs, what ran, what failed, what is there."""

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import IO, Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from haulage.catalog import datasets, events, failures
from haulage.catalog.db.engine import Catalog, open_catalog
from haulage.catalog.deletes import tombstones
from haulage.catalog.manifests.reader import Manifest
from haulage.catalog.runs import live, runs, shards
from haulage.catalog.runs.runs import Run, RunState
from haulage.config.units import shown_bytes
from haulage.errors import FatalError, HaulageError, shown_path
from haulage.model import MANIFEST, Kind, Verified
from haulage.paths import shown
from haulage.run.recovery.orphan_jobs import cancel_orphans
from haulage.run.recovery.unknown_trash import MOST, unknown_trash

_WATCH_S = 1.0


def status(args: argparse.Namespace) -> int:
    """Show the newest run of the dataset, or of each; with --watch again and again."""
    catalog = open_catalog(args.catalog)
    while True:
        for run in _latest(catalog, args.dataset):
            _print_status(catalog, run, as_json=args.json)
        if args.dataset and not args.json:
            _print_unknown_trash(catalog, args.dataset)
        if not args.watch:
            return 0
        time.sleep(_WATCH_S)


def _latest(catalog: Catalog, name: str | None) -> Iterator[Run]:
    """Yield the newest run of the dataset, or of each."""
    rows = [datasets.find(catalog, name)] if name else datasets.every(catalog)
    for row in rows:
        yield from runs.recent(catalog, row.id, 1)


def _print_status(catalog: Catalog, run: Run, *, as_json: bool) -> None:
    state = _state(catalog, run)
    if as_json:
        print(json.dumps({**_run_fields(catalog, run), "state": state}))
        return
    counts = Counter(run.counts)
    print(f"{_dataset_name(catalog, run)}: run {run.id} {state}")
    print(
        f"  {counts['listed']:,} listed, {counts['unchanged']:,} unchanged, "
        f"{counts['planned']:,} to do ({shown_bytes(counts['planned_bytes'])})"
    )
    for total in shards.totals(catalog, run.id):
        print(
            f"  {total.pass_:<8} {total.state:<8} {total.shards:>6,} shards "
            f"{total.entries:>12,} entries {shown_bytes(total.bytes):>12}"
        )
    for node in live.nodes(catalog, run) if state == RunState.ACTIVE else ():
        print(
            f"  node {node['node']:<15} {node['slots']:>4} slots, {node['orders']:>4} "
            f"shards under way, {node['entries_s']:,.0f} entries/s, "
            f"{shown_bytes(node['bytes_s'])}/s"
        )
    if state == "interrupted":
        print(f"  continue with: haulage resume {run.id}")


def _print_unknown_trash(catalog: Catalog, name: str) -> None:
    """Name what only a person can empty; of one dataset, whose target is looked at."""
    try:
        found = unknown_trash(catalog, datasets.find(catalog, name))
    except HaulageError as err:
        print(f"  the target's trash cannot be looked at: {err}")
        return
    for run_id in found:
        print(
            f"  .haulage-trash/{run_id} in the target belongs to no run of this catalog"
        )
    if len(found) == MOST:
        print("  there may be more of them")


def _state(catalog: Catalog, run: Run) -> str:
    """Return the run's state, telling one whose driver died from one that goes on."""
    if run.state is RunState.ACTIVE and not runs.is_driven(catalog, run):
        return "interrupted"
    return str(run.state)


def _dataset_name(catalog: Catalog, run: Run) -> str:
    return datasets.get(catalog, run.dataset_id).dataset.name


def _run_fields(catalog: Catalog, run: Run) -> dict[str, object]:
    return {
        "run": run.id,
        "dataset": _dataset_name(catalog, run),
        "state": _state(catalog, run),
        "trigger": run.trigger,
        "started_at": _time(run.started_at),
        "ended_at": _time(run.ended_at),
        "counts": dict(run.counts),
        "summary": dict(run.summary) if run.summary else None,
    }


def _time(moment: datetime | None) -> str | None:
    return moment.isoformat(timespec="seconds") if moment else None


def list_runs(args: argparse.Namespace) -> int:
    """List the runs of the dataset, or of all, the newest first."""
    catalog = open_catalog(args.catalog)
    if args.clean:
        for run_id in cancel_orphans(catalog):
            print(f"jobs of run {run_id} are cancelled", file=sys.stderr)
    row = datasets.find(catalog, args.dataset) if args.dataset else None
    for run in runs.recent(catalog, row.id if row else None, args.limit):
        fields = _run_fields(catalog, run)
        if args.json:
            print(json.dumps(fields))
            continue
        numbers = run.summary or {}
        print(
            f"{run.id}  {fields['state']:<11}  {fields['started_at']}  "
            f"{fields['dataset']}  copied {numbers.get('copied', 0):,} "
            f"deleted {numbers.get('deleted', 0):,} failed {numbers.get('failed', 0):,}"
        )
    return 0


def show(args: argparse.Namespace) -> int:
    """Show a run with its sums, its events and what it deleted."""
    catalog = open_catalog(args.catalog)
    run = runs.find(catalog, args.run)
    deleted = [shown(stone.path) for stone in tombstones.of_run(catalog, run.id)]
    noted = [
        {"at": _time(event.at), "what": event.what, **event.detail}
        for event in events.of_run(catalog, run.id)
    ]
    if args.json:
        extra = {"deleted": deleted, "events": noted}
        print(json.dumps({**_run_fields(catalog, run), **extra}))
        return 0
    _print_status(catalog, run, as_json=False)
    _print_fields(run.summary or {})
    for event in noted:
        print(f"  event: {json.dumps(event)}")
    for path in deleted:
        print(f"  deleted: {path}")
    return 0


def _print_fields(summary: Mapping[str, object]) -> None:
    for name, value in summary.items():
        if name == "notes" and isinstance(value, list):
            for note in value:
                print(f"  note: {note}")
        else:
            print(f"  {name:<13} {value}")


def list_failures(args: argparse.Namespace) -> int:
    """List what a run could not do, or could not make exactly, each with the reason."""
    catalog = open_catalog(args.catalog)
    run = runs.find(catalog, args.run)
    for failure in failures.of_run(catalog, run.id):
        if args.json:
            fields = {
                "path": shown(failure.path),
                "verb": failure.verb,
                "status": failure.status,
                "class": failure.error_class,
                "errno": failure.errno,
                "reason": failure.reason,
            }
            print(json.dumps(fields))
        else:
            print(f"{failure.status:<10} {shown(failure.path)}: {failure.reason}")
    if unlisted := (run.summary or {}).get("unlisted"):
        print(f"{unlisted} more failures are counted, but not listed", file=sys.stderr)
    return 0


def manifest(args: argparse.Namespace) -> int:
    """Print what the target holds, as a table, CSV or Parquet."""
    catalog = open_catalog(args.catalog)
    row = datasets.find(catalog, args.dataset)
    pages = Manifest(catalog, row.manifest_id).tables()
    if args.json or args.format == "table":
        for page in pages:
            _print_page(page, as_json=args.json)
        return 0
    if not args.output:
        _write_pages(pages, args.format, sys.stdout.buffer)
        return 0
    try:
        with open(args.output, "wb") as sink:
            _write_pages(pages, args.format, sink)
    except OSError as err:
        why = f"{shown_path(args.output)} cannot be written: {err.strerror or err}"
        raise FatalError(f"{why}; name another file with --output") from err
    return 0


def _print_page(page: pa.Table, *, as_json: bool) -> None:
    for row in page.to_pylist():
        entry = _entry_fields(row)
        print(json.dumps(entry) if as_json else _entry_line(entry))


def _entry_fields(row: dict[str, Any]) -> dict[str, Any]:
    """Return a manifest's row with its bytes and its codes as text."""
    link, checksum = row["target"], row["checksum"]
    return {
        **row,
        "path": shown(row["path"]),
        "kind": Kind(row["kind"]).name.lower(),
        "target": None if link is None else shown(link),
        "checksum": checksum.hex() if checksum else None,
        "verified": Verified(row["verified"]).name.lower(),
    }


def _entry_line(entry: Mapping[str, Any]) -> str:
    return (
        f"{entry['kind']:<8} {entry['mode']:04o} {entry['uid']:>6} {entry['gid']:>6} "
        f"{entry['size']:>14} {entry['mtime_s']}.{entry['mtime_ns']:09} "
        f"{entry['checksum'] or '-':<32} {entry['verified']:<8} {entry['path']}"
    )


def _write_pages(pages: Iterator[pa.Table], kind: str, sink: IO[bytes]) -> None:
    """Write pages one after the other; a path in CSV is shown as text that names it."""
    empty = MANIFEST.empty_table()
    if kind == "parquet":
        writer: Any = pa.parquet.ParquetWriter(sink, empty.schema)
    else:
        writer = pa.csv.CSVWriter(sink, _as_text(empty).schema)
    with writer:
        for page in pages:
            writer.write_table(page if kind == "parquet" else _as_text(page))


def _as_text(page: pa.Table) -> pa.Table:
    columns = {name: page[name] for name in page.schema.names}
    for name in ("path", "target"):
        texts = [
            None if value is None else shown(value) for value in page[name].to_pylist()
        ]
        columns[name] = pa.array(texts, pa.string())
    hexed = [value.hex() if value else None for value in page["checksum"].to_pylist()]
    columns["checksum"] = pa.array(hexed, pa.string())
    return pa.table(columns)
