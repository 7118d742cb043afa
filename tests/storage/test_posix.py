import errno
import os
import stat
import subprocess

import pytest

from haulage.errors import BlockedError, UnstableError, VanishedError
from haulage.model import Loss
from haulage.storage.tree.descent import Descent
from haulage.storage.tree.files import (
    create,
    make_dir,
    open_file,
    open_or_create,
    open_source,
    reach,
    remove_if_there,
    rename_over,
    stat_in,
    temp_dir_name,
    temp_name,
)
from haulage.storage.tree.metadata.attributes import (
    Attributes,
    attributes_of,
    set_attributes,
)
from tests.engine_builders import NOBODY, OLD_NS, as_nobody, put, read
from tests.trees.attributes import EDGE_TIMES_NS

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root gives away files")
TEMP = temp_name("abcdefabcdef", 7)


def test_the_name_of_a_temporary_fits_every_file_system():
    longest = temp_dir_name(temp_name("f" * 64, 2**63))
    assert len(longest) <= 255
    assert longest.startswith(b".haulage-")


def test_temporaries_of_other_attempts_and_rows_have_other_names():
    names = {temp_name(token, row) for token in ("a", "b") for row in (1, 11, "1-1")}
    assert len(names) == 6


def test_a_temporary_is_its_owners_alone_whatever_the_umask(place, descent):
    old = os.umask(0)
    os.close(create(descent.root_fd, TEMP))
    os.umask(old)
    found = os.stat(place / os.fsdecode(TEMP))
    assert stat.S_IMODE(found.st_mode) == 0o600


def test_a_temporary_is_never_one_that_is_there_already(place, descent):
    put(place, TEMP, b"of somebody else")
    with pytest.raises(FileExistsError):
        create(descent.root_fd, TEMP)


@pytest.mark.parametrize("opening", [create, open_or_create])
def test_a_temporary_is_not_written_through_a_link(place, descent, opening):
    victim = put(place, b"victim", b"precious")
    os.symlink(victim, os.path.join(os.fsencode(place), TEMP))
    with pytest.raises(OSError, match=r"File exists|symbolic links"):
        opening(descent.root_fd, TEMP)
    assert read(place, b"victim") == b"precious"


def test_a_shared_temporary_may_be_there_already(place, descent):
    for found in (True, False):
        fd, is_new = open_or_create(descent.root_fd, TEMP)
        assert is_new is found
        os.write(fd, b"part")
        os.close(fd)
    assert (place / os.fsdecode(TEMP)).read_bytes() == b"part"


# ------------------------------------------------------------------ rename_over


def occupy(place, what: str) -> None:
    if what == "file":
        put(place, b"x", b"old")
    elif what == "link":
        put(place, b"victim", b"precious")
        (place / "x").symlink_to("victim")
    elif what == "dangling link":
        (place / "x").symlink_to("nowhere")
    elif what == "fifo":
        os.mkfifo(place / "x")
    elif what == "empty directory":
        (place / "x").mkdir()


@pytest.mark.parametrize(
    "what", ["nothing", "file", "link", "dangling link", "fifo", "empty directory"]
)
def test_a_temporary_takes_the_place_of_anything_without_content(place, descent, what):
    occupy(place, what)
    put(place, TEMP, b"new")
    rename_over(descent.root_fd, TEMP, b"x")
    assert stat.S_ISREG(os.lstat(place / "x").st_mode)
    assert (place / "x").read_bytes() == b"new"
    assert not (place / os.fsdecode(TEMP)).exists()
    if what == "link":
        assert (place / "victim").read_bytes() == b"precious"


def test_a_directory_with_content_blocks_and_keeps_its_content(place, descent):
    put(place, b"x/y", b"content")
    put(place, TEMP, b"new")
    with pytest.raises(BlockedError, match="directory with content"):
        rename_over(descent.root_fd, TEMP, b"x")
    assert (place / "x" / "y").read_bytes() == b"content"


def test_a_link_takes_the_place_of_an_empty_directory(place, descent):
    (place / "x").mkdir()
    os.symlink("to", os.path.join(os.fsencode(place), TEMP))
    rename_over(descent.root_fd, TEMP, b"x")
    assert os.readlink(place / "x") == "to"


def test_a_temporary_that_is_gone_is_an_error_and_changes_nothing(place, descent):
    put(place, b"x", b"old")
    with pytest.raises(FileNotFoundError):
        rename_over(descent.root_fd, TEMP, b"x")
    assert (place / "x").read_bytes() == b"old"


