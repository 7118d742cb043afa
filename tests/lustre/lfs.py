"""Stands in for `lfs` on a file system of any kind: what it prints and how it fails.

STATE, a directory, is set in front of this by `standin.py`. A layout is kept where a
Lustre shows it, in `trusted.lov`, here as JSON: a list of components, or [] where a
default was deleted. What nobody has set is taken from the directories above.
"""

import json
import os
import stat
import sys

DEFAULT = {"stripes": 1, "size": 1 << 20, "pool": "", "pattern": "raid0", "end": None}
UNITS = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
STATE = globals().get("STATE", "")


def main():
    with open(f"{STATE}/calls", "a") as calls:
        calls.write(json.dumps([os.getcwd(), *sys.argv[1:]]) + "\n")
    with open(f"{STATE}/config.json") as file:
        config = json.load(file)
    verb, *words = sys.argv[1:]
    on_lustre(config, verb, words[-1])
    VERBS[verb](config, words)


def complain(verb, text, code=22):
    sys.stderr.write(f"error: {verb}: {text}\n")
    sys.exit(code)


def on_lustre(config, verb, path):
    real = os.path.realpath(path if verb == "setstripe" else os.path.dirname(path))
    if not any(os.path.commonpath([real, root]) == root for root in config["roots"]):
        complain(verb, f"'{path}' not on a Lustre fs?: Inappropriate ioctl", 25)


def stored(path, *, follow=False):
    try:
        return json.loads(os.getxattr(path, "trusted.lov", follow_symlinks=follow))
    except OSError:
        return None


def store(path, components):
    os.setxattr(path, "trusted.lov", json.dumps(components).encode())


def handed_on(config, directory):
    """Return what a directory's new files get; a root has the default of all."""
    while (found := stored(directory)) is None:
        if os.path.realpath(directory) in config["roots"]:
            return []
        directory = os.path.join(directory, "..")
    return found


def getstripe(config, words):
    assert words[0] == "-d", words
    path = words[-1]
    info = os.lstat(path)
    found = stored(path)
    if stat.S_ISDIR(info.st_mode):
        assert "-R" in words, words
        show(handed_on(config, path), is_dir=True)
    elif found is None and not info.st_size:
        print(f"{path} has no stripe info")
    else:
        above = os.path.dirname(path) or "."
        show(found or handed_on(config, above) or [DEFAULT], is_dir=False)


def show(components, *, is_dir):
    if not components:
        unset = {**DEFAULT, "stripes": 0, "size": 0}
        print(" ".join(fields_of(unset, is_dir)) + "\n")
    elif len(components) == 1 and components[0]["end"] is None:
        fields = fields_of(components[0], is_dir)
        print(" ".join(fields) if is_dir else "\n".join(fields))
        print("" if is_dir else "\tobdidx\t\t objid\t\t objid\t\t group\n")
    else:
        print(composite(components, is_dir))


def fields_of(part, is_dir):
    prefix = "" if is_dir else "lmm_"
    fields = [
        f"{prefix}stripe_count:  {part['stripes']}",
        f"{prefix}stripe_size:   {part['size']}",
        f"{prefix}pattern:       {part['pattern']}",
    ]
    fields += [] if is_dir else [f"{prefix}layout_gen:    0"]
    fields += [f"{prefix}stripe_offset: {-1 if is_dir else 0}"]
    return fields + ([f"{prefix}pool:          {part['pool']}"] if part["pool"] else [])


def composite(components, is_dir):
    lines = [
        f"  lcm_layout_gen:    {len(components)}",
        "  lcm_mirror_count:  1",
        f"  lcm_entry_count:   {len(components)}",
    ]
    start = 0
    for number, part in enumerate(components, 1):
        lines += [
            f"    lcme_id:             {number}",
            "    lcme_mirror_id:      0",
            f"    lcme_flags:          {'init' if number == 1 else 0}",
            f"    lcme_extent.e_start: {start}",
            f"    lcme_extent.e_end:   {part['end'] or 'EOF'}",
            *(f"      {field}" for field in fields_of(part, is_dir)),
            "",
        ]
        start = part["end"]
    return "\n".join(lines)


