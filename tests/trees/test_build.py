"""The builder: seeded, nasty, and the same every time."""

import ast
import os
import stat
import subprocess
from pathlib import Path

import pytest

from tests.trees.attributes import EDGE_OWNERS, EDGE_TIMES_NS
from tests.trees.build import CHAIN_LEVELS, LINK_TARGETS, plant, plant_real
from tests.trees.compare import assert_same, differences, rsync_differences
from tests.trees.names import GROUPS
from tests.trees.walk import below, opened

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root gives away files")

Listing = dict[bytes, os.stat_result]


def listing(root: Path) -> Listing:
    with opened(os.fsencode(root)) as fd:
        return dict(below(fd))


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("build") / "tree"
    plant(root, seed=7, entries=1500)
    return root


@pytest.fixture(scope="module")
def entries(tree: Path) -> Listing:
    return listing(tree)


@pytest.mark.parametrize("seed", range(5))
def test_two_plants_of_one_seed_are_equal(tmp_path: Path, seed: int) -> None:
    plant(tmp_path / "a", seed, 300, specials=True, links=True)
    plant(str(tmp_path / "b"), seed, 300, specials=True, links=True)
    assert_same(tmp_path / "a", tmp_path / "b")


def test_another_seed_gives_another_tree(tmp_path: Path) -> None:
    plant(tmp_path / "a", 1, 100)
    plant(tmp_path / "b", 2, 100)
    assert len(differences(tmp_path / "a", tmp_path / "b")) > 100


@pytest.mark.parametrize("wanted", [1, 10, 100, 1000])
def test_a_tree_has_about_as_many_entries_as_asked_for(
    tmp_path: Path, wanted: int
) -> None:
    plant(tmp_path / "a", 3, wanted)
    assert wanted <= len(listing(tmp_path / "a")) <= wanted * 1.3 + 20


def test_a_directory_with_content_is_not_planted_over(tmp_path: Path) -> None:
    (tmp_path / "mine").touch()
    with pytest.raises(ValueError, match="is not empty"):
        plant(tmp_path, 1, 10)
    assert os.listdir(tmp_path) == ["mine"]


def test_600_entries_have_every_nasty_name_and_target(tmp_path: Path) -> None:
    for seed in range(3):
        root = tmp_path / str(seed)
        plant(root, seed, 600)
        found = listing(root)
        names = {path.rpartition(b"/")[2] for path in found}
        links = [path for path, info in found.items() if stat.S_ISLNK(info.st_mode)]
        where = os.fsencode(root)
        targets = {os.readlink(os.path.join(where, path)) for path in links}
        nasty = {name.rstrip(b"/") for group in GROUPS for name in group}
        assert nasty - names == set()
        assert set(LINK_TARGETS) - targets == set()


def test_every_nasty_name_is_one_that_a_file_system_takes() -> None:
    names = [name.rstrip(b"/") for group in GROUPS for name in group]
    assert all(1 <= len(name) <= 255 for name in names)
    assert not any(b"/" in name or b"\0" in name for name in names)
    assert not {b".", b".."} & set(names)


def test_times_at_every_edge_are_on_files_directories_and_links(
    entries: Listing,
) -> None:
    for kind in (stat.S_IFREG, stat.S_IFDIR, stat.S_IFLNK):
        infos = [info for info in entries.values() if stat.S_IFMT(info.st_mode) == kind]
        assert len({info.st_mtime_ns for info in infos} & set(EDGE_TIMES_NS)) > 5
    found = {info.st_mtime_ns for info in entries.values()}
    assert set(EDGE_TIMES_NS) <= found
    assert -500_000_000 in found


@needs_root
def test_owners_and_set_id_bits_are_of_every_kind(entries: Listing) -> None:
    assert set(EDGE_OWNERS) <= {info.st_uid for info in entries.values()}
    assert set(EDGE_OWNERS) <= {info.st_gid for info in entries.values()}
    assert 2**32 - 2 in EDGE_OWNERS
    for bit in (stat.S_ISUID, stat.S_ISGID, stat.S_ISVTX):
        having = [info for info in entries.values() if info.st_mode & bit]
        assert {stat.S_IFMT(info.st_mode) for info in having} == {
            stat.S_IFREG,
            stat.S_IFDIR,
        }


def test_the_shapes_that_matter_are_there(entries: Listing) -> None:
    sizes = [info.st_size for info in entries.values() if stat.S_ISREG(info.st_mode)]
    dirs = {path for path, info in entries.items() if stat.S_ISDIR(info.st_mode)}
    holders = [path.rpartition(b"/")[0] for path in entries]
    assert max(path.count(b"/") for path in entries) == CHAIN_LEVELS
    assert max(sizes) == 4 << 20
    assert 0 in sizes
    assert dirs - set(holders), "no directory is empty"
    assert max(holders.count(path) for path in dirs) >= 50
    assert max(map(len, entries)) < 3500


def test_there_are_no_hard_links_and_special_files_only_on_demand(
    tmp_path: Path, entries: Listing
) -> None:
    plain = {stat.S_IFMT(info.st_mode) for info in entries.values()}
    assert plain == {stat.S_IFREG, stat.S_IFDIR, stat.S_IFLNK}
    plant(tmp_path / "specials", 7, 500, specials=True)
    found = listing(tmp_path / "specials").values()
    types = {stat.S_IFMT(info.st_mode) for info in found}
    assert {stat.S_IFIFO, stat.S_IFSOCK} <= types
    if os.geteuid() == 0:
        assert {stat.S_IFCHR, stat.S_IFBLK} <= types
    for info in (*entries.values(), *found):
        assert stat.S_ISDIR(info.st_mode) or info.st_nlink == 1


def test_a_tree_that_is_not_nasty_is_ordinary(tmp_path: Path) -> None:
    plant(tmp_path / "plain", 7, 500, nasty=False)
    for path, info in listing(tmp_path / "plain").items():
        assert path.isascii()
        assert os.fsdecode(path).isprintable()
        assert info.st_uid == os.geteuid()
        assert 631_152_000 <= info.st_mtime < 1_728_000_000
        assert stat.S_ISLNK(info.st_mode) or stat.S_IMODE(info.st_mode) <= 0o755


def test_a_copy_by_cp_is_equal_for_both_comparers(tmp_path: Path, tree: Path) -> None:
    subprocess.run(["cp", "-a", tree, tmp_path / "copy"], check=True)
    assert_same(tree, tmp_path / "copy")
    assert rsync_differences(tree, tmp_path / "copy") == []


def test_part_of_a_real_tree_is_copied_up_to_the_limit(
    tmp_path: Path, tree: Path
) -> None:
    copied = plant_real(tmp_path / "part", tree, limit=200)
    assert 100 < copied <= 200
    assert len(listing(tmp_path / "part")) == copied
    assert not any("extra" in line for line in differences(tree, tmp_path / "part"))
    assert plant_real(tmp_path / "all", tree) == len(listing(tree))


def test_the_instruments_import_nothing_that_they_judge() -> None:
    for module in Path(__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(module.read_text())):
            names = [alias.name for alias in getattr(node, "names", [])]
            if isinstance(node, ast.ImportFrom):
                names.append(node.module or "")
            assert not any(name.split(".")[0] == "haulage" for name in names)
