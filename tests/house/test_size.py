"""Bounds on functions and files: what grows past them is to be cut, not excused."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ["haulage", "flows", "blocks"]
NAMELESS = {"utils", "util", "helpers", "helper", "common", "misc", "manager2"}


def files():
    found = [path for name in PACKAGES for path in (ROOT / name).rglob("*.py")]
    assert found
    return found


def functions():
    """Yield the length and the place of every function, decorators left out."""
    for path in files():
        for node in ast.walk(ast.parse(path.read_bytes())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                last = node.end_lineno or node.lineno
                where = f"{path.relative_to(ROOT)}:{node.lineno} {node.name}"
                yield last - node.lineno + 1, where


def test_no_function_is_longer_than_50_lines():
    assert [where for lines, where in functions() if lines > 50] == []


def test_nine_in_ten_functions_are_shorter_than_30_lines():
    long = sorted((item for item in functions() if item[0] >= 30), reverse=True)
    assert len(long) <= len(list(functions())) / 10, long


def test_no_file_is_longer_than_400_lines():
    lengths = {str(path): len(path.read_bytes().splitlines()) for path in files()}
    assert {path: lines for path, lines in lengths.items() if lines > 400} == {}


@pytest.mark.parametrize("package", PACKAGES)
def test_every_module_says_by_its_name_what_it_holds(package):
    names = {path.stem for path in (ROOT / package).rglob("*.py")}
    assert names
    assert names & NAMELESS == set()
