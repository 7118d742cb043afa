"""Recognise both endpoints: by a sample of entries, and the target by its mark.

An unmounted directory is empty, or has other files. A mount point may have files of its
own, so it need not be empty when nothing is mounted. Inodes and device numbers prove
little: network and FUSE mounts change them.
"""

from bisect import bisect_right
from dataclasses import dataclass, replace
from enum import Enum, auto

from haulage.catalog.db.engine import Catalog
from haulage.catalog.manifests.reader import Manifest
from haulage.catalog.runs.lineage import Left, left_as, left_by
from haulage.catalog.runs.runs import Run
from haulage.config.policy import Delete
from haulage.errors import BrokenPageError, RefusedError, shown_path
from haulage.paths import shown
from haulage.run.context.target_mark import Mark, mounts_of
from haulage.run.discovery.discover import Comparison
from haulage.run.guards.sample import look, sample

_ENOUGH = 8  # of a source: of fewer entries it may well be that all have gone


class Known(Enum):
    """How well the present target is known."""

    AS_LEFT = auto()  # by the run of the current manifest
    OLDER = auto()  # it is as an earlier run left it, whose manifest is kept
    NOTHING = auto()  # so that it has to be listed


@dataclass(frozen=True, slots=True)
class Target:
    """What is known of the target, by which version, and the note about it."""

    known: Known
    left: Left | None = None
    words: str | None = None


@dataclass(frozen=True, slots=True)
class Looking:
    """What the checks of a dataset's endpoints need; `run` is set once it has begun."""

    catalog: Catalog
    dataset_id: int
    name: str
    comparison: Comparison
    run: Run | None = None

    @property
    def may_be_another(self) -> bool:
        """Tell whether the run may start with another target than expected."""
        return self.run is None or not (self.run.listed_until or self.run.discovered)


def check_recognised(looking: Looking) -> None:
    """Refuse an endpoint that is empty, or has no sampled entry of the manifest."""
    check_source(looking.comparison)
    target_of(looking)


def check_source(comparison: Comparison) -> None:
    """Refuse a source that is empty, or has no sampled entry.

    A source that was replaced as a whole is refused only where deletes would follow.
    """
    policy, source = comparison.policy, comparison.pair.source
    if policy.allow_empty_source or comparison.manifest.entries <= 1:
        return
    if not comparison.pair.has_entries(source):
        raise RefusedError(
            f"source {shown_path(source.url)} {_is_empty(comparison)} To continue "
            "anyway: --allow-empty-source"
        )
    if policy.delete is not Delete.OFF and not _may_be_source(comparison):
        raise RefusedError(
            f"source {shown_path(source.url)} has none of the manifest's entries that "
            "were looked for; is it mounted? If all of it was replaced: "
            "--allow-empty-source"
        )


def is_source_recognised(comparison: Comparison) -> bool:
    """Tell whether the source is the one that the manifest describes."""
    return comparison.pair.has_entries(comparison.pair.source) and _may_be_source(
        comparison
    )


def _may_be_source(comparison: Comparison) -> bool:
    """Tell whether a source may be that one; buckets are never unmounted."""
    wanted = sample(comparison.manifest)
    if len(wanted) < _ENOUGH or comparison.pair.source.is_bucket:
        return True
    return look(comparison.pair, comparison.pair.source, wanted).there > 0


def target_of(looking: Looking) -> Target:
    """Return what is known of the target; RefusedError if it looks unmounted."""
    comparison = looking.comparison
    base = left_as(looking.catalog, comparison.manifest.manifest_id)
    if base is None or comparison.manifest.entries == 0:
        return Target(Known.AS_LEFT)
    mark = Mark.read(comparison.pair, looking.name)
    is_mine = looking.run is not None and base.run_id == looking.run.id
    if comparison.policy.afresh and not is_mine:
        found = Target(Known.NOTHING, words="the target was listed, as --afresh asks")
    else:
        found = _by_mark(looking, mark, base)
        _check_holds(comparison, found, looking.catalog)
        found = _by_mounts(comparison, mark, _by_sample(looking, found))
    if found.known is not Known.AS_LEFT and not looking.may_be_another:
        raise RefusedError(
            f"target {shown_path(comparison.pair.target.url)} is not the one that "
            f"this run began with: {found.words}; begin a new sync"
        )
    return found


