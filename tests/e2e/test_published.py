"""Large files get their names side by side."""

import os

from haulage.model import Pass
from tests.e2e.place import Place, grow_old, write
from tests.trees.compare import assert_same, leftovers


def test_each_split_file_is_published_by_a_shard_of_its_own(place: Place) -> None:
    for number in range(3):
        write(place.source / "d" / f"large{number}", os.urandom(33 << 20))
    write(place.source / "small", b"x")
    grow_old()
    summary = place.sync(shards={"max_bytes": 1 << 20}, movers=3)
    assert (summary.exit_code, summary.copied) == (0, 4)
    shards = place.shards_of(summary.run_id)
    parts = [one for one in shards if one.file.startswith("shards/part-")]
    published = [one for one in shards if one.pass_ is Pass.PUBLISH]
    assert len(published) == 3
    assert sum(shard.entries for shard in published) == len(parts) > 3
    assert all(shard.first == shard.last for shard in published)
    assert_same(place.source, place.target)
    assert leftovers(place.target) == []
