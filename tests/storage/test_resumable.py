import threading
from typing import Any

import pytest

from haulage.errors import UnstableError
from haulage.storage.resumable import Done, Ranges, begun, drop
from tests.engine_builders import entry

FIRST = Done(b"d" * 16, b"etag-1")
SECOND = Done(b"e" * 16, b"")
NEVER = pytest.fail
OTHERS: list[dict[str, Any]] = [
    {"size": 11},
    {"mtime_ns": 6},
    {"ctime_s": 1},
    {"ino": 9},
    {"etag": b"x"},
]


def claimed(root, path=b"a/b", made="one", **fields):
    ranges = Ranges(root, path, entry(path, **fields))
    ranges.claim(lambda: made, NEVER)
    return ranges


def test_what_one_notes_another_knows(tmp_path):
    first = claimed(tmp_path)
    first.note(0, FIRST)
    first.note(1 << 40, SECOND)
    other = Ranges(tmp_path, b"a/b", entry(b"a/b"))
    assert other.claim(NEVER, NEVER) == "one"
    assert other.done() == {0: FIRST, 1 << 40: SECOND}


def test_all_that_can_be_known_of_a_range_is_noted(tmp_path):
    fullest = Done(b"d" * 16, b"e" * 50, b"s" * 32, b"c" * 8)
    first = claimed(tmp_path)
    first.note(5 << 40, fullest)
    assert first.done() == {5 << 40: fullest}


def test_ranges_that_follow_one_another_are_noted_at_once(tmp_path):
    first = claimed(tmp_path)
    digests = [at.to_bytes(16, "big") for at in range(2000)]
    first.note_all(5 << 40, 1 << 24, digests)
    first.note(7, FIRST)
    first.note_all(1 << 24, 1 << 24, [b"", b""])  # the kernel copied them
    found = first.done()
    assert {at: found.pop(at) for at in (7, 1 << 24, 2 << 24)} == {
        7: FIRST,
        1 << 24: Done(b""),
        2 << 24: Done(b""),
    }
    assert found == {
        (5 << 40) + (at << 24): Done(digest) for at, digest in enumerate(digests)
    }


@pytest.mark.parametrize("left", [0, 15, 100])
def test_a_note_that_a_power_cut_has_torn_says_nothing(tmp_path, left):
    first = claimed(tmp_path)
    first.note_all(0, 1 << 24, [b"d" * 16] * 9)
    (record,) = tmp_path.iterdir()
    (note,) = (file for file in record.iterdir() if not file.name.startswith("id"))
    note.write_bytes(note.read_bytes()[:left])
    assert first.done() == {}


def test_many_that_are_noted_of_a_dropped_transfer_are_unstable(tmp_path):
    ranges = claimed(tmp_path)
    claimed(tmp_path).forget()
    with pytest.raises(UnstableError, match="dropped"):
        ranges.note_all(0, 5, [b"d" * 16])
    claimed(tmp_path, made="two")
    ranges.note_all(0, 5, [b"d" * 16])
    assert claimed(tmp_path, made="two").done() == {}


def test_nothing_is_written_before_a_claim(tmp_path):
    ranges = Ranges(tmp_path / "none", b"f", entry(b"f"))
    assert ranges.id is None
    ranges.forget()
    assert not (tmp_path / "none").exists()
    assert list(begun(tmp_path / "none")) == []


def test_another_version_of_the_source_has_another_record(tmp_path):
    claimed(tmp_path, made="one")
    for number, fields in enumerate(OTHERS):
        other = claimed(tmp_path, made=f"other {number}", **fields)
        assert other.id == f"other {number}"
    assert len(list(begun(tmp_path, b"a/b"))) == 6


def test_a_file_system_has_another_number_on_every_machine(tmp_path):
    claimed(tmp_path, dev=1, nlink=1)
    assert claimed(tmp_path, made="other", dev=2, nlink=3).id == "one"


def test_of_many_that_begin_at_once_one_wins_and_the_others_drop_their_own(tmp_path):
    together = threading.Barrier(8)
    dropped: list[str] = []
    won: list[str] = []

    def begin(number):
        together.wait()  # between the look for a record and its making
        return f"upload {number}"

    def claim(number):
        ranges = Ranges(tmp_path, b"f", entry(b"f"))
        won.append(ranges.claim(lambda: begin(number), dropped.append))

    threads = [threading.Thread(target=claim, args=(at,)) for at in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(won)) == 1
    assert sorted([*dropped, won[0]]) == [f"upload {at}" for at in range(8)]
    assert len(list(begun(tmp_path))) == 1


def test_what_could_not_be_begun_leaves_no_claim(tmp_path):
    ranges = Ranges(tmp_path, b"f", entry(b"f"))
    with pytest.raises(ZeroDivisionError):
        ranges.claim(lambda: str(1 // 0), NEVER)
    assert ranges.id is None
    assert list(begun(tmp_path)) == []


def test_what_is_noted_of_a_dropped_transfer_is_unstable(tmp_path):
    ranges = claimed(tmp_path)
    claimed(tmp_path).forget()
    with pytest.raises(UnstableError, match="dropped"):
        ranges.note(0, FIRST)
    assert ranges.done() == {}


def test_a_late_note_does_not_count_for_the_transfer_that_came_after(tmp_path):
    late = claimed(tmp_path, made="one")
    claimed(tmp_path).forget()
    now = claimed(tmp_path, made="two")
    late.note(0, FIRST)
    now.note(5, SECOND)
    assert now.done() == {5: SECOND}


def test_whoever_is_late_does_not_forget_the_transfer_that_came_after(tmp_path):
    late = claimed(tmp_path, made="one")
    claimed(tmp_path).forget()
    now = claimed(tmp_path, made="two")
    late.forget()
    assert now.id == "two"
    now.forget()
    assert now.id is None


def test_records_are_found_by_path_and_can_be_dropped_twice(tmp_path):
    paths = [b"a/b", b"\xff\n", b"c"]
    for path in paths:
        claimed(tmp_path, path, made=path.hex())
    assert sorted(path for path, _, _ in begun(tmp_path)) == sorted(paths)
    ((path, made, record),) = begun(tmp_path, b"\xff\n")
    assert (path, made) == (b"\xff\n", "ff0a")
    drop(record)
    drop(record)
    assert list(begun(tmp_path, b"\xff\n")) == []
    assert len(list(begun(tmp_path))) == 2


def test_a_record_is_dropped_while_others_note(tmp_path):
    ranges = claimed(tmp_path)
    stop = threading.Event()
    noted: list[int] = []

    def note():
        while not stop.is_set():
            try:
                ranges.note(len(noted), FIRST)
            except UnstableError:
                noted.append(len(noted))

    threads = [threading.Thread(target=note) for _ in range(4)]
    for thread in threads:
        thread.start()
    for _ in range(30):
        other = claimed(tmp_path)
        other.forget()
    stop.set()
    for thread in threads:
        thread.join()
    assert list(begun(tmp_path)) == []
