"""Rules for layouts, as people write them."""

import pytest
from pydantic import ValidationError

from haulage.config.policy import Policy
from haulage.config.striping import ALL, UNSET, Component, Layout, Rule, rules_of

MIB = 1 << 20


def plain(stripes: int, size: int = 0, pool: str = "") -> Layout:
    return Layout((Component(None, stripes, size, pool),))


def test_rules_are_read_and_the_largest_that_fits_decides() -> None:
    rules = rules_of("64G=allx4M@flash, 1G=4")
    assert rules.rules == (
        Rule(1 << 30, plain(4)),
        Rule(64 << 30, plain(ALL, 4 * MIB, "flash")),
    )
    assert rules.of_file((1 << 30) - 1) is None
    assert rules.of_file(1 << 30) == rules.rules[0]
    assert rules.of_file(1 << 40) == rules.rules[1]
    assert not rules.keeps
    assert rules.of_directories is None


def test_keep_is_for_directories_and_large_files() -> None:
    rules = rules_of("keep")
    assert rules == rules_of("0=keep,64M=keep")
    assert rules.keeps
    assert rules.keeps_directories
    assert rules.of_file(64 * MIB) == Rule(64 * MIB, None)
    assert rules.of_file(64 * MIB - 1) is None


def test_a_rule_for_nothing_is_for_directories_alone() -> None:
    rules = rules_of("0=2@disk")
    assert rules.of_directories == Rule(0, plain(2, 0, "disk"))
    assert not rules.keeps_directories
    assert rules.of_file(1 << 50) is None


def test_nothing_asked_for_is_no_rule() -> None:
    assert rules_of("").rules == ()
    assert not rules_of("").keeps_directories


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("4", "write keep, or SIZE=COUNT"),
        ("1G=0", "0 stripes; Lustre has 1 to 2000"),
        ("1G=4000", "4000 stripes"),
        ("1G=4x100K", "a stripe is a multiple of 64K"),
        ("1G=4x4G", "below 4G"),
        ("1G=4@no/pool", "write keep"),
        ("lots=4", "'lots' is not a size"),
        ("4K=2", "rules begin at 1M"),
        ("1G=2,1024M=4", "two rules for 1073741824 bytes"),
        ("keep,1G=4", "write keep"),
    ],
)
def test_what_can_not_be_meant_is_refused_in_words(text: str, words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        Policy(stripe=text)


def test_a_layout_meets_what_was_asked_for_if_all_that_was_named_is_there() -> None:
    has = plain(4, MIB, "flash")
    assert plain(4).is_met_by(has)
    assert plain(ALL, MIB).is_met_by(has)
    assert not plain(8).is_met_by(has)
    assert not plain(4, 4 * MIB).is_met_by(has)
    assert not plain(4, MIB, "disk").is_met_by(has)
    assert not plain(4).is_met_by(UNSET)
    two = Layout((Component(MIB, 1), Component(None, 4)))
    assert not two.is_met_by(has)


def test_layouts_are_shown_as_rules_are_written() -> None:
    assert str(plain(4, MIB, "flash")) == "4x1048576@flash"
    assert str(UNSET) == "the default"
    two = Layout((Component(MIB, pattern="mdt"), Component(None, ALL)))
    assert str(two) == "0 (mdt) up to 1048576, all"
