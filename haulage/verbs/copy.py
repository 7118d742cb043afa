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
from haulage.storage.tree.kernel import copy_content, digest_of, is_same_data
from haulage.storage.tree.metadata.attributes import (
    Attributes,
    as_preserved,
    attributes_of,
    mark_of,
    name_of,
    set_link_attributes,
)
from haulage.storage.tree.metadata.entries import (
    Metadata,
    changes_to,
    metadata_of,
    set_metadata,
)
from haulage.storage.tree.metadata.xattrs import (
    NO_CHANGES,
    XattrChanges,
    joined,
    read_xattrs,
)
from haulage.storage.tree.sparse import is_hashed
from haulage.verbs.attempt import Attempt, is_as_listed, is_racy, look_again, tree
from haulage.verbs.lustre import begin


def copy(attempt: Attempt, action: Action, row: int) -> Outcome:
    """Copy one file through a temporary name."""
    source = open_source(tree(attempt.source).descent, action.path)
    try:
        now = now_at(source)
        before = os.fstat(source)
        if not stat.S_ISREG(before.st_mode):
            raise UnstableError("is no longer a file")
        above = parent_of(action.path)
        temp = tree(attempt.target).temp(row)
        dir_fd = reach(tree(attempt.target).descent, above, temp)
        try:
            wanted = metadata_of(source, before, tree(attempt.target).preserved)
            changes = tree(attempt.target).inheritance.changes_to_new(
                above, dir_fd, wanted.xattrs
            )
            target, lost = begin(attempt, action, before.st_size, dir_fd, temp)
            wanted = wanted._replace(lost=joined(wanted.lost, lost))
            ends = _Ends(source, target, before, wanted, changes)
            outcome = _fill(attempt, action, ends)
            is_torn = _tears(attempt, action)
            attempt.check_cancelled()
            rename_over(dir_fd, temp, action.path[len(above) :])
        except BaseException:
            remove_if_there(dir_fd, temp)
            raise
        racy = is_racy(before.st_mtime_ns, before.st_ctime_ns, now) or is_torn
        return outcome._replace(racy=racy) if racy else outcome
    finally:
        os.close(source)


def _tears(attempt: Attempt, action: Action) -> bool:
    """Tell whether names stay behind that take no part, such as those left out.

    The manifest would call the group whole; what is racy is joined when they do.
    """
    if action.nlink == 1:
        return False
    found = stat_in(tree(attempt.target).descent, action.path)
    return found is not None and found.st_nlink > action.shared + action.leaving


class _Ends(NamedTuple):
    """A source and its temporary, open, and what the temporary is to become."""

    source: int
    target: int
    before: os.stat_result
    wanted: Metadata
    changes: XattrChanges


def _fill(attempt: Attempt, action: Action, ends: _Ends) -> Outcome:
    """Give the temporary its content and attributes, and close it."""
    source, target, before, wanted, changes = ends
    try:
        moved = attempt.moved
        copied, checksum = copy_content(
            tree(attempt.target).kernel, source, target, before
        )
        if not stood_still(before, os.fstat(source)):
            raise UnstableError("changed while it was copied")
        if copied != before.st_size:
            raise other_than_its_size(before.st_size, copied)
        lost = set_metadata(target, wanted, changes, tree(attempt.target).preserved)
        made = mark_of(target, lost, tree(attempt.target).preserved)
        if tree(attempt.target).fsync:
            os.fsync(target)
    finally:
        os.close(target)
    return Outcome(
        Status.COPIED,
        checksum=checksum,
        moved=attempt.moved - moved,  # without holes
        lost=lost,
        made=made,
        entry=None if is_as_listed(action, before) else entry_of(action.path, before),
    )


def check(attempt: Attempt, action: Action, row: int) -> Outcome:
    """Copy a file only if its content is not what the target has."""
    source = open_source(tree(attempt.source).descent, action.path)
    moved = attempt.moved
    try:
        now = now_at(source)
        before = os.fstat(source)
        if not stat.S_ISREG(before.st_mode) or before.st_size != action.size:
            return copy(attempt, action, row)
        wanted = metadata_of(source, before, tree(attempt.target).preserved)
        checksum = (
            digest_of(tree(attempt.target).kernel, source)
            if is_hashed(before)
            else None
        )
        proven = _proof_of_equal(attempt, action, source, checksum)
        if not stood_still(before, os.fstat(source)):
            proven = None
    finally:
        os.close(source)
    read = attempt.moved - moved
    outcome = None if proven is None else _set_on_target(attempt, action, wanted)
    if proven is None or outcome is None:
        return copy(attempt, action, row)._replace(read=read)
    entry = None if is_as_listed(action, before) else entry_of(action.path, before)
    return outcome._replace(
        checksum=checksum,
        verified=proven,
        racy=is_racy(before.st_mtime_ns, before.st_ctime_ns, now),
        entry=entry,
        read=read,
    )


def _proof_of_equal(
    attempt: Attempt, action: Action, source: int, checksum: bytes | None
) -> Verified | None:
    """Return how far the target is proven to have `checksum`, or None if it has not.

    A file with huge holes has none; it is held against the target itself.
    """
    if action.checksum is not None and checksum is not None:
        return Verified(action.verified) if action.checksum == checksum else None
    try:
        target = open_file(tree(attempt.target).descent, action.path)
    except OSError:
        return None
    try:
        if checksum is None:
            same = is_same_data(tree(attempt.target).kernel, source, target)
        else:
            same = digest_of(tree(attempt.target).kernel, target) == checksum
    finally:
        os.close(target)
    return Verified.CHECKSUM if same else None


