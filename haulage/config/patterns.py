r"""Include and exclude rules, in the syntax of rsync.

A rule is `+ PATTERN` or `- PATTERN`; the first rule that matches a path decides, and a
path that no rule matches is included. A directory that is excluded takes everything
below it along.

    *      any bytes but `/`            **     any bytes, `/` too
    ?      one byte but `/`             [a-z]  one of a set, [!a-z] none of it
    /x     x at the root only           x/     directories only
    a/b    with a slash inside: the end of a path, at component borders
    **/x   x anywhere; only here may `**/` stand for nothing
    x/***  a directory x and all that is in it
    \*     the character itself, in a set as well; [[:digit:]] as in POSIX

A pattern is matched against the path with a slash before it. What rsync or rclone take
for something else, silently, is refused.
"""

import re
from dataclasses import dataclass

from haulage.errors import RefusedError

_POSIX = {
    b"alnum": rb"0-9A-Za-z",
    b"alpha": rb"A-Za-z",
    b"blank": rb" \t",
    b"cntrl": rb"\x00-\x1f\x7f",
    b"digit": rb"0-9",
    b"graph": rb"!-~",
    b"lower": rb"a-z",
    b"print": rb" -~",
    b"punct": rb"!-/:-@\[-`{-~",
    b"space": rb" \t\n\r\x0b\x0c",
    b"upper": rb"A-Z",
    b"xdigit": rb"0-9A-Fa-f",
}
_CLASS = re.compile(rb"\[:([a-z]*):\]")
_CHOICE = re.compile(rb"\{\{|\{[^{}]*,[^{}]*\}")
_ESCAPED = re.compile(rb"[^0-9A-Za-z]")  # what a backslash makes the character itself


@dataclass(frozen=True, slots=True)
class Rule:
    """One compiled line of a filter."""

    include: bool
    dirs_only: bool
    with_itself: bool  # `x/***`, which matches `x/` as if something were in it
    regex: re.Pattern[bytes]

    def matches(self, path: bytes) -> bool:
        """Tell whether the rule matches `path` itself."""
        if path.endswith(b"/"):
            path = path if self.with_itself else path[:-1]
        elif self.dirs_only:
            return False
        return self.regex.search(b"/" + path) is not None


def parse_rule(text: str) -> Rule:
    """Compile `+ PATTERN` or `- PATTERN`; RefusedError names what is wrong."""
    sign, space, pattern = text.partition(" ")
    if sign not in ("+", "-") or not space or not pattern.strip():
        raise RefusedError(
            f"filter rule {text!r}: write '+ PATTERN' to include or '- PATTERN' to "
            f"exclude"
        )
    raw = pattern.encode("utf-8", "surrogateescape")
    name = raw.removesuffix(b"/")
    try:
        _check(raw)
        regex = re.compile(_regex(name), re.DOTALL)
    except re.error as err:
        raise RefusedError(f"filter rule {text!r}: bad pattern: {err}") from err
    return Rule(sign == "+", raw.endswith(b"/"), name.endswith(b"***"), regex)


def check_rules(rules: tuple[str, ...] | list[str]) -> None:
    """Refuse rules that cannot be compiled, or that exclude nothing."""
    parsed = [parse_rule(text) for text in rules]
    if parsed and all(rule.include for rule in parsed):
        raise RefusedError(
            f"{', '.join(map(repr, rules))}: what no rule matches is included as well, "
            f"so rules that only include leave nothing out. To take nothing else, add "
            f"'+ */' and, last, '- *' (--include '*/' --exclude '*')"
        )


def _check(raw: bytes) -> None:
    """Refuse a pattern that matches nothing, or means something else to other tools."""
    if raw[-1:].isspace():
        raise re.error("it ends in a blank; write '[ ]' if that is a part of names")
    if b"//" in raw or raw == b"/":
        raise re.error("no name is empty; write one slash, with a name beside it")
    if {b".", b".."}.intersection(raw.split(b"/")):
        raise re.error(
            "no entry is named '.' or '..'; write '/x' for x at the root, 'x' for x "
            "anywhere"
        )


def _regex(glob: bytes) -> bytes:
    """Return the regular expression to search in a path with a leading slash."""
    if glob.startswith(b"**"):
        return rb"\A" + _translate(glob) + rb"\Z"
    head = rb"\A/" if glob.startswith(b"/") else rb"/"
    return head + _translate(glob.removeprefix(b"/")) + rb"\Z"


def _translate(glob: bytes) -> bytes:
    """Turn a glob into a regular expression, token by token."""
    out, at = [], 0
    while at < len(glob):
        token, at = _token(glob, at)
        out.append(token)
    return b"".join(out)


def _token(glob: bytes, at: int) -> tuple[bytes, int]:
    char = glob[at : at + 1]
    if char == b"*":
        end = at + len(glob[at:]) - len(glob[at:].lstrip(b"*"))
        return (rb".*" if end - at > 1 else rb"[^/]*"), end
    if char == b"?":
        return rb"[^/]", at + 1
    if char == b"[":
        return _char_set(glob, at)
    if char == b"\\":
        return re.escape(_escaped(glob, at)), at + 2
    if _CHOICE.match(glob, at):
        raise re.error(
            "{a,b} is no choice here; write a rule for each, or '\\{' for the brace"
        )
    return re.escape(char), at + 1


def _escaped(glob: bytes, at: int) -> bytes:
    """Return the character after a backslash."""
    char = glob[at + 1 : at + 2]
    if not char:
        raise re.error("a backslash at the end escapes nothing")
    if not _ESCAPED.match(char):
        raise re.error("a backslash before a letter is none; write '\\\\' for itself")
    return char


def _char_set(glob: bytes, at: int) -> tuple[bytes, int]:
    negated = glob[at + 1 : at + 2] in (b"!", b"^")
    start = at = at + 1 + negated
    members: list[bytes] = []
    while at == start or glob[at : at + 1] != b"]":
        member, at = _member(glob, at)
        members.append(member)
    # A set never matches the slash, whatever range it names.
    inner = (b"^" if negated else b"") + b"".join(members)
    return rb"(?!/)[" + inner + rb"]", at + 1


def _member(glob: bytes, at: int) -> tuple[bytes, int]:
    """Return one part of a set: a class, a range, or a character."""
    if known := _CLASS.match(glob, at):
        if known[1] not in _POSIX:
            raise re.error(f"there is no class {known[0].decode()}")
        return _POSIX[known[1]], known.end()
    first, at = _of_set(glob, at)
    if glob[at : at + 1] != b"-" or glob[at + 1 : at + 2] in (b"]", b""):
        return first, at
    last, at = _of_set(glob, at + 1)
    return first + b"-" + last, at


def _of_set(glob: bytes, at: int) -> tuple[bytes, int]:
    char = glob[at : at + 1]
    if not char:
        raise re.error("unclosed '['")
    if char == b"\\":
        return re.escape(_escaped(glob, at)), at + 2
    return re.escape(char), at + 1


class Rules:
    """An ordered list of rules; the first that matches decides.

    `decided` are the numbers of rules that have decided.
    """

    def __init__(self, texts: tuple[str, ...] | list[str]) -> None:
        """Compile `texts`; RefusedError names an invalid one."""
        self._rules = [parse_rule(text) for text in texts]
        self.decided: set[int] = set()

    def __bool__(self) -> bool:
        return bool(self._rules)

    def keep(self, path: bytes) -> bool:
        """Tell whether the rules include `path`, without its directories."""
        for number, rule in enumerate(self._rules):
            if rule.matches(path):
                self.decided.add(number)
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
