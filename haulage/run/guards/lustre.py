"""Check that an endpoint supports Lustre layouts, and prepare the target's root."""

import os
import shutil
from pathlib import Path

from haulage.config.policy import Policy, Step
from haulage.config.striping import Layout, rules_of
from haulage.errors import RefusedError, shown_path
from haulage.exchange.shard_files import TURNS
from haulage.place import Place
from haulage.run.context.endpoints import Pair
from haulage.run.context.run_context import RunContext
from haulage.storage.tree.files import opened_directory
from haulage.storage.tree.lustre.directories import begin_turns, hand_on
from haulage.storage.tree.lustre.lfs import LfsError, layout_of, mdts_of


def check_layouts(policy: Policy, pair: Pair) -> None:
    """Refuse layouts if an endpoint does not support them."""
    if not policy.stripe and not policy.mdts:
        return
    if shutil.which("lfs") is None:
        raise RefusedError(
            "lfs is not on the PATH, so no layout can be set; install the Lustre "
            "client's tools, or sync without --stripe and --mdts"
        )
    _check_lustre(pair.target)
    if rules_of(policy.stripe).keeps:
        _check_lustre(pair.source)
    if policy.mdts:
        _active_mdts(pair.target)


def _check_lustre(place: Place) -> None:
    shown = shown_path(place.url)
    if place.is_bucket:
        raise RefusedError(
            f"{shown} is a bucket; only Lustre has stripes and MDTs, so leave out "
            "--stripe and --mdts, or give rules that keep nothing of a bucket"
        )
    try:
        with opened_directory(_existing(place.url)) as fd:
            layout_of(fd)
    except LfsError as err:
        raise RefusedError(
            f"{shown} is on no Lustre that lfs can ask: {err}; mount it, or sync "
            f"without --stripe and --mdts"
        ) from err


def _active_mdts(target: Place) -> tuple[int, ...]:
    try:
        found = mdts_of(_existing(target.url))
        why = "it names none that is active"
    except LfsError as err:
        found, why = (), str(err)
    if not found:
        raise RefusedError(
            f"{shown_path(target.url)}: 'lfs mdts' gives no MDT: {why}; sync without "
            f"--mdts, or try again when one is active"
        )
    return found


def _existing(root: str) -> str:
    """Return the root, or the existing directory in which it will be created."""
    request = Path(root)
    while not request.exists():
        request = request.parent
    return str(request)


def prepare_target(context: RunContext) -> None:
    """Set the default layout of the target's root, and start the turns of MDTs."""
    policy, target = context.policy, context.pair.target
    if Step.COPY not in policy.steps:
        return
    if policy.mdts:
        context.mdts = _active_mdts(target)
        begin_turns(context.workspace / TURNS, _dirs_in(target.url) % len(context.mdts))
    rule = rules_of(policy.stripe).of_directories
    if rule is None:
        return
    wanted = rule.layout or _layout_of_root(context.pair.source)
    with opened_directory(target.url) as fd:
        lost = hand_on(fd, wanted)
    if lost:
        context.notes.append(f"the target's root: {lost.words}")


def _dirs_in(root: str) -> int:
    with os.scandir(root) as entries:
        return sum(entry.is_dir(follow_symlinks=False) for entry in entries)


def _layout_of_root(place: Place) -> Layout:
    with opened_directory(place.url) as fd:
        return layout_of(fd)
