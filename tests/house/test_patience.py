"""Every transaction waits for a database that is away."""

import ast
from collections.abc import Iterator
from pathlib import Path

CATALOG = Path(__file__).parents[2] / "haulage/catalog"
TRANSACTIONS = ("catalog.begin()", "catalog.read()")
NOT_AGAIN = {
    ("runs.py", "heartbeat"),  # comes again by itself
    ("live.py", "exchange"),  # with each heartbeat
    ("names.py", "_listed"),  # of a completion, which nobody waits for
    ("tombstones.py", "paths"),  # streamed, so that a part of it is used already
}


def functions() -> Iterator[tuple[str, ast.FunctionDef]]:
    for file in CATALOG.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.FunctionDef):
                yield file.name, node


def opens_one(function: ast.FunctionDef) -> bool:
    calls = (node for node in ast.walk(function) if isinstance(node, ast.Call))
    return any(ast.unparse(call) in TRANSACTIONS for call in calls)


def test_every_transaction_of_the_catalog_is_patient() -> None:
    found = {
        (file, function.name): "patient" in map(ast.unparse, function.decorator_list)
        for file, function in functions()
        if opens_one(function)
    }
    assert len(found) > 50
    assert {name for name, is_patient in found.items() if not is_patient} == NOT_AGAIN