def test_removing_what_is_gone_is_no_error(place, descent):
    put(place, b"x")
    remove_if_there(descent.root_fd, b"x")
    remove_if_there(descent.root_fd, b"x")
    assert not (place / "x").exists()


# ------------------------------------------------------------------ make_dir, reach


def test_a_directory_is_made_open_for_its_owner_alone(place, descent):
    old = os.umask(0)
    make_dir(descent, b"d/", TEMP)
    os.umask(old)
    assert stat.S_IMODE(os.stat(place / "d").st_mode) == 0o700
    make_dir(descent, b"d/", TEMP)


@pytest.mark.parametrize("what", ["file", "link", "dangling link", "fifo"])
def test_a_directory_takes_the_place_of_what_is_none(place, descent, what):
    occupy(place, what)
    make_dir(descent, b"x/", TEMP)
    assert stat.S_ISDIR(os.lstat(place / "x").st_mode)
    assert set(os.listdir(place)) <= {"x", "victim"}
    if what == "link":
        assert (place / "victim").read_bytes() == b"precious"


def test_a_link_to_a_directory_is_replaced_and_not_followed(place, descent):
    put(place, b"victim/y", b"precious")
    (place / "x").symlink_to("victim")
    make_dir(descent, b"x/", TEMP)
    assert not (place / "x").is_symlink()
    assert os.listdir(place / "x") == []
    assert os.listdir(place / "victim") == ["y"]


def test_a_directory_that_is_there_keeps_its_content(place, descent):
    put(place, b"x/y", b"content")
    make_dir(descent, b"x/", TEMP)
    assert (place / "x" / "y").read_bytes() == b"content"


def test_reaching_makes_the_directories_that_miss(place, descent):
    fd = reach(descent, b"a/b/c/", TEMP)
    assert os.path.samestat(os.fstat(fd), os.stat(place / "a" / "b" / "c"))
    assert reach(descent, b"a/b/c/", TEMP) == fd


def test_reaching_replaces_a_link_on_the_way_and_leaves_its_victim(place, descent):
    put(place, b"victim/b/y", b"precious")
    (place / "a").symlink_to("victim")
    fd = reach(descent, b"a/b/", TEMP)
    assert os.listdir(fd) == []
    assert (place / "victim" / "b" / "y").read_bytes() == b"precious"


def test_reaching_replaces_a_file_on_the_way(place, descent):
    put(place, b"a", b"a file")
    assert os.listdir(reach(descent, b"a/b/", TEMP)) == []


def test_reaching_makes_a_path_that_is_too_long_for_one_call(place, descent):
    deep = (b"n" * 200 + b"/") * 30
    assert os.listdir(reach(descent, deep, TEMP)) == []


def test_reaching_makes_a_thousand_levels(place, descent):
    assert os.listdir(reach(descent, b"d/" * 1000, TEMP)) == []


def test_a_directory_that_its_owner_may_not_enter_is_opened_for_the_owner(commons):
    def reached():
        os.makedirs(commons / "mine")
        os.chmod(commons / "mine", 0o050)
        reach(Descent(str(commons)), b"mine/below/", TEMP)
        return stat.S_IMODE(os.stat(commons / "mine").st_mode)

    assert as_nobody(reached) == 0o750


@needs_root
def test_a_replacement_that_fails_leaves_no_temporary(commons):
    put(commons, b"x", b"not yours")
    os.chmod(commons, 0o1777)  # where nobody may remove what others own

    def replace():
        try:
            make_dir(Descent(str(commons)), b"x/", TEMP)
        except PermissionError as err:
            return err.errno

    assert as_nobody(replace) == errno.EPERM
    assert os.listdir(commons) == ["x"]


# ------------------------------------------------------------------ attributes


@pytest.mark.parametrize("mtime_ns", EDGE_TIMES_NS)
def test_times_are_kept_to_the_nanosecond_as_far_as_the_store_can(place, mtime_ns):
    put(place, b"wanted", mtime_ns=mtime_ns)
    put(place, b"x")
    wanted = attributes_of(os.stat(place / "wanted"))
    fd = os.open(place / "x", os.O_RDONLY)
    assert set_attributes(fd, wanted) is None
    os.close(fd)
    assert os.stat(place / "x").st_mtime_ns == wanted.mtime_ns


