"""Parse and format values as people write them: sizes, ages, names."""

import re
from decimal import Decimal

from haulage.model import PRESERVED, Preserve

_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgtpe]?)(i?)b?", re.IGNORECASE)
_AGE = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d|w|y)?", re.IGNORECASE)
_TIME = re.compile(r"(?:(\d+)-)?(?:(\d+):)?(\d+):(\d\d)")  # as sbatch takes it
_AGE_SECONDS = {
    "ms": 0.001,
    "s": 1,
    "m": 60,
    "h": 3600,
    "d": 86400,
    "w": 604800,
    "y": 31557600,
}


def parse_size(text: object) -> object:
    """Return bytes for `4096`, `64K`, `1.5 GiB` (all powers of 1024)."""
    if not isinstance(text, str):
        return text
    match = _SIZE.fullmatch(text.strip())
    if not match:
        raise ValueError(
            f"{text!r} is not a size; write for example 512, 64K, 1.5G or 2 TiB"
        )
    number, prefix, _ = match.groups()
    return int(Decimal(number) * 1024 ** " kmgtpe".index(prefix.lower() or " "))


def parse_age(text: object) -> object:
    """Return seconds for `90`, `15m`, `12h`, `7d`, `2w`, `1y`."""
    if not isinstance(text, str):
        return text
    match = _AGE.fullmatch(text.strip())
    if not match:
        raise ValueError(
            f"{text!r} is not an age; write for example 90s, 15m, 12h, 7d, 2w or 1y"
        )
    number, unit = match.groups()
    return float(number) * _AGE_SECONDS[(unit or "s").lower()]


def parse_time_limit(text: object) -> object:
    """Return seconds for `90m` or `12h`, and for `30:00`, `12:00:00`, `2-12:00:00`."""
    if not isinstance(text, str):
        return text
    if text.strip().isdecimal():
        raise ValueError(
            f"{text!r} is minutes for sbatch, and seconds elsewhere; write {text}m or "
            f"{text}s"
        )
    match = _TIME.fullmatch(text.strip())
    if not match:
        return parse_age(text)
    days, hours, minutes, seconds = (int(part or 0) for part in match.groups())
    return float(((days * 24 + hours) * 60 + minutes) * 60 + seconds)


def parse_preserve(value: object) -> object:
    """Return the names in a list or in `mode,times`, in one order.

    `all` is every name; `-NAME` removes one, from the default if it comes first.
    """
    if isinstance(value, str):
        value = [word.strip() for word in value.split(",")]
    if not isinstance(value, list | tuple):
        return value
    words = [str(word) for word in value]
    names: set[Preserve] = set()
    if words and words[0].startswith("-"):
        names.update(PRESERVED)
    for word in words:
        if word == "all":
            names.update(Preserve)
        elif word.startswith("-"):
            names.discard(_preserve_named(word[1:]))
        else:
            names.add(_preserve_named(word))
    return tuple(name for name in Preserve if name in names)


def _preserve_named(word: str) -> Preserve:
    if word not in set(Preserve):
        valid = ", ".join(Preserve)
        raise ValueError(f"{word!r} cannot be preserved; choose from {valid}, or all")
    return Preserve(word)


def shown_bytes(count: float) -> str:
    """Return a count of bytes with a readable unit."""
    for unit in _UNITS[:-1]:
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} {_UNITS[-1]}"
