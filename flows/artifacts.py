"""Show a run in progress: a progress bar, a table of waves, lines in the log."""

import json
import logging
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any
from uuid import UUID

import httpx
from prefect.artifacts import (
    create_markdown_artifact,
    create_progress_artifact,
    create_table_artifact,
)
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import ArtifactUpdate
from prefect.exceptions import PrefectException

from flows.artifact_texts import (
    artifact_key,
    failure_line,
    node_rows,
    plain,
    plan_page,
    share_done,
    state_of,
    summary_line,
    summary_page,
    wave_line,
    wave_rows,
)
from haulage.catalog.deletes.delete_plans import DeletePlan
from haulage.catalog.failures import Failure
from haulage.config.policy import Dataset
from haulage.run.context.runner import Progress, Summary

Log = logging.Logger | logging.LoggerAdapter[logging.Logger]

# Every drawing is two requests; a person does not read faster.
DRAW_EVERY_S = 3.0
REQUEST_TIMEOUT_S = 5.0
_MEANING = {
    "progress": "Progress of the run that syncs",
    "waves": "Waves of shards of the run that syncs",
    "nodes": "Machines that work for the run that syncs",
    "summary": "Result of the run that synced",
    "deletes": "Deletes that wait for approval in",
}
ENDED = frozenset({"done", "failed", "cancelled"})


class RunArtifacts:
    """The artifacts of one flow run, and its log lines."""

    def __init__(
        self, dataset: Dataset, log: Log, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._dataset = dataset
        self._log = log
        self._clock = clock
        self._drawn = -DRAW_EVERY_S
        self._told: set[str] = set()
        self._last: Progress | None = None
        self._nodes: UUID | None = None
        self._bar = self._made(create_progress_artifact, 0.0, "progress")
        self._table = self._made(create_table_artifact, wave_rows(()), "waves")

    def show(self, progress: Progress) -> None:
        """Log waves that ended; update bar and table if it is time."""
        self._last = progress
        for wave in progress.waves:
            if wave.state in ENDED and wave.name not in self._told:
                self._told.add(wave.name)
                self._log.info("%s", plain(wave_line(wave)))
        if self._clock() - self._drawn >= DRAW_EVERY_S:
            self._drawn = self._clock()
            self._log.info("%s", plain(state_of(progress)))
            self._draw(progress)

    def close(self, summary: Summary, failures: Iterable[Failure]) -> None:
        """Update the artifacts a last time; write the summary, log first failures."""
        if self._last:
            self._draw(self._last)
        if self._bar and summary.exit_code == 0:
            self._update(
                self._bar, data=100.0, description=plain(summary_line(summary))
            )
        self._log.info("%s", plain(summary_line(summary)))
        for note in summary.notes:
            self._log.info("%s", plain(note))
        for failure in failures:
            self._log.error("%s", plain(failure_line(failure)))
        page = summary_page(self._dataset, summary)
        self._made(create_markdown_artifact, page, "summary")

    def ask(self, plan: DeletePlan, first: Sequence[bytes]) -> None:
        """Show a waiting delete plan, and what to type to approve it."""
        page = plan_page(self._dataset, plan, first)
        self._made(create_markdown_artifact, page, "deletes")

    def _draw(self, progress: Progress) -> None:
        state = plain(state_of(progress))
        if self._bar:
            self._update(self._bar, data=share_done(progress), description=state)
        if self._table:
            self._update(self._table, data=json.dumps(wave_rows(progress.waves)))
        self._draw_nodes(node_rows(progress.nodes))

    def _draw_nodes(self, rows: list[dict[str, str]]) -> None:
        """Show other machines from the first one on; the last ones stay."""
        if rows and self._nodes is None:
            self._nodes = self._made(create_table_artifact, rows, "nodes")
        elif rows and self._nodes:
            self._update(self._nodes, data=json.dumps(rows))

    def _update(self, artifact: UUID, **fields: Any) -> None:  # noqa: ANN401
        # Whoever calls `show` also proves that the run lives, so it must not hang.
        brief = {"timeout": REQUEST_TIMEOUT_S}
        try:
            with get_client(sync_client=True, httpx_settings=brief) as client:
                client.update_artifact(artifact, ArtifactUpdate(**fields))
        except (httpx.HTTPError, PrefectException) as err:
            self._log.warning("an artifact of this run could not be updated: %s", err)

    def _made(
        self, make: Callable[..., Any], content: object, what: str
    ) -> UUID | None:
        """Create an artifact; a server that is away for a moment must not end a run."""
        try:
            made = make(
                content,
                key=artifact_key(self._dataset.name, what),
                description=f"{_MEANING[what]} {plain(self._dataset.name)}",
            )
        except (httpx.HTTPError, PrefectException) as err:
            self._log.warning("no %s artifact for this run: %s", what, err)
            return None
        return made if isinstance(made, UUID) else None
