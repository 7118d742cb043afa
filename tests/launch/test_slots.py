"""A wave on slots: orders, answers, and slots that die, hang, come back or lack."""

import importlib.metadata
import os
import signal
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from haulage.errors import FatalError
from haulage.exchange import progress_file
from haulage.exchange.fitness import root_of
from haulage.exchange.wave_files import Setup, WaveFiles
from haulage.launch.engine import SlotLife
from haulage.launch.launcher import Load
from haulage.launch.local import LocalPool
from haulage.launch.slots.launcher import SlotLauncher
from haulage.launch.slots.options import SlotOptions
from tests.engine_builders import (
    action_on,
    allocate_huge,
    job_between,
    order_for,
    put,
    until,
)
from tests.launch.process_engine import ProcessEngine, pids_of
from tests.trees.compare import leftovers

LOAD = Load(1000, 1 << 30)
HUGE_TOKEN = "bbbbbbbbbbbb"
VERSION = importlib.metadata.version("haulage")


@dataclass
class Site:
    """Two trees, a workspace, an engine, and launchers over them."""

    root: Path
    engine: ProcessEngine
    launchers: list[SlotLauncher]

    def launcher(self, slots: int = 2, movers: int = 1, **fields) -> SlotLauncher:
        setup = {"version": VERSION, "uid": os.getuid(), "look_s": 0.2}
        given = Setup(movers=movers, **(setup | fields.pop("setup", {})))
        options = {"poll_s": 0.3, "hold_s": 2.0, "unseen_s": 2.0} | fields
        local = LocalPool(1, self.root / "logs")
        wanted = SlotOptions("run-1", slots, given, **options)
        made = SlotLauncher(self.engine, self.root / "w" / "waves", wanted, local)
        self.launchers.append(made)
        return made

    def order(self, token: str, name: str | None = None):
        name = name or token
        put(self.root / "s", name.encode(), b"content")
        actions = [action_on(self.root / "s", name.encode())]
        job = job_between(self.root / "s", self.root / "t")
        return order_for(self.root / "w", actions, job, token)

    def huge(self, token: str = HUGE_TOKEN):
        allocate_huge(self.root / "s" / "huge")
        actions = [action_on(self.root / "s", b"huge")]
        job = job_between(self.root / "s", self.root / "t")
        return order_for(self.root / "w", actions, job, token)


@pytest.fixture
def site(tmp_path):
    for name in ("s", "t", "w"):
        (tmp_path / name).mkdir()
    made = Site(tmp_path, ProcessEngine(), [])
    yield made
    for launcher in made.launchers:
        launcher.close()
    made.engine.end()


def answers_of(launcher, name: str, count: int) -> dict:
    found: dict = {}

    def complete() -> bool:
        found.update({answer.token: answer for answer in launcher.poll(name, 0.5)})
        return len(found) >= count

    until(complete)
    return found


def begin_huge(site, launcher, name: str = "wave"):
    """Have a slot work on an order that takes long, and return that."""
    order = site.huge()
    launcher.start_or_attach(name, [order], LOAD)
    until(lambda: leftovers(site.root / "t"))
    return order


def beat_of(site) -> int:
    (wave,) = (WaveFiles(one) for one in (site.root / "w" / "waves").iterdir())
    return max(record.beat for record in wave.records())


def live(engine: ProcessEngine) -> list[int]:
    return [pid for slot in engine.slots for pid in pids_of(slot)]


@pytest.mark.parametrize(("slots", "movers"), [(1, 1), (2, 2), (5, 1)])
def test_every_order_is_done_once_and_the_slots_end(site, slots, movers):
    launcher = site.launcher(slots, movers)
    tokens = [f"t{number:03}" for number in range(12)]
    launcher.start_or_attach("wave", [site.order(one) for one in tokens], LOAD)
    answers = answers_of(launcher, "wave", len(tokens))
    assert sorted(answers) == tokens
    assert all(answer.tally["copied"] == 1 for answer in answers.values())
    assert sorted(os.listdir(site.root / "t")) == tokens
    until(lambda: not live(site.engine))
    assert {slot.process.wait() for slot in site.engine.slots} == {0}


