"""Count what tools leave different of a tree that is made to break them.

The judge is the comparer of the tests, which shares no code with any of them: content,
type, mode, owner, mtime, target, device, allocation, attributes and ACLs, hard links.
"""

import os
import random
import shutil
import subprocess
from collections import Counter
from pathlib import Path

from bench import data
from bench.peers import Places, Tool, haulage, program, rclone
from tests.trees.build import plant
from tests.trees.compare import Difference, all_differences
from tests.trees.extremes import add_extremes

SEED, ENTRIES = 5, 1500
SIZE_BYTES = 64 << 20
TIMEOUT_S = 300
_TAR = "{0} -C {1} --sparse --xattrs --xattrs-include=* --acls -cf - . | {0} -C {2} "
_TAR += "--xattrs --xattrs-include=* --acls --numeric-owner -xpf -"

TOOLS = [
    Tool("cp -a", lambda at: [program("cp"), "-a", f"{at.source}/.", at.target]),
    Tool(
        "rsync -aHAXS --numeric-ids",
        lambda at: [
            program("rsync"), "-aHAXS", "--numeric-ids", f"{at.source}/", at.target
        ],
    ),
    Tool(
        "tar --sparse --xattrs --acls",
        lambda at: [
            "sh", "-c", _TAR.format(program("tar"), at.source, at.target)
        ],
    ),
    rclone("rclone copy --links --metadata", "copy"),
    haulage("haulage sync --preserve all", "--preserve", "all"),
]  # fmt: skip


def report(*, peers_only: bool = False) -> str:
    """Let each tool copy the tree, and return a table of what differs then."""
    if os.geteuid() != 0:
        return "fidelity: only root makes the owners and devices of this tree\n"
    tools = [tool for tool in TOOLS if not (peers_only and tool.is_ours)]
    with data.place_for(SIZE_BYTES) as place:
        source = place / "source"
        plant(source, SEED, ENTRIES, extras=True, specials=True, links=True)
        add_extremes(os.fsencode(source), random.Random(SEED))  # noqa: S311
        rows = [_row(tool, source, place) for tool in tools]
    heads = "| tool | differences | exit code | of which |\n| --- | --: | --: | --- |"
    return "\n".join(["### Fidelity", "", heads, *rows, ""])


def _row(tool: Tool, source: Path, place: Path) -> str:
    """Run a tool once; one that fails is judged by what it has made all the same."""
    at = Places(str(source), str(place / "target"), place / "notes")
    for directory in (at.target, at.notes):
        os.mkdir(directory)
    ended = subprocess.run(
        tool.command(at),
        env={**os.environ, **tool.env(at)},
        capture_output=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    found = all_differences(source, at.target)
    for directory in (at.target, at.notes):
        shutil.rmtree(directory)
    return f"| `{tool.name}` | {len(found)} | {ended.returncode} | {_kinds(found)} |"


def _kinds(found: list[Difference]) -> str:
    counts = Counter(str(each.what) for each in found)
    return ", ".join(f"{count} {what}" for what, count in counts.most_common())
