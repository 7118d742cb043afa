"""Print a row's results as Markdown, and each bar with whether it was met."""

from statistics import median

from bench.measure import Usage
from bench.peers import Tool
from bench.rounds import Results
from bench.rows import Bar, Row

MEMORY_BAR_KIB = 300 << 10  # of any one process of ours


def report(row: Row, results: Results) -> str:
    """Return the table of a row and its bars."""
    ours = [tool for tool in results if tool.is_ours and tool.copies]
    heads = ["tool", "wall s", "(from - to)", "engine s", "user s", "system s"]
    heads += ["largest process MiB", "all processes MiB"]
    heads += [f"`{tool.name}` / this" for tool in ours]
    lines = [
        f"### {row.title}",
        "",
        _line(heads),
        _line(["---", *["--:"] * len(heads[1:])]),
    ]
    lines += [_line(_cells(tool, ours, results)) for tool in results]
    return "\n".join([*lines, "", *_verdicts(row, ours, results), ""])


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cells(tool: Tool, ours: list[Tool], results: Results) -> list[str]:
    usages = results[tool]
    walls = [usage.wall_s for usage in usages]
    return [
        f"`{tool.name}`",
        f"{median(walls):.2f}",
        f"{min(walls):.2f} - {max(walls):.2f}",
        _engine(usages),
        f"{median(usage.user_s for usage in usages):.2f}",
        f"{median(usage.system_s for usage in usages):.2f}",
        _mib(_largest_kib(usages)),
        _mib(max(usage.together_kib for usage in usages)),
        *(f"{_ratio(results, mine, tool):.2f}" for mine in ours),
    ]


def _engine(usages: list[Usage]) -> str:
    told = [usage.engine_s for usage in usages if usage.engine_s is not None]
    return f"{median(told):.2f}" if told else "-"


def _mib(kib: int) -> str:
    return f"{kib / 1024:.0f}" if kib else "-"  # ended before it could be looked at


def _largest_kib(usages: list[Usage]) -> int:
    return max(usage.largest_kib for usage in usages)


def _ratio(results: Results, ours: Tool, peer: Tool, *, of_cpu: bool = False) -> float:
    measured = [
        median(usage.cpu_s if of_cpu else usage.work_s for usage in results[tool])
        for tool in (ours, peer)
    ]
    return measured[0] / measured[1]


def _verdicts(row: Row, ours: list[Tool], results: Results) -> list[str]:
    known = [bar for bar in row.bars if bar.ours in results and bar.peer in results]
    return [
        *(_verdict(bar, results) for bar in known),
        *(_memory_verdict(tool, results[tool]) for tool in ours),
    ]


def _verdict(bar: Bar, results: Results) -> str:
    ratio = _ratio(results, bar.ours, bar.peer, of_cpu=bar.of_cpu)
    ours = "'s CPU time" if bar.of_cpu else "'s engine"
    return (
        f"- `{bar.ours.name}`{ours} takes {ratio:.2f} x what `{bar.peer.name}` takes; "
        f"the bar is {bar.limit:g}: {_met(ratio <= bar.limit)}"
    )


def _memory_verdict(tool: Tool, usages: list[Usage]) -> str:
    kib = _largest_kib(usages)
    return (
        f"- `{tool.name}`: no process above {kib / 1024:.0f} MiB; "
        f"the bar is {MEMORY_BAR_KIB >> 10}: {_met(kib <= MEMORY_BAR_KIB)}"
    )


def _met(holds: bool) -> str:  # noqa: FBT001
    return "met" if holds else "**missed**"
