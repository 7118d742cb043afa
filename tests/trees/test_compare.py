"""The comparer: one planted difference at a time, and nothing else."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.trees.attributes import acl
from tests.trees.compare import (
    OWNER,
    Aspect,
    assert_same,
    differences,
    leftovers,
    main,
    rsync_differences,
    shown,
)

REPOSITORY = Path(__file__).parents[2]
SECOND = 1_000_000_000
CONTENT = bytes(range(256)) * 16

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root gives away files")


@pytest.fixture
def a(tmp_path: Path) -> Path:
    root = tmp_path / "a"
    (root / "dir" / "empty").mkdir(parents=True)
    (root / "dir" / "file").write_bytes(CONTENT)
    (root / "dir" / "link").symlink_to("file")
    (root / "top").write_bytes(b"top")
    for path in ("dir/file", "dir/link", "dir/empty", "dir", "top", ""):
        os.utime(root / path, ns=(0, 5 * SECOND), follow_symlinks=False)
    return root


@pytest.fixture
def b(a: Path) -> Path:
    subprocess.run(["cp", "-a", a, a.parent / "b"], check=True)
    return a.parent / "b"


def set_mtime(path: Path, mtime_ns: int) -> None:
    os.utime(path, ns=(0, mtime_ns), follow_symlinks=False)


def flip_a_byte(root: Path) -> None:
    (root / "dir/file").write_bytes(CONTENT[:700] + b"\xff" + CONTENT[701:])
    set_mtime(root / "dir/file", 5 * SECOND)


def cut_the_file(root: Path) -> None:
    (root / "dir/file").write_bytes(CONTENT[:4000])
    set_mtime(root / "dir/file", 5 * SECOND)


def empty_the_file(root: Path) -> None:
    (root / "dir/file").write_bytes(b"")
    set_mtime(root / "dir/file", 5 * SECOND)


def retarget_the_link(root: Path) -> None:
    (root / "dir/link").unlink()
    (root / "dir/link").symlink_to("f\nle")
    set_mtime(root / "dir/link", 5 * SECOND)


def turn_the_file_into_a_directory(root: Path) -> None:
    mode = (root / "top").stat().st_mode & 0o7777
    (root / "top").unlink()
    (root / "top").mkdir()
    (root / "top/inside").touch()
    (root / "top").chmod(mode | 0o100)
    set_mtime(root / "top", 5 * SECOND)


def remove_the_directory(root: Path) -> None:
    for name in ("file", "link"):
        (root / "dir" / name).unlink()
    (root / "dir/empty").rmdir()
    (root / "dir").rmdir()


Damage = tuple[Callable[[Path], object], list[str]]

DAMAGES: dict[str, Damage] = {
    "content": (flip_a_byte, ["dir/file: content differs from byte 700 on"]),
    "size": (cut_the_file, ["dir/file: size 4096 != 4000"]),
    "size zero": (empty_the_file, ["dir/file: size 4096 != 0"]),
    "mode": (lambda b: (b / "top").chmod(0o604), ["top: mode 0640 != 0604"]),
    "set-id": (lambda b: (b / "top").chmod(0o4640), ["top: mode 0640 != 4640"]),
    "root mode": (lambda b: b.chmod(0o701), [".: mode 0750 != 0701"]),
    "file mtime": (
        lambda b: set_mtime(b / "dir/file", 5 * SECOND + 1),
        ["dir/file: mtime 5000000000 != 5000000001"],
    ),
    "directory mtime": (
        lambda b: set_mtime(b / "dir/empty", 5 * SECOND - 1),
        ["dir/empty: mtime 5000000000 != 4999999999"],
    ),
    "symlink mtime": (
        lambda b: set_mtime(b / "dir/link", -1),
        ["dir/link: mtime 5000000000 != -1"],
    ),
    "root mtime": (
        lambda b: set_mtime(b, 5 * SECOND + 1),
        [".: mtime 5000000000 != 5000000001"],
    ),
    "target": (retarget_the_link, ["dir/link: target file != f\\nle"]),
    "missing file": (lambda b: (b / "top").unlink(), ["top: missing"]),
    "missing directory": (
        remove_the_directory,
        [f"dir{name}: missing" for name in ("", "/empty", "/file", "/link")],
    ),
    "extra": (lambda b: (b / "\x1b\udcff").touch(), ["\\x1b\\xff: extra"]),
    "type": (
        turn_the_file_into_a_directory,
        ["top: type file != dir", "top: mode 0640 != 0740", "top/inside: extra"],
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_single_difference_gives_its_line_and_no_other(
    a: Path, b: Path, damage: str
) -> None:
    for root in (a, b):
        (root / "top").chmod(0o640)
        root.chmod(0o750)
    assert differences(a, b) == []
    before = {path: path.stat().st_mtime_ns for path in (b / "dir", b)}
    act, lines = DAMAGES[damage]
    act(b)
    if "mtime" not in damage:
        for path in filter(Path.exists, before):
            set_mtime(path, before[path])
    assert differences(a, b) == lines
    assert len(differences(b, a)) == len(lines)
    assert rsync_differences(a, b) != []


def test_names_of_one_file_are_compared_as_groups(a: Path, b: Path) -> None:
    for root in (a, b):
        os.link(root / "top", root / "dir" / "top")
        os.link(root / "top", root / "zoo")
    assert differences(a, b, ignore=frozenset({Aspect.MTIME})) == []
    (b / "zoo").unlink()
    subprocess.run(["cp", "-p", b / "top", b / "zoo"], check=True)
    lines = ["dir/top: links 3 from dir/top != 2 from dir/top"]
    lines += ["top: links 3 from dir/top != 2 from dir/top"]
    lines += ["zoo: links 3 from dir/top != 1 from zoo"]
    assert differences(a, b, ignore=frozenset({Aspect.MTIME})) == lines
    both = frozenset({Aspect.MTIME, Aspect.LINKS})
    assert differences(a, b, ignore=both) == []


def test_names_of_one_link_are_compared_as_groups_too(a: Path, b: Path) -> None:
    os.link(a / "dir" / "link", a / "again", follow_symlinks=False)
    (b / "again").symlink_to(os.readlink(a / "again"))
    assert differences(a, b, ignore=frozenset({Aspect.MTIME})) == [
        "again: links 2 from again != 1 from again",
        "dir/link: links 2 from again != 1 from dir/link",
    ]


@needs_root
def test_owners_are_compared_on_files_links_directories_and_the_root(
    a: Path, b: Path
) -> None:
    for path in ("", "dir", "dir/link", "top"):
        os.lchown(b / path, 7, 2**32 - 2)
    gid = os.getegid()
    assert differences(a, b) == [
        f"{path}: {line}"
        for path in (".", "dir", "dir/link", "top")
        for line in ("uid 0 != 7", f"gid {gid} != 4294967294")
    ]
    assert differences(a, b, ignore=OWNER) == []
    os.lchown(b / "top", 0, 2**32 - 2)
    assert "top: gid 0 != 4294967294" in differences(a, b)
    assert not any("top: uid" in line for line in differences(a, b))


def test_what_is_ignored_hides_nothing_else(a: Path, b: Path) -> None:
    (b / "dir/file").write_bytes(b"x" * 4096)
    lines = differences(a, b, ignore=frozenset({Aspect.MTIME}))
    assert lines == ["dir/file: content differs from byte 0 on"]
    both = frozenset({Aspect.MTIME, Aspect.CONTENT})
    assert differences(a, b, ignore=both) == []


@pytest.mark.parametrize("at", [0, (1 << 20) - 1, 1 << 20, (3 << 20) + 4])
def test_a_difference_is_found_in_any_chunk(a: Path, b: Path, at: int) -> None:
    content = bytes((3 << 20) + 5)
    (a / "top").write_bytes(content)
    (b / "top").write_bytes(content[:at] + b"\1" + content[at + 1 :])
    for root in (a, b):
        set_mtime(root / "top", 0)
    assert differences(a, b) == [f"top: content differs from byte {at} on"]


def test_links_are_never_followed(a: Path, b: Path, tmp_path: Path) -> None:
    for root in (a, b):
        (root / "top").unlink()
        (root / "top").symlink_to(tmp_path)
        for path in (root / "top", root):
            set_mtime(path, 0)
    assert differences(a, b) == []
    with pytest.raises(OSError, match="top"):
        differences(a / "top", b)


def test_equal_trees_pass_and_others_fail_with_the_first_20(a: Path, b: Path) -> None:
    assert_same(a, b)
    for number in range(30):
        (b / f"extra-{number:02}").touch()
    with pytest.raises(AssertionError) as caught:
        assert_same(a, b)
    head, *lines = str(caught.value).splitlines()
    assert "31 differences" in head
    assert len(lines) == 20
    assert "extra-18: extra" in lines


def test_leftovers_are_told_from_planted_names(tmp_path: Path) -> None:
    planted = [b".haulage-000000000000-1", b".haulage-0123456789a-1", b".x.partial"]
    left = [b".haulage-0123456789ab-7", b"dir/.haulage-ffffffffffff-1\n\xff"]
    os.mkdir(tmp_path / "dir")
    for name in planted + left:
        open(os.path.join(os.fsencode(tmp_path), name), "xb").close()
    os.mkdir(tmp_path / ".haulage-abcdefabcdef-d")
    assert leftovers(tmp_path) == [left[0], b".haulage-abcdefabcdef-d", left[1]]


def test_shown_paths_are_one_line_of_ascii() -> None:
    assert shown(b"a\nb\\\xff\x1b'") == "a\\nb\\\\\\xff\\x1b'"
    assert shown(b"") == "."


def test_the_program_prints_the_differences_and_exits_with_1(
    a: Path, b: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(a), str(b)]) == 0
    set_mtime(b / "top", 1)
    assert main([str(a), str(b)]) == 1
    assert capsys.readouterr().out == "top: mtime 5000000000 != 1\n"
    command = [sys.executable, "-m", "tests.trees.compare", str(a), str(b)]
    done = subprocess.run(
        command, cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout == "top: mtime 5000000000 != 1\n"


def test_an_attribute_and_an_acl_are_seen(a: Path, b: Path) -> None:
    os.setxattr(a / "top", "user.a", b"1")
    os.setxattr(b / "dir", "system.posix_acl_default", acl(0o755, 9))
    if os.geteuid() == 0:
        os.setxattr(a / "dir/link", "trusted.a", b"1", follow_symlinks=False)
    lines = [line.partition(" ")[0:3:2] for line in differences(a, b)]
    seen = {path: what.partition(" ")[0] for path, what in lines}
    wanted = ["dir:", "dir/link:", "top:"] if os.geteuid() == 0 else ["dir:", "top:"]
    assert seen == dict.fromkeys(wanted, "xattrs")


def test_holes_that_were_filled_are_seen(a: Path, b: Path) -> None:
    with (a / "top").open("wb") as file:
        file.truncate(1 << 20)
    (b / "top").write_bytes(bytes(1 << 20))
    for root in (a, b):
        set_mtime(root / "top", 5 * SECOND)
    assert [line.split()[1] for line in differences(a, b)] == ["holes"]
    assert differences(b, a) == []
