"""Locales play no part in what is read and written: every text names its encoding."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = ["haulage", "flows", "blocks", "deployments"]
TEXT_MODE = re.compile(r"[rwax]\+?t?")
PLACES = {"read_text": 0, "write_text": 1}  # of the encoding among the arguments


def names_no_encoding(call: ast.Call) -> bool:
    function = call.func
    name = function.attr if isinstance(function, ast.Attribute) else ""
    name = function.id if isinstance(function, ast.Name) else name
    given = {keyword.arg: keyword.value for keyword in call.keywords}
    if "encoding" in given:
        return False
    if name in PLACES and isinstance(function, ast.Attribute):
        return len(call.args) <= PLACES[name]
    if name == "open":
        words = [arg.value for arg in call.args if isinstance(arg, ast.Constant)]
        return any(isinstance(w, str) and TEXT_MODE.fullmatch(w) for w in words)
    text = given.get("text")  # as subprocess takes it
    return isinstance(text, ast.Constant) and text.value is True


def test_no_text_is_read_or_written_in_the_encoding_of_a_locale():
    calls = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for package in PACKAGES
        for path in (ROOT / package).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_bytes()))
        if isinstance(node, ast.Call) and names_no_encoding(node)
    ]
    assert calls == []
