"""Directories come deepest first, each once, whoever spoke of them."""

import random
from pathlib import Path

import pyarrow as pa
import pytest

from haulage.disksort import DiskSort
from haulage.planning.dirs import TOUCHED, Effect, finishable, with_effect

DEEP = [b"a/b/c/", b"a/b/", b"a/", b"a-/", b"a/\xff/", b"a\xff/", b"\x01/", b"z/", b""]


def finished(*words: pa.Table) -> dict[bytes, bytes | None]:
    table = pa.concat_tables([TOUCHED.empty_table(), *words])
    rows = table.sort_by("key").slice(0)
    found = finishable([rows.slice(at, 1) for at in range(rows.num_rows)])
    pairs = [
        pair
        for each in found
        for pair in zip(each.paths.to_pylist(), each.etags.to_pylist(), strict=True)
    ]
    assert len(dict(pairs)) == len(pairs)
    return dict(pairs)


def test_the_deepest_come_first_and_the_root_last() -> None:
    shuffled = random.Random(7).sample(DEEP, len(DEEP))
    assert list(finished(with_effect(shuffled, Effect.MOVED))) == sorted(
        DEEP, reverse=True
    )


def test_what_is_not_ours_is_left_whatever_else_is_said() -> None:
    moved = with_effect([b"a/", b"b/", b""], Effect.MOVED)
    others = with_effect([b"b/", b"gone/"], Effect.NOT_OURS)
    implied = with_effect([b"b/"], Effect.IMPLIED)
    assert list(finished(moved, others, implied)) == [b"a/", b""]


def test_what_is_implied_has_no_object_to_ask() -> None:
    words = [
        with_effect([b"a/", b"b/"], Effect.MOVED),
        with_effect([b"a/"], Effect.IMPLIED),
    ]
    assert finished(*words) == {b"b/": b"", b"a/": None}


@pytest.mark.parametrize("seed", range(5))
def test_more_than_memory_holds_comes_as_a_dictionary_tells_it(
    seed: int, tmp_path: Path
) -> None:
    dice = random.Random(seed)
    sort = DiskSort(tmp_path / "sort", TOUCHED, "key", run_rows=5)
    wanted: dict[bytes, Effect] = {}
    for _ in range(40):
        path = b"%c/%c/" % (dice.choice(b"abc"), dice.choice(b"/xyz\xff"))
        word = dice.choice(list(Effect))
        wanted[path] = min(word, wanted.get(path, word))
        sort.add(with_effect([path], word))
    found = [path for each in finishable(sort.tables()) for path in each.paths]
    ours = [path for path, word in wanted.items() if word is not Effect.NOT_OURS]
    assert [path.as_py() for path in found] == sorted(ours, reverse=True)
