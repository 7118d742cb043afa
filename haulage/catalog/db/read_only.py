"""Read a catalog without creating one."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from haulage.catalog.db.engine import Catalog, is_made, open_catalog


@contextmanager
def looked_into(url: str | None = None) -> Iterator[Catalog]:
    """Yield the catalog at `url`; if there is none, a temporary empty one."""
    made, shown = is_made(url)
    if made:
        with open_catalog(url) as catalog:
            yield catalog
        return
    with (
        tempfile.TemporaryDirectory(prefix="haulage-plan-") as name,
        open_catalog(f"sqlite:///{Path(name) / 'catalog.db'}") as catalog,
    ):
        yield replace(catalog, shown=shown)
