"""Store the results of flows in the catalog's database."""

import asyncio
import os

from prefect.filesystems import WritableFileSystem
from pydantic import Field, HttpUrl

from haulage.catalog import results
from haulage.catalog.db.engine import Catalog, default_url, open_catalog

# What flows name as their result storage; deployments/register.py saves it.
SAVED_AS = "catalog-results/haulage"


class CatalogResults(WritableFileSystem):
    """Keeps results of flows in the catalog's database, next to the runs they sum up.

    Attributes:
        catalog_variable: Name of the environment variable with the catalog's URL.

    Example:
        Load the block and read a result:
        ```python
        from blocks.results import CatalogResults

        catalog_results = CatalogResults.load("BLOCK_NAME")
        ```
    """

    _block_type_name = "Catalog results"
    _block_type_slug = "catalog-results"
    _description = "Keeps the results of flows in the database of the Haulage catalog."
    _documentation_url = HttpUrl("https://docs.prefect.io/v3/advanced/results")

    catalog_variable: str = Field(
        "HAULAGE_CATALOG",
        title="Environment variable",
        pattern=r"^[A-Z_][A-Z0-9_]*$",
        description=(
            "Name of the environment variable that holds the catalog's URL, never "
            "the URL itself. If it is unset, this machine's own catalog is used."
        ),
    )

    def build(self) -> Catalog:
        """Open the catalog."""
        return open_catalog(os.environ.get(self.catalog_variable) or default_url())

    async def read_path(self, path: str) -> bytes:
        """Return the result at `path`; RefusedError if there is none."""
        return await asyncio.to_thread(self._get, path)

    async def write_path(self, path: str, content: bytes) -> None:
        """Store `content` as the result at `path`."""
        await asyncio.to_thread(self._put, path, content)

    def _get(self, path: str) -> bytes:
        catalog = self.build()
        try:
            return results.get(catalog, path)
        finally:
            catalog.engine.dispose()

    def _put(self, path: str, content: bytes) -> None:
        catalog = self.build()
        try:
            results.put(catalog, path, content)
        finally:
            catalog.engine.dispose()
