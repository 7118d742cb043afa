"""Check paths, endpoints and options before a run touches anything."""

import os
from collections.abc import Mapping
from pathlib import Path

from haulage.catalog.db.engine import home
from haulage.config.patterns import Rules, check_rules
from haulage.config.policy import NOTHING_ONCE, Dataset, Filters, Once
from haulage.errors import RefusedError, shown_path
from haulage.model import PRESERVED
from haulage.place import SCHEMES, Place, normalized
from haulage.run.context.endpoints import Pair, pair_of
from haulage.run.context.overlapping_prefixes import why_not_apart
from haulage.run.context.state_directory import own_directories
from haulage.run.guards.lustre import check_layouts
from haulage.storage.buckets.protocol import MissingBucketError, keys_below


def check_ends(
    dataset: Dataset,
    secrets: Mapping[str, str] | None = None,
    once: Once = NOTHING_ONCE,
    *,
    looks: bool = False,
) -> tuple[Dataset, Pair]:
    """Return the dataset with normalised roots, and both places.

    RefusedError names what is wrong. A bucket must exist, or is created if the dataset
    asks for that, unless this only `looks`.
    """
    source, target = root_of(dataset.source), root_of(dataset.target)
    dataset = dataset.model_copy(update={"source": source, "target": target})
    pair = pair_of(dataset, secrets)
    filters = dataset.policy.filters
    check_rules(filters.rules)
    if pair.source.is_bucket and (filters.min_atime_age or filters.max_atime_age):
        raise RefusedError(
            f"source {source}: objects have no access time; filter by age, which uses "
            "their last change"
        )
    _check_preserve(dataset, pair)
    _check_trust(dataset, pair)
    check_layouts(dataset.policy, pair)
    if pair.target.is_bucket and dataset.policy.trash is not None:
        raise RefusedError(
            f"target {target}: the trash is a directory beside the entries, and a "
            f"bucket cannot rename. Turn on the bucket's versioning, which keeps what "
            f"is deleted, and sync without --trash"
        )
    if pair.source.is_bucket:
        pair.bucket(pair.source).check()
        if not once.allow_empty_source:
            _check_source_has_keys(pair)
    else:
        _check_source(source)
    if pair.source.is_bucket and pair.target.is_bucket:
        _check_prefixes_apart(pair.source, pair.target)
    elif not pair.source.is_bucket and not pair.target.is_bucket:
        _check_apart(source, target, dataset.policy.filters)
    if pair.target.is_bucket:
        _check_target_bucket(
            pair, create=dataset.target_store.create_bucket, looks=looks
        )
    else:
        _check_target(target, make_parents=once.make_parents)
    return dataset, pair


def _check_target_bucket(pair: Pair, *, create: bool, looks: bool) -> None:
    bucket = pair.bucket(pair.target)
    try:
        bucket.check(create=create and not looks)
    except MissingBucketError:
        if not (create and looks):  # a run would make it
            raise


def _check_preserve(dataset: Dataset, pair: Pair) -> None:
    """Refuse a `--preserve` that would have no effect."""
    if dataset.policy.preserve == PRESERVED:
        return
    for place in (pair.source, pair.target):
        if place.is_bucket:
            raise RefusedError(
                f"{shown_path(place.url)}: with a bucket at either end Haulage always "
                "preserves mode, owner, mtime and links, and nothing else; leave out "
                "--preserve"
            )


def _check_trust(dataset: Dataset, pair: Pair) -> None:
    """Refuse a `--trust-metadata` that would have no effect."""
    if dataset.policy.trust_metadata and not pair.rejoins:
        raise RefusedError(
            f"source {shown_path(pair.source.url)}, target "
            f"{shown_path(pair.target.url)}: metadata can be trusted only from a "
            "bucket into a directory; leave out --trust-metadata"
        )


def check_target(dataset: Dataset) -> Pair:
    """Return both places of a known dataset; only its target must exist."""
    pair = pair_of(dataset)
    if not pair.target.is_bucket:
        _check_target(pair.target.url)
    return pair


def root_of(root: str) -> str:
    """Return the normal spelling of a directory's path or a bucket's URL."""
    if "\0" in root:
        raise RefusedError(f"{root!r} has a NUL byte, so it cannot name a directory")
    if not root.isascii() and any("\ud800" <= char <= "\udfff" for char in root):
        raise RefusedError(
            f"{root!a} is not UTF-8; only names below a root may be any bytes, so "
            "name the root by a link with a UTF-8 name"
        )
    if root.startswith("haulage-store/"):
        raise RefusedError(
            f"{root} is a Prefect block, which only a deployment's run can open; give "
            f"its URL here, or ./{root} for a directory of that name"
        )
    if "://" in root:
        return normalized(root)
    _check_is_path(root)
    try:
        return "/" + os.path.abspath(root).lstrip("/")
    except FileNotFoundError:
        raise RefusedError(
            f"{shown_path(root)} is below the current directory, which was removed; "
            f"change to another, or give paths that begin with /"
        ) from None


