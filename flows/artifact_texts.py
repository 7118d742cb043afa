"""Texts and tables about a run that are safe to show in a browser.

Names of datasets, paths and messages come from people and from file systems: when
shown, they can neither end a table's cell nor start a link, an element or a control
sequence.
"""

import os
import re
from collections.abc import Iterable, Sequence

from haulage.catalog.deletes.delete_plans import DeletePlan
from haulage.catalog.failures import Failure
from haulage.config.policy import Dataset
from haulage.config.units import shown_bytes
from haulage.launch.launcher import NodeWork
from haulage.paths import shown
from haulage.run.context.runner import Progress, Summary, WaveProgress
from haulage.run.summary import PLANNED

_TICKS = re.compile(r"`+")
_NOT_KEY = re.compile(r"[^a-z0-9]+")


def harmless(text: str) -> str:
    """Return `text` as a Markdown code span, in which nothing else has a meaning."""
    visible = shown(text.encode("utf-8", "surrogateescape")).replace("\\\\", "\\")
    longest = max((len(ticks) for ticks in _TICKS.findall(visible)), default=0)
    fence = "`" * (longest + 1)
    pad = " " if longest else ""
    return f"{fence}{pad}{visible}{pad}{fence}"


def plain(text: str) -> str:
    """Return `text` on one line, without control characters."""
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)


def artifact_key(dataset: str, what: str) -> str:
    """Return the key of which a dataset's artifacts of one kind are versions."""
    return f"{_NOT_KEY.sub('-', dataset.lower()).strip('-')}-{what}"


def share_done(progress: Progress) -> float:
    """Return the share of the known work that is done, in percent."""
    if not progress.planned:
        return 100.0 if progress.finished_listing else 0.0
    entries = progress.done / progress.planned
    content = (
        progress.done_bytes / progress.planned_bytes
        if progress.planned_bytes
        else entries
    )
    percent = min(100.0, 50 * (entries + content))
    return percent if progress.finished_listing else min(percent, 99.0)


def state_of(progress: Progress) -> str:
    """Return one line about the run's progress."""
    listed = "listed" if progress.finished_listing else "listed so far"
    return (
        f"{progress.stage}: {progress.listed:,} {listed}, "
        f"{progress.done:,} of {progress.planned:,} entries done, "
        f"{shown_bytes(progress.done_bytes)} of {shown_bytes(progress.planned_bytes)}, "
        f"{progress.failed:,} failed"
    )


def wave_line(wave: WaveProgress) -> str:
    """Return one line about a wave that ended."""
    return (
        f"{wave.name} {wave.state}: {wave.done:,} of {wave.entries:,} entries, "
        f"{shown_bytes(wave.done_bytes)} in {wave.seconds:.1f} s "
        f"({_rate(wave)}), {wave.shards_done} of {wave.shards} shards"
    )


def wave_rows(waves: Iterable[WaveProgress]) -> list[dict[str, str]]:
    """Return the table of the waves, one row each."""
    return [
        {
            "wave": plain(wave.name),
            "pass": plain(wave.pass_),
            "state": plain(wave.state),
            "shards": f"{wave.shards_done}/{wave.shards}",
            "entries": f"{wave.done:,}/{wave.entries:,}",
            "bytes": f"{shown_bytes(wave.done_bytes)} of {shown_bytes(wave.bytes)}",
            "seconds": f"{wave.seconds:.1f}",
            "rate": _rate(wave),
        }
        for wave in waves
    ]


def node_rows(nodes: Iterable[NodeWork]) -> list[dict[str, str]]:
    """Return the table of the machines, one row each."""
    return [
        {
            "node": plain(work.node),
            "slots": f"{work.slots:,}",
            "shards under way": f"{work.orders:,}",
            "rate": f"{work.entries_s:,.0f} entries/s, {shown_bytes(work.bytes_s)}/s",
        }
        for work in nodes
    ]


