import math
import threading

import pytest

from haulage.errors import (
    CancelledError,
    MismatchError,
    PermanentError,
    TransientError,
    UnstableError,
)
from haulage.storage.buckets.pace import Pace, Patience, ThrottledError


class Time:
    """A clock that only waiting moves on."""

    def __init__(self):
        self.now = 1000.0
        self.waits = []

    def clock(self):
        return self.now

    def wait(self, seconds):
        self.waits.append(seconds)
        self.now += seconds
        return False


class Service:
    """Fails as often as it was told to, then answers; each call takes `takes` s."""

    def __init__(self, time, *failures, takes=0.0):
        self.time = time
        self.failures = list(failures)
        self.takes = takes
        self.calls = 0

    def __call__(self):
        self.calls += 1
        self.time.now += self.takes
        if self.failures:
            raise self.failures.pop(0)
        return self.calls


@pytest.fixture
def time():
    return Time()


def paced(time, patience=None, share=1.0):
    return Pace(
        patience or Patience(), clock=time.clock, wait=time.wait, share=lambda: share
    )


def test_a_request_that_succeeds_waits_for_nothing(time):
    assert paced(time).call(Service(time)) == 1
    assert time.waits == []


def test_pauses_double_up_to_a_cap_and_are_random(time):
    patience = Patience(tries=9, base_s=0.1, cap_s=2.0)
    paced(time, patience).call(Service(time, *[TransientError("no")] * 4))
    assert time.waits == pytest.approx([0.1, 0.2, 0.4, 0.8])
    time.waits.clear()
    paced(time, patience, share=0.5).call(Service(time, *[TransientError("no")] * 2))
    assert time.waits == pytest.approx([0.05, 0.1])


def test_the_last_failure_is_told_with_how_often_it_was_tried(time):
    service = Service(time, *[TransientError("no answer")] * 99)
    with pytest.raises(TransientError, match=r"no answer \(tried 3 times"):
        paced(time, Patience(tries=3)).call(service)
    assert service.calls == 3


def test_throttling_is_no_answer_to_a_request_that_may_never_succeed(time):
    busy, broken = ThrottledError("slow down"), TransientError("no")
    service = Service(time, busy, broken, *[busy] * 3, broken, broken)
    with pytest.raises(TransientError, match=r"no \(tried 6 times"):
        paced(time).call(service, tries=2)
    with pytest.raises(ThrottledError, match="tried 10 times"):
        paced(time).call(Service(time, *[busy] * 99), tries=2)


def test_a_budget_of_time_ends_the_tries_before_it_is_over(time):
    service = Service(time, *[TransientError("no")] * 99, takes=10.0)
    with pytest.raises(TransientError):
        paced(time, Patience(tries=99, budget_s=35.0)).call(service)
    assert service.calls == 4


@pytest.mark.parametrize("error", [UnstableError, MismatchError, PermanentError])
def test_what_another_try_does_not_mend_is_raised_at_once(time, error):
    service = Service(time, error("so it is"))
    with pytest.raises(error, match=r"so it is$"):
        paced(time).call(service)
    assert service.calls == 1


def run(pace, time, seconds, takes=0.01):
    """Call without a failure for so long; return how many calls that were."""
    service = Service(time, takes=takes)
    end = time.now + seconds
    while time.now < end:
        pace.call(service)
    return service.calls


def test_one_throttling_answer_halves_the_rate_of_all_and_it_grows_back(time):
    pace = paced(time, share=0.0)
    run(pace, time, 5)  # at 100 a second
    pace.call(Service(time, ThrottledError("slow down")))
    assert pace.rate == pytest.approx(50, rel=0.1)
    assert 45 <= run(pace, time, 1) <= 60
    run(pace, time, 9)
    assert 90 <= pace.rate < math.inf
    run(pace, time, 25)
    assert pace.rate == math.inf


def test_many_throttling_answers_at_one_moment_halve_the_rate_once(time):
    pace = paced(time, share=0.0)
    run(pace, time, 5)
    pace.call(Service(time, *[ThrottledError("slow down")] * 8))
    assert pace.rate > 40


def test_throttling_that_goes_on_slows_down_further_but_never_to_a_stop(time):
    pace = paced(time, Patience(tries=40, budget_s=1e6), share=1.0)
    run(pace, time, 5)
    pace.call(Service(time, *[ThrottledError("slow down")] * 30))
    assert 0.5 <= pace.rate < 20


def test_a_lone_failure_slows_nobody_down_and_several_do(time):
    pace = paced(time, share=0.0)
    run(pace, time, 5)
    pace.call(Service(time, *[TransientError("reset")] * 2))
    assert pace.rate == math.inf
    pace.call(Service(time, *[TransientError("reset")] * 7))
    assert pace.rate < 100


def test_a_stop_ends_the_wait_of_every_thread():
    stopping = threading.Event()
    pace = Pace(Patience(base_s=500, cap_s=500, budget_s=1e6), stopping=stopping)
    waiting = threading.Barrier(5)
    ends = []

    def wait_long():
        def fail():
            waiting.wait()
            raise TransientError("no")

        try:
            pace.call(fail)
        except CancelledError as err:
            ends.append(err)

    threads = [threading.Thread(target=wait_long) for _ in range(4)]
    for thread in threads:
        thread.start()
    waiting.wait()
    stopping.set()
    for thread in threads:
        thread.join(30)
    assert len(ends) == 4
