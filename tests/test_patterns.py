import pytest

from haulage.config.patterns import Rules, check_rules, parse_rule
from haulage.errors import RefusedError


def matches(pattern: str, path: bytes) -> bool:
    return not Rules([f"- {pattern}"]).keep(path)


@pytest.mark.parametrize(
    ("pattern", "path", "expected"),
    [
        # a name stands anywhere, as a whole component at the end
        ("core", b"core", True),
        ("core", b"a/b/core", True),
        ("core", b"core/", True),
        ("core", b"score", False),
        ("core", b"core2", False),
        ("core", b"core/x", False),
        # one star stops at a slash
        ("*.o", b"x.o", True),
        ("*.o", b"a/x.o", True),
        ("*.o", b".o", True),
        ("*.o", b"x.oo", False),
        ("/*.o", b"a/x.o", False),
        ("a*b", b"a/b", False),
        ("*", b"any\nthing", True),
        # two stars do not
        ("/a/**", b"a/b/c", True),
        ("/a/**/z", b"a/z", False),  # as in rsync: both slashes stand for themselves
        ("/a/**/z", b"a/b/c/z", True),
        ("/a/**/z", b"a/bz", False),
        ("**/z", b"z", True),
        ("**/z", b"a/b/z", True),
        ("a**/z", b"a/z", True),
        ("a**/z", b"x/ab/c/z", True),
        ("a**/z", b"az", False),
        ("?**/z", b"a/z", True),
        ("?**/z", b"az", False),
        # three stars at the end are the directory, too
        ("a/***", b"a/", True),
        ("a/***", b"a/b/c", True),
        ("a/***", b"a", False),
        ("a/***", b"x/a/", True),
        ("/a/***", b"x/a/", False),
        ("/a**z", b"a/b/cz", True),
        ("/**", b"a/b", True),
        # a question mark is one byte, never a slash
        ("?", b"x", True),
        ("?", b"\xff", True),
        ("a?c", b"abc", True),
        ("a?c", b"a/c", False),
        ("a?c", b"ac", False),
        ("??", "é".encode(), True),
        # sets
        ("[abc]", b"b", True),
        ("[abc]", b"d", False),
        ("[a-f]x", b"ex", True),
        ("[a-f]x", b"gx", False),
        ("[!a-f]x", b"gx", True),
        ("[!a-f]x", b"bx", False),
        ("[^a-f]x", b"gx", True),
        ("a[!b]c", b"a/c", False),
        ("[]]", b"]", True),
        ("[]a]", b"a", True),
        ("[!]a]", b"b", True),
        ("[!]a]", b"]", False),
        ("[!]a]", b"a", False),
        ("[a-]", b"-", True),
        ("[[]", b"[", True),
        ("[&&]", b"&", True),
        ("[~~x]", b"~", True),
        ("[||]", b"|", True),
        ("a[+-9]b", b"a/b", False),
        ("x[[:digit:]]", b"x7", True),
        ("x[[:digit:]]", b"xd", False),
        ("[![:alpha:]_]", b"a", False),
        ("[![:alpha:]_]", b"1", True),
        ("[[:alpha:]]", "é".encode(), False),
        (r"[\]]", b"]", True),
        ("[*]", b"*", True),
        ("[*]", b"x", False),
        # anchors
        ("/x", b"x", True),
        ("/x", b"x/", True),
        ("/x", b"a/x", False),
        ("/a/b", b"a/b", True),
        ("/a/b", b"c/a/b", False),
        # directories only
        ("x/", b"x/", True),
        ("x/", b"a/x/", True),
        ("x/", b"x", False),
        ("/x/", b"x/", True),
        ("/x/", b"a/x/", False),
        ("*/", b"a/", True),
        ("*/", b"a", False),
        # with a slash inside: the end of a path, at component borders
        ("a/b", b"a/b", True),
        ("a/b", b"x/a/b", True),
        ("a/b", b"xa/b", False),
        ("a/b", b"a/b/c", False),
        ("a/b/", b"x/a/b/", True),
        # escapes
        (r"\*", b"*", True),
        (r"\*", b"x", False),
        (r"\?", b"?", True),
        (r"\[a]", b"[a]", True),
        (r"a\\b", b"a\\b", True),
        # what a regular expression would take for more than itself
        ("a.c", b"abc", False),
        ("a+", b"aa", False),
        ("(a|b)$^{2}", b"(a|b)$^{2}", True),
        ("{guid}", b"{guid}", True),
        (r"\{a,b}", b"{a,b}", True),
        ("x[ ]", b"x ", True),
        # case and neighbours
        ("Core", b"core", False),
        (" lead", b" lead", True),
    ],
)
def test_a_pattern_matches_as_its_syntax_says(pattern, path, expected):
    assert matches(pattern, path) is expected


