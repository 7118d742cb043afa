"""Turns words of the command line into datasets and policies."""

import argparse
import hashlib
import re
from typing import Any

from pydantic import ValidationError

from haulage.cli.options.launchers import OF_CONTAINER, SLURM_OPTIONS, slurm_dest
from haulage.cli.options.stores import store_option
from haulage.config.launchers import LOCAL, Launcher, Slurm
from haulage.config.policy import Dataset, Once, Policy
from haulage.config.store_options import StoreOptions
from haulage.errors import RefusedError

_CREDENTIALS = re.compile("//.*@")  # of a URL, which an error must not repeat
# option -> where its value belongs in the policy
_FIELDS = {
    "verify": ("verify",),
    "preserve": ("preserve",),
    "trust_metadata": ("trust_metadata",),
    "stripe": ("stripe",),
    "mdts": ("mdts",),
    "delete": ("delete",),
    "trash": ("trash",),
    "share_target": ("share_target",),
    "fsync": ("fsync",),
    "attempts": ("attempts",),
    "sample_share": ("sample_share",),
    "keep_days": ("keep", "days"),
    "keep_runs": ("keep", "runs"),
    "max_delete": ("guards", "max_count"),
    "max_delete_share": ("guards", "max_share"),
    "max_delete_bytes": ("guards", "max_bytes"),
    "shard_entries": ("shards", "max_entries"),
    "shard_bytes": ("shards", "max_bytes"),
    "min_size": ("filters", "min_size"),
    "max_size": ("filters", "max_size"),
    "min_age": ("filters", "min_age"),
    "max_age": ("filters", "max_age"),
    "min_atime_age": ("filters", "min_atime_age"),
    "max_atime_age": ("filters", "max_atime_age"),
    "one_file_system": ("filters", "one_file_system"),
}
# and what is asked of one run alone
_ONCE = {name: (name,) for name in Once.model_fields}


def policy_of(args: argparse.Namespace, base: Policy | None = None) -> Policy:
    """Return `base` changed by the command line; RefusedError names a bad option."""
    fields = (base or Policy()).model_dump()
    fields["launcher"] = launcher_of(args, (base or Policy()).launcher)
    for option, where in _FIELDS.items():
        value = getattr(args, option, None)
        if value is None:
            continue
        place = fields
        for step in where[:-1]:
            place = place[step]
        place[where[-1]] = value
    rules = getattr(args, "rules", None) or ()
    known = () if getattr(args, "no_rules", False) else fields["filters"]["rules"]
    fields["filters"]["rules"] = (*rules, *known)  # the first that matches decides
    try:
        return Policy.model_validate(fields)
    except ValidationError as err:
        raise RefusedError(_first_problem(err)) from err


def once_of(args: argparse.Namespace) -> Once:
    """Return what the command line asks of this run alone."""
    given = {name: getattr(args, name, None) for name in _ONCE}
    try:
        return Once.model_validate({k: v for k, v in given.items() if v is not None})
    except ValidationError as err:
        raise RefusedError(_first_problem(err)) from err


def _first_problem(err: ValidationError) -> str:
    problem = err.errors()[0]
    where = tuple(str(part) for part in problem["loc"] if isinstance(part, str))
    options = {fields: option for option, fields in (_FIELDS | _ONCE).items()}
    option = options.get(where)
    name = "--" + option.replace("_", "-") if option else ".".join(where)
    text = re.sub(r"^Value error, ", "", problem["msg"])
    return f"{name}: {text} (given: {problem['input']!r})"


def dataset_of(args: argparse.Namespace, source: str, target: str) -> Dataset:
    """Return the dataset of a pair; unnamed, it is named after the pair itself."""
    name = args.name or _name_of_pair(source, target)
    try:
        plain = Dataset(name=name, source=source, target=target)
    except ValidationError as err:
        raise RefusedError(_first_problem(err)) from err
    return changed_by(args, plain)


def changed_by(args: argparse.Namespace, dataset: Dataset) -> Dataset:
    """Return `dataset` as the command line changes it."""
    return dataset.model_copy(
        update={
            "policy": policy_of(args, dataset.policy),
            "source_store": options_of(args, "source", dataset.source_store),
            "target_store": options_of(args, "target", dataset.target_store),
        }
    )


def launcher_of(args: argparse.Namespace, base: Launcher) -> Launcher:
    """Return `base` changed by the command line; RefusedError names a bad option."""
    kind = getattr(args, "launcher", None)
    given = {name: getattr(args, slurm_dest(name), None) for name in SLURM_OPTIONS}
    given = {name: value for name, value in given.items() if value is not None}
    if kind not in (None, "local", "slurm"):
        raise RefusedError(
            f"--launcher {kind}: choose local or slurm. Blocks of Prefect are for "
            "datasets of deployments; here, give the options themselves"
        )
    if kind == "slurm" or (isinstance(base, Slurm) and kind is None):
        return _slurm_of(given, base)
    if given:
        option = SLURM_OPTIONS[next(iter(given))]
        raise RefusedError(f"{option} is an option of --launcher slurm; add that")
    return LOCAL if kind == "local" else base


def _slurm_of(given: dict[str, object], base: Launcher) -> Slurm:
    fields: dict[str, Any] = {"kind": "slurm"}
    if isinstance(base, Slurm):
        fields = base.model_dump()
    container = fields.get("container") or {}
    container |= {name: given.pop(name) for name in OF_CONTAINER if name in given}
    if container:
        fields["container"] = container
    try:
        return Slurm.model_validate(fields | given)
    except ValidationError as err:
        problem = err.errors()[0]
    names = [str(part) for part in problem["loc"] if isinstance(part, str)]
    text = problem["msg"].removeprefix("Value error, ")
    if not names:
        raise RefusedError(f"--launcher slurm: {text}")
    if problem["type"] == "missing":
        raise RefusedError(f"--launcher slurm: also give {SLURM_OPTIONS[names[-1]]}")
    option = SLURM_OPTIONS[names[-1]]
    raise RefusedError(f"{option}: {text} (given: {problem['input']!r})")


def options_of(args: argparse.Namespace, end: str, base: StoreOptions) -> StoreOptions:
    """Return `base` changed by the command line; RefusedError names a bad option."""
    fields = base.model_dump()
    for name in fields:
        value = getattr(args, f"{end}_{name}", None)
        if value is not None:
            fields[name] = value
    if tags := getattr(args, f"{end}_tag", None):
        fields["tags"] = dict(_tag_of(f"--{end}-tag", tag) for tag in tags)
    try:
        return StoreOptions.model_validate(fields)
    except ValidationError as err:
        problem = err.errors()[0]
        name = store_option(end, str(problem["loc"][0]))
        given = _CREDENTIALS.sub("//***@", repr(problem["input"]))
        text = problem["msg"].removeprefix("Value error, ")
        raise RefusedError(f"{name}: {text} (given: {given})") from None


def _tag_of(option: str, text: str) -> tuple[str, str]:
    key, found, value = text.partition("=")
    if not key or not found:
        raise RefusedError(f"{option} {text}: write KEY=VALUE")
    return key, value


def _name_of_pair(source: str, target: str) -> str:
    """Return a name that is readable and the pair's own."""
    last = source.rstrip("/").rpartition("/")[2]
    readable = re.sub(r"[^A-Za-z0-9]+", "-", last).strip("-")[:40]
    pair = f"{source}\0{target}".encode("utf-8", "surrogateescape")
    return f"{readable or 'root'}-{hashlib.sha256(pair).hexdigest()[:8]}"
