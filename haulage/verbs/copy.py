"""Makes the target's entry what the source's is: content, attributes, then the name."""

import os
import stat
from typing import NamedTuple

from haulage.errors import UnstableError, VanishedError
from haulage.model import Action, Lost, Outcome, Status, Verified
from haulage.paths import parent_of
from haulage.storage.tree.clock import now_at
from haulage.storage.tree.files import (
    entry_of,
    make_dir,
    open_file,
    open_source,
    other_than_its_size,
    pin,
    reach,
    remove_if_there,
    rename_over,
    stat_in,
    stood_still,
)
from haulage.storage.tree.metadata.attributes import (
    Attributes,
    as_kept,
    attributes_of,
    mark_of,
    name_of,
    set_link_attributes,
)
from haulage.storage.tree.metadata.xattrs import Extras, joined
from haulage.storage.tree.sparse import is_hashed
from haulage.verbs.attempt import Work, is_as_listed, is_racy, look_again
from haulage.verbs.content import copy_content, digest_of, is_same_data
from haulage.verbs.lustre import begin
from haulage.verbs.metadata import Wanted, dress, wanted_of
from haulage.verbs.xattrs import for_link, for_new, for_old


def copy(work: Work, action: Action, row: int) -> Outcome:
    """Copy one file through a temporary name."""
    source = open_source(work.source, action.path)
    try:
        now = now_at(source)
        before = os.fstat(source)
        if not stat.S_ISREG(before.st_mode):
            raise UnstableError("is no longer a file")
        above = parent_of(action.path)
        temp = work.temp_prefix + b"%d" % row
        dir_fd = reach(work.target, above, temp)
        try:
            wanted = wanted_of(work, source, before)
            extras = for_new(work, wanted.xattrs, above, dir_fd)
            target, lost = begin(work, action, before.st_size, dir_fd, temp)
            wanted = wanted._replace(lost=joined(wanted.lost, lost))
            ends = _Ends(source, target, before, wanted, extras)
            outcome = _fill(work, action, ends)
            is_torn = _tears(work, action)
            work.check_cancelled()
            rename_over(dir_fd, temp, action.path[len(above) :])
        except BaseException:
            remove_if_there(dir_fd, temp)
            raise
        racy = is_racy(before.st_mtime_ns, before.st_ctime_ns, now) or is_torn
        return outcome._replace(racy=racy) if racy else outcome
    finally:
        os.close(source)


def _tears(work: Work, action: Action) -> bool:
    """Tell whether names stay behind that take no part, such as those left out.

    The manifest would call the group whole; what is racy is joined when they do.
    """
    if action.nlink == 1:
        return False
    found = stat_in(work.target, action.path)
    return found is not None and found.st_nlink > action.shared + action.leaving


class _Ends(NamedTuple):
    """A source and its temporary, open, and what the temporary is to become."""

    source: int
    target: int
    before: os.stat_result
    wanted: Wanted
    extras: Extras


def _fill(work: Work, action: Action, ends: _Ends) -> Outcome:
    """Give the temporary its content and attributes, and close it."""
    source, target, before, wanted, extras = ends
    try:
        moved = work.moved
        copied, checksum = copy_content(work, source, target, before)
        if not stood_still(before, os.fstat(source)):
            raise UnstableError("changed while it was copied")
        if copied != before.st_size:
            raise other_than_its_size(before.st_size, copied)
        lost = dress(work, target, wanted, extras)
        made = mark_of(target, lost, work.kept)
        if work.fsync:
            os.fsync(target)
    finally:
        os.close(target)
    return Outcome(
        Status.COPIED,
        checksum=checksum,
        moved=work.moved - moved,  # without holes
        lost=lost,
        made=made,
        entry=None if is_as_listed(action, before) else entry_of(action.path, before),
    )


def check(work: Work, action: Action, row: int) -> Outcome:
    """Copy a file only if its content is not what the target has."""
    source = open_source(work.source, action.path)
    moved = work.moved
    try:
        now = now_at(source)
        before = os.fstat(source)
        if not stat.S_ISREG(before.st_mode) or before.st_size != action.size:
            return copy(work, action, row)
        wanted = wanted_of(work, source, before)
        checksum = digest_of(work, source) if is_hashed(before) else None
        proven = _proof_of_equal(work, action, source, checksum)
        if not stood_still(before, os.fstat(source)):
            proven = None
    finally:
        os.close(source)
    read = work.moved - moved
    outcome = None if proven is None else _set_on_target(work, action, wanted)
    if proven is None or outcome is None:
        return copy(work, action, row)._replace(read=read)
    entry = None if is_as_listed(action, before) else entry_of(action.path, before)
    return outcome._replace(
        checksum=checksum,
        verified=proven,
        racy=is_racy(before.st_mtime_ns, before.st_ctime_ns, now),
        entry=entry,
        read=read,
    )


def _proof_of_equal(
    work: Work, action: Action, source: int, checksum: bytes | None
) -> Verified | None:
    """Return how far the target is proven to have `checksum`, or None if it has not.

    A file with huge holes has none; it is held against the target itself.
    """
    if action.checksum is not None and checksum is not None:
        return Verified(action.verified) if action.checksum == checksum else None
    try:
        target = open_file(work.target, action.path)
    except OSError:
        return None
    try:
        if checksum is None:
            same = is_same_data(work, source, target)
        else:
            same = digest_of(work, target) == checksum
    finally:
        os.close(target)
    return Verified.CHECKSUM if same else None


