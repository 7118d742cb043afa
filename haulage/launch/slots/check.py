"""Try a launcher with one slot that moves nothing, before anything is touched."""

import hashlib
import json
import logging
import secrets
import shutil
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path

from haulage.boottime import now_s
from haulage.errors import CancelledError, RefusedError, TransientError
from haulage.exchange.wave_files import SlotRecord, WaveFiles
from haulage.launch.engine import Engine, SlotJob, SlotLife, SlotView
from haulage.launch.launcher import STOP
from haulage.launch.slots.options import SlotOptions
from haulage.private import make_directory, make_file

_CHECKED = "checked.json"
_LOOK_S = 0.5
_TELL_S = 30.0
_SETTLES_S = 10.0  # for so long a record may come after the end of its slot
_log = logging.getLogger(__name__)


def check_site(engine: Engine, workspace: Path, options: SlotOptions) -> None:
    """Have one slot look at the workspace, the roots, its version and its user.

    RefusedError names the node and what differs. What was found good is remembered in
    the workspace, so that nights with little to do start no job.
    """
    make_directory(workspace)
    known = workspace / _CHECKED
    wanted = _digest_of(engine, options)
    if wanted in _checked(known):
        return
    name = f"haulage-check-{secrets.token_hex(4)}"
    files = WaveFiles(workspace / name)
    files.begin(replace(options.setup, movers=0, environ={}))
    try:
        record = _tried(engine, files, name, options)
    finally:
        with suppress(TransientError):
            engine.cancel([name])
        shutil.rmtree(files.root, ignore_errors=True)
    if record.unfit is not None:
        raise RefusedError(f"node {record.node}: {record.unfit}")
    _remember(known, wanted)


def _tried(
    engine: Engine, files: WaveFiles, name: str, options: SlotOptions
) -> SlotRecord:
    """Start a slot and return what it tells; RefusedError if it tells nothing."""
    command = options.command(files.root, name)
    try:
        engine.submit(SlotJob(name, command, files.logs, slots=1))
    except TransientError as err:
        raise RefusedError(f"{engine.where} does not answer: {err}; try again") from err
    told_s = asked_s = now_s()
    ended_s: float | None = None
    while True:
        if (record := next(files.records(), None)) is not None:
            return record
        if STOP.wait(_LOOK_S):
            raise CancelledError("stopped while a job that checks the nodes waited")
        if now_s() - asked_s < min(options.poll_s, _SETTLES_S):
            continue
        asked_s = now_s()
        view = _view_of(engine, name)
        if view is None or view.life not in (SlotLife.ENDED, SlotLife.HELD):
            told_s, ended_s = _told(view, told_s), None
            continue
        ended_s = ended_s or now_s()
        if now_s() - ended_s > min(options.poll_s, _SETTLES_S):
            raise RefusedError(_mute(engine, files, view))


def _view_of(engine: Engine, name: str) -> SlotView | None:
    try:
        return next(iter(engine.look(name)), None)
    except TransientError as err:
        _log.warning("%s does not answer: %s", engine.where, err)
        return None


def _told(view: SlotView | None, told_s: float) -> float:
    """Say now and then why it takes so long; return when that was said last."""
    if now_s() - told_s < _TELL_S:
        return told_s
    why = f": {view.why}" if view and view.why else ""
    _log.info("a job of one slot, which checks the nodes, has not begun yet%s", why)
    return now_s()


def _mute(engine: Engine, files: WaveFiles, view: SlotView) -> str:
    if view.life is SlotLife.HELD:
        return (
            f"{engine.where} starts no slot with these options ({view.why}); ask for "
            "the time, CPUs, memory and nodes that it allows"
        )
    workspace = files.root.parent
    if output := files.output_of(view.slot):
        return f"node {view.node} cannot run a slot ({view.why}): {output}"
    return (
        f"node {view.node} ran a slot ({view.why}) that left nothing in the workspace "
        f"{workspace}: mount it there, and see that {files.root.name} may be written"
    )


def _digest_of(engine: Engine, options: SlotOptions) -> str:
    """Return what stands for all that was checked."""
    setup = asdict(options.setup)
    what = [engine.where, options.python, setup["version"], setup["uid"]]
    roots = [(root["what"], root["path"]) for root in setup["roots"]]
    return hashlib.sha256(json.dumps([what, roots]).encode()).hexdigest()


def _checked(known: Path) -> list[str]:
    try:
        found: list[str] = json.loads(known.read_bytes())
    except (FileNotFoundError, ValueError):
        return []
    return found


def _remember(known: Path, digest: str) -> None:
    make_file(known)
    known.write_text(json.dumps([*_checked(known), digest]), encoding="ascii")
