"""What a comparison tells: entries that are new, that changed, and that are gone."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from haulage.storage.tree.listing.walk import Unreadable


@dataclass(frozen=True, slots=True)
class Linked:
    """Entries of one page with more names than one, listed or known; changed or not.

    Row i of `was` belongs to row i of `known` and to `aspects[i]`.
    """

    new: pa.Table  # ENTRY
    known: pa.Table  # ENTRY
    was: pa.Table  # MANIFEST
    fields: np.ndarray  # uint16
    gone: pa.Table  # MANIFEST


@dataclass(frozen=True, slots=True)
class Difference:
    """One page of the listing against what is known.

    Row i of `was` belongs to row i of `changed` and to `aspects[i]`. What is `linked`
    is told apart, because what is done about it depends on all names of the file.
    """

    last: bytes
    listed: int
    new: pa.Table  # ENTRY
    changed: pa.Table  # ENTRY
    was: pa.Table  # MANIFEST
    fields: np.ndarray  # uint16
    gone: pa.Table  # MANIFEST
    unreadable: tuple[Unreadable, ...]
    linked: Linked | None = None
