"""What a day does to a tree, as lines of bash.

Each line stands alone: what it names may be gone or of another kind by then, and it
fails without harm. So any of them can be left out of a history, and a history is a
script as it stands.
"""

from collections.abc import Callable
from itertools import accumulate

from tests.fuzz.scene import Scene, folded, quoted, unfolded

Deed = Callable[[Scene], str]
_TIMES = ("-1.5", "0", "1.000000001", "2147483648.5", "4102444800", "20000000000")
_MODES = ("0", "400", "644", "755", "700", "2755", "4711", "1777", "7777", "77", "600")
_OWNERS = ("0:0", "7:8", "65534:65534", "4294967294:1", "0:7")
_ENDS = (
    *("nowhere", "d", "d/a", ".", "..", "../outside", "../outside/file"),
    *("../d", "k/a-", "/proc/none"),
)
_NODES = ("c 1 3", "c 1 5", "b 7 200", "c 200 77", "p")
_CAPABILITY = "0x0100000200040000000000000000000000000000"
_BIND = "import socket, sys; socket.socket(socket.AF_UNIX).bind(sys.argv[1])"


def deed(scene: Scene) -> str:
    """Return one line."""
    choice = scene.dice.choices(_DEEDS, cum_weights=_CUMULATED)[0]
    return choice(scene)


def write(s: Scene) -> str:
    path = quoted(s.dice.choice((s.new, s.new, s.file))())
    size = s.dice.choice((1, 1, 9, 100, 5000, 5000, 200_000))
    content = s.dice.randrange(1, 9 if size == 1 else 1000)
    return f"[ -p {path} ] || printf %0{size}d {content} > {path}"


def append(s: Scene) -> str:
    path = quoted(s.file())
    return f"[ -f {path} ] && printf %d {s.dice.randrange(1000)} >> {path}"


def truncate(s: Scene) -> str:
    return f"truncate -c -s {s.dice.choice((0, 1, 50, 7000))} {quoted(s.file())}"


def poke(s: Scene) -> str:
    """Change a byte in place, perhaps with the mtime put back."""
    path, seek = quoted(s.file()), s.dice.choice((0, 0, 8, 50))
    byte = s.dice.choice("xyz")
    change = f"printf {byte} | dd of={path} conv=notrunc bs=1 seek={seek} status=none"
    if s.dice.random() < 0.5:
        return f"[ -f {path} ] && {change}"
    return (
        f"[ -f {path} ] && touch -r {path} ../stamp && {change} && "
        f"touch -r ../stamp {path}"
    )


def replace(s: Scene) -> str:
    """Put a file of the same size and mtime in the place of one."""
    path = quoted(s.file())
    return (
        f"[ -f {path} ] && [ ! -L {path} ] && tr 0-9 1-90 < {path} > ../new && "
        f"chown --reference={path} ../new && chmod --reference={path} ../new && "
        f"touch -r {path} ../new && mv -fT ../new {path}"
    )


def sparse(s: Scene) -> str:
    path, size = quoted(s.new()), s.dice.choice(("40M", "300K", "8K"))
    at = s.dice.choice((0, 5000, 250_000))
    return (
        f"rm -f {path}; truncate -s {size} {path} && "
        f"printf x | dd of={path} conv=notrunc bs=1 seek={at} status=none"
    )


def move(s: Scene) -> str:
    return f"mv -fT {quoted(s.some())} {quoted(s.new())}"


def move_over(s: Scene) -> str:
    return f"mv -fT {quoted(s.some())} {quoted(s.some())}"


def swap(s: Scene) -> str:
    one, two = quoted(s.some()), quoted(s.some())
    return (
        f"mv -T {one} ../swap && {{ mv -T {two} {one} && mv -T ../swap {two} || "
        f"mv -T ../swap {one}; }}; rm -rf ../swap"
    )


def link(s: Scene) -> str:
    return f"ln -PT {quoted(s.linked())} {quoted(s.new())}"


def link_over(s: Scene) -> str:
    return f"ln -PfT {quoted(s.linked())} {quoted(s.any())}"


def unshare(s: Scene) -> str:
    path = quoted(s.linked())
    return f"[ ! -d {path} ] && cp -a {path} ../one && mv -fT ../one {path}"


def symlink(s: Scene) -> str:
    path, end = quoted(s.any()), s.dice.choice(_ENDS)
    return f"[ -d {path} ] && [ ! -L {path} ] || ln -sfnT {end} {path}"


def chmod(s: Scene) -> str:
    path = quoted(s.any())
    return f"[ -L {path} ] || chmod {s.dice.choice(_MODES)} {path}"


def chown(s: Scene) -> str:
    return f"chown -h {s.dice.choice(_OWNERS)} {quoted(s.any())}"


