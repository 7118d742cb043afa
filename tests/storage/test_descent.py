import errno
import os

import pytest

from haulage.storage.tree.descent import Descent
from tests.engine_builders import as_nobody


def open_descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def same(fd: int, path) -> bool:
    return os.path.samestat(os.fstat(fd), os.stat(path))


def deepen(place, name: bytes, levels: int) -> bytes:
    """Make a chain of directories and return its path below `place`."""
    fd = os.open(place, os.O_RDONLY)
    for _ in range(levels):
        os.mkdir(name, dir_fd=fd)
        below = os.open(name, os.O_RDONLY | os.O_DIRECTORY, dir_fd=fd)
        os.close(fd)
        fd = below
    os.close(os.open(b"bottom", os.O_CREAT | os.O_WRONLY, dir_fd=fd))
    os.close(fd)
    return (name + b"/") * levels


def test_a_directory_is_opened_below_the_root(place, descent):
    (place / "a" / "b").mkdir(parents=True)
    assert same(descent.open(b""), place)
    assert same(descent.open(b"a/"), place / "a")
    assert same(descent.open(b"a/b/"), place / "a" / "b")


def test_a_directory_that_is_open_is_not_opened_again(place, descent):
    (place / "a").mkdir()
    assert descent.open(b"a/") == descent.open(b"a/")


@pytest.mark.parametrize("path", [b"way/", b"way/below/", b"real/way/", b"way/way/"])
def test_no_component_is_reached_through_a_link(place, descent, path):
    (place / "real" / "below").mkdir(parents=True)
    (place / "way").symlink_to("real")
    (place / "real" / "way").symlink_to(".")
    with pytest.raises(OSError, match=r"Not a directory|symbolic links") as refused:
        descent.open(path)
    assert refused.value.errno in (errno.ENOTDIR, errno.ELOOP)


def test_a_directory_that_became_a_link_is_not_followed_once_forgotten(place, descent):
    (place / "a" / "b").mkdir(parents=True)
    (place / "victim" / "b").mkdir(parents=True)
    descent.open(b"a/b/")
    (place / "a").rename(place / "gone")
    (place / "a").symlink_to("victim")
    descent.forget(b"a/")
    with pytest.raises(NotADirectoryError):
        descent.open(b"a/b/")


def test_the_root_itself_may_be_a_link(place):
    (place / "real").mkdir()
    (place / "way").symlink_to("real")
    descent = Descent(str(place / "way"))
    assert same(descent.open(b""), place / "real")
    descent.close()


def test_a_missing_directory_and_a_file_are_errors_with_their_errno(place, descent):
    (place / "file").touch()
    with pytest.raises(FileNotFoundError):
        descent.open(b"none/")
    with pytest.raises(NotADirectoryError):
        descent.open(b"file/")
    with pytest.raises(NotADirectoryError):
        descent.open(b"file/below/")


def test_no_more_than_64_descriptors_are_kept(place, descent):
    before = open_descriptors()
    for number in range(200):
        (place / f"d{number}").mkdir()
        assert same(descent.open(b"d%d/" % number), place / f"d{number}")
    assert open_descriptors() - before <= 64
    assert same(descent.open(b"d0/"), place / "d0"), "one that was closed opens again"


def test_the_descriptor_used_last_outlives_63_others(place, descent):
    for number in range(70):
        (place / f"d{number}").mkdir()
    fd = descent.open(b"d0/")
    for number in range(1, 64):
        descent.open(b"d%d/" % number)
    assert same(fd, place / "d0")


def test_a_path_is_never_too_long(place, descent):
    deep = deepen(place, b"n" * 200, 30)
    assert len(deep) > 6000
    assert os.listdir(descent.open(deep)) == ["bottom"]


def test_a_thousand_levels_are_reached_with_64_descriptors(place, descent):
    deep = deepen(place, b"d", 1000)
    before = open_descriptors()
    assert os.listdir(descent.open(deep)) == ["bottom"]
    assert os.listdir(descent.open(b"d/" * 10)) == ["d"]
    assert os.listdir(descent.open(deep)) == ["bottom"]
    assert open_descriptors() - before <= 64


def test_forgetting_closes_what_is_below_and_nothing_else(place, descent):
    for name in ("a/b", "ab", "c"):
        (place / name).mkdir(parents=True)
        descent.open(os.fsencode(name) + b"/")
    kept = descent.open(b"ab/"), descent.open(b"c/")
    before = open_descriptors()
    descent.forget(b"a/")
    assert open_descriptors() == before - 2
    assert (descent.open(b"ab/"), descent.open(b"c/")) == kept
    descent.forget()
    assert open_descriptors() == before - 4


def test_closing_leaves_no_descriptor_open(place):
    before = open_descriptors()
    descent = Descent(str(place))
    (place / "a").mkdir()
    descent.open(b"a/")
    descent.close()
    assert open_descriptors() == before


def test_an_open_that_fails_leaves_no_descriptor_open(place, descent):
    (place / "a").mkdir()
    descent.open(b"a/")
    before = open_descriptors()
    for _ in range(5):
        with pytest.raises(FileNotFoundError):
            descent.open(b"a/none/x/")
    assert open_descriptors() == before


def test_a_directory_that_may_not_be_read_is_a_permission_error(commons):
    (commons / "locked").mkdir()
    (commons / "locked").chmod(0)

    def opened():
        try:
            Descent(str(commons)).open(b"locked/")
        except PermissionError as err:
            return err.errno

    assert as_nobody(opened) == errno.EACCES
