r"""Include and exclude rules, in the syntax that rsync and rclone users know.

A rule is `+ PATTERN` or `- PATTERN`; the first rule that matches a path decides, and a
path that no rule matches is included. A directory that is excluded takes everything
below it along.

    *      any bytes but `/`            **     any bytes, `/` too
    ?      one byte but `/`             [a-z]  one of a set, [!a-z] none of it
    /x     x at the root only           x/     directories only
    a/b    with a slash inside: the end of a path, at component borders
    \*     the character itself
"""

import re
from dataclasses import dataclass

from haulage.errors import RefusedError


@dataclass(frozen=True, slots=True)
class Rule:
    """One compiled line of a filter."""

    include: bool
    dirs_only: bool
    regex: re.Pattern[bytes]

    def matches(self, path: bytes) -> bool:
        """Tell whether the rule is about `path` itself."""
        is_dir = path.endswith(b"/")
        if self.dirs_only and not is_dir:
            return False
        return self.regex.search(path[:-1] if is_dir else path) is not None


def parse_rule(text: str) -> Rule:
    """Compile `+ PATTERN` or `- PATTERN`; RefusedError names what is wrong with it."""
    sign, space, pattern = text.partition(" ")
    if sign not in ("+", "-") or not space or not pattern.strip():
        raise RefusedError(
            f"filter rule {text!r}: write '+ PATTERN' to include or '- PATTERN' to "
            f"exclude"
        )
    try:
        regex = re.compile(_regex(pattern), re.DOTALL)
    except re.error as err:
        raise RefusedError(f"filter rule {text!r}: bad pattern: {err}") from err
    return Rule(sign == "+", pattern.endswith("/"), regex)


def _regex(pattern: str) -> bytes:
    raw = pattern.encode("utf-8", "surrogateescape")
    head = rb"\A" if raw.startswith(b"/") else rb"(?:\A|/)"
    return head + _translate(raw.strip(b"/")) + rb"\Z"


def _translate(glob: bytes) -> bytes:
    """Turn a glob into a regular expression, token by token."""
    out, at = [], 0
    while at < len(glob):
        token, at = _token(glob, at)
        out.append(token)
    return b"".join(out)


def _token(glob: bytes, at: int) -> tuple[bytes, int]:
    char = glob[at : at + 1]
    if glob.startswith(b"**/", at):
        return rb"(?:.*/)?", at + 3
    if glob.startswith(b"**", at):
        return rb".*", at + 2
    if char == b"*":
        return rb"[^/]*", at + 1
    if char == b"?":
        return rb"[^/]", at + 1
    if char == b"[":
        return _char_set(glob, at)
    if char == b"\\":
        if at + 1 == len(glob):
            raise re.error("a backslash at the end escapes nothing")
        return re.escape(glob[at + 1 : at + 2]), at + 2
    return re.escape(char), at + 1


def _char_set(glob: bytes, at: int) -> tuple[bytes, int]:
    negated = glob[at + 1 : at + 2] in (b"!", b"^")
    start = at + 1 + negated
    end = glob.find(b"]", start + 1)
    if end < 0:
        raise re.error("unclosed '['")
    # A set never matches the slash, whatever range it names.
    members = re.sub(rb"([\\\[\]^&~|])", rb"\\\1", glob[start:end])
    return rb"(?!/)[" + (b"^" if negated else b"") + members + rb"]", end + 1


class Rules:
    """An ordered list of rules; the first that matches decides."""

    def __init__(self, texts: tuple[str, ...] | list[str]) -> None:
        """Compile `texts`; RefusedError for one that can not be."""
        self._rules = [parse_rule(text) for text in texts]

    def __bool__(self) -> bool:
        return bool(self._rules)

    def keep(self, path: bytes) -> bool:
        """Tell whether the rules include `path`, looking at this one path alone."""
        for rule in self._rules:
            if rule.matches(path):
                return rule.include
        return True

    def keep_below(self, path: bytes) -> bool:
        """Tell whether `path` and each directory above it are included."""
        at = path.find(b"/")
        while 0 <= at < len(path) - 1:
            if not self.keep(path[: at + 1]):
                return False
            at = path.find(b"/", at + 1)
        return self.keep(path)
