import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lustre.standin import Lustre, make_lustre


@pytest.fixture
def lustre(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lustre:
    """Put an `lfs` on the PATH that takes this test's directory for a Lustre."""
    if os.geteuid() != 0:
        pytest.skip("the stand-in keeps layouts where only root may write")
    made = make_lustre(tmp_path.parent / f"{tmp_path.name}-lfs", [tmp_path])
    monkeypatch.setenv("PATH", f"{made.bin}:{os.environ['PATH']}")
    return made


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[int]:
    """Give a descriptor of this test's directory."""
    fd = os.open(tmp_path, os.O_RDONLY)
    yield fd
    os.close(fd)
