import random
import re

import pytest

from haulage.model import (
    ACTION,
    ENTRY,
    MANIFEST,
    OUTCOME,
    Action,
    Entry,
    Outcome,
    Status,
    Verb,
    Verified,
)
from haulage.paths import parent_of, shown
from tests.trees.names import GROUPS


@pytest.mark.parametrize(
    ("path", "parent"),
    [
        (b"", b""),
        (b"a", b""),
        (b"a/", b""),
        (b"a/b", b"a/"),
        (b"a/b/", b"a/"),
        (b"a/b/c", b"a/b/"),
        (b"a/b/c/", b"a/b/"),
        (b"\xff/\n/", b"\xff/"),
        (b" / ", b" /"),
    ],
)
def test_the_parent_of_a_path_is_the_directory_that_holds_it(path, parent):
    assert parent_of(path) == parent


def test_going_up_from_any_path_ends_at_the_root():
    path, steps = b"a/" * 500 + b"f", 0
    while path:
        path, steps = parent_of(path), steps + 1
    assert steps == 501


@pytest.mark.parametrize(
    ("path", "text"),
    [
        (b"plain name.txt", "plain name.txt"),
        ("é/日本".encode(), "é/日本"),
        (b"", "."),
        (b"a\nb", r"a\x0ab"),
        (b"\x1b[31m", r"\x1b[31m"),
        (b"\x00\x7f", r"\x00\x7f"),
        (b"\xff\xfe", r"\xff\xfe"),
        (b"cut-\xc3", r"cut-\xc3"),
        (b"\xed\xa0\x80", r"\xed\xa0\x80"),
        (b"back\\slash", r"back\\slash"),
        (b"\\x0a", r"\\x0a"),
        ("\u202e\u2028".encode(), r"\xe2\x80\xae\xe2\x80\xa8"),
    ],
)
def test_a_path_is_shown_as_printable_text(path, text):
    assert shown(path) == text
    assert shown(path).isprintable()


def unshown(text: str) -> bytes:
    """Read `shown` text back, as a person would by its description."""
    tokens = re.findall(r"\\x[0-9a-f]{2}|\\\\|[^\\]", text)
    assert "".join(tokens) == text
    return b"".join(
        b"\\"
        if token == "\\\\"
        else bytes.fromhex(token[2:])
        if token.startswith("\\x")
        else token.encode()
        for token in tokens
    )


def test_what_is_shown_names_a_path_exactly():
    rng = random.Random(5)
    names = [name for group in GROUPS for name in group]
    names += [rng.randbytes(rng.randint(1, 12)) for _ in range(2000)]
    for name in names:
        assert shown(name).isprintable()
        assert unshown(shown(name)) == name


def test_the_schemas_agree_with_the_named_tuples():
    assert tuple(ENTRY.names) == Entry._fields
    assert tuple(ACTION.names) == Action._fields


def test_the_schemas_hold_the_manifest_in_its_order():
    assert ENTRY.names == MANIFEST.names[: len(ENTRY.names)]
    inside = [name for name in ACTION.names if name in MANIFEST.names]
    assert inside == MANIFEST.names
    assert [name for name in OUTCOME.names if name in MANIFEST.names] == MANIFEST.names
    for schema in (ACTION, OUTCOME):
        for field in MANIFEST:
            assert schema.field(field.name) == field


def test_every_field_of_an_outcome_has_its_column():
    in_others = {"entry", "lost"}  # in those of an entry, and in `reason`
    only_counted = {"read"}  # in the tally, for all outcomes together
    assert set(Outcome._fields) - in_others - only_counted <= set(OUTCOME.names)


@pytest.mark.parametrize("numbers", [Verb, Status, Verified])
def test_the_numbers_of_an_enum_fit_a_byte_and_stand_for_one_thing(numbers):
    values = [member.value for member in numbers]
    assert len(values) == len(numbers.__members__)
    assert all(0 <= value < 256 for value in values)