def failure_line(failure: Failure) -> str:
    """Return one line about a failure and its reason."""
    return f"{failure.verb} {shown(failure.path)}: {failure.status}: {failure.reason}"


def summary_line(summary: Summary) -> str:
    """Return the summary of a run in one line."""
    return (
        f"{summary.dataset}: {summary.state} in {summary.seconds:.1f} s: "
        f"{summary.listed:,} listed, {summary.unchanged:,} unchanged, "
        f"{summary.copied:,} copied ({shown_bytes(summary.copied_bytes)}), "
        f"{summary.updated:,} updated, {summary.verified:,} verified, "
        f"{summary.deleted:,} deleted, {summary.failed:,} failed"
    )


def summary_page(dataset: Dataset, summary: Summary) -> str:
    """Return the summary of a run as a page of Markdown."""
    rows = "\n".join(f"| {name} | {value} |" for name, value in _facts(summary))
    notes = "\n".join(f"- {harmless(note)}" for note in summary.notes)
    return (
        f"## {harmless(dataset.name)}: {harmless(summary.state)}\n\n"
        f"{harmless(dataset.source)} → {harmless(dataset.target)}\n\n"
        f"| | |\n|---|---:|\n{rows}\n\n{notes}\n\n"
        f"{_where_failures_are(summary)}\n"
    )


def _where_failures_are(summary: Summary) -> str:
    if summary.state == PLANNED:
        return "This was a dry run: nothing was changed."
    return (
        f"Run {summary.run_id}. What failed, and why: "
        f"`haulage failures {summary.run_id}`"
    )


def plan_page(dataset: Dataset, plan: DeletePlan, first: Sequence[bytes]) -> str:
    """Return a page of Markdown about a waiting delete plan, with the first paths."""
    paths = "\n".join(f"- {harmless(os.fsdecode(path))}" for path in first)
    rest = plan.entries - len(first)
    more = f"\n\nand {rest:,} more: `haulage deletes show {plan.id}`" if rest else ""
    return (
        f"## {harmless(dataset.name)}: {plan.entries:,} deletes wait "
        f"({shown_bytes(plan.content_bytes)})\n\n{harmless(plan.reason)}\n\nFirst "
        f"check that {harmless(dataset.source)} is complete. To delete them from "
        f"{harmless(dataset.target)}, run the deployment **apply-deletes** with plan "
        f"`{plan.id}` and yes_delete `{plan.entries}`, or type `haulage deletes apply "
        f"{plan.id} --yes-delete {plan.entries}`; to drop the plan, `haulage deletes "
        f"decline {plan.id}`. Each path is checked again.\n\n{paths}{more}\n"
    )


def _facts(summary: Summary) -> list[tuple[str, str]]:
    first = summary.first_byte_s
    return [
        ("listed", f"{summary.listed:,}"),
        ("unchanged", f"{summary.unchanged:,}"),
        ("copied", f"{summary.copied:,}"),
        ("bytes copied", shown_bytes(summary.copied_bytes)),
        ("read to compare", f"{summary.checked:,}"),
        ("bytes read to compare", shown_bytes(summary.checked_bytes)),
        ("attributes updated", f"{summary.updated:,}"),
        ("directories and links made", f"{summary.made:,}"),
        ("verified", f"{summary.verified:,}"),
        ("deleted", f"{summary.deleted:,}"),
        ("kept by a guard", f"{summary.kept:,}"),
        ("**failed**", f"**{summary.failed:,}**"),
        ("seconds", f"{summary.seconds:.1f}"),
        ("seconds to the first byte", "-" if first is None else f"{first:.1f}"),
    ]


def _rate(wave: WaveProgress) -> str:
    seconds = max(wave.seconds, 0.001)
    speed = shown_bytes(wave.done_bytes / seconds)
    return f"{wave.done / seconds:,.0f} entries/s, {speed}/s"
