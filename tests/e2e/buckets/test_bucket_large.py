"""Large objects go in parts; what had arrived before a kill does not go again."""

import random
import re
import signal
import subprocess
from pathlib import Path

import pytest

from tests.e2e.buckets.shelf import Route, Shelf, Watch
from tests.e2e.place import Place, write
from tests.e2e.processes import kill, of_place, wait_until
from tests.servers.faults import Delay, Rule
from tests.servers.proxy import Proxy
from tests.trees.compare import assert_same, leftovers

MIB = 1 << 20
PART = 16 * MIB
PARTS = 13  # of the file
SPLIT = ("--shard-bytes", "64M", "--movers", "2")
WHOLE = ("--shard-bytes", "1G")
SLOWLY = Rule(Delay(0.25), target="partNumber=|GET", times=None)
_NUMBER = re.compile(r"partNumber=(\d+)")


@pytest.fixture(scope="module")
def large_tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a tree of one file of 200 MiB and a small one. Tests only read it."""
    root = tmp_path_factory.mktemp("large") / "tree"
    write(root / "dir" / "large", random.Random(1).randbytes(200 * MIB))
    write(root / "small", b"small")
    return root


def made(place: Place) -> set[int]:
    """Return the numbers of the parts that the present run knows to be made."""
    names = (file.name for file in place.home.glob("work/*/ranges/*/*"))
    offsets = (name.split("-")[0] for name in names if not name.startswith("id"))
    return {int(offset) // PART + 1 for offset in offsets}


def sent(passing: Proxy, since: int = 0) -> list[int]:
    """Return the numbers of the parts that were sent, in their order."""
    found = (_NUMBER.search(seen.query) for seen in passing.seen()[since:])
    return [int(match[1]) for match in found if match]


def read(passing: Proxy, since: int = 0) -> int:
    """Return how many times some content of the large object was asked for."""
    return sum(
        seen.method == "GET" and seen.path.endswith("/large")
        for seen in passing.seen()[since:]
    )


def kill_in_the_middle(
    route: Route, process: subprocess.Popen[bytes], whom: str, enough: int
) -> set[int]:
    """Kill a mover, or the whole run, when some parts are made; return these."""
    wait_until(lambda: len(made(route.place)) >= enough, process)
    movers = of_place(route.place, "haulage.mover")
    for pid in movers[:1] if whom == "mover" else [process.pid, *movers]:
        kill(pid)
    known = made(route.place)
    if whom == "mover":
        _, err = process.communicate()
        assert process.returncode == 0, err.decode()
        return known
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    wait_until(lambda: not of_place(route.place))
    return made(route.place)


def assert_settled(route: Route, shelf: Shelf) -> None:
    assert shelf.uploads() == []
    assert list(route.place.home.glob("work/*")) == []
    assert of_place(route.place) == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("whom", "options"),
    [
        ("mover", SPLIT),
        pytest.param("run", SPLIT, marks=pytest.mark.torture),
        pytest.param("run", WHOLE, marks=pytest.mark.torture),
    ],
    ids=["mover", "run", "run, not split"],
)
def test_parts_that_had_arrived_before_a_kill_are_not_sent_again(
    place: Place,
    large_tree: Path,
    strict_shelf: Shelf,
    watch: Watch,
    whom: str,
    options: tuple[str, ...],
) -> None:
    slow, passing = watch.before(strict_shelf, SLOWLY)
    route = Route(place, large_tree, slow)
    known = kill_in_the_middle(route, route.start(*options), whom, 3)
    before = len(passing.seen())
    if whom == "run":
        assert 3 <= len(known) < PARTS
        assert len(strict_shelf.uploads()) == 1
        resumed = route.resume()
        assert resumed.code == 0, resumed.text
        assert known.isdisjoint(sent(passing, before))
    every = sent(passing)
    assert set(every) == set(range(1, PARTS + 1))
    assert [number for number in known if every.count(number) > 1] == []
    large = (large_tree / "dir" / "large").read_bytes()
    assert strict_shelf.get("dir/large") == large
    assert_settled(route, strict_shelf)


@pytest.mark.slow
@pytest.mark.parametrize(
    "whom", ["run", pytest.param("mover", marks=pytest.mark.torture)]
)
def test_ranges_that_had_come_before_a_kill_are_not_read_again(
    place: Place, large_tree: Path, strict_shelf: Shelf, watch: Watch, whom: str
) -> None:
    Route(place, large_tree, strict_shelf).synced("--name", "up", *SPLIT)
    back = place.root / "back"
    slow, passing = watch.before(strict_shelf, SLOWLY)
    route = Route(place, slow, back)
    known = kill_in_the_middle(route, route.start(*SPLIT), whom, 3)
    before = len(passing.seen())
    if whom == "run":
        assert 3 <= len(known) < PARTS
        assert route.resume().code == 0
        assert read(passing, before) == PARTS - len(known)
    assert_same(large_tree, back)
    assert leftovers(back) == []
    assert_settled(route, strict_shelf)


@pytest.mark.torture
def test_a_sync_that_begins_anew_drops_what_a_killed_one_had_begun(
    place: Place, large_tree: Path, strict_shelf: Shelf, watch: Watch
) -> None:
    slow, _ = watch.before(strict_shelf, SLOWLY)
    up = Route(place, large_tree, slow)
    assert kill_in_the_middle(up, up.start(*SPLIT), "run", 2)
    assert len(strict_shelf.uploads()) == 1
    up.synced(*SPLIT)
    assert_settled(up, strict_shelf)
    back = place.root / "back"
    down = Route(place, up.target, back)
    assert kill_in_the_middle(down, down.start("--name", "b", *SPLIT), "run", 2)
    assert leftovers(back)
    down.synced("--name", "b", *SPLIT)
    assert_same(large_tree, back)
    assert leftovers(back) == []
