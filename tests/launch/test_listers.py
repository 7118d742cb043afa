import os
import signal
import threading

import pyarrow as pa
import pytest

from haulage.errors import FatalError
from haulage.launch.listers.pool import Listers
from haulage.model import ENTRY, SELECTED
from haulage.place import Place
from haulage.storage.tree.descent import Descent
from haulage.storage.tree.listing.walk import Page, Span, Unreadable, Walk
from tests.engine_builders import paths_of
from tests.trees.build import plant

NO_FILTER: dict[str, object] = {}


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    root = tmp_path_factory.mktemp("listers") / "tree"
    plant(root, seed=21, entries=2500)
    return root


def walked(root) -> pa.Table:
    descent = Descent(str(root))
    pages = [p.entries for p in Walk(descent, Span()).pieces() if isinstance(p, Page)]
    descent.close()
    return pa.concat_tables(pages)


def listed(root, spool, count, after=None, **selection) -> pa.Table:
    with Listers(Place(str(root)), selection, count=count, spool=spool) as listers:
        pieces = list(listers.pieces(after))
    tables = [piece for piece in pieces if isinstance(piece, pa.Table)]
    return pa.concat_tables(tables or [ENTRY.empty_table()])


@pytest.mark.parametrize("count", [1, 2, 4])
def test_any_number_of_listers_lists_the_same_in_the_same_order(tree, tmp_path, count):
    assert listed(tree, tmp_path / "spool", count).equals(walked(tree))


def test_listers_leave_nothing_in_their_spool(tree, tmp_path):
    listed(tree, tmp_path / "spool", 3)
    assert os.listdir(tmp_path / "spool") == ["hunger"]


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("share", [0, 0.3, 0.9, 1])
def test_listers_go_on_behind_any_path(tree, tmp_path, count, share):
    every = paths_of(walked(tree))
    after = every[int(share * (len(every) - 1))]
    rest = paths_of(listed(tree, tmp_path / "spool", count, after))
    assert rest == [path for path in every if path > after]


def test_listers_keep_to_the_selection(tree, tmp_path):
    marked = listed(tree, tmp_path / "spool", 2, rules=("- *.txt",), min_size=1)
    found = marked.filter(marked[SELECTED])
    every = walked(tree).to_pylist()
    assert paths_of(found) == [
        row["path"]
        for row in every
        if not row["path"].endswith((b".txt", b".txt/"))
        and b".txt/" not in row["path"]
        and (row["kind"] != 1 or row["size"] >= 1)
    ]


def test_a_large_directory_is_shared_by_listers(tmp_path):
    (tmp_path / "flat").mkdir()
    for number in range(9000):
        os.close(os.open(tmp_path / "flat" / f"{number:06}", os.O_CREAT))
    found = listed(tmp_path / "flat", tmp_path / "spool", 3)
    assert found.equals(walked(tmp_path / "flat"))


def outcome_of(listers: Listers) -> list:
    """Consume a listing that may hang, and return it or its error."""
    found: list = []

    def consume() -> None:
        try:
            found.extend(listers.pieces())
        except FatalError as err:
            found.append(err)

    consumer = threading.Thread(target=consume, daemon=True)
    consumer.start()
    consumer.join(8)
    assert not consumer.is_alive(), "the consumer waits for a lister that is gone"
    return found


def test_a_lister_that_is_killed_at_work_ends_the_listing(tree, tmp_path):
    listers = Listers(Place(str(tree)), NO_FILTER, count=1, spool=tmp_path / "spool")
    listers.__enter__()
    (process,) = listers._rope.processes
    os.kill(process.pid, signal.SIGSTOP)
    threading.Timer(0.3, os.kill, (process.pid, signal.SIGKILL)).start()
    *_, last = outcome_of(listers)
    assert isinstance(last, FatalError)
    assert str(process.pid) in str(last)
    listers.__exit__(FatalError, last, None)


@pytest.mark.parametrize("count", [1, 2])
def test_a_lister_that_was_killed_before_its_work_does_not_hang_it(
    tree, tmp_path, count
):
    listers = Listers(
        Place(str(tree)), NO_FILTER, count=count, spool=tmp_path / "spool"
    )
    listers.__enter__()
    process = listers._rope.processes[-1]
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    listers._rope._readers[-1].join()
    try:
        *_, last = outcome_of(listers)
        assert isinstance(last, FatalError | pa.Table)
    finally:
        listers.__exit__(FatalError, FatalError(), None)


def test_a_root_that_is_missing_ends_the_listing(tmp_path):
    spool = tmp_path / "spool"
    listers = Listers(Place(str(tmp_path / "none")), NO_FILTER, count=2, spool=spool)
    listers.__enter__()
    for process in listers._rope.processes:
        process.wait()
    try:
        *_, last = outcome_of(listers)
        assert isinstance(last, FatalError)
    finally:
        listers.__exit__(FatalError, FatalError(), None)


def test_an_error_of_the_consumer_ends_every_lister(tree, tmp_path):
    def consume() -> None:
        with Listers(
            Place(str(tree)), {}, count=2, spool=tmp_path / "spool"
        ) as listers:
            pids.extend(process.pid for process in listers._rope.processes)
            next(listers.pieces())
            raise KeyError

    pids: list[int] = []
    with pytest.raises(KeyError):
        consume()
    assert len(pids) == 2
    assert not any(os.path.exists(f"/proc/{pid}") for pid in pids)


def test_what_can_not_be_listed_is_told(tmp_path):
    (tmp_path / "t" / "d").mkdir(parents=True)
    deep = tmp_path / "t"
    (deep / "f").touch()
    with Listers(Place(str(deep)), {}, count=2, spool=tmp_path / "spool") as listers:
        pieces = list(listers.pieces())
    assert not [piece for piece in pieces if isinstance(piece, Unreadable)]
    tables = [piece for piece in pieces if isinstance(piece, pa.Table)]
    assert paths_of(pa.concat_tables(tables)) == [b"", b"d/", b"f"]
