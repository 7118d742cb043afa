import random

import numpy as np
import pytest

from haulage.errors import FatalError
from haulage.storage.buckets.keys.paths import (
    is_plain,
    key_of,
    path_of,
    rows_of,
    why_misspelt,
    why_no_key,
    why_no_path,
)
from haulage.storage.buckets.protocol import Keys

HOSTILE = [
    b"plain/path.txt", "é/日本/😀".encode(), b"\xff\xfe/caf\xe9", b"a\xe9\xf0\x9f",
    "\uf780".encode(), "x\uf7ffy\uf77f\uf800".encode(), b"\xef\x9e", b"\xed\xa0\x80",
    b"a b+c%20&=?#", b"new\nline\ttab\x7f\x01", b"back\\slash", b"dir/", b"",
]  # fmt: skip


@pytest.mark.parametrize("prefix", ["", "p/", "é\uf780/"])
@pytest.mark.parametrize("path", HOSTILE)
def test_a_path_comes_back_from_its_key(path, prefix):
    key = key_of(path, prefix)
    assert key.startswith(prefix)
    assert key.encode() == key.encode("utf-8")
    assert path_of(key, prefix) == path
    assert why_misspelt(key, prefix) is None


def test_any_bytes_come_back_and_no_two_paths_share_a_key():
    rng = random.Random(5)
    parts = [b"\xef", b"\x9e", b"\x80", b"\xff", b"a", b"/", "\uf7c3".encode(), b"\xc3"]
    paths = {b"".join(rng.choices(parts, k=rng.randrange(8))) for _ in range(5000)}
    keys = {key_of(path, "") for path in paths}
    assert len(keys) == len(paths)
    assert {path_of(key, "") for key in keys} == paths


def test_a_path_in_utf8_is_its_key():
    assert key_of("a/é/日本😀".encode(), "p/") == "p/a/é/日本😀"
    assert is_plain("é😀".encode())
    assert not is_plain(b"\xe9")
    assert not is_plain("\uf780".encode())


def test_a_byte_that_is_no_utf8_becomes_one_private_character():
    assert key_of(b"caf\xe9", "") == "caf\uf7e9"
    assert key_of("\uf780".encode(), "") == "\uf7ef\uf79e\uf780"


@pytest.mark.parametrize(
    "key", ["\uf7c3\uf7a9", "a\uf741"[:1] + "\uf7f0\uf79f\uf798\uf780"]
)
def test_a_key_that_no_path_is_written_as_is_refused(key):
    reason = why_no_path(key, "")
    assert reason
    assert "private" in reason


def test_a_private_character_that_stands_for_no_byte_is_text():
    assert why_no_path("a\uf741", "") is None
    assert path_of("a\uf741", "") == "a\uf741".encode()


@pytest.mark.parametrize(
    ("key", "word"),
    [
        ("a//b", "empty"), ("/a", "empty"), ("/", "empty"), ("a//", "empty"),
        ("./a", "'..'"), ("a/../b", "'..'"), ("..", "'..'"), ("a/.", "'..'"),
        ("a/./", "'..'"), ("a\0b", "NUL"), ("é" * 128 + "/x", "256"),
    ],
)  # fmt: skip
def test_a_key_that_a_file_system_can_not_hold_is_refused(key, word):
    reason = why_no_path("p/" + key, "p/")
    assert reason
    assert word in reason


@pytest.mark.parametrize("key", ["a", "a/", "...", ".a/b.", "a" * 255, "-/ /~", ""])
def test_an_ordinary_key_is_not_refused(key):
    assert why_no_path("p/" + key, "p/") is None


def test_a_key_over_1024_bytes_is_refused_with_its_length():
    assert why_no_key(b"x" * 1022, "p/") is None
    reason = why_no_key(b"x" * 1023, "p/")
    assert reason
    assert "1025" in reason
    assert why_no_key(b"\xe9" * 341, "") is None  # three bytes each
    assert why_no_key(b"\xe9" * 342, "")


def page_of(keys: list[str]) -> Keys:
    zeros = np.zeros(len(keys), np.int64)
    return Keys(keys, zeros, [b""] * len(keys), zeros, [], is_last=True)


def test_a_page_is_turned_into_the_paths_that_each_key_has():
    keys = ["p/" + key_of(path, "") for path in HOSTILE]
    rows, refused = rows_of(page_of([*keys, "p/\uf7c3\uf7a9", "p/a\0b"]), "p/")
    assert rows.paths == [*HOSTILE, b"a\0b"]
    assert [path for path, _ in refused] == ["\uf7c3\uf7a9".encode()]


def test_a_server_that_lists_what_is_elsewhere_is_not_believed():
    with pytest.raises(FatalError, match="where keys below"):
        rows_of(page_of(["p/a", "q/a"]), "p/")
