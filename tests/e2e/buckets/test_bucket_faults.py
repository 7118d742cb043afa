"""Whatever goes wrong on the way: the target is equal, or it is said what is not."""

import random
import threading
from dataclasses import dataclass, field

import pytest

from tests.e2e.buckets.shelf import Route, Shelf, Watch
from tests.e2e.place import Place, paths_in, write
from tests.servers import faults
from tests.servers.faults import Answer, Cut, Delay, FlipAnswer, FlipRequest, Rule
from tests.trees.compare import assert_same, leftovers
from tests.trees.walk import entries_of

MIB = 1 << 20
LIST = "list-type=2"
BURSTS = {
    "slow-down": Rule(faults.SLOW_DOWN, target="/slow-down$", times=3),
    "internal": Rule(faults.INTERNAL_ERROR, target="/internal$", times=3),
    "too-many": Rule(faults.TOO_MANY_REQUESTS, target="/too-many$", times=3),
    "reset": Rule(faults.RESET, target="/reset$", times=2),
    "lost-answer": Rule(faults.LOST_ANSWER, target="/lost-answer$", times=2),
    "error-in-200": Rule(faults.ERROR_IN_SUCCESS, "PUT", "/error-in-200$", times=1),
    "cut": Rule(Cut(1000), "GET", "/cut$", times=2),
    "cut-chunks": Rule(Cut(1000, in_chunks=True), "GET", "/cut-chunks$", times=2),
    "flip-back": Rule(FlipAnswer(500), "GET", "/flip-back$", times=1),
    "flip-there": Rule(FlipRequest(500), "PUT", "/flip-there$", times=1),
    "late": Rule(Delay(0.5), target="/late$"),
}
STRIKE_ALL = ("slow-down", "internal", "too-many", "reset", "lost-answer")
STRIKE_PUT = (*STRIKE_ALL, "error-in-200", "flip-there")
STRIKE_GET = (*STRIKE_ALL, "cut", "cut-chunks", "flip-back")
LARGE = {
    "part-reset": Rule(faults.RESET, target="/part-reset", after=2, times=2),
    "part-flip": Rule(FlipRequest(MIB), "PUT", "/part-flip.*partNumber=2"),
    "part-flip-back": Rule(FlipAnswer(MIB), "GET", "/part-flip-back", after=1),
    "part-cut": Rule(Cut(MIB), "GET", "/part-cut", after=1, times=2),
    "lost-complete": Rule(faults.LOST_ANSWER, "POST", "/lost-complete.uploadId"),
    "refused-complete": Rule(
        faults.ERROR_IN_SUCCESS, "POST", "/refused-complete.uploadId"
    ),
}
LISTS = [
    Rule(faults.SLOW_DOWN, target=LIST, after=1, times=2),
    Rule(Cut(300), target=f"{LIST}.*max-keys=1000"),
    Rule(faults.ERROR_IN_SUCCESS, target=f"{LIST}.*max-keys=1000"),
    Rule(faults.RESET, target=f"{LIST}.*max-keys=1000"),
]


@dataclass(frozen=True)
class Until(Rule):
    """A rule that is in force until its end is set."""

    ended: threading.Event = field(default_factory=threading.Event)

    def covers(self, method: str, target: str) -> bool:
        return not self.ended.is_set() and super().covers(method, target)


@pytest.fixture
def planted(place: Place) -> Place:
    """Return a place whose source has one file for each fault."""
    for number, name in enumerate([*BURSTS, *LARGE]):
        size = 33 * MIB if name in LARGE else 20_000 + number
        write(place.source / name, random.Random(number).randbytes(size))
    return place


@pytest.mark.slow
def test_what_passes_on_the_way_there_and_back_leaves_both_equal(
    planted: Place, strict_shelf: Shelf, watch: Watch
) -> None:
    every = [*BURSTS.values(), *LARGE.values(), *LISTS]
    faulty, passing = watch.before(strict_shelf, *every)
    Route(planted, planted.source, faulty).synced()
    assert all(len(passing.seen("PUT", f"/{name}$")) > 1 for name in STRIKE_PUT)
    for file in planted.source.iterdir():
        assert strict_shelf.get(file.name) == file.read_bytes()
    assert strict_shelf.uploads() == []
    faulty, passing = watch.before(strict_shelf, *every)
    back = planted.root / "back"
    Route(planted, faulty, back).synced("--name", "back")
    assert all(len(passing.seen("GET", f"/{name}$")) > 1 for name in STRIKE_GET)
    assert_same(planted.source, back)
    assert leftovers(back) == []


