"""Resolve the blocks that a dataset names.

Secrets go from a block to the environment of movers and listers, and nowhere else.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from prefect.blocks.core import Block
from prefect.exceptions import ObjectNotFound
from pydantic import ValidationError

from haulage.config.policy import Dataset, Policy
from haulage.config.store_options import StoreOptions
from haulage.errors import RefusedError, shown_path
from haulage.place import scheme_of
from haulage.run.context.endpoints import SOURCE_SECRETS, TARGET_SECRETS

# Imported where a block is named: prefect_aws takes a second.
if TYPE_CHECKING:
    from prefect_aws.credentials import AwsCredentials, MinIOCredentials

_STORES = "haulage-store"
T = TypeVar("T", bound=Block)


@dataclass(frozen=True)
class Resolved:
    """A dataset without blocks, and its secrets by the names of their variables.

    An endpoint's options name credentials only if `environ` has secrets for it.
    """

    dataset: Dataset
    environ: Mapping[str, str] = field(repr=False)


@dataclass(frozen=True)
class _End:
    url: str
    options: StoreOptions
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)

    def environ(self, prefix: str) -> dict[str, str]:
        return {f"{prefix}_{name}": value for name, value in self.secrets.items()}


def resolve(dataset: Dataset) -> Resolved:
    """Load the blocks that `dataset` names; RefusedError names an invalid one."""
    source = _resolve_end(_End(dataset.source, dataset.source_store))
    target = _resolve_end(_End(dataset.target, dataset.target_store))
    ends = {
        "source": source.url,
        "source_store": source.options,
        "target": target.url,
        "target_store": target.options,
        "policy": _with_launcher(dataset.policy),
    }
    return Resolved(
        dataset.model_copy(update=ends),
        source.environ(SOURCE_SECRETS) | target.environ(TARGET_SECRETS),
    )


def _with_launcher(policy: Policy) -> Policy:
    from blocks.launchers import HaulageSlurm

    if not isinstance(policy.launcher, str):
        return policy
    saved = _load(HaulageSlurm, policy.launcher.partition("/")[2])
    return policy.model_copy(update={"launcher": saved.build()})


def _resolve_end(end: _End) -> _End:
    """Fill in the options that the dataset leaves empty: from its store, then keys."""
    kind, _, name = end.url.partition("/")
    if kind == _STORES:
        end = _with_store(end, name)
    if "://" not in end.url and not end.url.startswith("/"):
        raise RefusedError(
            f"{end.url}: a relative path would depend on the directory that a worker "
            "runs in; give the absolute path"
        )
    return _with_keys(end, end.options.credentials) if end.options.credentials else end


def _with_store(end: _End, name: str) -> _End:
    from blocks.stores import HaulageStore

    store = _load(HaulageStore, name)
    own = end.options.model_dump(exclude_defaults=True)
    return _End(store.url, _changed(store.build(), end.url, own))


def _with_keys(end: _End, reference: str) -> _End:
    from blocks.keys import keys_of

    if scheme_of(end.url) != "s3":
        raise RefusedError(
            f"{shown_path(end.url)} is not an s3:// bucket, so it cannot use "
            f"{reference}; leave its credentials empty"
        )
    keys = keys_of(_load_credentials(reference), reference)
    changes: dict[str, Any] = {
        name: value
        for name, value in keys.options.items()
        if getattr(end.options, name) is None
    }
    if not keys.secrets:
        changes["credentials"] = None
    options = _changed(end.options, reference, changes)
    _check_endpoint(options, reference)
    return _End(end.url, options, keys.secrets)


def _load_credentials(reference: str) -> "AwsCredentials | MinIOCredentials":
    from prefect_aws.credentials import AwsCredentials, MinIOCredentials

    kind, _, name = reference.partition("/")
    if kind == AwsCredentials.get_block_type_slug():
        return _load(AwsCredentials, name)
    if kind == MinIOCredentials.get_block_type_slug():
        return _load(MinIOCredentials, name)
    raise RefusedError(
        f"block {reference}: Haulage takes no credentials from blocks of type {kind}; "
        "name an aws-credentials or minio-credentials block"
    )


def _load(kind: type[T], name: str) -> T:
    reference = f"{kind.get_block_type_slug()}/{name}"
    try:
        loaded = kind.load(name)
        assert isinstance(loaded, kind), "outside of an event loop it is loaded at once"
        return loaded
    except (ValueError, RuntimeError) as err:
        if isinstance(err.__cause__, ObjectNotFound):
            reason = "does not exist; create it in the Prefect UI, under Blocks"
        elif isinstance(err.__cause__, ValidationError):
            reason = f"is not valid: {_told(err.__cause__)}; edit it in the Prefect UI"
        else:
            raise
    # Outside, because the error above may quote values of the block.
    raise RefusedError(f"block {reference} {reason}")


def _changed(
    options: StoreOptions, named: str, changes: Mapping[str, Any]
) -> StoreOptions:
    try:
        return StoreOptions.model_validate({**options.model_dump(), **changes})
    except ValidationError as err:
        reason = _told(err)
    raise RefusedError(f"{named} is not valid: {reason}; edit it in the Prefect UI")


def _told(err: ValidationError) -> str:
    """Return what is wrong without the values."""
    found = err.errors(include_url=False, include_context=False, include_input=False)
    return ", ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in found)


def _check_endpoint(options: StoreOptions, reference: str) -> None:
    if reference.startswith("minio-") and not options.endpoint:
        raise RefusedError(
            f"{reference} names no endpoint, so its keys would be sent to Amazon; set "
            "the endpoint of the dataset's store, or the block's endpoint URL"
        )
