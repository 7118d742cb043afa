"""Plant seeded random trees: two plants of one seed are equal to the last bit."""

import os
import random
import subprocess
from collections import Counter
from itertools import chain
from pathlib import Path

from tests.trees.attributes import Attributes, Kind
from tests.trees.names import GROUPS, Names
from tests.trees.walk import below, opened

CHAIN_LEVELS = 30
_MAX_LEVELS = 8  # of random nesting, so that 255-byte names stay below PATH_MAX
_ZOO_FROM, _CHAIN_FROM, _BIG_FROM = 600, 120, 20  # entries at which a tree has these
_BORDERS = (511, 512, 4095, 4096, 4097, 65_535, 65_536, 65_537, 131_073)

LINK_TARGETS = (
    b"/etc/hostname",
    b"/",
    b"/nonexistent/absolute",
    b"nonexistent",
    b".",
    b"..",
    b"../..",
    b"../../../../../../../../../../../../etc",
    b"dir/",
    b"x" * 1000,
    b"/".join([b"deep"] * 200)[:1000],
    b"not-utf8-\xff\xfe\x80",
    b"line\nbreak",
    b" ",
    b"-rf",
    "e\u0301/é".encode(),
)


def plant(
    root: Path | str,
    seed: int,
    entries: int,
    *,
    nasty: bool = True,
    specials: bool = False,
    extras: bool = False,
) -> None:
    """Make a tree of about `entries` entries in `root`, which must be empty or absent.

    `nasty` asks for the names, targets, modes, owners and times that break tools; from
    600 entries on every name and link target is there. `specials` adds FIFOs,
    `extras` extended attributes, ACLs and capabilities."""
    where = os.fsencode(root)
    os.makedirs(where, exist_ok=True)
    if os.listdir(where):
        raise ValueError(f"{os.fsdecode(where)!r} is not empty: plant elsewhere")
    rng = random.Random(seed)
    attributes = Attributes(rng, nasty=nasty, extras=extras)
    planter = _Planter(rng, attributes, nasty=nasty, specials=specials)
    with opened(where) as fd:
        planter.fill(fd, entries - planter.landmarks(fd, entries), level=0)
    planter.attributes.dress(where, Kind.DIR)


def plant_real(
    root: Path | str, source: Path | str = "/usr/share", limit: int = 20_000
) -> int:
    """Copy entries of a real tree, in order of their names and `limit` at most, with
    `cp -a`; return how many. What alone would exceed the limit is left out."""
    copied = 0
    os.makedirs(root, exist_ok=True)
    with opened(os.fsencode(source)) as fd:
        counts = Counter(path.partition(b"/")[0] for path, _ in below(fd))
    for name, count in counts.items():
        if copied + count <= limit:
            child = os.path.join(os.fsencode(source), name)
            subprocess.run(["cp", "-a", "--", child, root], check=True)
            copied += count
    return copied


