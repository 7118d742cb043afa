"""Read and set layouts with `lfs`, the tool of Lustre's clients.

It runs in the directory of a descriptor and gets `.` or a name in it. Because it
follows links when it sets something, it then gets a descriptor, so that nothing outside
can be meant. Each start costs a few milliseconds.
"""

import os
import re
import subprocess

from haulage.config.striping import ON_MDT, OVERSTRIPED, UNSET, Component, Layout
from haulage.errors import FatalError, PermanentError

_MOST_WORDS = 300
_PAIR = re.compile(rb"([a-z_]+(?:\.[a-z_]+)?):[ \t]+(\S*[^\s:])(?!\S)")
_TARGET = re.compile(rb"^(\d+): \S+ ACTIVE", re.MULTILINE)
_NOTHING_SET = b"has no stripe info"
_OF_STATE = frozenset({"released", "hole", "compress"})  # no matter of stripes
_KNOWN = frozenset({"raid0", ON_MDT, OVERSTRIPED})


class LfsError(PermanentError):
    """`lfs` failed; the error's text is its message."""


def layout_of(dir_fd: int, name: bytes | None = None) -> Layout:
    """Return a file's layout, or the default layout of a directory."""
    where = b"." if name is None else b"./" + name
    raw = ["-R"] if name is None else []  # what is set, not what follows from it
    return parse_layout(_lfs(dir_fd, "getstripe", "-d", *raw, where))


def set_layout(dir_fd: int, pinned: int, layout: Layout) -> None:
    """Set the layout of a file that was made by mknod and is only pinned, not open."""
    itself = b"/proc/self/fd/%d" % pinned
    _lfs(dir_fd, "setstripe", *words_for(layout), itself, given=(pinned,))


def set_default(dir_fd: int, layout: Layout) -> None:
    """Set the default layout for everything made in the open directory."""
    _lfs(dir_fd, "setstripe", *(words_for(layout) or ["-d"]), b".")


def make_dir_on(dir_fd: int, name: bytes, mdt: int, mode: int) -> None:
    """Make a directory whose inodes, and those below it, are on the MDT `mdt`."""
    umask = 0o777 & ~mode or -1  # all bits: this process's own decides
    _lfs(dir_fd, "mkdir", "-i", str(mdt), b"./" + name, umask=umask)


def mdts_of(root: str) -> tuple[int, ...]:
    """Return the indexes of the metadata targets that are active, in order."""
    root_fd = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        found = _TARGET.findall(_lfs(root_fd, "mdts", b"."))
    finally:
        os.close(root_fd)
    return tuple(sorted(map(int, found)))


def _lfs(
    dir_fd: int,
    *words: str | bytes,
    umask: int = 0o077,
    given: tuple[int, ...] = (),
) -> bytes:
    """Return the output of `lfs`; LfsError if it fails.

    It inherits the `given` descriptors, under the same numbers.
    """
    try:
        done = subprocess.run(
            ["lfs", *words],
            cwd=b"/proc/self/fd/%d" % dir_fd,
            env={**os.environ, "LC_ALL": "C"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            umask=umask,
            pass_fds=given,
            check=False,
        )
    except FileNotFoundError as err:
        raise FatalError(
            "lfs is not on the PATH here; install the Lustre client's tools on every "
            "host that moves, or sync without --stripe and --mdts"
        ) from err
    if done.returncode:
        raise LfsError(_said(done.stderr) or f"lfs ended with {done.returncode}")
    return done.stdout


def _said(stderr: bytes) -> str:
    """Return the first line of the error output of `lfs`, as printable text."""
    lines = [line.strip() for line in stderr.decode("utf-8", "replace").splitlines()]
    first = next(filter(None, lines), "")
    return "".join(char if char.isprintable() else "?" for char in first)[:_MOST_WORDS]


def parse_layout(answer: bytes) -> Layout:
    """Return the layout that `lfs getstripe` prints, plain or composite."""
    if answer.rstrip().endswith(_NOTHING_SET):
        return UNSET
    head, *parts = answer.split(b"lcme_id:")
    if not parts:
        return _plain(_fields(answer))
    return _composite(_fields(head), [_fields(b"lcme_id:" + part) for part in parts])


def _fields(answer: bytes) -> dict[str, str]:
    return {
        name.decode().removeprefix("lmm_"): value.decode("utf-8", "replace")
        for name, value in _PAIR.findall(answer)
    }


def _plain(fields: dict[str, str]) -> Layout:
    component = _component(fields)
    if component[:4] == Component()[:4]:  # no count, no size, no pool
        return UNSET
    return _checked(Layout((component,)))


def _composite(head: dict[str, str], parts: list[dict[str, str]]) -> Layout:
    """Return the first mirror's components; an extension belongs to what it extends."""
    first = parts[0].get("lcme_mirror_id", "0")
    mirrors = int(head.get("lcm_mirror_count", "1"))
    beyond = f"{mirrors} mirrors" if mirrors > 1 else ""
    components: list[Component] = []
    for fields in parts:
        if fields.get("lcme_mirror_id", "0") != first:
            continue
        component = _component(fields)
        if "extension" in fields.get("lcme_flags", "") and components:
            components[-1] = components[-1]._replace(end=component.end)
            beyond = beyond or "parts that extend themselves"
        else:
            components.append(component)
    return _checked(Layout(tuple(components), beyond))


def _component(fields: dict[str, str]) -> Component:
    until = fields.get("lcme_extent.e_end", "EOF")
    end = None if until == "EOF" else int(until)
    kinds = set(fields.get("pattern", "").split(",")) - _OF_STATE
    kind = ",".join(sorted(kinds - {"", "raid0", "default", "0"})) or "raid0"
    if kind == ON_MDT:
        return Component(end, pattern=kind)
    return Component(
        end,
        int(fields.get("stripe_count", "0")),
        int(fields.get("stripe_size", "0")),
        fields.get("pool", ""),
        kind,
    )


def _checked(layout: Layout) -> Layout:
    strange = {part.pattern for part in layout.components} - _KNOWN
    if strange:
        return Layout((), f"the pattern {min(strange)}")
    return layout


def words_for(layout: Layout) -> list[str]:
    """Return the options of `lfs setstripe` for `layout`."""
    words: list[str] = []
    pool = ""
    for part in layout.components:
        if len(layout.components) > 1 or part.end is not None:
            words += ["-E", "-1" if part.end is None else str(part.end)]
        if part.pattern == ON_MDT:
            words += ["-L", ON_MDT]
            continue
        words += ["-C" if part.pattern == OVERSTRIPED else "-c", str(part.stripes)]
        if part.size:
            words += ["-S", str(part.size)]
        if part.pool or pool:  # a component has the pool of the one before it
            words += ["-p", part.pool or "ignore"]
        pool = part.pool
    return words
