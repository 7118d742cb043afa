"""The result of a comparison: entries that are new, changed, or gone."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from haulage.storage.tree.listing.walk import Unreadable


@dataclass(frozen=True, slots=True)
class Linked:
    """Entries of one page with more names than one, listed or known; changed or not.

    Row i of `was` belongs to row i of `known` and to `fields[i]`.
    """

    new: pa.Table  # ENTRY
    known: pa.Table  # ENTRY
    was: pa.Table  # MANIFEST
    fields: np.ndarray  # uint16
    gone: pa.Table  # MANIFEST


@dataclass(frozen=True, slots=True)
class Difference:
    """One page of the listing compared with the known entries.

    Row i of `was` belongs to row i of `changed` and to `fields[i]`. `linked` entries
    are separate, because their action depends on all names of the file.
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