def _check_is_path(root: str) -> None:
    """Refuse what a shell, rsync or rclone reads as something else than a directory."""
    first = root.partition("/")[0]
    if first.startswith("~"):
        raise RefusedError(
            f"{shown_path(root)}: only a shell expands ~, and only unquoted; give the "
            f"absolute path, or ./{shown_path(root)} for a directory named so"
        )
    scheme, colon, _ = first.partition(":")
    if not colon:
        return
    meant = (
        f"a bucket is {scheme}://BUCKET/PREFIX"
        if scheme in SCHEMES
        else (
            f"Haulage connects to no other host: mount what {shown_path(scheme)} has, "
            "or run there"
        )
    )
    raise RefusedError(
        f"{shown_path(root)} is not a path: {meant}; for a directory of that name, "
        f"give ./{shown_path(root)}"
    )


def _check_prefixes_apart(source: Place, target: Place) -> None:
    """Compare the addresses of two buckets; only a trial finds other equal ones."""
    why = why_not_apart(source, target)
    if why and source.address == target.address:
        raise RefusedError(why)


def _check_source_has_keys(pair: Pair) -> None:
    """Refuse a prefix without any key: this is how a bucket's directory is missing.

    An empty directory that came from a tree has an object, and is restored from it.
    """
    source = pair.source
    if next(keys_below(pair.bucket(source), source.prefix), None) is None:
        found = (
            f"does not exist: no key begins with {shown_path(source.prefix)}"
            if source.prefix
            else "is a bucket without any object"
        )
        raise RefusedError(
            f"source {shown_path(source.url)} {found}; is it spelled right? To "
            "continue anyway: --allow-empty-source"
        )


def _check_source(source: str) -> None:
    shown = shown_path(source)
    if not os.path.lexists(source):
        raise RefusedError(f"source {shown} does not exist; is it mounted?")
    if not Path(source).is_dir():
        raise RefusedError(
            f"source {shown} is not a directory; name the directory that holds it"
        )
    if not os.access(source, os.R_OK | os.X_OK):
        raise RefusedError(
            f"source {shown} is not readable by this user (uid {os.geteuid()}); run "
            "as a user who may read it"
        )


def _check_apart(source: str, target: str, filters: Filters) -> None:
    """Compare the roots with every link resolved, and their inodes."""
    real_source, real_target = Path(source).resolve(), Path(target).resolve()
    pair = f"source {shown_path(source)} and target {shown_path(target)}"
    if real_source == real_target or _is_same_file(source, target):
        raise RefusedError(f"{pair} are the same directory; name another target")
    inside = real_source in real_target.parents
    if inside and not _is_left_out(real_source, real_target, filters):
        raise RefusedError(
            f"{pair}: the target lies inside the source; move one out, or leave the "
            f"target out by --exclude or --one-file-system"
        )
    if real_target in real_source.parents:
        raise RefusedError(f"{pair}: the source lies inside the target; move one out")


def _is_left_out(source: Path, target: Path, filters: Filters) -> bool:
    """Tell whether the filters keep a listing of the source out of the target."""
    path = os.fsencode(target.relative_to(source)) + b"/"
    if not Rules(filters.rules).keep_below(path):
        return True
    existing = target
    while not existing.exists():
        existing = existing.parent
    other = existing.stat().st_dev != source.stat().st_dev
    return filters.one_file_system and other


def _is_same_file(source: str, target: str) -> bool:
    return os.path.exists(target) and Path(source).samefile(target)


def _check_target(target: str, *, make_parents: bool = False) -> None:
    shown = shown_path(target)
    _check_not_own(target)
    if os.path.lexists(target) and not Path(target).is_dir():
        raise RefusedError(
            f"target {shown} exists and is not a directory; move it away or name "
            f"another"
        )
    parent = Path(target).parent
    if not make_parents and not os.path.exists(parent):
        raise RefusedError(
            f"target {shown}: its parent {shown_path(str(parent))} does not exist; is "
            "it spelled right, and mounted? To create it: --make-parents"
        )
    existing = Path(target)
    while not os.path.exists(existing):  # a name may be too long to be looked for
        existing = existing.parent
    if not _is_writable(existing):
        raise RefusedError(
            f"target {shown} cannot be written: {shown_path(str(existing))} is not "
            f"writable by this user (uid {os.geteuid()}); change its mode or mount"
        )


def _check_not_own(target: str) -> None:
    """Refuse Haulage's own directories as a target, and anything beside them."""
    real, state = Path(target).resolve(), home().resolve()
    own = [each.resolve() for each in own_directories()]
    if real == state or any(each in (real, *real.parents) for each in own):
        raise RefusedError(
            f"target {shown_path(target)} is Haulage's own directory "
            f"{shown_path(str(state))}, or in one of its directories "
            f"({', '.join(each.name for each in own)}); name another"
        )


def make_target(place: Place) -> None:
    """Create the target's directory; RefusedError if that fails."""
    if place.is_bucket:
        return
    try:
        Path(place.url).mkdir(parents=True, exist_ok=True)
    except OSError as err:
        raise RefusedError(
            f"target {shown_path(place.url)} cannot be made: {err.strerror}; make it "
            f"yourself, or name another"
        ) from None


def _is_writable(directory: Path) -> bool:
    """Tell whether this user may write there, or may change its mode to do so."""
    if os.statvfs(directory).f_flag & os.ST_RDONLY:
        return False
    is_ours = os.geteuid() != 0 and directory.stat().st_uid == os.geteuid()
    return is_ours or os.access(directory, os.W_OK | os.X_OK)