def test_no_more_slots_are_started_than_there_are_orders(site):
    launcher = site.launcher(5)
    launcher.start_or_attach("wave", [site.order("a"), site.order("b")], LOAD)
    answers_of(launcher, "wave", 2)
    assert [job.slots for job in site.engine.submitted] == [2]


def test_small_waves_start_no_job(site):
    launcher = site.launcher(small=Load(10, 1 << 20))
    launcher.start_or_attach("wave", [site.order("a")], Load(1, 7))
    assert answers_of(launcher, "wave", 1)["a"].tally["copied"] == 1
    assert site.engine.submitted == []


def test_a_mover_that_is_killed_loses_its_order_alone(site):
    launcher = site.launcher(1, 1)
    begin_huge(site, launcher)
    (slot,) = site.engine.slots
    mover = max(pids_of(slot))
    launcher.start_or_attach("wave", [site.order("next")], LOAD)
    os.kill(mover, signal.SIGKILL)
    answers = answers_of(launcher, "wave", 2)
    assert "SIGKILL" in answers[HUGE_TOKEN].lost
    assert slot.node in answers[HUGE_TOKEN].lost
    assert answers["next"].tally["copied"] == 1
    assert len(site.engine.slots) == 1


def test_a_slot_that_is_killed_as_a_whole_is_replaced(site):
    launcher = site.launcher(1, 1)
    begin_huge(site, launcher)
    launcher.start_or_attach("wave", [site.order("next")], LOAD)
    site.engine.signal(site.engine.slots[0], signal.SIGKILL)
    answers = answers_of(launcher, "wave", 2)
    assert answers[HUGE_TOKEN].lost
    assert answers["next"].tally["copied"] == 1
    assert len(site.engine.slots) == 2


def test_a_slot_that_hangs_is_lost_only_after_its_lease(site):
    launcher = site.launcher(1, 1)
    order = begin_huge(site, launcher)
    (slot,) = site.engine.slots
    site.engine.signal(slot, signal.SIGSTOP)
    slot.life = SlotLife.LOST
    lost = answers_of(launcher, "wave", 1)[HUGE_TOKEN]
    assert "was not heard" in lost.lost
    assert not any(name.exists() for name in progress_file.names_of(order.progress))
    site.engine.signal(slot, signal.SIGCONT)
    until(lambda: not live(site.engine))
    assert os.listdir(site.root / "t") == []


def test_the_engine_may_be_away_for_as_long_as_it_likes(site):
    launcher = site.launcher(1)
    launcher.start_or_attach("wave", [site.order("a")], LOAD)
    answers_of(launcher, "wave", 1)
    site.engine.is_away = True
    launcher.start_or_attach("wave", [site.order("b")], LOAD)
    assert launcher.poll("wave", 1.5) == []
    site.engine.is_away = False
    assert answers_of(launcher, "wave", 1)["b"].tally["copied"] == 1


def test_a_submission_whose_answer_is_lost_is_not_repeated(site):
    launcher = site.launcher(2)
    site.engine.answers_late = True
    launcher.start_or_attach("wave", [site.order("a"), site.order("b")], LOAD)
    answers_of(launcher, "wave", 2)
    assert len(site.engine.submitted) == 1


def test_a_submission_that_never_arrived_is_repeated(site):
    launcher = site.launcher(1)
    site.engine.is_away = True
    launcher.start_or_attach("wave", [site.order("a")], LOAD)
    assert launcher.poll("wave", 1) == []
    site.engine.is_away = False
    assert answers_of(launcher, "wave", 1)["a"].tally["copied"] == 1


def test_a_refused_submission_ends_the_wave_in_words(site):
    site.engine.refuses = "partition: no such partition; 'sinfo' lists them"
    launcher = site.launcher(1)
    launcher.start_or_attach("wave", [site.order("a")], LOAD)
    with pytest.raises(FatalError, match="no such partition"):
        until(lambda: launcher.poll("wave", 1))


def test_a_job_that_the_engine_has_forgotten_is_not_waited_for(site):
    launcher = site.launcher(1)
    begin_huge(site, launcher)
    (slot,) = site.engine.slots
    site.engine.signal(slot, signal.SIGKILL)
    slot.is_forgotten = True
    assert answers_of(launcher, "wave", 1)[HUGE_TOKEN].lost
    launcher.start_or_attach("wave", [site.order("next")], LOAD)
    assert answers_of(launcher, "wave", 1)["next"].tally["copied"] == 1


