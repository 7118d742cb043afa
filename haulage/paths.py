"""Functions of paths alone: parents, other forms, text for a person."""


def parent_of(path: bytes) -> bytes:
    """Return the directory of `path`: `b"a/b/"` for `b"a/b/c"` and `b"a/b/c/"`."""
    return path[: path.rfind(b"/", 0, len(path) - 1) + 1]


def other_form(path: bytes) -> bytes:
    """Return the other form of a name, which a tree cannot also have: `d/` of `d`.

    The root has none, and gives itself.
    """
    if path.endswith(b"/"):
        return path[:-1]
    return path and path + b"/"


def shown(path: bytes) -> str:
    r"""Return `path` as printable text that names it exactly.

    What is not printable or not UTF-8 appears as `\xNN`, the backslash itself as `\\`.
    """
    text = path.decode("utf-8", "surrogateescape")
    return "".join(map(_shown_char, text)) or "."


def _shown_char(char: str) -> str:
    if char == "\\":
        return "\\\\"
    if char.isprintable():
        return char
    raw = char.encode("utf-8", "surrogateescape")
    return "".join(f"\\x{byte:02x}" for byte in raw)
