"""The caps of the delete pass, looked at before the first entry is removed."""

from dataclasses import dataclass

from haulage.policy import Policy


@dataclass(frozen=True, slots=True)
class Gone:
    """What a listing found gone, and what that is weighed against, in entries."""

    entries: int
    bytes: int
    listed: int
    known: int


def refusal(policy: Policy, gone: Gone) -> str | None:
    """Say which guard forbids to delete `gone`, and how to go on; None if none does."""
    guards = policy.guards
    if gone.listed <= 1 and not policy.allow_empty_source:
        return "the source is empty; if that is right: --allow-empty-source"
    if gone.entries > guards.max_count:
        return (
            f"{gone.entries} entries are gone at the source, over the cap of "
            f"{guards.max_count}; if that is right: --max-delete {gone.entries}"
        )
    if gone.entries > guards.max_share * gone.known:
        return (
            f"{gone.entries} of {gone.known} entries are gone at the source, over the "
            f"cap of {guards.max_share:.0%}; if that is right: --max-delete-share 1"
        )
    if guards.max_bytes is not None and gone.bytes > guards.max_bytes:
        return (
            f"{gone.bytes} bytes are gone at the source, over the cap of "
            f"{guards.max_bytes}; if that is right: --max-delete-bytes {gone.bytes}"
        )
    return None
