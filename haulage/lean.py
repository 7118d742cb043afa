"""Keep unused libraries out of processes that only move, list or drive.

Import this before pyarrow, which imports pandas, if it is installed, at the first array
that it makes of a list: 0.3 s and 80 MB a process, for nothing. numpy starts a
linear-algebra thread for each processor, which costs each process up to 0.1 s.
"""

import os
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType


class _NoPandas:
    """A finder that comes first and finds no pandas."""

    @staticmethod
    def find_spec(
        name: str,
        path: Sequence[str] | None = None,  # noqa: ARG004  the protocol's
        target: ModuleType | None = None,  # noqa: ARG004
    ) -> ModuleSpec | None:
        if name == "pandas":
            raise ModuleNotFoundError("pandas is kept out of this process", name=name)
        return None


sys.meta_path.insert(0, _NoPandas)
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
