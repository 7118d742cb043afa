"""Sort every error by what the caller may do about it.

HaulageError
├── RefusedError      the request was wrong; nothing was touched (exit 2)
├── TransientError    try again later, with backoff
│   ├── AwayError         the database went away; this transaction did not happen
│   ├── UnstableError     the source moved under the copy
│   └── MismatchError     what was written reads back differently
├── PermanentError    this entry fails with its reason, the run goes on
│   ├── VanishedError     the source is gone since it was listed
│   └── BlockedError      a directory with content stands in the way
├── FatalError        the run stops: credentials, full target, lost mount
│   ├── BrokenPageError   a part of the catalog reads back as something else
│   └── LostRunError  somebody else holds the run now; this process must stop
└── CancelledError    a person or a signal asked to stop; resume goes on

Messages name the path, the numbers and the next step.
"""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager


class HaulageError(Exception):
    """An error that Haulage explains to a person."""


class RefusedError(HaulageError):
    """The request cannot be carried out as given; nothing was changed."""


class TransientError(HaulageError):
    """The same call may succeed later."""


class AwayError(TransientError):
    """The database went away, and nothing of what was under way there has happened."""


class UnstableError(TransientError):
    """The source moved while it was read, so that no version of it was copied."""


class MismatchError(TransientError):
    """The target reads back as other bytes or attributes than were sent."""


class PermanentError(HaulageError):
    """This entry cannot be done; the others can."""


class VanishedError(PermanentError):
    """The source's entry is gone since it was listed."""


class BlockedError(PermanentError):
    """A directory that has content stands at the target's name."""


class FatalError(HaulageError):
    """Going on would only fail for every entry."""


class BrokenPageError(FatalError):
    """What the catalog gives back of a manifest or a plan is not what was written."""


class LostRunError(FatalError):
    """Another process took this run over, so nothing more may be written for it."""


class CancelledError(HaulageError):
    """The run was asked to stop; what is done stays done."""


FATAL_ERRNOS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.ENODEV})
_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT})
TRANSIENT_ERRNOS = frozenset(
    {
        errno.EAGAIN,
        errno.EBUSY,
        errno.EINTR,
        errno.EMFILE,
        errno.ENFILE,
        errno.ENOMEM,
        errno.ESTALE,
        errno.ETIMEDOUT,
    }
)


def shown_path(path: str) -> str:
    """Return a path of the user's as text that is safe to print."""
    return path if path.isprintable() else ascii(path)


def sort_os_error(err: OSError, what: str) -> HaulageError:
    """Return `err` as the one of the three kinds that its errno stands for."""
    text = f"{what}: {err.strerror or err} (errno {err.errno})"
    if err.errno in _NO_ROOM:
        text += (
            "; free some space, then resume. Deletes come last in a run: if they "
            "would free enough, sync with --only delete --delete guarded first"
        )
    if err.errno in FATAL_ERRNOS:
        return FatalError(text)
    if err.errno in TRANSIENT_ERRNOS:
        return TransientError(text)
    return PermanentError(text)


@contextmanager
def own_files(where: str | os.PathLike[str]) -> Iterator[None]:
    """Say in words what a file of Haulage's own, in a workspace, could not take."""
    try:
        yield
    except ConnectionError:  # of a pipe
        raise
    except OSError as err:  # pyarrow's name no file, and hold words of its own
        words = os.strerror(err.errno) if err.errno else err
        raise FatalError(
            f"{err.filename or os.fspath(where)}: {words}; Haulage's own files need "
            "space and write permission there; then 'haulage resume' continues"
        ) from err
