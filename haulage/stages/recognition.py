"""Recognises a directory by what it must hold: an unmounted one holds none of it.

A mount point may have files of its own, so that it is not empty when nothing is
mounted. Inodes and device numbers say little: network and FUSE mounts change them.
"""

import pyarrow as pa
import pyarrow.compute as pc

from haulage.catalog.manifests import Manifest
from haulage.errors import BrokenPageError, RefusedError, shown_path
from haulage.place import Place
from haulage.policy import Delete
from haulage.stages.discover import Ends, check_not_emptied, starts_afresh
from haulage.storage.tree.descent import Descent
from haulage.storage.tree.posix import stat_in

_PAGES = 3
_PATHS_A_PAGE = 8
_ENOUGH = 8  # of a source: of fewer entries it may well be that all have gone


def check_recognised(ends: Ends) -> None:
    """Refuse an end that is empty, or holds nothing of what the manifest says.

    A source may be changed as a whole: that matters only where deletes would follow.
    """
    check_not_emptied(ends)
    wanted = _sample(ends.manifest)
    policy, source, target = ends.policy, ends.pair.source, ends.pair.target
    says = f"none of {len(wanted)} entries of the manifest that were looked for; is it"
    deletes = policy.delete is not Delete.OFF and not policy.allow_empty_source
    if deletes and not _may_be_source(source, wanted):
        raise RefusedError(
            f"source {shown_path(source.url)} has {says} mounted? If all of it was "
            f"replaced: --allow-empty-source"
        )
    if not policy.allow_empty_target and not _may_be_target(target, wanted):
        raise RefusedError(
            f"target {shown_path(target.url)} has {says} mounted? To fill it anew: "
            f"--allow-empty-target"
        )


def is_source_recognised(ends: Ends) -> bool:
    """Tell whether the source is the one that the manifest is about."""
    source = ends.pair.source
    if not ends.pair.has_entries(source):
        return False
    return _may_be_source(source, _sample(ends.manifest))


def begins_anew(ends: Ends) -> bool:
    """Tell whether the manifest no longer says anything of the target."""
    if starts_afresh(ends):
        return True
    return not _may_be_target(ends.pair.target, _sample(ends.manifest))


def _may_be_source(source: Place, wanted: list[bytes]) -> bool:
    return len(wanted) < _ENOUGH or _holds_any(source, wanted)


def _may_be_target(target: Place, wanted: list[bytes]) -> bool:
    """Tell whether a target may hold what we made, which few but us remove there."""
    return not wanted or _holds_any(target, wanted)


def _sample(manifest: Manifest) -> list[bytes]:
    """Return some paths, spread over the manifest."""
    pages, found = manifest.pages, list[bytes]()
    for page in pages[:: max(1, (len(pages) - 1) // (_PAGES - 1))][:_PAGES]:
        try:
            paths = manifest.read(page, ["path"])["path"]
        except BrokenPageError:  # whoever needs its entries says so
            continue
        paths = paths.filter(pc.not_equal(paths, pa.scalar(b"", pa.binary())))
        found += paths[:: max(1, len(paths) // _PATHS_A_PAGE)].to_pylist()
    return found


def _holds_any(place: Place, paths: list[bytes]) -> bool:
    """Tell whether any of `paths` is, or may be, there; buckets are never unmounted."""
    if place.is_bucket:
        return True
    try:
        root = Descent(place.url)
    except FileNotFoundError:
        return False
    try:
        return any(stat_in(root, path) is not None for path in paths)
    except OSError:  # what may not be looked at is no proof of anything
        return True
    finally:
        root.close()
