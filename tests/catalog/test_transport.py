import pytest
from sqlalchemy import make_url

from haulage.catalog.db.transport import unprotected_host


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("postgresql://u@db.example/c", "db.example"),
        ("postgresql://u@db.example/c?sslmode=prefer", "db.example"),
        ("postgresql://u@/c?host=localhost&host=db.example:5433", "db.example:5433"),
        ("postgresql://u@db.example/c?sslmode=verify-full", None),
        ("postgresql://u@localhost/c", None),
        ("postgresql://u@/c?host=/run/postgresql", None),
        ("postgresql:///c", None),
    ],
)
def test_a_server_of_another_machine_that_need_not_prove_itself_is_named(
    url: str, host: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PGSSLMODE", raising=False)
    monkeypatch.delenv("PGHOST", raising=False)
    assert unprotected_host(make_url(url)) == host


def test_a_mode_of_the_environment_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGSSLMODE", "verify-full")
    assert unprotected_host(make_url("postgresql://u@db.example/c")) is None
