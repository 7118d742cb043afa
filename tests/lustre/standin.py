"""A stand-in for the tools of a Lustre client, and what it takes for a Lustre."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SCRIPT = Path(__file__).with_name("lfs.py")


@dataclass(frozen=True)
class Lustre:
    """What `lfs` in `bin` takes for a Lustre, and what it was asked."""

    state: Path

    @property
    def bin(self) -> Path:
        """Return the directory that belongs on the PATH."""
        return self.state / "bin"

    def configure(self, **config: Any) -> None:
        """Change what there is: roots, osts, mdts, pools, or what is refused."""
        file = self.state / "config.json"
        known = json.loads(file.read_text()) if file.exists() else {}
        file.write_text(json.dumps(known | config))

    def install(self) -> None:
        """Put `lfs` into its place."""
        head = f"#!{sys.executable} -IS\nSTATE = {str(self.state)!r}\n"
        script = self.bin / "lfs"
        script.write_text(head + SCRIPT.read_text())
        script.chmod(0o755)

    def lfs(self, *words: str | Path) -> str:
        """Ask as a person would; that is no call of Haulage's."""
        calls = self._calls.read_bytes()
        done = subprocess.run(
            [self.bin / "lfs", *words], capture_output=True, check=True, text=True
        )
        self._calls.write_bytes(calls)
        return done.stdout

    @property
    def _calls(self) -> Path:
        return self.state / "calls"

    def calls(self, verb: str | None = None) -> list[list[str]]:
        """Return the words of every call so far, without the directory."""
        lines = map(json.loads, self._calls.read_text().splitlines())
        return [words for _, *words in lines if verb in (None, words[0])]

    def forget(self) -> None:
        """Count calls from here."""
        self._calls.write_text("")


def make_lustre(where: Path, roots: Sequence[Path]) -> Lustre:
    """Put an `lfs` below `where`; everything below `roots` is on its Lustre."""
    lustre = Lustre(where)
    lustre.bin.mkdir(parents=True)
    lustre.configure(
        roots=[os.path.realpath(root) for root in roots],
        osts=[0, 1, 2, 3],
        mdts=[0, 1],
        inactive_mdts=[],
        pools=["flash", "disk"],
        restricted=False,
        remote_dirs=True,
        gone_after_mkdirs=0,
        flips_to="",
    )
    lustre.forget()
    lustre.install()
    return lustre


def striping(path: Path) -> list[tuple[int, int, str]]:
    """Return count, size and pool of each component that was set on `path`."""
    try:
        parts = json.loads(os.getxattr(path, "trusted.lov"))
    except OSError:
        return []
    return [(part["stripes"], part["size"], part["pool"]) for part in parts]


def mdt_of(path: Path) -> int | None:
    """Return the MDT that a directory was asked for, if it was."""
    try:
        return int(os.getxattr(path, "trusted.lmv"))
    except OSError:
        return None