class _Planter:
    """Grows one tree; every choice comes from one random generator."""

    def __init__(
        self,
        rng: random.Random,
        attributes: Attributes,
        *,
        nasty: bool,
        specials: bool,
    ) -> None:
        self._rng = rng
        self._names = Names(rng, nasty=nasty)
        self.attributes = attributes
        self._targets = rng.sample(LINK_TARGETS, len(LINK_TARGETS)) if nasty else []
        self._links = 0
        self._last = b"nothing"  # the file made last, where a link may point
        self._kinds = [Kind.FILE] * 15 + [Kind.DIR] * 3 + [Kind.SYMLINK] * 3
        self._kinds += [Kind.FIFO] * specials

    def landmarks(self, fd: int, entries: int) -> int:
        """Make what is too rare to leave it to chance; return the number of entries."""
        made = 0
        if entries >= _BIG_FROM:
            made += self._file(fd, b"big-1", self._rng.randint(2 << 20, 3 << 20))
            made += self._file(fd, b"big-2", 4 << 20)
        if entries >= _CHAIN_FROM:
            made += self._chain(fd, CHAIN_LEVELS)
        if entries >= _ZOO_FROM and self._targets:
            made += self._zoo(fd)
        return made

    def _zoo(self, fd: int) -> int:
        """Make a directory with every nasty name and every link target."""
        made = 1
        os.mkdir(b"zoo", 0o700, dir_fd=fd)
        with opened(b"zoo", fd) as inner:
            for name in chain.from_iterable(GROUPS):
                made += self._grow(inner, name, quota=1, level=_MAX_LEVELS - 1)
            for number, target in enumerate(self._targets):
                made += self._link_to(inner, b"link-%d" % number, target)
        self.attributes.dress(b"zoo", Kind.DIR, fd)
        return made

    def fill(self, fd: int, quota: int, level: int) -> None:
        """Make about `quota` entries in a directory, all below it included."""
        while quota > 0:
            for name in self._names.draw():
                try:
                    quota -= self._grow(fd, name, quota, level)
                except FileExistsError:
                    continue  # a nasty name came around again in this directory

    def _grow(self, fd: int, name: bytes, quota: int, level: int) -> int:
        kind = Kind.DIR if name.endswith(b"/") else self._rng.choice(self._kinds)
        if kind is Kind.DIR and level < _MAX_LEVELS:
            return self._dir(fd, name.rstrip(b"/"), quota, level)
        if kind is Kind.SYMLINK:
            return self._link(fd, name)
        if kind is Kind.FIFO:
            os.mkfifo(name, dir_fd=fd)
            self.attributes.dress(name, kind, fd)
            return 1
        return self._file(fd, name.rstrip(b"/"), self._size())

    def _file(self, fd: int, name: bytes, size: int) -> int:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
        with open(os.open(name, flags, 0o600, dir_fd=fd), "wb") as file:
            zeros = self._rng.random() < 0.05
            file.write(bytes(size) if zeros else self._rng.randbytes(size))
            if self.attributes.extras and size % 16 == 1:
                file.truncate(size + (1 << 20))  # a hole at the end
        self.attributes.dress(name, Kind.FILE, fd)
        self._last = name
        return 1

    def _link(self, fd: int, name: bytes) -> int:
        self._links += 1
        near = (self._last, b"../" + self._last, name)  # the last one is a loop
        far = self._targets and self._links % 2 == 0
        order = self._targets if far else near
        return self._link_to(fd, name, order[self._links // 2 % len(order)])

    def _link_to(self, fd: int, name: bytes, target: bytes) -> int:
        os.symlink(target, name, dir_fd=fd)
        self.attributes.dress(name, Kind.SYMLINK, fd)
        return 1

    def _dir(self, fd: int, name: bytes, quota: int, level: int) -> int:
        os.mkdir(name, 0o700, dir_fd=fd)
        style, inside = self._rng.random(), 0
        with opened(name, fd) as inner:
            if style < 0.2:
                inside = min(quota, self._rng.randint(20, 200))
                self._crowd(inner, inside)
            elif style < 0.8:
                inside = self._rng.randint(1, max(1, quota // 2))
                self.fill(inner, inside, level + 1)
        self.attributes.dress(name, Kind.DIR, fd)
        return 1 + inside

    def _crowd(self, fd: int, count: int) -> None:
        for _ in range(count):
            self._file(fd, self._names.plain(), self._rng.randint(0, 200))

    def _chain(self, fd: int, levels: int) -> int:
        if levels == 0:
            return self._file(fd, b"bottom", 100) + self._link(fd, b"link")
        name = self._rng.choice((b"d", b"deep", b"level-%d" % levels))
        os.mkdir(name, 0o700, dir_fd=fd)
        with opened(name, fd) as inner:
            made = 1 + self._chain(inner, levels - 1)
            if levels % 5 == 0:
                made += self._file(inner, self._names.plain(), levels)
        self.attributes.dress(name, Kind.DIR, fd)
        return made

    def _size(self) -> int:
        chance = self._rng.random()
        if chance < 0.1:
            return 0
        if chance < 0.7:
            return self._rng.randint(1, 300)
        if chance < 0.95:
            return self._rng.randint(300, 12_000)
        if chance < 0.98:
            return self._rng.choice(_BORDERS)
        return self._rng.randint(12_000, 400_000)
