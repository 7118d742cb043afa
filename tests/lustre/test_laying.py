"""Files and directories are laid out before they are used, whoever makes them."""

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from haulage.config.striping import Layout, rules_of
from haulage.model import Loss, Status, Verb
from haulage.storage.resumable import Done
from haulage.storage.store import Seen
from haulage.storage.tree.descent import Descent
from haulage.storage.tree.files import temp_name
from haulage.storage.tree.lustre.directories import LustreMaker, begin_turns, hand_on
from haulage.storage.tree.lustre.layouts import Layouts
from haulage.storage.tree.metadata.preserve import Preserved
from haulage.verbs.attempt.attempt import Attempt
from haulage.verbs.attempt.sweep import sweep
from haulage.verbs.copy import copy
from haulage.verbs.dirs import mkdir
from haulage.verbs.parts import part, publish
from tests.engine_builders import (
    action_on,
    checksum_of,
    entry,
    files,
    preserve,
    put,
    read,
    working,
)
from tests.lustre.standin import Lustre, mdt_of, striping
from tests.stores import PART, files_shelf
from tests.trees.compare import leftovers

MIB = 1 << 20
CONTENT = b"content!" * (MIB // 4)  # 2 MiB
KEEP = rules_of("1M=keep")


@pytest.fixture
def trees(tmp_path: Path) -> Iterator[tuple[Path, Path]]:
    """Give an empty source and target; no temporary may be left."""
    source, target = tmp_path / "source", tmp_path / "target"
    source.mkdir()
    target.mkdir()
    yield source, target
    assert leftovers(target) == []


@pytest.fixture
def attempt(trees: tuple[Path, Path]) -> Iterator[Attempt]:
    """Give the work between them that keeps layouts."""
    with working(*trees, rules=KEEP) as made:
        yield made


def laid_out(lustre: Lustre, root: Path, name: str, *words: str) -> None:
    lustre.lfs("setstripe", *words, root / name)
    put(root, os.fsencode(name), CONTENT)


def test_a_name_of_any_bytes_keeps_its_layout(
    lustre: Lustre, trees: tuple[Path, Path], attempt: Attempt
) -> None:
    source, target = trees
    laid_out(lustre, source, "plain", "-c", "3", "-S", "2M")
    odd = b"new\nlmm_stripe_count: 9\xff"
    os.rename(source / "plain", os.path.join(os.fsencode(source), odd))
    assert copy(attempt, action_on(source, odd), 0).lost is None
    made = Path(os.fsdecode(os.path.join(os.fsencode(target), odd)))
    assert striping(made) == [(3, 2 * MIB, "")]


def test_a_source_that_can_not_be_asked_is_copied_and_told(
    lustre: Lustre, trees: tuple[Path, Path], attempt: Attempt
) -> None:
    source, target = trees
    laid_out(lustre, source, "x", "-c", "3")
    lustre.configure(roots=[str(target)])
    outcome = copy(attempt, action_on(source, b"x"), 0)
    assert outcome.status is Status.COPIED
    assert outcome.lost
    assert outcome.lost.kinds is Loss.LAYOUT
    assert "not on a Lustre" in outcome.lost.words
    assert read(target, b"x") == CONTENT


def test_without_its_mode_a_file_has_what_the_umask_leaves(
    lustre: Lustre, trees: tuple[Path, Path], attempt: Attempt
) -> None:
    source, target = trees
    put(source, b"x", CONTENT)
    files(attempt.target).rules = rules_of("1M=2")
    preserve(attempt, Preserved(mode=False))
    before = os.umask(0o027)
    try:
        copy(attempt, action_on(source, b"x"), 0)
    finally:
        os.umask(before)
    assert (target / "x").stat().st_mode & 0o777 == 0o640
    assert striping(target / "x") == [(2, MIB, "")]


def test_movers_that_begin_a_split_file_at_once_share_one_that_is_laid_out(
    lustre: Lustre, trees: tuple[Path, Path]
) -> None:
    source, target = trees
    laid_out(lustre, source, "x", "-c", "4")
    action = action_on(source, b"x", Verb.PART)
    together = threading.Barrier(4)
    inodes, layouts = [], []
    made: list[bool] = []

    def join(number: int) -> None:
        prefix = temp_name(f"{number:012x}", "")
        with working(source, target, rules=KEEP, temp=prefix) as attempt:
            together.wait()
            descent, own = files(attempt.target).descent, prefix + b"%d" % number
            like = Layouts(KEEP, 0o600, files(attempt.source).descent)
            fd, is_new = like.open_shared(
                b"x", action.size, descent.root_fd, b"shared", own
            )
            made.append(is_new)
            layouts.append(striping(target / "shared"))
            inodes.append(os.fstat(fd).st_ino)
            os.close(fd)

    threads = [threading.Thread(target=join, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(inodes) == 4
    assert len(set(inodes)) == 1
    assert sorted(made) == [False, False, False, True]
    assert layouts == [[(4, MIB, "")]] * 4


@pytest.mark.usefixtures("small_ranges")
def test_a_later_attempt_goes_on_with_a_file_that_is_laid_out(
    lustre: Lustre, trees: tuple[Path, Path], attempt: Attempt
) -> None:
    source, target = trees
    laid_out(lustre, source, "x", "-c", "4")
    half = len(CONTENT) // 2
    whole = action_on(source, b"x", Verb.PART)
    pieces = [whole._replace(offset=at, length=half) for at in (0, half)]
    part(attempt, pieces[0], 0)
    asked = len(lustre.calls("setstripe"))
    with working(*trees, rules=KEEP, temp=temp_name("b" * 12, "")) as later:
        part(later, pieces[1], 0)
        outcome = publish(later, pieces[0], 1, pieces)
    assert asked == len(lustre.calls("setstripe")) == 1
    assert (outcome.status, outcome.lost) == (Status.COPIED, None)
    assert read(target, b"x") == CONTENT
    assert striping(target / "x") == [(4, MIB, "")]


def test_what_an_attempt_left_that_died_before_it_shared_is_swept(
    lustre: Lustre, trees: tuple[Path, Path], attempt: Attempt
) -> None:
    source, target = trees
    put(source, b"x", CONTENT)
    os.mknod(target / os.fsdecode(temp_name("b" * 12, 0)), 0o100600)
    sweep(files(attempt.target).descent, [action_on(source, b"x", Verb.PART)], "b" * 12)
    assert leftovers(target) == []


def test_a_directory_that_another_mover_made_gets_its_default_as_well(
    lustre: Lustre, trees: tuple[Path, Path], attempt: Attempt
) -> None:
    source, target = trees
    for root in trees:
        (root / "d").mkdir()
    lustre.lfs("setstripe", "-c", "2", source / "d")
    files(attempt.target).descent.maker = LustreMaker(
        (), target / "turns", files(attempt.source).descent
    )
    assert mkdir(attempt, action_on(source, b"d/", Verb.MKDIR), 0).lost is None
    assert striping(target / "d") == [(2, 0, "")]
    lustre.configure(pools=["flash"])
    lustre.lfs("setstripe", "-c", "2", "-p", "flash", source / "d")
    lustre.configure(pools=[])
    lost = mkdir(attempt, action_on(source, b"d/", Verb.MKDIR), 0).lost
    assert lost
    assert "default layout not kept: error: setstripe: pool 'flash" in lost.words


def test_a_default_that_can_not_be_asked_for_takes_nothing_away(
    lustre: Lustre, tmp_path: Path, opened: int
) -> None:
    lustre.lfs("setstripe", "-c", "2", tmp_path)
    lost = hand_on(opened, Layout((), "the pattern foreign"))
    assert lost
    assert lost.words == "default layout not kept: it has the pattern foreign"
    assert striping(tmp_path) == [(2, 0, "")]


def test_a_directory_below_a_link_of_somebody_else_is_never_laid_out(
    lustre: Lustre, trees: tuple[Path, Path], attempt: Attempt, tmp_path: Path
) -> None:
    source, target = trees
    (source / "d/below").mkdir(parents=True)
    lustre.lfs("setstripe", "-c", "2", source / "d/below")
    (tmp_path / "outside/below").mkdir(parents=True)
    (target / "d").symlink_to(tmp_path / "outside")
    files(attempt.target).descent.maker = LustreMaker(
        (), target / "turns", files(attempt.source).descent
    )
    mkdir(attempt, action_on(source, b"d/below/", Verb.MKDIR), 0)
    assert striping(tmp_path / "outside/below") == []
    assert striping(target / "d/below") == [(2, 0, "")]


def test_a_temporary_that_flips_to_a_link_leads_to_no_directory_outside(
    lustre: Lustre, trees: tuple[Path, Path], attempt: Attempt, tmp_path: Path
) -> None:
    source, _ = trees
    put(source, b"x", CONTENT)
    files(attempt.target).rules = rules_of("1M=2")
    outside = tmp_path / "outside"
    outside.mkdir()
    lustre.configure(flips_to=str(outside))
    copy(attempt, action_on(source, b"x"), 0)
    assert len(lustre.calls("setstripe")) == 1
    assert striping(outside) == []
    assert os.listdir(outside) == []


def test_a_directory_has_one_turn_however_often_it_is_tried(
    lustre: Lustre, tmp_path: Path
) -> None:
    turns = tmp_path / "turns"
    begin_turns(turns, 1)
    lustre.configure(mdts=[0, 1, 2])
    target = Descent(str(tmp_path))
    for again in range(2):
        target.maker = LustreMaker((0, 1, 2), turns, None)
        for name in "abc":
            target.mkdir(f"{name}/".encode(), target.root_fd, name.encode())
        assert [mdt_of(tmp_path / name) for name in "abc"] == [1, 2, 0], again
        begin_turns(turns, 5)  # as a run that goes on does
        for name in "abc":
            (tmp_path / name).rmdir()
    target.close()


def test_large_and_small_objects_get_the_layouts_of_their_sizes(
    lustre: Lustre, tmp_path: Path
) -> None:
    shelf = files_shelf(tmp_path)
    rules = rules_of("1M=2,2M=4@flash")
    lustre.configure(pools=[])
    store = shelf.open(rules=rules)
    small = Seen(entry(b"small", size=10))
    assert store.write(b"small", 0, b"0123456789", small).lost is None
    middle = Seen(entry(b"middle", size=MIB))
    assert store.write(b"middle", 1, bytes(MIB), middle).lost is None
    large = Seen(entry(b"large", size=PART + 5))
    for shared in (False, True):
        writing = store.begin(b"large", 2, large, shared=shared)
        writing.write(0, bytes(PART), Done(checksum_of(bytes(PART))))
        if shared:  # another mover goes on
            writing.leave()
            writing = shelf.open("bbbbbbbbbbbb", rules=rules).begin(
                b"large", 0, large, shared=True
            )
        writing.write(PART, b"12345", Done(checksum_of(b"12345")))
        lost = writing.finish(large).lost
        assert lost
        assert "4x1048576 instead of 4@flash" in lost.words
        assert striping(tmp_path / "tree/large") == [(4, MIB, "")]
    assert striping(tmp_path / "tree/middle") == [(2, MIB, "")]
    assert striping(tmp_path / "tree/small") == []
    assert leftovers(tmp_path / "tree") == []
    store.close()
