"""Log messages after a run that did not finish.

Hooks may run in the worker instead of the flow, late or twice: this one only logs. The
next run finds in the catalog what such a run leaves behind.
"""

from typing import Any

from prefect.client.schemas.objects import FlowRun, State
from prefect.flows import Flow
from prefect.logging.loggers import flow_run_logger


def tell_how_it_goes_on(
    flow: Flow[..., Any], flow_run: FlowRun, state: State[Any]
) -> None:
    """Log what happens to the work that was done."""
    flow_run_logger(flow_run, flow).info(
        "%s: the catalog has a record of what was copied; retry this flow run to "
        "continue it, or start a new one for the dataset, which keeps the work of "
        "this one",
        state.name,
    )
