"""The command that drops what lost machines left in a bucket."""

import argparse
from datetime import UTC, datetime

from haulage.catalog import datasets
from haulage.catalog.db.engine import open_catalog
from haulage.config.units import parse_age
from haulage.errors import RefusedError, shown_path
from haulage.run.recovery.uploads import orphans


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
        began = datetime.fromtimestamp(upload.began_ns / 1_000_000_000, UTC)
        print(f"{began:%Y-%m-%d %H:%M}  {shown_path(upload.key)}")
    if args.dry_run:
        print(f"{len(found.uploads)} uploads would be aborted")
        return 0
    found.drop()
    print(f"{len(found.uploads)} uploads aborted")
    return 0
