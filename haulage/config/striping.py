"""Lustre layouts of files, and a policy's rules for them."""

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from haulage.config.units import parse_size

ALL = -1  # as `stripes`: over every server that there is
OVERSTRIPED = "overstriped"
ON_MDT = "mdt"  # the pattern of what lies with the inode
KEPT_FROM_BYTES = 64 << 20  # what `keep` alone means by a large file

_RULE = re.compile(
    r"(?P<at_least>[^=]+)=(?:(?P<keep>keep)|(?P<count>\d+|all)"
    r"(?:x(?P<size>[^@]+))?(?:@(?P<pool>[A-Za-z0-9_.-]{1,15}))?)"
)
_MOST_STRIPES = 2000
_SMALLEST_BYTES = 1 << 20  # of a file with a layout of its own: it costs calls of lfs
_STRIPE_UNIT = 64 << 10
_MOST_STRIPE_BYTES = (1 << 32) - _STRIPE_UNIT
_KEEP = f"0=keep,{KEPT_FROM_BYTES}=keep"


class Component(NamedTuple):
    """A span of a file and its stripes; 0 and no pool stand for the default."""

    end: int | None = None  # the byte behind it, or None for the end of the file
    stripes: int = 0
    size: int = 0
    pool: str = ""
    pattern: str = "raid0"

    def is_met_by(self, other: "Component") -> bool:
        """Tell whether `other`, of a file that was made, is as requested."""
        return (
            self.end == other.end
            and self.pattern == other.pattern
            and self.stripes in (0, ALL, other.stripes)
            and self.size in (0, other.size)
            and self.pool in ("", other.pool)
        )

    def __str__(self) -> str:
        count = "all" if self.stripes == ALL else str(self.stripes)
        size = f"x{self.size}" if self.size else ""
        pool = f"@{self.pool}" if self.pool else ""
        kind = "" if self.pattern == "raid0" else f" ({self.pattern})"
        end = "" if self.end is None else f" up to {self.end}"
        return f"{count}{size}{pool}{kind}{end}"


class Layout(NamedTuple):
    """The components of a file; without any, defaults apply.

    `beyond` names what else the layout has, which cannot be requested.
    """

    components: tuple[Component, ...] = ()
    beyond: str = ""

    def is_met_by(self, other: "Layout") -> bool:
        """Tell whether `other`, of a file that was made, is as requested."""
        pairs = zip(self.components, other.components, strict=False)
        return len(self.components) == len(other.components) and all(
            mine.is_met_by(its) for mine, its in pairs
        )

    def without_pools(self) -> "Layout":
        """Return the layout without pools, for a target that does not know them."""
        parts = (part._replace(pool="") for part in self.components)
        return self._replace(components=tuple(parts))

    def __str__(self) -> str:
        return ", ".join(map(str, self.components)) or "the default"


UNSET = Layout()


class Rule(NamedTuple):
    """The layout of files from a size on; None: the source's own layout.

    A rule for 0 is for directories: the default of what is created in them.
    """

    at_least: int
    layout: Layout | None


@dataclass(frozen=True, slots=True)
class Rules:
    """All rules of a policy, the smallest size first."""

    rules: tuple[Rule, ...]

    def of_file(self, size: int) -> Rule | None:
        """Return the rule for a file of `size` bytes, or None."""
        fitting = [rule for rule in self.rules if 0 < rule.at_least <= size]
        return fitting[-1] if fitting else None

    @property
    def of_directories(self) -> Rule | None:
        """Return the rule for directories, or None."""
        return next((rule for rule in self.rules if not rule.at_least), None)

    @property
    def keeps_directories(self) -> bool:
        """Tell whether each directory gets the default layout of its source."""
        rule = self.of_directories
        return rule is not None and rule.layout is None

    @property
    def keeps(self) -> bool:
        """Tell whether any rule keeps the source's layouts."""
        return any(rule.layout is None for rule in self.rules)


NO_RULES = Rules(())


@lru_cache(maxsize=8)
def rules_of(text: str) -> Rules:
    """Return the rules in `keep` or `1G=4,64G=16x4M@flash`; none for an empty text."""
    words = _KEEP if text.strip() == "keep" else text
    rules = sorted(_rule(word.strip()) for word in words.split(",") if word.strip())
    sizes = [rule.at_least for rule in rules]
    if twice := [size for size in sizes if sizes.count(size) > 1]:
        raise ValueError(f"{text!r} has two rules for {twice[0]} bytes; leave one out")
    return Rules(tuple(rules))


def checked_rules(text: object) -> object:
    """Return `text` if it is valid rules; ValueError says what is wrong."""
    if isinstance(text, str):
        rules_of(text)
    return text


def _rule(word: str) -> Rule:
    match = _RULE.fullmatch(word)
    if not match:
        raise ValueError(
            f"{word!r} is not a rule for stripes; write keep, or SIZE=COUNT with "
            f"stripe size and pool if wanted, such as 1G=4,64G=16x4M@flash or 0=keep"
        )
    at_least = _bytes(match["at_least"])
    if 0 < at_least < _SMALLEST_BYTES:
        raise ValueError(
            f"{word!r}: a layout of its own costs a file several calls of lfs, so "
            "rules begin at 1M; write 0=... for the default that all other files "
            "inherit from directories"
        )
    if match["keep"]:
        return Rule(at_least, None)
    count = ALL if match["count"] == "all" else int(match["count"])
    size = _bytes(match["size"]) if match["size"] else 0
    _check_stripes(word, count, size)
    return Rule(at_least, Layout((Component(None, count, size, match["pool"] or ""),)))


def _bytes(text: str) -> int:
    size = parse_size(text)
    assert isinstance(size, int)
    return size


def _check_stripes(word: str, count: int, size: int) -> None:
    if count != ALL and not 1 <= count <= _MOST_STRIPES:
        raise ValueError(
            f"{word!r}: {count} stripes; Lustre has 1 to {_MOST_STRIPES}, or all"
        )
    if size % _STRIPE_UNIT or size > _MOST_STRIPE_BYTES:
        raise ValueError(
            f"{word!r}: stripes of {size} bytes; a stripe is a multiple of 64K and "
            f"below 4G, such as 1M or 4M"
        )