def test_a_cancel_leaves_nothing_running_and_answers_what_waited(site):
    launcher = site.launcher(1, 1)
    begin_huge(site, launcher)
    launcher.start_or_attach("wave", [site.order(f"t{n}") for n in range(5)], LOAD)
    launcher.cancel("wave")
    answers = answers_of(launcher, "wave", 6)
    assert all(answer.tally is None for answer in answers.values())
    assert answers[HUGE_TOKEN].cancelled
    until(lambda: not live(site.engine))
    assert leftovers(site.root / "t") == []


def test_movers_stop_without_the_engine(site):
    launcher = site.launcher(1, 1)
    begin_huge(site, launcher)
    site.engine.is_away = True
    launcher.cancel("wave")
    assert answers_of(launcher, "wave", 1)[HUGE_TOKEN].cancelled
    until(lambda: not live(site.engine))


def test_the_end_of_a_time_limit_gives_the_order_back(site):
    launcher = site.launcher(1, 1)
    begin_huge(site, launcher)
    (slot,) = site.engine.slots
    os.kill(slot.process.pid, signal.SIGTERM)
    assert answers_of(launcher, "wave", 1)[HUGE_TOKEN].cancelled
    assert slot.process.wait() == 75
    assert leftovers(site.root / "t") == []


def test_a_restarted_driver_finds_what_its_slots_do(site):
    first = site.launcher(1, 1)
    orders = [begin_huge(site, first, "wave 1"), site.order("waits")]
    first.start_or_attach("wave 1", orders[1:], LOAD)
    first.close()
    second = site.launcher(1, 1)
    second.start_or_attach("wave 1 again", orders, LOAD)
    os.truncate(site.root / "s" / "huge", 1)
    answers = answers_of(second, "wave 1 again", 2)
    assert answers["waits"].tally["copied"] == 1
    assert len(site.engine.submitted) == 1


def test_a_restarted_driver_hears_what_was_answered_meanwhile(site):
    first = site.launcher(1, 1)
    orders = [site.order("a"), site.order("b")]
    first.start_or_attach("wave", orders, LOAD)
    until(lambda: len(os.listdir(site.root / "t")) == 2)
    first.close()
    until(lambda: not live(site.engine))
    second = site.launcher(1, 1)
    second.start_or_attach("wave", orders, LOAD)
    answers = answers_of(second, "wave", 2)
    assert all(answer.tally["copied"] == 1 for answer in answers.values())
    assert len(site.engine.submitted) == 1


def test_slots_of_a_dead_driver_are_ended_before_others_do_their_work(site):
    first = site.launcher(1, 1)
    order = begin_huge(site, first)
    first.close()
    second = site.launcher(1, 1)
    second.end_leftovers(())
    until(lambda: not live(site.engine))
    assert not any(name.exists() for name in progress_file.names_of(order.progress))


def test_what_runs_on_without_the_engine_loses_its_lease_first(site):
    first = site.launcher(1, 1)
    begin_huge(site, first)
    first.close()
    (slot,) = site.engine.slots
    site.engine.signal(slot, signal.SIGSTOP)
    slot.life = SlotLife.LOST
    second = site.launcher(1, 1)
    second.end_leftovers(())
    site.engine.signal(slot, signal.SIGCONT)
    until(lambda: not live(site.engine))
    assert os.listdir(site.root / "t") == []


def test_a_requeued_slot_beside_its_old_processes_ends_in_the_right_target(site):
    launcher = site.launcher(1, 1)
    begin_huge(site, launcher)
    (old,) = site.engine.slots
    launcher.start_or_attach("wave", [site.order("next")], LOAD)
    old.is_forgotten = True
    new = site.engine.start(site.engine.submitted[0], 0, start=1)
    assert answers_of(launcher, "wave", 1)["next"].tally["copied"] == 1
    new.process.wait()
    assert launcher.poll("wave", 1.5) == []  # the old one's order is not lost: it runs
    os.truncate(site.root / "s" / "huge", 1)
    assert answers_of(launcher, "wave", 1)[HUGE_TOKEN].tally is not None


