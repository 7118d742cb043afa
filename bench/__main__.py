"""Compare Haulage with its peers: python -m bench [small] [nochange] [large] [start].

BENCH_FILES, BENCH_ENTRIES and BENCH_LARGE (bytes) set the sizes; BENCH_FLOW=1 also
takes one run of a deployment, on a server that it starts and stops.
"""

import argparse
import os
import platform

from bench import data, measure, rounds, rows, table
from bench.peers import program
from bench.rows import Row

ROWS = ("small", "nochange", "large", "start")


def main() -> None:
    """Measure the rows that were asked for, and print a table for each."""
    args = _parser().parse_args()
    if not args.peers_only:
        program("haulage")
    measure.adopt_orphans()
    print(f"{os.cpu_count()} cores, Linux {platform.release()}, {args.rounds} rounds\n")
    for row in args.rows or map(_row, ROWS):
        try:
            _measure(row, args)
        except RuntimeError as err:  # a tool failed, or did not do its work
            raise SystemExit(str(err)) from err
    if os.environ.get("BENCH_FLOW") == "1":
        from bench import flow

        print(flow.report(), flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("rows", nargs="*", type=_row, help="all without any")
    parser.add_argument("--rounds", type=int, default=3, help="turns of each tool")
    parser.add_argument(
        "--peers-only", action="store_true", help="measure the other tools alone"
    )
    return parser


def _row(name: str) -> Row:
    if name == "small":
        return rows.small(_size("BENCH_FILES", 100_000))
    if name == "nochange":
        return rows.nochange(_size("BENCH_ENTRIES", 200_000))
    if name == "large":
        return rows.large(_size("BENCH_LARGE", 4 << 30))
    if name == "start":
        return rows.start()
    raise argparse.ArgumentTypeError(f"no row {name!r}; there are {', '.join(ROWS)}")


def _size(variable: str, default: int) -> int:
    return int(os.environ.get(variable, default))


def _measure(row: Row, args: argparse.Namespace) -> None:
    tools = [tool for tool in row.tools if not (args.peers_only and tool.is_ours)]
    with data.place_for(row.size_bytes) as place:
        results = rounds.take_turns(row, tools, args.rounds, place)
    print(table.report(row, {tool: results[tool] for tool in tools}), flush=True)


if __name__ == "__main__":
    main()