@pytest.mark.parametrize("pattern", ["/a/*", "a/*", "/a/**", "a/**"])
def test_what_is_inside_a_directory_does_not_stand_for_the_directory(pattern):
    assert not matches(pattern, b"a/")
    assert matches(pattern, b"a/x")
    assert matches(pattern, b"a/x/")


def test_one_entry_of_an_excluded_content_can_be_kept():
    rules = Rules(["+ /a/keep", "- /a/*"])
    assert rules.keep_below(b"a/keep")
    assert not rules.keep_below(b"a/other")


def test_the_first_rule_that_matches_decides():
    rules = Rules(["+ keep.o", "- *.o", "+ *"])
    assert rules.keep(b"keep.o")
    assert not rules.keep(b"other.o")
    assert rules.keep(b"other.c")
    assert not Rules(["- *.o", "+ keep.o"]).keep(b"keep.o")


def test_a_path_that_no_rule_matches_is_included():
    assert Rules(["- x"]).keep(b"y")
    assert Rules([]).keep(b"y")


def test_rules_without_a_rule_are_false():
    assert not Rules([])
    assert Rules(["- x"])


def test_an_excluded_directory_takes_everything_below_it_along():
    rules = Rules(["- /cache/", "+ wanted"])
    assert not rules.keep_below(b"cache/")
    assert not rules.keep_below(b"cache/deep/er/wanted")
    assert rules.keep_below(b"cached/wanted")
    assert rules.keep(b"cache/wanted"), "keep looks at the one path alone"


def test_the_root_is_kept_whatever_the_rules_say_of_its_content():
    assert Rules(["- x", "- /y/"]).keep_below(b"")


def test_bytes_that_are_not_utf8_are_matched_as_they_are():
    assert matches("\udcff\udcfe", b"\xff\xfe")
    assert matches("[\udc80-\udcff]", b"\x90")
    assert matches("*.txt", b"\xff.txt")
    assert matches("é*", "é.txt".encode())
    assert not matches("é", "e\u0301".encode())


@pytest.mark.parametrize(
    "text",
    [
        *("", "x", "-", "- ", "-x", "* x", "-  ", "+\tx", "- [a", "- [z-a]", "- x\\"),
        # what means something else in another tool, or matches nothing
        *("- *.{jpg,png}", "- {{x}}", "- ./x", "- a/../b", "- //a", "- a//", "- /"),
        *("- x ", "- x\r", "- [[:foo:]]", r"- a\b"),
    ],
)
def test_a_bad_rule_is_refused_by_a_message_that_names_it(text):
    with pytest.raises(RefusedError) as refused:
        parse_rule(text)
    assert repr(text) in str(refused.value)


def test_an_include_rule_includes_and_an_exclude_rule_excludes():
    assert parse_rule("+ x").include is True
    assert parse_rule("- x").include is False


def test_rules_that_only_include_are_refused_with_what_to_add():
    with pytest.raises(RefusedError, match=r"--include '\*/' --exclude '\*'"):
        check_rules(["+ *.txt"])
    check_rules(["+ *.txt", "- *"])
    check_rules([])


def test_rules_know_which_of_them_decided():
    rules = Rules(["- *.o", "- a.o", "+ b", "- c"])
    for path in (b"a.o", b"b", b"d"):
        rules.keep(path)
    assert rules.decided == {0, 2}
