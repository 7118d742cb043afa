"""Draw the names that break file tools, among ordinary ones."""

import random

ZERO_TOKEN = b"0" * 12  # no attempt has it, so `leftovers` can tell planted names
LONGEST = 255  # bytes of a name

# The names of a group stand in one directory; a trailing slash asks for a directory.
GROUPS: tuple[tuple[bytes, ...], ...] = (
    (b"line\nbreak", b"\n", b"ends with newline\n"),
    (b"carriage\rreturn", b"\r\n"),
    (b"tab\there", b"\t"),
    (b"\x1b[31mred\x1b[0m", b"\x1b]0;title\x07"),
    (b"\x01\x02\x7f", b"bell\x07"),
    (b"-", b"--", b"-rf", b"--delete"),
    (b" ", b"  two", b" leading", b"trailing "),
    (b"...", b".. ", b"..a", b"trailing.", b".hidden"),
    (b"it's", b'say "so"', b"`id`", b"'", b'"'),
    (b"back\\slash", b"\\", b"\\n", b"\\x41", b"ends\\"),
    (b"*", b"?", b"[a-z]", b"**", b"{a,b}", b"[!x]"),
    (b"$(x)", b"$HOME", b"%s%n", b"%00", b"~", b"!!", b"&", b";", b"|", b"<", b">"),
    (b"#comment", b"colon:name", b"c:", b"host::module", b"a=b", b"a,b"),
    (b"\xff\xfe", b"latin-\xe9", b"cut-\xc3", b"\x80", b"\xed\xa0\x80", b"\xc0\xaf"),
    ("é".encode(), "e\u0301".encode(), "Å".encode(), "A\u030a".encode()),
    (b"Case", b"case", b"CASE", "ß".encode(), "ẞ".encode()),
    (b"\x85", "next\u0085line".encode(), "line\u2028sep".encode()),
    ("\ufeffbom".encode(), b"bom", "\u202etxt".encode(), "\u200b".encode()),
    ("日本語".encode(), "😀".encode(), "\U0010ffff".encode()),
    (b"n" * 255, b"n" * 254, b"n" * 254 + b"m", b"\xff" * 255),
    ("é".encode() * 127, b"." * 255),
    (b"a/", b"a-b", b"a.b", b"a0", b"a b", b"a\x01"),
    (b"b", b"b-b/", b"b.b", b"b.b.b", b"b0/", b"b\xff/"),
    (b".x.partial", b"x.part", b".x.AbC123", b"x~", b"#x#", b".nfs000000000001"),
    (b".haulage-" + ZERO_TOKEN + b"-1", b".haulage-" + ZERO_TOKEN + b"-2/"),
    (b".haulage", b".haulage-", b".haulage-00000000000-1", b".haulage-short-1"),
    (b".git/", b"lost+found/", b"CON", b"nul.txt", b"core", b"Thumbs.db"),
    (b"0", b"00", b"-0", b"1e9", b"null", b"None", b"nan", b"true"),
)

_WORDS = (b"report", b"IMG", b"run", b"sample", b"notes", b"index", b"frame", b"log")
_ENDINGS = (b"", b".txt", b".dat", b".tar.gz", b".jpg", b".h5")
_NASTY_SHARE = 0.25


class Names:
    """Hands out names: each nasty group in turn, ordinary ones in between."""

    def __init__(self, rng: random.Random, *, nasty: bool) -> None:
        """Shuffle the groups once, so that each comes before one comes again."""
        self._rng = rng
        self._nasty = nasty
        self._groups = rng.sample(GROUPS, len(GROUPS))
        self._drawn = 0
        self._plain = 0

    def draw(self) -> tuple[bytes, ...]:
        """Return names that belong together; an ordinary one comes alone."""
        if self._nasty and self._rng.random() < _NASTY_SHARE:
            self._drawn += 1
            return self._groups[self._drawn % len(self._groups)]
        return (self.plain(),)

    def plain(self) -> bytes:
        """Return an ordinary name that this instance has not returned before."""
        self._plain += 1
        word, ending = self._rng.choice(_WORDS), self._rng.choice(_ENDINGS)
        return b"%s-%05d%s" % (word, self._plain, ending)
