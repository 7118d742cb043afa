"""The caps on deletes, checked before the first entry is removed."""

from dataclasses import dataclass

from haulage.config.policy import Delete, Policy, RunPolicy


@dataclass(frozen=True, slots=True)
class Gone:
    """How much a listing found gone, and the manifest's totals to compare it with."""

    entries: int
    bytes: int
    listed: int
    known: int


def emptiness(policy: RunPolicy, gone: Gone) -> str | None:
    """Return why the source looks unmounted, and the next step; None if it does not."""
    if gone.listed <= 1 and not policy.allow_empty_source:
        return "the source is empty; if that is right: --allow-empty-source"
    return None


def needs_approval(policy: Policy, gone: Gone) -> str | None:
    """Return why a person must approve deleting `gone`, or None."""
    guards = policy.guards
    if policy.delete is Delete.PLAN:
        return f"{gone.entries} entries are gone at the source, and delete is 'plan'"
    if gone.entries > guards.max_count:
        return (
            f"{gone.entries} entries are gone at the source, over the cap of "
            f"{guards.max_count}; to raise it: --max-delete {gone.entries}"
        )
    if gone.entries > guards.max_share * gone.known:
        return (
            f"{gone.entries} of {gone.known} entries are gone at the source, over the "
            f"cap of {guards.max_share:.0%}; to raise it: --max-delete-share 1"
        )
    if guards.max_bytes is not None and gone.bytes > guards.max_bytes:
        return (
            f"{gone.bytes} bytes are gone at the source, over the cap of "
            f"{guards.max_bytes}; to raise it: --max-delete-bytes {gone.bytes}"
        )
    return None
