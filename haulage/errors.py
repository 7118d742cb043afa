"""Errors, sorted by what the caller can do about them.

HaulageError
├── RefusedError      the request was wrong; nothing was touched (exit 2)
├── TransientError    try again later, with backoff
│   ├── AwayError         the database went away; this transaction did not happen
│   ├── UnstableError     the source changed during the copy
│   └── MismatchError     the target reads back differently
├── PermanentError    this entry fails with its reason, the run continues
│   ├── VanishedError     the source is gone since it was listed
│   └── BlockedError      a directory with content is in the way
├── FatalError        the run stops: credentials, full target, lost mount
│   ├── BrokenPageError   a page of the catalog is damaged
│   └── LostRunError  another process drives the run; this one must stop
└── CancelledError    a person or a signal asked to stop; resume continues

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
    """The database went away, and nothing of the current transaction happened."""


class UnstableError(TransientError):
    """The source changed while it was read, so no version of it was copied."""


class MismatchError(TransientError):
    """The target reads back with other bytes or attributes than were sent."""


class PermanentError(HaulageError):
    """This entry cannot be done; the others can."""


class VanishedError(PermanentError):
    """The source's entry disappeared after it was listed."""


class BlockedError(PermanentError):
    """A directory with content has the target's name."""


class FatalError(HaulageError):
    """To continue would only fail for every entry."""


class BrokenPageError(FatalError):
    """A page of a manifest or a plan does not match its checksum."""


class LostRunError(FatalError):
    """Another process has taken this run over; this one must write nothing more."""


class CancelledError(HaulageError):
    """The run was asked to stop; completed work stays."""


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
    """Return a user's path as text that is safe to print."""
    return path if path.isprintable() else ascii(path)


def sort_os_error(err: OSError, what: str) -> HaulageError:
    """Return `err` as the kind of HaulageError that its errno stands for."""
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
    """Explain an error on one of Haulage's own files, such as in a workspace."""
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
