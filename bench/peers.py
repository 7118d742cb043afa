"""The tools, each with the flags that serve it best at equal work."""

import os
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

BIN = Path(sys.executable).parent

# On two cores, 2 to 16 transfers are within the noise of each other, 64 are slower.
RCLONE_AT_ONCE = 8
FPSYNC_JOBS = 2


@dataclass(frozen=True, slots=True)
class Places:
    """Where a tool reads, writes, and may keep notes; `server` leads to a bucket."""

    source: str
    target: str
    notes: Path
    server: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Tool:
    """A named command; what it needs in its environment goes by `env`."""

    name: str
    command: Callable[[Places], Sequence[str]]
    env: Callable[[Places], dict[str, str]] = field(default=lambda _: {})
    copies: bool = True
    remembers: bool = False  # its second run is quicker for what the first one noted

    @property
    def is_ours(self) -> bool:
        """Tell whether this is what the others are compared with."""
        return self.name.startswith("haulage")


def program(name: str) -> str:
    """Return where `name` is, from our own environment first."""
    path = os.pathsep.join([str(BIN), os.environ.get("PATH", os.defpath)])
    found = shutil.which(name, path=path)
    if not found:
        raise SystemExit(f"{name} is not installed here: run make bench")
    return found


def _contents(path: str) -> str:
    return f"{path}/"


RSYNC = Tool(
    "rsync -a",
    lambda at: [program("rsync"), "-a", _contents(at.source), at.target],
)
RSYNC_DRY = Tool(
    "rsync -an",
    lambda at: [program("rsync"), "-an", _contents(at.source), at.target],
)
CP = Tool(
    "cp -a",
    lambda at: [program("cp"), "-a", f"{at.source}/.", at.target],
)
FIND = Tool(
    "find -printf",
    lambda at: [
        program("find"),
        at.source,
        "-printf",
        "%P %y %m %U %G %s %T@ %C@ %i %n\\n",
    ],
    copies=False,
)
PYTHON = Tool("python -c pass", lambda _: [sys.executable, "-c", "pass"], copies=False)
PREFECT = Tool(
    "python -c 'import prefect.flows'",
    lambda _: [sys.executable, "-c", "import prefect.flows"],
    copies=False,
)


def rclone(name: str, verb: str, *flags: str) -> Tool:
    """Return rclone doing `verb`, links and all metadata kept."""
    return Tool(
        name,
        lambda at: [
            program("rclone"),
            verb,
            at.source,
            at.target,
            "--links",
            "--metadata",
            f"--transfers={RCLONE_AT_ONCE}",
            f"--checkers={RCLONE_AT_ONCE}",
            *flags,
        ],
        lambda at: {
            "RCLONE_CONFIG": os.devnull,
            "RCLONE_CACHE_DIR": str(at.notes),
        },
    )


RCLONE = rclone("rclone copy", "copy")
RCLONE_UNPROVEN = rclone("rclone copy --ignore-checksum", "copy", "--ignore-checksum")
RCLONE_SYNC = rclone("rclone sync", "sync")
RCLONE_DRY = rclone("rclone sync --dry-run", "sync", "--dry-run")


def fpsync(name: str, *flags: str) -> Tool:
    """Return fpsync with rsync as its copier."""
    return Tool(
        name,
        lambda at: [
            program("fpsync"),
            "-n",
            str(FPSYNC_JOBS),
            *flags,
            "-t",
            str(at.notes),
            _contents(at.source),
            _contents(at.target),
        ],
    )


FPSYNC = fpsync(f"fpsync -n {FPSYNC_JOBS}")


def fpsync_tuned(entries: int) -> Tool:
    """Return fpsync told beforehand how to cut the tree: one job a worker."""
    files = -(-entries // FPSYNC_JOBS)
    return fpsync(f"fpsync -n {FPSYNC_JOBS} -f {files}", "-f", str(files))


def haulage(name: str, *flags: str) -> Tool:
    """Return `haulage sync` with a home of its own."""
    return Tool(
        name,
        lambda at: [
            program("haulage"),
            "sync",
            at.source,
            at.target,
            "--json",
            *flags,
        ],
        _home_of,
        remembers=True,
    )


def _home_of(at: Places) -> dict[str, str]:
    """Return the environment that keeps Haulage's state in `at.notes`."""
    return {**at.server, "HAULAGE_HOME": str(at.notes), "HAULAGE_CATALOG": ""}


HAULAGE = haulage("haulage sync")
HAULAGE_UNPROVEN = haulage("haulage sync --verify none", "--verify", "none")
HAULAGE_METADATA = haulage("haulage sync --verify metadata", "--verify", "metadata")
HAULAGE_HELP = Tool(
    "haulage --help", lambda _: [program("haulage"), "--help"], copies=False
)