def test_a_node_that_lacks_the_source_is_left_out_and_the_others_work(site):
    put(site.root / "s", b"mark", b"")
    there = root_of("source", str(site.root / "s"))
    nowhere = str(site.root / "nowhere")
    elsewhere = replace(there, path=nowhere, seen=nowhere)
    site.engine.node = "bad"
    launcher = site.launcher(1, setup={"roots": (elsewhere,)})
    launcher.start_or_attach("wave", [site.order("a")], LOAD)
    (wave,) = (WaveFiles(one) for one in (site.root / "w" / "waves").iterdir())
    until(lambda: any(record.unfit for record in wave.records()))
    assert site.engine.slots[0].process.wait() == 78
    wave.begin(replace(wave.setup(), roots=(there,)))
    assert answers_of(launcher, "wave", 1)["a"].tally["copied"] == 1
    assert "bad" in site.engine.submitted[1].excluded_nodes


def test_where_no_node_can_do_the_work_that_is_said(site):
    put(site.root / "s", b"mark", b"")
    there = root_of("source", str(site.root / "s"))
    nowhere = str(site.root / "nowhere")
    elsewhere = replace(there, path=nowhere, seen=nowhere)
    launcher = site.launcher(1, setup={"roots": (elsewhere,)})
    launcher.start_or_attach("wave", [site.order("a")], LOAD)
    with pytest.raises(FatalError, match=r"node-0.*nowhere is not there"):
        until(lambda: launcher.poll("wave", 1))
    assert os.listdir(site.root / "t") == []


def test_slots_that_end_before_they_begin_are_told_with_their_output(site):
    launcher = site.launcher(3, python="/bin/false")
    launcher.start_or_attach("wave", [site.order(f"t{n}") for n in range(3)], LOAD)
    with pytest.raises(FatalError, match="end before they begin"):
        until(lambda: launcher.poll("wave", 1))


def test_more_slots_and_fewer_while_it_runs(site):
    launcher = site.launcher(1, 1)
    begin_huge(site, launcher)
    launcher.start_or_attach("wave", [site.order(f"t{n}") for n in range(20)], LOAD)
    launcher.scale(3)
    until(lambda: len(site.engine.slots) == 3)
    answers_of(launcher, "wave", 20)
    os.truncate(site.root / "s" / "huge", 1)
    answers_of(launcher, "wave", 1)
    launcher.scale(1)
    launcher.start_or_attach("wave", [site.order(f"u{n}") for n in range(9)], LOAD)
    answers_of(launcher, "wave", 9)
    assert [job.slots for job in site.engine.submitted] == [1, 2, 1]


def test_a_drained_node_takes_no_more_orders(site):
    launcher = site.launcher(1, 1)
    begin_huge(site, launcher)
    launcher.start_or_attach("wave", [site.order("next")], LOAD)
    (slot,) = site.engine.slots
    until(lambda: slot.node in [view.node for view in launcher.views])
    launcher.drain(slot.node)
    beat = beat_of(site)
    until(lambda: beat_of(site) > beat + 1)  # so it has looked since
    os.truncate(site.root / "s" / "huge", 1)
    answers = answers_of(launcher, "wave", 2)
    assert answers["next"].tally["copied"] == 1
    assert [one.node for one in site.engine.slots] == [slot.node, "node-1"]


def test_secrets_are_in_no_command_and_gone_after_the_wave(site):
    launcher = site.launcher(1, setup={"environ": {"KEY": "hush-hush"}})
    launcher.start_or_attach("wave", [site.order("a")], LOAD)
    answers_of(launcher, "wave", 1)
    files = [one for one in (site.root / "w").rglob("*") if one.is_file()]
    holding = [one for one in files if b"hush-hush" in one.read_bytes()]
    assert [one.name for one in holding] == ["setup"]
    assert all(one.stat().st_mode & 0o077 == 0 for one in holding)
    assert not any("hush" in " ".join(job.command) for job in site.engine.submitted)
    launcher.cancel("wave")
    assert not any(one.exists() for one in holding)
