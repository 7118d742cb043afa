import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_every_make_command_that_the_readme_names_exists():
    named = set(re.findall(r"\bmake ([a-z][a-z-]*)", code_of("README.md")))
    assert named, "README.md tells nobody how to begin"
    assert named - targets() == set()


def test_every_subcommand_that_the_readme_names_exists():
    command = re.compile(r"^(?:\$ )?(?:\S*/)?haulage ([a-z][a-z-]*)", re.MULTILINE)
    named = command.findall(code_of("README.md"))
    assert named, "README.md shows no haulage command"
    assert set(named) - subcommands() == set()


def code_of(name):
    """Return the fenced and the inline code of a page, prose left out."""
    text = (ROOT / name).read_text()
    fenced = re.findall(r"^```.*?\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    prose = re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
    return "\n".join([*fenced, *re.findall(r"`([^`]+)`", prose)])


def targets():
    return set(
        re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    )


def subcommands():
    command = [sys.executable, "-m", "haulage.cli.main", "--help"]
    child = subprocess.run(command, capture_output=True, text=True, check=True)
    return set(re.findall(r"^    ([a-z][a-z-]*)\b", child.stdout, re.MULTILINE))
