import random

import numpy as np
import pyarrow as pa
import pytest

from haulage.model import ACTION, Verb
from haulage.place import part_bytes
from haulage.planning.pack import Bounds, costs, pack
from tests.engine_builders import entry


def table(rows: list[tuple[Verb, int]]) -> pa.Table:
    more = {"checksum": None, "verified": 0, "racy": False, "was_mtime_s": 0}
    more |= {"was_mtime_ns": 0, "offset": 0}
    return pa.Table.from_pylist(
        [
            entry(b"%06d" % number, size=size)._asdict()
            | more
            | {"verb": verb, "length": size}
            for number, (verb, size) in enumerate(rows)
        ],
        schema=ACTION,
    )


def random_rows(rng: random.Random, most: int) -> list[tuple[Verb, int]]:
    verbs = [Verb.COPY] * 5 + [Verb.CHECK, Verb.META, Verb.LINK, Verb.MKDIR]
    sizes = [0, 1, 4096, 100_000, most // 3, most - 1, most, most + 1, 5 * most + 3]
    weights = [9, 9, 9, 9, 2, 1, 1, 1, 1]
    verb = [rng.choice(verbs) for _ in range(rng.randint(0, 600))]
    return [(v, rng.choices(sizes, weights)[0]) for v in verb]


def cut(seed: int) -> tuple[pa.Table, list[pa.Table], Bounds]:
    rng = random.Random(seed)
    bounds = Bounds(rng.choice([1, 7, 50, 500]), rng.choice([1 << 24, 1 << 26]), 4)
    actions = table(random_rows(rng, bounds.max_bytes))
    return actions, list(pack(actions, bounds)), bounds


def is_part(shard: pa.Table) -> bool:
    return shard["verb"][0].as_py() == Verb.PART


@pytest.mark.parametrize("seed", range(20))
def test_nothing_is_lost_or_doubled_and_the_order_is_kept(seed):
    actions, shards, bounds = cut(seed)
    whole = [shard for shard in shards if not is_part(shard)]
    packed = pa.concat_tables([ACTION.empty_table(), *whole])
    is_large = np.logical_and(
        actions["verb"].to_numpy() == Verb.COPY,
        actions["length"].to_numpy() > bounds.max_bytes,
    )
    assert packed.equals(actions.filter(pa.array(~is_large)))
    split = {shard["path"][0].as_py() for shard in shards if is_part(shard)}
    assert split == set(actions.filter(pa.array(is_large))["path"].to_pylist())


@pytest.mark.parametrize("seed", range(20))
def test_the_parts_of_a_large_file_tile_it_exactly(seed):
    _, shards, bounds = cut(seed)
    ranges: dict[bytes, list[dict]] = {}
    for shard in filter(is_part, shards):
        (row,) = shard.to_pylist()
        ranges.setdefault(row["path"], []).append(row)
    for parts in ranges.values():
        at = 0
        for part in parts:
            assert part["offset"] == at
            assert 0 < part["length"] <= bounds.max_bytes
            at += part["length"]
        assert at == parts[0]["size"]
        assert len(parts) > 1


@pytest.mark.parametrize("seed", range(20))
def test_no_shard_has_more_entries_than_its_bound(seed):
    _, shards, bounds = cut(seed)
    assert all(shard.num_rows <= bounds.max_entries for shard in shards)


@pytest.mark.parametrize("seed", range(20))
def test_no_shard_costs_more_than_its_bound_and_one_entry(seed):
    _, shards, bounds = cut(seed)
    for shard in shards:
        each = costs(shard, bounds)
        assert each.sum() - each.max() <= bounds.max_bytes


def test_every_mover_gets_about_the_same():
    actions = table([(Verb.COPY, 10_000)] * 4000)
    shards = list(pack(actions, Bounds(5000, 1 << 30, movers=8)))
    assert len(shards) == 8
    sizes = [shard.num_rows for shard in shards]
    assert max(sizes) - min(sizes) <= 2


def test_few_entries_are_not_cut_finer_than_it_is_worth():
    actions = table([(Verb.COPY, 10)] * 300)
    assert len(list(pack(actions, Bounds(5000, 1 << 30, movers=8)))) == 1


def test_a_file_of_just_the_bound_is_not_split():
    bounds = Bounds(5000, 1 << 26, movers=2)
    (shard,) = pack(table([(Verb.COPY, 1 << 26)]), bounds)
    assert shard["verb"].to_pylist() == [Verb.COPY]
    parts = list(pack(table([(Verb.COPY, (1 << 26) + 1)]), bounds))
    assert [part["length"][0].as_py() for part in parts] == [1 << 25, (1 << 25) + 1]


def test_only_a_copy_is_split():
    bounds = Bounds(5000, 1 << 16, movers=2)
    for verb in (Verb.CHECK, Verb.VERIFY, Verb.META, Verb.DELETE):
        shards = list(pack(table([(verb, 1 << 30)]), bounds))
        assert [shard["verb"].to_pylist() for shard in shards] == [[verb]]


def test_nothing_packs_into_nothing():
    assert list(pack(ACTION.empty_table(), Bounds(1, 1 << 16, 1))) == []


def test_content_costs_its_bytes_where_it_is_read():
    bounds = Bounds(5, 1000, 1)
    rows = [(Verb.COPY, 50), (Verb.CHECK, 50), (Verb.META, 50), (Verb.DELETE, 50)]
    assert costs(table(rows), bounds).tolist() == [150, 150, 100, 100]


@pytest.mark.parametrize(("movers", "most"), [(1, 64), (100, 400)])
def test_a_tebibyte_is_cut_into_no_more_parts_than_movers_need(movers, most):
    shards = list(pack(table([(Verb.COPY, 1 << 40)]), Bounds(5000, 1 << 30, movers)))
    assert len(shards) == most
    assert sum(shard["length"][0].as_py() for shard in shards) == 1 << 40


@pytest.mark.parametrize("seed", range(20))
def test_parts_begin_where_ranges_do(seed):
    rng = random.Random(seed)
    most = rng.choice([1 << 20, 20 << 20, 100 << 20, 1 << 30])
    bounds = Bounds(500, most, 4)
    size = rng.choice([most + 1, 17 << 20, 5 << 40, rng.randrange(1 << 34)])
    shards = list(pack(table([(Verb.COPY, size)]), bounds))
    if not is_part(shards[0]):
        assert size <= max(most, part_bytes(0))
        return
    at = 0
    for (row,) in (shard.to_pylist() for shard in shards):
        assert row["offset"] == at
        assert at % part_bytes(size) == 0
        assert row["length"] > 0
        at += row["length"]
    assert at == size
    assert len(shards) > 1


def test_what_is_not_longer_than_a_range_is_not_split():
    bounds = Bounds(500, 1 << 20, 4)
    for size in (2 << 20, 16 << 20):
        (shard,) = pack(table([(Verb.COPY, size)]), bounds)
        assert shard["verb"].to_pylist() == [Verb.COPY]
    assert len(list(pack(table([(Verb.COPY, (16 << 20) + 1)]), bounds))) == 2


def test_where_one_mover_must_send_it_all_nothing_is_split():
    bounds = Bounds(500, 1 << 20, 4, splits=False)
    shards = list(pack(table([(Verb.COPY, 1 << 40), (Verb.COPY, 1)]), bounds))
    assert {verb for shard in shards for verb in shard["verb"].to_pylist()} == {
        Verb.COPY
    }
