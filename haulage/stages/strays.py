"""Finds the temporaries of a run whose shards are lost, where they may be."""

from collections.abc import Collection, Sequence

from haulage.catalog import shards as ledger
from haulage.catalog.shards import Shard
from haulage.model import Pass
from haulage.stages.sealing import is_part
from haulage.stages.site import Site
from haulage.storage.tree.posix import temp_name
from haulage.storage.tree.strays import remove_strays


def sweep_strays(site: Site, lost: Collection[tuple[Shard, str]]) -> None:
    """Remove what attempts at these shards left in the target: their names are known,
    their rows are not.
    """
    shards = [*(shard for shard, _ in lost), *_split_of(site)]
    if not shards:
        return
    if site.pair.target.is_bucket:
        site.notes.append(
            f"parts of large objects may be left in the target: 'haulage sweep "
            f"{site.dataset}' finds them"
        )
        return
    tokens = [token for _, token in lost] + [site.run.temp_token]
    prefixes = tuple(temp_name(token, "") for token in tokens)
    spans = [(shard.first, shard.last) for shard in shards]
    count = remove_strays(site.pair.target.url, prefixes, spans, site.check)
    if count:
        site.notes.append(f"{count} temporaries of a lost workspace were removed")


def _split_of(site: Site) -> Sequence[Shard]:
    """Return the parts of files that movers share, whose names are the run's own."""
    shards = ledger.listed(site.catalog, site.run.id, pass_=Pass.COPY)
    return [shard for shard in shards if is_part(shard)]
