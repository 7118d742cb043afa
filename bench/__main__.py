"""Compare Haulage with its peers: python -m bench [ROW ...].

Rows between directories are small, nochange, large and start. Rows between a directory
and a bucket are buckets-small, buckets-nochange and buckets-large; buckets stands for
all three. fidelity counts what each tool leaves different of a nasty tree. catalog is
Haulage alone, with a catalog of many datasets and nights.

BENCH_FILES, BENCH_ENTRIES and BENCH_LARGE (bytes) set the sizes of the former,
BENCH_OBJECTS, BENCH_KEYS and BENCH_OBJECT (bytes) those of the latter, BENCH_DATASETS
and BENCH_NIGHTS those of the catalog. BENCH_FLOW=1
also takes one run of a deployment, on a server that it starts and stops.
"""

import argparse
import os
import platform
import signal
import sys
from collections.abc import Callable

from bench import buckets, catalog, data, fidelity, measure, rounds, rows, table
from bench.peers import program
from bench.rows import Row

# name -> what makes the row of a size, where the size is found, and the size itself
TREES: dict[str, tuple[Callable[[int], Row], str, int]] = {
    "small": (rows.small, "BENCH_FILES", 100_000),
    "nochange": (rows.nochange, "BENCH_ENTRIES", 200_000),
    "large": (rows.large, "BENCH_LARGE", 4 << 30),
}
STORES: dict[str, tuple[Callable[[int], buckets.Ways], str, int]] = {
    "buckets-small": (buckets.small, "BENCH_OBJECTS", 5000),
    "buckets-nochange": (buckets.nochange, "BENCH_KEYS", 50_000),
    "buckets-large": (buckets.large, "BENCH_OBJECT", 2 << 30),
}
NAMES = (*TREES, "start", "fidelity", "catalog", *STORES)
SMALL = 20  # times smaller than usual, to see that all works


def main() -> None:
    """Measure the rows that were asked for, and print a table for each."""
    args = _parser().parse_args()
    if not args.peers_only:
        program("haulage")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))
    measure.adopt_orphans()
    print(f"{os.cpu_count()} cores, Linux {platform.release()}, {args.rounds} rounds\n")
    for name in _names(args.rows):
        try:
            _take(name, args)
        except RuntimeError as err:  # a tool failed, or did not do its work
            raise SystemExit(str(err)) from err
    if os.environ.get("BENCH_FLOW") == "1":
        from bench import flow

        print(flow.report(), flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("rows", nargs="*", type=_known, help="all without any")
    parser.add_argument("--rounds", type=int, default=3, help="turns of each tool")
    parser.add_argument(
        "--peers-only", action="store_true", help="measure the other tools alone"
    )
    parser.add_argument(
        "--small", action="store_true", help=f"all sizes {SMALL} times smaller"
    )
    parser.add_argument(
        "--server",
        choices=sorted(buckets.SERVERS),
        default="rclone",
        help="of the buckets (default rclone)",
    )
    return parser


def _known(name: str) -> str:
    if name not in (*NAMES, "buckets"):
        raise argparse.ArgumentTypeError(
            f"no row {name!r}; there are {', '.join(NAMES)}"
        )
    return name


def _names(asked: list[str]) -> list[str]:
    wanted = asked or list(NAMES)
    return [
        each for name in wanted for each in (STORES if name == "buckets" else [name])
    ]


def _take(name: str, args: argparse.Namespace) -> None:
    if name in STORES:
        make_ways, variable, default = STORES[name]
        asked = buckets.Asked(args.rounds, args.server, args.peers_only)
        buckets.report(make_ways(_size(variable, default, args)), asked)
    elif name in TREES:
        make_row, variable, default = TREES[name]
        _measure(make_row(_size(variable, default, args)), args)
    elif name == "fidelity":
        print(fidelity.report(peers_only=args.peers_only), flush=True)
    elif name == "catalog":
        sets = _size("BENCH_DATASETS", 1000, args)
        print(catalog.report(sets, _size("BENCH_NIGHTS", 365, args)), flush=True)
    else:
        _measure(rows.start(), args)


def _size(variable: str, default: int, args: argparse.Namespace) -> int:
    usual = int(os.environ.get(variable, default))
    return usual // SMALL if args.small else usual


def _measure(row: Row, args: argparse.Namespace) -> None:
    tools = [tool for tool in row.tools if not (args.peers_only and tool.is_ours)]
    with data.place_for(row.size_bytes) as place:
        results = rounds.measure_row(row, tools, args.rounds, place)
    print(table.report(row, {tool: results[tool] for tool in tools}), flush=True)


if __name__ == "__main__":
    main()