def touch(s: Scene) -> str:
    when = s.dice.choice((*_TIMES, f"{s.dice.randrange(1 << 30)}.123456789"))
    return f"touch -h -d @{when} {quoted(s.any())}"


def touch_alike(s: Scene) -> str:
    return f"touch -h -r {quoted(s.some())} {quoted(s.some())}"


def set_attribute(s: Scene) -> str:
    name = s.dice.choice(("user.a", "user.b", "trusted.t"))
    value = s.dice.choice(("1", "22", "0x00ff", "''"))
    return f"setfattr -h -n {name} -v {value} {quoted(s.any())}"


def drop_attribute(s: Scene) -> str:
    return f"setfattr -h -x user.a {quoted(s.any())}"


def enable(s: Scene) -> str:
    path = quoted(s.file())
    return f"[ -f {path} ] && setfattr -n security.capability -v {_CAPABILITY} {path}"


def grant(s: Scene) -> str:
    path = quoted(s.any())
    what = s.dice.choice(("-m u:7:r", "-m u:9:rwx,g:7:x", "-m m::r", "-b", "-k"))
    return f"[ -L {path} ] || setfacl {what} {path}"


def grant_below(s: Scene) -> str:
    return f"setfacl -d -m u:{s.dice.choice((5, 6))}:rx {quoted(s.directory())}"


def node(s: Scene) -> str:
    path = quoted(s.any())
    return f"rm -rf {path}; mknod -m 640 {path} {s.dice.choice(_NODES)}"


def socket(s: Scene) -> str:
    return f"python3 -c '{_BIND}' {quoted(s.new())}"


def make_dir(s: Scene) -> str:
    return f"mkdir -p {quoted(s.new())}"


def remove(s: Scene) -> str:
    return f"rm -rf {quoted(s.some())}"


def to_dir(s: Scene) -> str:
    path = quoted(s.some())
    inside = s.dice.choice(("", f" && printf 1 > {path}/a", f" && mkdir {path}/d"))
    return f"rm -rf {path}; mkdir {path}{inside}"


def to_file(s: Scene) -> str:
    path = quoted(s.some())
    return f"rm -rf {path}; printf %0{s.dice.choice((1, 40))}d 7 > {path}"


def to_link(s: Scene) -> str:
    path = quoted(s.some())
    return f"rm -rf {path}; ln -sT {s.dice.choice(_ENDS)} {path}"


def fill_unseen(s: Scene) -> str:
    """Change what a directory holds, and put its mtime back."""
    path = quoted(s.directory())
    change = s.dice.choice(
        (f"printf 1 > {path}/a0", f"rm -f {path}/a", f"mkdir {path}/d")
    )
    return f"touch -r {path} ../stamp && {change}; touch -r ../stamp {path}"


def put_aside(s: Scene) -> str:
    """Take a tree away for a night, as a release that is switched."""
    path = s.some()
    inside = [each for each in s.found if each.startswith(path + b"/")]
    other = quoted(s.dice.choice([path, *inside]))
    instead = s.dice.choice(
        (
            f"mkdir -p {other}",
            f"mkdir -p {quoted(path)} && printf 3 > {other}",
            f"ln -s d {other}",
            "true",
        )
    )
    aside = quoted(b"../away/" + folded(path))
    return f"[ -e {aside} ] || mv -T {quoted(path)} {aside} && {instead}"


def bring_back(s: Scene) -> str:
    """Roll the switch back: what returns is as it was, with its times of change."""
    if not s.away:
        return put_aside(s)
    name = s.dice.choice(s.away)
    path = quoted(unfolded(name) if s.dice.random() < 0.8 else s.new())
    aside = quoted(b"../away/" + name)
    return f"[ -e {aside} ] && rm -rf {path} && mv -T {aside} {path}"


_WEIGHTS: dict[Deed, int] = {
    write: 14,
    append: 3,
    truncate: 2,
    poke: 5,
    replace: 4,
    sparse: 2,
    move: 6,
    move_over: 4,
    swap: 5,
    link: 5,
    link_over: 4,
    unshare: 3,
    symlink: 4,
    chmod: 4,
    chown: 3,
    touch: 4,
    touch_alike: 2,
    set_attribute: 4,
    drop_attribute: 1,
    enable: 1,
    grant: 3,
    grant_below: 1,
    node: 3,
    socket: 1,
    make_dir: 6,
    remove: 5,
    to_dir: 3,
    to_file: 3,
    to_link: 2,
    fill_unseen: 3,
    put_aside: 4,
    bring_back: 4,
}
_DEEDS = tuple(_WEIGHTS)
_CUMULATED = tuple(accumulate(_WEIGHTS.values()))
