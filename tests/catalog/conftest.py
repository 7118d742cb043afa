"""Every test here runs on SQLite and on Postgres."""

from tests.catalogs import catalog, catalog_url, home, run
from tests.postgres import postgres

__all__ = ["catalog", "catalog_url", "home", "postgres", "run"]
