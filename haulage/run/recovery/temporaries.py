"""Find the temporaries of a run whose shards are lost."""

from collections.abc import Collection, Sequence

from haulage.catalog.runs import shards as ledger
from haulage.catalog.runs.shards import Shard
from haulage.model import Pass
from haulage.run.context.run_context import RunContext
from haulage.run.sharding.seal import is_part
from haulage.storage.tree.files import temp_name
from haulage.storage.tree.temporaries import remove_strays


def sweep_strays(context: RunContext, lost: Collection[tuple[Shard, str]]) -> None:
    """Remove temporaries of lost shards; their rows are unknown, not their prefixes."""
    shards = [*(shard for shard, _ in lost), *_split_of(context)]
    if not shards:
        return
    if context.pair.target.is_bucket:
        context.notes.append(
            f"parts of large objects may be left in the target: 'haulage sweep "
            f"{context.dataset}' finds them"
        )
        return
    tokens = [token for _, token in lost] + [context.run.temp_token]
    prefixes = tuple(temp_name(token, "") for token in tokens)
    spans = [(shard.first, shard.last) for shard in shards]
    count = remove_strays(context.pair.target.url, prefixes, spans, context.check)
    if count:
        context.notes.append(f"{count} temporaries of a lost workspace were removed")


def _split_of(context: RunContext) -> Sequence[Shard]:
    """Return the parts of files that movers share; their names are the run's own."""
    shards = ledger.listed(context.catalog, context.run.id, pass_=Pass.COPY)
    return [shard for shard in shards if is_part(shard)]