def meta(attempt: Attempt, action: Action, row: int) -> Outcome:
    """Set attributes alone; copy if the target's file is not the one that we made."""
    now = now_at(tree(attempt.source).descent.root_fd)
    wanted = _attributes_now(attempt, action)
    if wanted is None:
        return check(attempt, action, row)
    outcome = _set_on_target(attempt, action, wanted)
    if outcome is None:
        return copy(attempt, action, row)
    mtime_ns = action.mtime_since_epoch_ns
    racy = is_racy(mtime_ns, action.ctime_since_epoch_ns, now)
    return outcome._replace(
        checksum=action.checksum,
        verified=Verified(action.verified),
        racy=racy or action.racy,  # nobody has looked at the content
    )


def _attributes_now(attempt: Attempt, action: Action) -> Metadata | None:
    """Return the source's attributes; None if it is not as it was listed."""
    try:
        handle = pin(tree(attempt.source).descent, action.path)
    except (FileNotFoundError, NotADirectoryError) as err:
        raise VanishedError("is gone since it was listed") from err
    try:
        found = os.fstat(handle)
        if not is_as_listed(action, found):
            return None
        return metadata_of(handle, found, tree(attempt.target).preserved, pinned=True)
    finally:
        os.close(handle)


def _set_on_target(
    attempt: Attempt, action: Action, wanted: Metadata
) -> Outcome | None:
    """Set attributes on the target's file, or return None if it is not as recorded."""
    try:
        pinned = pin(tree(attempt.target).descent, action.path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    try:
        found = os.fstat(pinned)
        if not _is_as_recorded(action, found):
            return None
        if found.st_nlink > action.shared + action.leaving:
            return None  # it has names that belong to another file at the source
        handle = b"/proc/self/fd/%d" % pinned
        changes = changes_to(
            handle, found, wanted.xattrs, tree(attempt.target).preserved
        )
        has = attributes_of(found)
        wants = as_preserved(wanted.attributes, has, tree(attempt.target).preserved)
        if changes.are_there and has._replace(atime_ns=wants.atime_ns) == wants:
            return Outcome(
                Status.UNCHANGED,
                made=mark_of(handle, None, tree(attempt.target).preserved),
            )
        if found.st_nlink > action.shared:
            return None
        attempt.check_cancelled()
        lost = set_metadata(handle, wanted, changes, tree(attempt.target).preserved)
        return Outcome(
            Status.UPDATED,
            lost=lost,
            made=mark_of(handle, lost, tree(attempt.target).preserved),
        )
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


def link(attempt: Attempt, action: Action, row: int) -> Outcome:
    """Make or replace a symbolic link, as the source has it now."""
    if action.target is None:
        raise VanishedError("could not be read when it was listed")
    listed, action = action, _link_now(attempt, action)
    assert action.target is not None
    above = parent_of(action.path)
    temp = tree(attempt.target).temp(row)
    dir_fd = reach(tree(attempt.target).descent, above, temp)
    os.symlink(action.target, temp, dir_fd=dir_fd)
    try:
        wanted, changes = _listed_attributes(action), _xattrs_of_link(attempt, action)
        lost = set_link_attributes(
            dir_fd, temp, wanted, changes, tree(attempt.target).preserved
        )
        made = mark_of(
            name_of(dir_fd, temp), lost, tree(attempt.target).preserved, follow=False
        )
        attempt.check_cancelled()
        rename_over(dir_fd, temp, action.path[len(above) :])
    except BaseException:
        remove_if_there(dir_fd, temp)
        raise
    entry = None if action is listed else action.entry
    return Outcome(Status.MADE, lost=lost, made=made, entry=entry)


def _link_now(attempt: Attempt, action: Action) -> Action:
    """Return the action for the link that the source has now.

    Whoever comes late would bring back what a later run has replaced.
    """
    found = look_again(attempt, action.path)
    if not stat.S_ISLNK(found.st_mode):
        raise UnstableError("is no longer a symbolic link")
    if is_as_listed(action, found):
        return action
    above = parent_of(action.path)
    dir_fd = tree(attempt.source).descent.open(above)
    target = os.readlink(action.path[len(above) :], dir_fd=dir_fd)
    return action._replace(**entry_of(action.path, found, target)._asdict())


def _xattrs_of_link(attempt: Attempt, action: Action) -> XattrChanges:
    """Return what a symbolic link needs; only root can give one attributes."""
    source, target = tree(attempt.source).descent, tree(attempt.target)
    if not target.descent.is_root:
        return NO_CHANGES
    above = parent_of(action.path)
    try:
        place = name_of(source.open(above), action.path[len(above) :])
        wanted = read_xattrs(place, action.dev, target.preserved, follow=False)
    except (FileNotFoundError, NotADirectoryError):  # it is made as it was listed
        return NO_CHANGES
    return XattrChanges(wanted) if wanted else NO_CHANGES


def _listed_attributes(action: Action) -> Attributes:
    mtime_ns = action.mtime_since_epoch_ns
    return Attributes(action.mode, action.uid, action.gid, mtime_ns, mtime_ns)


def mkdir(attempt: Attempt, action: Action, row: int) -> Outcome:
    """Make sure that a directory is there; its attributes come with the dirs pass."""
    lost: Lost | None = None
    if action.path:
        if not stat.S_ISDIR(look_again(attempt, action.path).st_mode):
            raise UnstableError("is no longer a directory")
        make_dir(
            tree(attempt.target).descent, action.path, tree(attempt.target).temp(row)
        )
        maker = tree(attempt.target).descent.maker
        lost = (
            maker.settle(tree(attempt.target).descent, action.path) if maker else None
        )
    was_there = action.was_mtime_s or action.was_mtime_ns
    return Outcome(Status.UPDATED if was_there else Status.MADE, lost=lost)
