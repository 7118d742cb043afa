"""What is asked of one run alone is done by that run, and by no later one."""

from haulage.catalog import datasets
from haulage.catalog.runs import runs
from haulage.catalog.runs.runs import RunState
from haulage.config.policy import Compare, Delete, Once, Policy, Step
from tests.e2e.place import Place, write


def _standing(place: Place) -> Policy:
    return datasets.find(place.catalog(), place.name).dataset.policy


def test_a_command_that_is_refused_leaves_the_policy_as_it_stands(place: Place) -> None:
    write(place.source / "a")
    assert place.sync_by_command().code == 0
    active = runs.begin(place.catalog(), place.dataset(), trigger="test", stands=False)
    ended = place.sync_by_command("--delete", "guarded")
    assert ended.code == 2
    assert active.id in ended.text
    assert _standing(place) == Policy()


def test_switches_for_once_stand_for_no_later_run(place: Place) -> None:
    write(place.source / "a")
    switches = "--movers 3 --listers 1 --only copy --compare size"
    switches += " --allow-empty-source --afresh"
    ended = place.sync_by_command(*switches.split(), "--verify", "metadata")
    assert ended.code == 0, ended.text
    did = place.last_run().policy
    assert (did.movers, did.listers, did.compare) == (3, 1, Compare.SIZE)
    assert did.steps == (Step.COPY,)
    assert did.allow_empty_source
    assert did.afresh
    assert _standing(place) == Policy.model_validate({"verify": "metadata"})
    assert place.haulage("sync", "--dataset", place.name, "--delete", "plan").code == 0
    assert place.last_run().policy.delete is Delete.PLAN
    assert place.last_run().policy.steps == tuple(Step)
    assert place.haulage("verify", place.name, "--movers", "5").code == 0
    assert place.last_run().policy.movers == 5
    assert _standing(place) == Policy.model_validate({"verify": "metadata"})


def test_a_resumed_run_does_what_it_was_asked_for(place: Place) -> None:
    write(place.source / "a")
    once = Once(steps=(Step.COPY,), movers=1)
    run = runs.begin(place.catalog(), place.dataset(), trigger="cli", once=once)
    runs.end(place.catalog(), run, RunState.CANCELLED, {})
    later = place.dataset(delete="plan")
    with place.catalog().begin() as connection:
        datasets.record(connection, later)
    assert place.haulage("resume", run.id).code == 0
    again = runs.find(place.catalog(), run.id)
    assert again.state is RunState.DONE
    assert again.policy == run.policy
    assert datasets.find(place.catalog(), place.name).dataset == later