@pytest.mark.slow
@pytest.mark.parametrize(
    "shard",
    [pytest.param("1G", marks=pytest.mark.torture), "32M"],
    ids=["whole", "split"],
)
def test_a_wrong_byte_in_a_range_of_a_large_object_is_never_accepted(
    place: Place, strict_shelf: Shelf, watch: Watch, shard: str
) -> None:
    large = random.Random(1).randbytes(33 * MIB)
    strict_shelf.put("large", large)
    wrong = Until(FlipAnswer(77), "GET", "/large$", after=1, times=None)
    faulty, _ = watch.before(strict_shelf, wrong)
    route = Route(place, faulty, place.root / "back")
    options = ("--shard-bytes", shard, "--attempts", "1")
    ended = route.sync(*options)
    assert ended.code == 1, ended.text
    assert "crc64nvme" in route.reasons()[b"large"]
    assert entries_of(place.root / "back") == []
    wrong.ended.set()
    route.synced(*options)
    assert (place.root / "back" / "large").read_bytes() == large


def test_copies_inside_the_server_survive_lost_answers_and_errors_in_success(
    place: Place, strict_shelf: Shelf, watch: Watch
) -> None:
    wrong = {
        name: rule for name, rule in BURSTS.items() if not isinstance(rule.fault, Cut)
    }
    for name in wrong:
        strict_shelf.put(name, name.encode(), ContentType="text/x")
    faulty, _ = watch.before(strict_shelf, *wrong.values(), *LISTS)
    target = Shelf(faulty.server, faulty.bucket, "copies/", faulty.near)
    Route(place, faulty, target).synced()
    assert target.etags() == strict_shelf.etags()


@pytest.mark.parametrize(
    "down", [False, pytest.param(True, marks=pytest.mark.torture)], ids=["up", "down"]
)
def test_a_key_that_is_denied_is_one_failure_and_the_rest_arrives(
    place: Place, moto_shelf: Shelf, watch: Watch, *, down: bool
) -> None:
    for name in ("one", "denied", "two"):
        write(place.source / name, name.encode())
    denied = Rule(faults.ACCESS_DENIED, target="/denied$", times=None)
    faulty, _ = watch.before(moto_shelf, denied)
    route = Route(place, place.source, faulty)
    if down:
        Route(place, place.source, moto_shelf).synced("--name", "up")
        route = Route(place, faulty, place.root / "back")
    ended = route.sync()
    assert ended.code == 1, ended.text
    assert ended.summary()["failed"] == 1
    assert set(route.reasons()) == {b"denied"}
    assert "AccessDenied" in route.reasons()[b"denied"]
    arrived = paths_in(place.root / "back") if down else set(moto_shelf.etags())
    assert len(arrived - {""}) == 2


@pytest.mark.parametrize(
    "down", [False, pytest.param(True, marks=pytest.mark.torture)], ids=["up", "down"]
)
def test_credentials_that_expire_stop_the_run_and_a_resume_finishes_it(
    place: Place, moto_shelf: Shelf, watch: Watch, *, down: bool
) -> None:
    for number in range(40):
        write(place.source / f"file-{number}", b"%d" % number)
    expired = Until(faults.EXPIRED_TOKEN, target="/file-", after=10, times=None)
    faulty, passing = watch.before(moto_shelf, expired)
    back = place.root / "back"
    route = Route(place, place.source, faulty)
    if down:
        Route(place, place.source, moto_shelf).synced("--name", "up")
        route = Route(place, faulty, back)
    ended = route.sync("--shard-entries", "4")
    assert ended.code == 2
    assert "ExpiredToken" in ended.text
    assert len([seen for seen in passing.seen() if seen.status == 400]) < 40
    expired.ended.set()
    resumed = route.resume()
    assert (resumed.code, resumed.summary()["failed"]) == (0, 0), resumed.text
    if not down:
        Route(place, moto_shelf, back).synced("--name", "back")
    assert_same(place.source, back)


@pytest.mark.parametrize(
    "wrong",
    [
        "bucket",
        *(
            pytest.param(wrong, marks=pytest.mark.torture)
            for wrong in ("endpoint", "region")
        ),
        "key",
    ],
)
def test_a_place_that_is_not_there_is_refused_by_its_name(
    place: Place,
    rclone_shelf: Shelf,
    watch: Watch,
    wrong: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    write(place.source / "file")
    target, more, named = rclone_shelf, [], rclone_shelf.bucket
    if wrong == "bucket":
        target = Shelf(target.server, "no-such-bucket")
        named = "no-such-bucket"
    elif wrong == "endpoint":
        more, named = ["--target-endpoint", "http://127.0.0.1:9"], "127.0.0.1:9"
    elif wrong == "region":
        elsewhere = Answer(400, "AuthorizationHeaderMalformed")
        target, _ = watch.before(target, Rule(elsewhere, times=None))
        named = "region"
    else:
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "another-one-than-it-is")
        named = "credentials"
    for source, end in ((place.source, target), (target, place.root / "back")):
        route = Route(place, source, end)
        ended = route.sync(*(more if end is target else _of_source(more)))
        assert ended.code == 2, ended.out
        assert named in ended.text
        assert "Traceback" not in ended.text
        assert "another-one" not in ended.text
    assert rclone_shelf.etags() == {}
    assert not (place.root / "back").exists()


def _of_source(options: list[str]) -> list[str]:
    return [option.replace("--target", "--source") for option in options]