@needs_root
def test_root_sets_owner_and_every_mode_bit(place):
    put(place, b"x")
    wanted = Attributes(0o7751, 1234, 2**32 - 2, OLD_NS, OLD_NS + 1)
    fd = os.open(place / "x", os.O_WRONLY)
    assert set_attributes(fd, wanted) is None
    os.close(fd)
    assert attributes_of(os.stat(place / "x")) == wanted


@needs_root
def test_set_id_bits_are_dropped_with_the_owner_that_could_not_be_kept(commons):
    def attributes():
        with open(commons / "mine", "wb") as file:
            wanted = Attributes(0o6755, 0, 0, OLD_NS, OLD_NS)
            return set_attributes(file.fileno(), wanted)

    lost = as_nobody(attributes)
    assert lost.kinds == Loss.OWNER
    assert "owner 0:0 not kept" in lost.words
    found = os.stat(commons / "mine")
    assert stat.S_IMODE(found.st_mode) == 0o755
    assert found.st_uid == NOBODY
    assert found.st_mtime_ns == OLD_NS


def test_an_owner_keeps_the_set_id_bits_of_its_own_files(commons):
    def attributes():
        with open(commons / "mine", "wb") as file:
            wanted = Attributes(0o6755, os.geteuid(), os.getegid(), OLD_NS, OLD_NS)
            return set_attributes(file.fileno(), wanted)

    assert as_nobody(attributes) is None
    assert stat.S_IMODE(os.stat(commons / "mine").st_mode) == 0o6755


# ------------------------------------------------------------------ open, stat


def test_a_file_is_read_without_moving_its_atime(place, descent):
    put(place, b"x", b"content")
    fd = open_file(descent, b"x")
    assert os.read(fd, 100) == b"content"
    os.close(fd)
    assert os.stat(place / "x").st_atime_ns == OLD_NS


def test_a_file_of_another_owner_is_read_all_the_same(commons):
    put(commons, b"x", b"content")

    def content():
        return os.read(open_file(Descent(str(commons)), b"x"), 100)

    assert as_nobody(content) == b"content"


def test_what_is_gone_is_vanished_and_what_became_another_kind_is_unstable(
    place, descent
):
    (place / "link").symlink_to("x")
    put(place, b"x")
    for path in (b"none", b"none/x", b"x/y", b"link/y"):
        with pytest.raises(VanishedError):
            open_source(descent, path)
    with pytest.raises(UnstableError):
        open_source(descent, b"link")


@pytest.mark.timeout(30)
def test_opening_a_fifo_does_not_wait_for_its_writer(place, descent):
    os.mkfifo(place / "fifo")
    fd = open_source(descent, b"fifo")
    assert stat.S_ISFIFO(os.fstat(fd).st_mode)
    os.close(fd)


def test_absence_is_proven_by_what_is_not_there(place, descent):
    put(place, b"a/x")
    (place / "link").symlink_to("a")
    for path in (b"none", b"none/", b"none/x", b"a/x/y", b"link/x", b"a/none"):
        assert stat_in(descent, path) is None
    for path in (b"", b"a/", b"a/x", b"link"):
        assert stat_in(descent, path) is not None
    found = stat_in(descent, b"link")
    assert found
    assert stat.S_ISLNK(found.st_mode)


def test_what_may_not_be_looked_at_is_no_proof_of_absence(commons):
    put(commons, b"locked/x")
    os.chmod(commons / "locked", 0)

    def asked():
        try:
            return stat_in(Descent(str(commons)), b"locked/x")
        except PermissionError as err:
            return err.errno

    assert as_nobody(asked) == errno.EACCES


def test_a_name_that_is_too_long_is_no_proof_of_absence(descent):
    with pytest.raises(OSError, match="too long") as refused:
        stat_in(descent, b"n" * 300)
    assert refused.value.errno == errno.ENAMETOOLONG


@needs_root
def test_a_file_that_can_not_be_changed_is_an_error_and_no_temporary_stays(
    place, descent, file_system
):
    put(place, b"x", b"old")
    put(place, TEMP, b"new")
    locked = subprocess.run(
        ["chattr", "+i", place / "x"], capture_output=True, check=False
    )
    if locked.returncode:
        pytest.skip("this file system has no immutable files")
    try:
        with pytest.raises(PermissionError):
            rename_over(descent.root_fd, TEMP, b"x")
        assert (place / "x").read_bytes() == b"old"
    finally:
        subprocess.run(["chattr", "-i", place / "x"], check=True)
