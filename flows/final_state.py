"""The final state of a flow run: its summary, or a failure in plain words."""

import logging
from typing import Any

from prefect.client.schemas.objects import State
from prefect.exceptions import FailedRun
from prefect.states import Cancelled, Failed

from haulage.errors import CancelledError, HaulageError
from haulage.run.context.runner import Summary
from haulage.run.summary import PLANNED


def final_state_of(summary: Summary) -> Any:  # noqa: ANN401 - a result, or a state
    """Return the summary of a run, or a failure with the number of missing entries.

    It is a failure if any entry failed; the message says where they are listed.
    """
    if summary.exit_code == 0:
        return summary.as_dict()
    if summary.state == PLANNED:
        return Failed(message="; ".join(summary.notes))
    return Failed(
        message=f"{summary.failed:,} of {summary.listed:,} entries failed; the others "
        f"are done. haulage failures {summary.run_id} lists them, and the next run "
        "tries them again."
    )


def failed_state_of(err: HaulageError) -> State[Any]:
    """Return the final state of a run that an error ended, with the error's message."""
    if isinstance(err, CancelledError):
        return Cancelled(message=str(err))
    return Failed(message=str(err))


def _speaks(record: logging.LogRecord) -> bool:
    return not (record.exc_info and isinstance(record.exc_info[1], FailedRun))


# Prefect follows a failure that a flow returns with forty lines of its own stack.
logging.getLogger("prefect.flow_runs").addFilter(_speaks)
