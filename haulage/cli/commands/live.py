"""The commands that change a run while it goes on."""

import argparse
import json

from haulage.catalog.db.engine import open_catalog
from haulage.catalog.runs import live, runs
from haulage.catalog.runs.runs import Run
from haulage.errors import RefusedError

_MOST = 100_000


def scale(args: argparse.Namespace) -> int:
    """Ask a run's driver for another number of movers."""
    if not args.movers.isdecimal() or not 1 <= int(args.movers) <= _MOST:
        raise RefusedError(
            f"N: give a number of movers from 1 to {_MOST} (given: {args.movers!r})"
        )
    with open_catalog(args.catalog) as catalog:
        run = runs.find(catalog, args.run)
        live.scale(catalog, run, int(args.movers))
    return _told(args, run, f"is asked for {args.movers}")


def drain(args: argparse.Namespace) -> int:
    """Ask a run's driver to leave a machine."""
    with open_catalog(args.catalog) as catalog:
        run = runs.find(catalog, args.run)
        live.drain(catalog, run, args.node)
    return _told(args, run, f"is asked to leave {args.node}")


def _told(args: argparse.Namespace, run: Run, what: str) -> int:
    print(json.dumps({"run": run.id}) if args.json else f"run {run.id} {what}")
    return 0
