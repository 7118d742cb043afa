import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from haulage.storage.tree.descent import Descent
from tests.servers.proxy import proxy
from tests.storage.s3_opening import opened

_IMAGE_BYTES = {"ext4": 64 << 20, "xfs": 320 << 20}  # xfs makes none below 300 MiB


def _mounted(kind: str, home: Path) -> Path:
    """Mount a new file system on a loop device, or skip with the reason."""
    if os.geteuid() != 0:
        pytest.skip("only root mounts file systems")
    if not shutil.which(f"mkfs.{kind}"):
        pytest.skip(f"mkfs.{kind} is not installed")
    image, where = home / "image", home / "mounted"
    where.mkdir()
    with image.open("wb") as file:
        file.truncate(_IMAGE_BYTES[kind])
    quiet = ["mkfs." + kind, "-q", str(image)]
    subprocess.run(quiet, check=True, capture_output=True)
    mount = ["mount", "-o", "loop", str(image), str(where)]
    done = subprocess.run(mount, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"a loop device cannot be mounted here: {done.stderr.strip()}")
    return where


@pytest.fixture(scope="session", params=["tmp", "tmpfs", "ext4", "xfs"])
def file_system(request, tmp_path_factory):
    """Give a directory on a file system of each kind."""
    kind = request.param
    if kind == "tmp":
        yield tmp_path_factory.mktemp("fs")
    elif kind == "tmpfs":
        if not os.access("/dev/shm", os.W_OK):
            pytest.skip("/dev/shm is not writable")
        where = Path(tempfile.mkdtemp(dir="/dev/shm", prefix="haulage-test-"))
        yield where
        shutil.rmtree(where)
    else:
        where = _mounted(kind, tmp_path_factory.mktemp(kind))
        yield where
        subprocess.run(["umount", str(where)], check=True)


@pytest.fixture
def place(file_system):
    """Give one test an empty directory, which may become deeper than a path."""
    where = Path(tempfile.mkdtemp(dir=file_system))
    yield where
    subprocess.run(["rm", "-rf", str(where)], check=True)


@pytest.fixture
def descent(place):
    """Give a descent into that directory."""
    made = Descent(str(place))
    yield made
    made.close()


@pytest.fixture
def way(moto_s3, bucket):
    """Give a proxy, and the bucket behind it as the product opens it."""
    name = bucket(moto_s3)
    with proxy(moto_s3.endpoint) as between:
        s3 = opened(moto_s3.at(between.endpoint), name)
        yield between, s3
        s3.close()
