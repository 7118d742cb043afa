import asyncio

import pytest
from prefect.blocks.core import Block
from prefect.testing.standard_test_suites.blocks import BlockStandardTestSuite

from blocks.results import CatalogResults
from haulage.errors import RefusedError
from tests.catalogs import catalog_url

__all__ = ["catalog_url"]


class TestCatalogResultsInTheBlockCatalogue(BlockStandardTestSuite):
    test_has_a_valid_image = None  # type: ignore[assignment]  # needs the network

    @pytest.fixture
    def block(self) -> type[Block]:
        return CatalogResults


def test_a_result_comes_back_from_the_catalog_it_was_written_to(
    catalog_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTHER_CATALOG", catalog_url)
    block = CatalogResults(catalog_variable="OTHER_CATALOG")
    asyncio.run(block.write_path("a/b", b"\x00first"))
    asyncio.run(block.write_path("a/b", b"\x00second"))
    assert asyncio.run(block.read_path("a/b")) == b"\x00second"
    with pytest.raises(RefusedError, match="a/c"):
        asyncio.run(block.read_path("a/c"))


def test_a_url_is_not_accepted_in_place_of_a_variable() -> None:
    with pytest.raises(ValueError, match="catalog_variable"):
        CatalogResults(catalog_variable="postgresql://user:secret@host/db")