def setstripe(config, words):
    *options, path = words
    flip_temporaries(config["flips_to"])
    components = [] if options == ["-d"] else asked(options)
    for part in components:
        if part["pool"] not in ("", "ignore", *config["pools"]):
            complain("setstripe", f"pool '{part['pool']} fsname fs' does not exist")
    is_dir = os.path.isdir(path)
    if config["restricted"] and not is_dir:
        restrict(path)
    elif is_dir:
        store(path, components)
    else:
        check_empty(path)
        store(path, [on_servers(config, part) for part in components])


def flip_temporaries(target):
    """Do what somebody else may do in a directory of his own, at the worst moment."""
    for name in os.listdir(".") if target else []:
        if name.startswith(".haulage-"):
            os.unlink(name)
            os.symlink(target, name)


def restrict(path):
    """Try to make a file anew without what was asked for, which is no error."""
    sys.stderr.write(f"setstripe warning for '{path}': Setstripe is restricted\n")
    try:
        os.remove(path)
    except OSError as err:
        complain("setstripe", f"setstripe error for '{path}': {err.strerror}", 1)
    os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o664))


def check_empty(path):
    os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o664))
    if stored(path, follow=True) is not None or os.stat(path).st_size:
        complain("setstripe", f"setstripe error for '{path}': stripe already set", 17)


def on_servers(config, part):
    """Return what a file gets: no more stripes than there are servers."""
    most = len(config["osts"])
    if part["pattern"] == "overstriped":
        return part
    count = most if part["stripes"] == -1 else min(part["stripes"], most)
    return {**part, "stripes": count or 1, "size": part["size"] or DEFAULT["size"]}


def asked(options):
    pairs = list(zip(options[::2], options[1::2], strict=True))
    empty = {**DEFAULT, "stripes": 0, "size": 0}
    parts = [] if pairs[0][0] == "-E" else [dict(empty)]
    for name, value in pairs:
        if name == "-E":
            parts.append({**empty, "end": None if value == "-1" else int(value)})
        elif name == "-L":
            parts[-1] |= {"pattern": value}
        elif name == "-p":
            parts[-1]["pool"] = "" if value == "ignore" else value
        elif name == "-S":
            parts[-1]["size"] = sized(value)
        else:
            parts[-1]["stripes"] = int(value)
            parts[-1]["pattern"] = "overstriped" if name == "-C" else "raid0"
    return parts


def sized(text):
    if text[-1] in UNITS:
        return int(text[:-1]) * UNITS[text[-1]]
    return int(text)


def mkdir(config, words):
    assert words[0] == "-i", words
    index, path = int(words[1]), words[-1]
    if not config["remote_dirs"]:
        complain("mkdir", f"dirstripe error on '{path}': Operation not permitted", 1)
    if index not in config["mdts"]:
        complain("mkdir", f"dirstripe error on '{path}': Invalid argument")
    try:
        os.mkdir(path)
    except FileExistsError:
        complain("mkdir", f"dirstripe error on '{path}': stripe already set", 17)
    os.setxattr(path, "trusted.lmv", str(index).encode())
    with open(f"{STATE}/calls") as calls:
        made = sum(json.loads(line)[1] == "mkdir" for line in calls)
    if made == config["gone_after_mkdirs"]:
        os.unlink(f"{STATE}/bin/lfs")


def mdts(config, words):
    print("MDTS:")
    for index in config["mdts"]:
        print(f"{index}: fs-MDT{index:04x}_UUID ACTIVE")
    for index in config["inactive_mdts"]:
        print(f"{index}: fs-MDT{index:04x}_UUID INACTIVE")


VERBS = {"getstripe": getstripe, "setstripe": setstripe, "mkdir": mkdir, "mdts": mdts}

if __name__ == "__main__":
    main()
