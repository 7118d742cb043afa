"""What `lfs` prints is understood, and what it is told it understands.

The answers are written after the source of Lustre 2.12 to 2.17; none was asked.
"""

import os
from pathlib import Path

import pytest

from haulage.config.striping import ALL, UNSET, Component, Layout
from haulage.errors import FatalError
from haulage.storage.tree.files import pin_in
from haulage.storage.tree.lustre.lfs import (
    LfsError,
    layout_of,
    make_dir_on,
    mdts_of,
    parse_layout,
    set_default,
    set_layout,
    words_for,
)
from tests.lustre.standin import Lustre, mdt_of, striping

PLAIN = b"""lmm_stripe_count:  4
lmm_stripe_size:   4194304
lmm_pattern:       raid0
lmm_layout_gen:    0
lmm_stripe_offset: 2
lmm_pool:          flash
\tobdidx\t\t objid\t\t objid\t\t group
\t     2\t             3\t          0x3\t   0x280000401
\t     3\t             3\t          0x3\t   0x2c0000401

"""
OLD_DIRECTORY = (
    b"(Default) ./d\nstripe_count:  -1 stripe_size:   1048576 stripe_offset: -1\n\n"
)
UNSET_DIRECTORY = (
    b"stripe_count:  0 stripe_size:   0 pattern:        stripe_offset: -1\n\n"
)
PROGRESSIVE = b"""  lcm_layout_gen:    4
  lcm_mirror_count:  1
  lcm_entry_count:   3
    lcme_id:             1
    lcme_mirror_id:      0
    lcme_flags:          init
    lcme_extent.e_start: 0
    lcme_extent.e_end:   1048576
      lmm_stripe_count:  0
      lmm_stripe_size:   1048576
      lmm_pattern:       mdt
      lmm_layout_gen:    0
      lmm_stripe_offset: 0

    lcme_id:             2
    lcme_mirror_id:      0
    lcme_flags:          init
    lcme_extent.e_start: 1048576
    lcme_extent.e_end:   1073741824
      lmm_stripe_count:  2
      lmm_stripe_size:   1048576
      lmm_pattern:       raid0
      lmm_layout_gen:    0
      lmm_stripe_offset: 1
      lmm_pool:          flash
      lmm_objects:
      - 0: { l_ost_idx: 1, l_fid: [0x100010000:0x2:0x0] }
      - 1: { l_ost_idx: 0, l_fid: [0x100000000:0x3:0x0] }

    lcme_id:             3
    lcme_mirror_id:      0
    lcme_flags:          0
    lcme_extent.e_start: 1073741824
    lcme_extent.e_end:   EOF
      lmm_stripe_count:  -1
      lmm_stripe_size:   4194304
      lmm_pattern:       raid0,overstriped
      lmm_layout_gen:    0
      lmm_stripe_offset: -1

"""
PROGRESSIVE_PARTS = (
    Component(1 << 20, pattern="mdt"),
    Component(1 << 30, 2, 1 << 20, "flash"),
    Component(None, ALL, 4 << 20, "", "overstriped"),
)


def mirrored(answer: bytes) -> bytes:
    """Return the answer of a file with a second mirror of the same components."""
    head, _, parts = answer.partition(b"    lcme_id:")
    both = head.replace(b"mirror_count:  1", b"mirror_count:  2")
    first = b"    lcme_id:" + parts.replace(b"mirror_id:      0", b"mirror_id:      1")
    second = b"    lcme_id:" + parts.replace(b"mirror_id:      0", b"mirror_id:      2")
    return both + first + second


def lay_out(dir_fd: int, name: bytes, layout: Layout) -> None:
    pinned = pin_in(dir_fd, name)
    try:
        set_layout(dir_fd, pinned, layout)
    finally:
        os.close(pinned)


