"""The command that drops what lost machines left in a bucket."""

import argparse
import json
from datetime import UTC, datetime

from haulage.catalog import datasets
from haulage.catalog.db.engine import open_catalog
from haulage.config.units import parse_age
from haulage.errors import RefusedError, shown_path
from haulage.run.recovery.orphan_uploads import orphans
from haulage.storage.buckets.protocol import Upload


def sweep(args: argparse.Namespace) -> int:
    """List the uploads that nobody completes, and abort them unless asked not to."""
    try:
        older_than_s = parse_age(args.older_than)
    except ValueError as err:
        raise RefusedError(f"--older-than: {err}") from err
    assert isinstance(older_than_s, float)
    with open_catalog(args.catalog) as catalog:
        row = datasets.find(catalog, args.dataset)
        found = orphans(catalog, row, older_than_s)
    for upload in found.uploads:
        _print_upload(upload, as_json=args.json)
    if not args.dry_run:
        found.drop()
    _print_sum(len(found.uploads), dry_run=args.dry_run, as_json=args.json)
    return 0


def _print_upload(upload: Upload, *, as_json: bool) -> None:
    began = datetime.fromtimestamp(upload.began_ns / 1_000_000_000, UTC)
    key = shown_path(upload.key)
    if as_json:
        told = {"key": key, "began_at": began.isoformat(timespec="seconds")}
        print(json.dumps(told))
    else:
        print(f"{began:%Y-%m-%d %H:%M}  {key}")


def _print_sum(uploads: int, *, dry_run: bool, as_json: bool) -> None:
    if as_json:
        print(json.dumps({"uploads": uploads, "aborted": 0 if dry_run else uploads}))
    else:
        print(f"{uploads} uploads {'would be ' if dry_run else ''}aborted")