def meta(work: Work, action: Action, row: int) -> Outcome:
    """Set attributes alone; copy if the target's file is not the one that we made."""
    now = now_at(work.source.root_fd)
    wanted = _attributes_now(work, action)
    if wanted is None:
        return check(work, action, row)
    outcome = _set_on_target(work, action, wanted)
    if outcome is None:
        return copy(work, action, row)
    mtime_ns = action.mtime_since_epoch_ns
    racy = is_racy(mtime_ns, action.ctime_since_epoch_ns, now)
    return outcome._replace(
        checksum=action.checksum,
        verified=Verified(action.verified),
        racy=racy or action.racy,  # nobody has looked at the content
    )


def _attributes_now(work: Work, action: Action) -> Wanted | None:
    """Return the source's attributes; None if it is not as it was listed."""
    try:
        handle = pin(work.source, action.path)
    except (FileNotFoundError, NotADirectoryError) as err:
        raise VanishedError("is gone since it was listed") from err
    try:
        found = os.fstat(handle)
        if not is_as_listed(action, found):
            return None
        return wanted_of(work, handle, found, pinned=True)
    finally:
        os.close(handle)


def _set_on_target(work: Work, action: Action, wanted: Wanted) -> Outcome | None:
    """Set attributes on the target's file, or return None if it is not as recorded."""
    try:
        pinned = pin(work.target, action.path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    try:
        found = os.fstat(pinned)
        if not _is_as_recorded(action, found):
            return None
        if found.st_nlink > action.shared + action.leaving:
            return None  # it has names that belong to another file at the source
        handle = b"/proc/self/fd/%d" % pinned
        extras = for_old(work, wanted.xattrs, handle, found)
        has = attributes_of(found)
        wants = as_kept(wanted.attributes, has, work.kept)
        if extras.are_there and has._replace(atime_ns=wants.atime_ns) == wants:
            return Outcome(Status.UNCHANGED, made=mark_of(handle, None, work.kept))
        if found.st_nlink > action.shared:
            return None
        work.check_cancelled()
        lost = dress(work, handle, wanted, extras)
        return Outcome(Status.UPDATED, lost=lost, made=mark_of(handle, lost, work.kept))
    finally:
        os.close(pinned)


def _is_as_recorded(action: Action, found: os.stat_result) -> bool:
    """Tell whether the target's file is the one that we made."""
    was_ns = action.was_mtime_s * 1_000_000_000 + action.was_mtime_ns
    recorded = (action.size, action.mtime_at_target_ns(was_ns))
    return stat.S_ISREG(found.st_mode) and recorded == (
        found.st_size,
        found.st_mtime_ns,
    )


def link(work: Work, action: Action, row: int) -> Outcome:
    """Make or replace a symbolic link, as the source has it now."""
    if action.target is None:
        raise VanishedError("could not be read when it was listed")
    listed, action = action, _link_now(work, action)
    assert action.target is not None
    above = parent_of(action.path)
    temp = work.temp_prefix + b"%d" % row
    dir_fd = reach(work.target, above, temp)
    os.symlink(action.target, temp, dir_fd=dir_fd)
    try:
        wanted, extras = _listed_attributes(action), for_link(work, action)
        lost = set_link_attributes(dir_fd, temp, wanted, extras, work.kept)
        made = mark_of(name_of(dir_fd, temp), lost, work.kept, follow=False)
        work.check_cancelled()
        rename_over(dir_fd, temp, action.path[len(above) :])
    except BaseException:
        remove_if_there(dir_fd, temp)
        raise
    entry = None if action is listed else action.entry
    return Outcome(Status.MADE, lost=lost, made=made, entry=entry)


def _link_now(work: Work, action: Action) -> Action:
    """Return the action for the link that the source has now.

    Whoever comes late would bring back what a later run has replaced.
    """
    found = look_again(work, action.path)
    if not stat.S_ISLNK(found.st_mode):
        raise UnstableError("is no longer a symbolic link")
    if is_as_listed(action, found):
        return action
    above = parent_of(action.path)
    dir_fd = work.source.open(above)
    target = os.readlink(action.path[len(above) :], dir_fd=dir_fd)
    return action._replace(**entry_of(action.path, found, target)._asdict())


def _listed_attributes(action: Action) -> Attributes:
    mtime_ns = action.mtime_since_epoch_ns
    return Attributes(action.mode, action.uid, action.gid, mtime_ns, mtime_ns)


def mkdir(work: Work, action: Action, row: int) -> Outcome:
    """Make sure that a directory is there; its attributes come with the dirs pass."""
    lost: Lost | None = None
    if action.path:
        if not stat.S_ISDIR(look_again(work, action.path).st_mode):
            raise UnstableError("is no longer a directory")
        make_dir(work.target, action.path, work.temp_prefix + b"%d" % row)
        maker = work.target.maker
        lost = maker.settle(work.target, action.path) if maker else None
    was_there = action.was_mtime_s or action.was_mtime_ns
    return Outcome(Status.UPDATED if was_there else Status.MADE, lost=lost)