@pytest.mark.parametrize(
    ("answer", "layout"),
    [
        (PLAIN, Layout((Component(None, 4, 4 << 20, "flash"),))),
        (OLD_DIRECTORY, Layout((Component(None, ALL, 1 << 20),))),
        (UNSET_DIRECTORY, UNSET),
        (b"./x stripe_count: 9 has no stripe info\n", UNSET),
        (PROGRESSIVE, Layout(PROGRESSIVE_PARTS)),
        (PLAIN.replace(b"raid0", b"raid0,released"), parse_layout(PLAIN)),
        (mirrored(PROGRESSIVE), Layout(PROGRESSIVE_PARTS, "2 mirrors")),
        (PLAIN.replace(b"raid0", b"foreign"), Layout((), "the pattern foreign")),
    ],
)
def test_the_answers_of_lfs_are_understood(answer: bytes, layout: Layout) -> None:
    assert parse_layout(answer) == layout


def test_a_part_that_extends_itself_is_taken_as_long_as_it_may_get() -> None:
    answer = PROGRESSIVE.replace(b"flags:          0\n", b"flags:          extension\n")
    *_, last = parse_layout(answer).components
    assert last == Component(None, 2, 1 << 20, "flash")
    assert parse_layout(answer).beyond


def test_what_is_asked_for_is_what_was_read() -> None:
    assert " ".join(words_for(parse_layout(PLAIN))) == "-c 4 -S 4194304 -p flash"
    assert " ".join(words_for(parse_layout(PROGRESSIVE))) == (
        "-E 1048576 -L mdt -E 1073741824 -c 2 -S 1048576 -p flash "
        "-E -1 -C -1 -S 4194304 -p ignore"
    )
    assert words_for(UNSET) == []


def test_a_layout_is_set_on_a_file_that_nobody_has_opened(
    lustre: Lustre, tmp_path: Path, opened: int
) -> None:
    wanted = Layout(PROGRESSIVE_PARTS)
    os.mknod(tmp_path / "x", 0o100600)
    assert layout_of(opened, b"x") == UNSET
    lay_out(opened, b"x", wanted)
    assert wanted.is_met_by(layout_of(opened, b"x"))
    with pytest.raises(LfsError, match="already set"):
        lay_out(opened, b"x", wanted)


def test_names_of_any_bytes_are_asked_for(
    lustre: Lustre, tmp_path: Path, opened: int
) -> None:
    for name in (b"-d", b"a\nlmm_stripe_count: 9", b"\xff '$(x)"):
        os.mknod(os.path.join(os.fsencode(tmp_path), name), 0o100600)
        lay_out(opened, name, Layout((Component(None, 2),)))
        assert layout_of(opened, name).components[0].stripes == 2


def test_a_directory_hands_on_what_was_set_until_it_is_unset(
    lustre: Lustre, tmp_path: Path, opened: int
) -> None:
    assert layout_of(opened) == UNSET
    set_default(opened, Layout(PROGRESSIVE_PARTS))
    assert layout_of(opened).components == PROGRESSIVE_PARTS
    set_default(opened, UNSET)
    assert layout_of(opened) == UNSET


def test_a_directory_is_made_on_an_mdt_and_closed_to_others(
    lustre: Lustre, tmp_path: Path, opened: int
) -> None:
    lustre.configure(inactive_mdts=[2])
    assert mdts_of(str(tmp_path)) == (0, 1)
    make_dir_on(opened, b"d", 1, 0o700)
    assert mdt_of(tmp_path / "d") == 1
    assert (tmp_path / "d").stat().st_mode & 0o777 == 0o700
    with pytest.raises(LfsError, match="dirstripe error"):
        make_dir_on(opened, b"d", 1, 0o700)


def test_a_pool_that_is_not_there_is_told(
    lustre: Lustre, tmp_path: Path, opened: int
) -> None:
    os.mknod(tmp_path / "x", 0o100600)
    with pytest.raises(LfsError, match="pool 'gone fsname fs' does not exist"):
        lay_out(opened, b"x", Layout((Component(None, 2, 0, "gone"),)))
    assert striping(tmp_path / "x") == []


def test_what_is_on_no_lustre_is_told(lustre: Lustre, opened: int) -> None:
    lustre.configure(roots=[])
    with pytest.raises(LfsError, match="not on a Lustre"):
        layout_of(opened)


def test_a_mover_without_lfs_ends_the_run(
    monkeypatch: pytest.MonkeyPatch, opened: int
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(FatalError, match="lfs is not on the PATH"):
        layout_of(opened)
