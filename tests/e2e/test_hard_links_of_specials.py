"""Other names of symbolic links, FIFOs and devices are kept, or told as left out."""

import os
import stat

import pytest

from tests.e2e.linked import SMALL, link, night
from tests.e2e.place import Place, grow_old, paths_in, write


@pytest.fixture
def odd(place: Place) -> Place:
    """Give groups of what is no file, and are synced."""
    source = place.source
    os.symlink("anywhere", source / "link")
    os.mkfifo(source / "fifo")
    os.mknod(source / "device", stat.S_IFCHR | 0o600, os.makedev(1, 3))
    for name in ("link", "fifo", "device"):
        for other in (f"a/{name}", f"z/{name}"):
            (source / other).parent.mkdir(exist_ok=True)
            os.link(source / name, source / other, follow_symlinks=False)
    write(source / "single")
    summary = night(place, preserve=["all"])
    assert (summary.copied, summary.made) == (1, 9 + 3)  # with directories
    return place


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes devices")
def test_what_is_no_file_keeps_its_other_names_too(odd: Place) -> None:
    source = odd.source
    grow_old()
    night(odd, preserve=["all"])  # what was young is looked at once more
    quiet = night(odd, preserve=["all"])
    assert (quiet.made, quiet.updated, quiet.unchanged) == (0, 0, quiet.listed)
    for name in ("link", "fifo", "device"):
        os.link(source / name, source / f"new-{name}", follow_symlinks=False)
        os.unlink(source / "a" / name)
        os.utime(source / name, ns=(7, 7), follow_symlinks=False)
    night(odd, preserve=["all"])
    os.unlink(source / "z" / "fifo")
    os.mkfifo(source / "z" / "fifo")  # one of its own
    os.unlink(source / "z" / "link")
    os.link(source / "single", source / "z" / "link")  # of another kind
    night(odd, preserve=["all"])
    assert odd.haulage("verify", odd.name).code == 0, odd.failures()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes devices")
def test_names_of_a_link_that_went_apart_in_the_target_are_found_and_joined(
    odd: Place,
) -> None:
    times = os.lstat(odd.target / "z" / "link")
    os.unlink(odd.target / "z" / "link")
    os.symlink("anywhere", odd.target / "z" / "link")
    stamps = (times.st_atime_ns, times.st_mtime_ns)
    os.utime(odd.target / "z" / "link", ns=stamps, follow_symlinks=False)
    os.utime(odd.target / "z", ns=(0, (odd.source / "z").stat().st_mtime_ns))
    assert odd.haulage("verify", odd.name).code == 1
    assert list(odd.failures()) == [b"z/link"]
    assert "no longer the same" in odd.failures()[b"z/link"].reason
    night(odd, preserve=["all"])


def test_what_is_left_out_is_told_once_however_many_names_it_has(place: Place) -> None:
    os.mkfifo(place.source / "fifo")
    link(place, "fifo", "other")
    write(place.source / "file")
    link(place, "file", "another")
    for _ in range(2):
        summary = place.sync(**SMALL)
        assert summary.notes == ("2 special files were left out",)
        assert paths_in(place.target) == {b"file", b"another"}
    grow_old()
    place.sync(**SMALL)
    assert place.sync(**SMALL).unchanged == 2 + 1
