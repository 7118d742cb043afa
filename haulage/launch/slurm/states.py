"""SLURM's words for the state of a task, and what they mean for a slot."""

import re

from haulage.launch.engine import SlotLife

_BEFORE = ("CONFIGURING", "PENDING", "POWER_UP_NODE", "REQUEUED", "REQUEUE_FED")
_HELD = ("REQUEUE_HOLD", "RESV_DEL_HOLD", "SPECIAL_EXIT")
_ENDED = (
    *("BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "LAUNCH_FAILED"),
    *("OUT_OF_MEMORY", "TIMEOUT"),
)
_LIVES = {
    **dict.fromkeys(_BEFORE, SlotLife.WAITING),
    **dict.fromkeys(_HELD, SlotLife.HELD),
    **dict.fromkeys(_ENDED, SlotLife.ENDED),
    "NODE_FAIL": SlotLife.LOST,
    "PREEMPTED": SlotLife.ENDED,
}
# Reasons for which a task waits until a person does something.
_BLOCKED = re.compile(
    r"\bheld\b|Held(Admin|User)$|^(PartitionConfig|Partition\w*Limit|BadConstraints"
    r"|DependencyNeverSatisfied|AccountNotAllowed|QOSNotAllowed|Invalid(Account|QOS)"
    r"|\w+(Max|Min)\w+Per(Job|Node)\w*)$"
)


def life_of(word: str, reason: str = "", *, requeues: bool = False) -> SlotLife:
    """Return what a state means, of a task that SLURM may start again or not.

    What is not known is taken for alive, and never for an end. COMPLETING is none
    either, because processes may live.
    """
    state = word.split(" ", maxsplit=1)[0].rstrip("+")  # as in `CANCELLED by 1000`
    if state == "PENDING" and _BLOCKED.search(reason):
        return SlotLife.HELD
    if state == "PREEMPTED" and requeues:
        return SlotLife.WAITING
    return _LIVES.get(state, SlotLife.RUNNING)


def is_out_of_memory(word: str) -> bool:
    """Tell whether a task was ended because it needed more memory than it had."""
    return word == "OUT_OF_MEMORY"


def is_away(node_state: str) -> bool:
    """Tell whether a node cannot have told the end of what ran on it."""
    words = node_state.lower()
    if words.startswith("power"):  # off, and everything on it with it
        return False
    return "*" in words or any(one in words for one in ("down", "fail", "unknown"))