def _by_mark(looking: Looking, mark: Mark | None, base: Left) -> Target:
    if mark is None:
        if not base.marked:  # by a version of before, or where nothing may be written
            return Target(Known.AS_LEFT)
        words = (
            f"the target does not have the mark of run {base.run_id}, so it was listed"
        )
        return Target(Known.NOTHING, words=words)
    ids = [mark.run, *([mark.before] if mark.before else [])]
    left = left_by(looking.catalog, looking.dataset_id, ids)
    is_this = looking.run is not None and mark.run == looking.run.id
    if is_this or (left and left.manifest_id == base.manifest_id):
        return Target(Known.AS_LEFT)
    if not base.marked:
        return Target(Known.AS_LEFT)
    if left is None:
        words = (
            f"the target has the mark of run {mark.run}, whose manifest was not kept"
        )
        return Target(Known.NOTHING, words=f"{words}, so it was listed")
    words = (
        f"the target is as run {left.run_id} left it, not run {base.run_id}: it is "
        "another disk, or was rolled back; it was compared with the manifest of that "
        "run"
    )
    return Target(Known.OLDER, left, words)


def _check_holds(comparison: Comparison, found: Target, catalog: Catalog) -> None:
    """Refuse a target that is empty although its manifest is not."""
    comparison = _with_version(comparison, found, catalog)
    target = comparison.pair.target
    if comparison.manifest.entries > 1 and not comparison.pair.has_entries(target):
        raise RefusedError(
            f"target {shown_path(target.url)} {_is_empty(comparison)} To fill it "
            "again: --afresh"
        )


def _with_version(
    comparison: Comparison, found: Target, catalog: Catalog
) -> Comparison:
    if found.left is None:
        return comparison
    return replace(comparison, manifest=Manifest(catalog, found.left.manifest_id))


def _is_empty(comparison: Comparison) -> str:
    entries = comparison.manifest.entries
    return f"is empty, but the manifest has {entries} entries; is it mounted?"


def _by_sample(looking: Looking, found: Target) -> Target:
    """Check sampled entries; refuse a target that has none of them."""
    comparison = _with_version(looking.comparison, found, looking.catalog)
    target = comparison.pair.target
    seen = look(comparison.pair, target, sample(comparison.manifest))
    if seen.wanted and not seen.there:
        raise RefusedError(
            f"target {shown_path(target.url)} has none of {seen.wanted} entries of "
            "the manifest that were looked for; is it mounted? To fill it again: "
            "--afresh"
        )
    if found.known is Known.NOTHING or seen.as_made == seen.wanted:
        return found
    words = (
        f"{seen.wanted - seen.as_made} of {seen.wanted} entries that were looked for "
        "are not in the target as Haulage made them"
    )
    if seen.as_made * 2 < seen.wanted:
        return Target(Known.NOTHING, words=f"{words}; it was listed")
    words = f"{words}; 'haulage verify' or --afresh finds all of them"
    return replace(found, words="; ".join(filter(None, [found.words, words])))


def _by_mounts(comparison: Comparison, mark: Mark | None, found: Target) -> Target:
    """Refuse a target that lacks a mount; list one that has a new mount."""
    if mark is None or comparison.pair.target.is_bucket:
        return found
    now, before = set(mounts_of(comparison.pair)), set(mark.mounts)
    for path in sorted(before - now):
        if _has_below(comparison.manifest, path):
            raise RefusedError(
                f"target {shown_path(comparison.pair.target.url)}: {shown(path)} was "
                "a mount point and no longer is; mount it. To fill it as it is: "
                "--afresh"
            )
    for path in sorted(now - before):
        if _has_below(comparison.manifest, path):
            words = f"{shown(path)} is a mount point now, so the target was listed"
            return Target(Known.NOTHING, words=words)
    return found


def _has_below(manifest: Manifest, path: bytes) -> bool:
    """Tell whether the manifest has any entry below a directory."""
    firsts = [ref.first for ref in manifest.pages]
    for page in manifest.pages[max(0, bisect_right(firsts, path) - 1) :]:
        if page.last > path:
            try:
                paths = manifest.read(page, ["path"])["path"].to_pylist()
            except BrokenPageError:  # whoever needs its entries says so
                return False
            at = bisect_right(paths, path)
            return at < len(paths) and paths[at].startswith(path)
    return False
