"""What the documents name is there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    named = re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", page.read_text())
    assert [name for name in named if not (page.parent / name).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_tests_that_show_something_are_there(page: Path) -> None:
    missing = []
    for file, test in re.findall(
        r"`([\w/]+/test_\w+\.py)(?:::(\w+))?`", page.read_text()
    ):
        path = ROOT / "tests" / file.removeprefix("tests/")
        if not path.exists() or f"def {test}" not in path.read_text() + "def ":
            missing.append(f"{file}::{test}")
    assert missing == []


def test_the_tables_of_cases_name_tests() -> None:
    assert len(re.findall(r"::test_", (ROOT / "docs/cases.md").read_text())) > 30


def test_the_files_that_the_architecture_names_are_there() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text()
    named = re.findall(r"`([a-z]+/[\w/]+(?:/|\.py))`", text)
    assert len(named) > 30
    places = (ROOT, ROOT / "haulage")
    assert [n for n in named if not any((place / n).exists() for place in places)] == []
