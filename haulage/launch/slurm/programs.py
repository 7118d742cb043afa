"""Run SLURM's programs."""

import os
import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass

from haulage.errors import RefusedError, TransientError

_TIMEOUT_S = 60.0
# What programs get of the environment, and jobs from them: no secret is among it.
_KEPT = ("HOME", "LOGNAME", "PATH", "SHELL", "SLURM_CONF", "TMPDIR", "USER")
_AWAY = re.compile(
    r"unable to contact slurm|connection (refused|timed out|reset)|timed out"
    r"|zero bytes were transmitted|temporarily un|not connected|no route to host"
    r"|network is unreachable|communication connection failure|communications.* error"
    r"|could not establish a configuration source|protocol authentication"
    r"|i/o error writing|controller .*standby|try again",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Said:
    """How a program ended, and what it printed."""

    code: int
    out: str
    err: str


def run(words: Sequence[str], text: str = "") -> Said:
    """Run a program with `text` as its standard input.

    TransientError if SLURM does not answer, or nobody knows what it did; RefusedError
    if there is no such program.
    """
    try:
        done = subprocess.run(
            words,
            input=text,
            env=_environ(),
            capture_output=True,
            text=True,
            errors="replace",
            encoding="utf-8",
            timeout=_TIMEOUT_S,
            check=False,
            start_new_session=True,  # Control-C must not end it half-way
        )
    except FileNotFoundError as err:
        raise RefusedError(
            f"{words[0]} is not in PATH, so this machine cannot use SLURM; start the "
            "run where 'sinfo' works, or use the launcher local"
        ) from err
    except subprocess.TimeoutExpired as err:
        raise TransientError(
            f"{words[0]} gave no answer within {_TIMEOUT_S:g} s"
        ) from err
    said = Said(done.returncode, done.stdout, done.stderr)
    if said.code and _AWAY.search(said.err):
        raise TransientError(f"{words[0]}: {' '.join(said.err.split())}")
    return said


def ask(words: Sequence[str]) -> str:
    """Return what a program prints that changes nothing; TransientError if it fails."""
    said = run(words)
    if said.code:
        raise TransientError(
            f"{words[0]} failed with exit code {said.code}: "
            f"{' '.join(said.err.split()) or 'without a word'}"
        )
    return said.out


def _environ() -> dict[str, str]:
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    return kept | {"LC_ALL": "C"}
