"""Stretches of the order hold what they name, and nothing beside it."""

import pyarrow as pa
import pytest

from haulage.planning.path_ranges import alone, below, between, spans

PATHS = [b"", b"a", b"a!", b"a/", b"a/b", b"a/b/", b"a/b/c", b"a0", b"b", b"c", b"d/"]


@pytest.mark.parametrize(
    ("found", "within"),
    [
        ([], []),
        ([alone(b"a")], [b"a"]),
        ([alone(b"a/")], [b"a/"]),
        ([below(b"a/")], [b"a/", b"a/b", b"a/b/", b"a/b/c"]),
        ([alone(b"a"), below(b"a")], [b"a", b"a/", b"a/b", b"a/b/", b"a/b/c"]),
        ([below(b"a/"), below(b"a/b/"), alone(b"a/b/c")], PATHS[3:7]),
        ([between(b"a0", b"c"), between(b"b", b"b")], [b"a0", b"b", b"c"]),
        ([alone(b"d/"), alone(b"")], [b"", b"d/"]),
        ([alone(b"aa"), alone(b"e"), alone(b"0")], []),
    ],
)
def test_a_stretch_holds_its_paths_alone(found, within):
    for step in (1, 2, len(PATHS)):  # pages of any size give the same
        pages = [PATHS[at : at + step] for at in range(0, len(PATHS), step)]
        got = [
            path
            for page in pages
            for path, is_in in zip(
                page,
                spans(found).within(pa.chunked_array([page], pa.binary())),
                strict=True,
            )
            if is_in
        ]
        assert got == within


def test_a_page_without_paths_is_in_no_stretch():
    assert len(spans([alone(b"")]).within(pa.chunked_array([], pa.binary()))) == 0
