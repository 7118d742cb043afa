"""The sub-commands: which there are, what each takes, and examples of each."""

import argparse
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from haulage.cli.options import general, launchers, stores, sync

_Adder = Callable[[argparse.ArgumentParser], None]


@dataclass(frozen=True, slots=True)
class Command:
    """A sub-command: the function that does it, its one sentence, and what it takes.

    The function is named, not imported, so that only the chosen one's module is loaded.
    """

    function: str
    text: str
    options: tuple[_Adder, ...]
    examples: tuple[str, ...]
    more: str = ""  # beside its one sentence
    usage: tuple[str, ...] = ()  # where the options would fill it
    rest: tuple[_Adder, ...] = ()  # what only --help-all shows
    moves: bool = False  # by movers or listers of this machine
    lists: bool = False  # so that without its output it has done nothing


@dataclass(frozen=True, slots=True)
class Group:
    """A sub-command that has sub-commands of its own."""

    text: str
    commands: "Commands"
    more: str
    examples: tuple[str, ...]


Commands = Mapping[str, Command | Group]


@dataclass(frozen=True, slots=True)
class Section:
    """Commands that are for the same."""

    title: str
    commands: Commands


_MOVE: Commands = {
    "sync": Command(
        "haulage.cli.commands.run:sync",
        "Make TARGET equal to SOURCE.",
        (sync.add_entries, sync.add_actions, general.add_catalog),
        (
            "haulage sync /data /backup --name docs",
            "haulage sync --dataset docs --delete guarded --trash 30d",
            "haulage sync /data s3://backup/data --exclude '*.tmp'",
        ),
        more="It copies what is new or changed and proves it; without --delete it "
        "deletes\nnothing. The pair is recorded as a dataset with its options; with "
        "--dataset, an\noption counts for this run only.",
        usage=("[OPTION]... SOURCE TARGET", "[OPTION]... --dataset NAME"),
        rest=(sync.add_rest, launchers.add_launchers, stores.add_stores),
        moves=True,
    ),
    "plan": Command(
        "haulage.cli.commands.run:plan",
        "List what a sync would do, and change nothing.",
        (sync.add_entries, sync.add_planned_actions, general.add_catalog),
        (
            "haulage plan /data /backup",
            "haulage plan --dataset docs --delete guarded",
        ),
        more="It takes the options of sync. Each line is an action and a path.",
        usage=("[OPTION]... SOURCE TARGET", "[OPTION]... --dataset NAME"),
        rest=(sync.add_rest, launchers.add_launchers, stores.add_stores),
        moves=True,
        lists=True,
    ),
    "resume": Command(
        "haulage.cli.commands.run:resume",
        "Go on with a run that stopped.",
        (general.add_run, general.add_take_over, general.add_catalog),
        ("haulage resume 4rzo7o",),
        more="'haulage status' shows runs that stopped.",
        moves=True,
    ),
    "abandon": Command(
        "haulage.cli.commands.run:abandon",
        "Give up a run that stopped; the next sync begins without it.",
        (general.add_run, general.add_take_over, general.add_catalog),
        ("haulage abandon 4rzo7o",),
        more="What it copied stays in the target; the next sync compares it.",
        moves=True,
    ),
    "scale": Command(
        "haulage.cli.commands.live:scale",
        "Change how many movers, or slots of movers, an active run has.",
        (general.add_run, general.add_wanted_movers, general.add_catalog),
        ("haulage scale 4rzo7o 16",),
        more="Its driver takes notice within seconds. Surplus movers end after their\n"
        "present shard. The dataset's own policy stays as it is.",
    ),
    "drain": Command(
        "haulage.cli.commands.live:drain",
        "Use a machine no more in an active run.",
        (general.add_run, general.add_node, general.add_catalog),
        ("haulage drain 4rzo7o node17",),
        more="Its slots end after their present shard; others take over the rest.",
    ),
    "verify": Command(
        "haulage.cli.commands.run:verify",
        "Read a whole target again and compare it with its manifest.",
        (general.add_dataset, general.add_movers, general.add_catalog),
        ("haulage verify docs", "haulage verify docs --movers 8"),
        more="It changes nothing in the target; the next sync repairs what differs.",
        moves=True,
    ),
}

_LOOK: Commands = {
    "status": Command(
        "haulage.cli.commands.show:status",
        "Show the newest run of each dataset, and how to go on.",
        (general.add_some_dataset, general.add_watch, general.add_catalog),
        ("haulage status", "haulage status docs --watch"),
        lists=True,
    ),
    "runs": Command(
        "haulage.cli.commands.show:list_runs",
        "List runs, newest first.",
        (
            general.add_some_dataset,
            general.add_limit,
            general.add_clean,
            general.add_catalog,
        ),
        ("haulage runs", "haulage runs docs --limit 5", "haulage runs --clean"),
        lists=True,
    ),
    "show": Command(
        "haulage.cli.commands.show:show",
        "Show all that is known of a run: its sums, events and deletes.",
        (general.add_run, general.add_catalog),
        ("haulage show 4rzo7o", "haulage show 4rzo7o --json"),
        lists=True,
    ),
    "failures": Command(
        "haulage.cli.commands.show:list_failures",
        "List what failed in a run, and why.",
        (general.add_run, general.add_catalog),
        ("haulage failures 4rzo7o",),
        more="docs/when-it-fails.md says what each reason means.",
        lists=True,
    ),
    "manifest": Command(
        "haulage.cli.commands.show:manifest",
        "List what a target holds, and how each entry was verified.",
        (general.add_dataset, general.add_format, general.add_catalog),
        (
            "haulage manifest docs",
            "haulage manifest docs --format parquet -o docs.parquet",
        ),
        lists=True,
    ),
}

_DECIDE: Commands = {
    "list": Command(
        "haulage.cli.commands.deletes:list_plans",
        "List delete plans, newest first.",
        (general.add_some_dataset, general.add_limit, general.add_catalog),
        ("haulage deletes list", "haulage deletes list docs"),
        lists=True,
    ),
    "show": Command(
        "haulage.cli.commands.deletes:show_plan",
        "List each entry that a plan deletes.",
        (general.add_plan, general.add_catalog),
        ("haulage deletes show 7",),
        lists=True,
    ),
    "apply": Command(
        "haulage.cli.commands.deletes:apply_plan",
        "Delete what a plan lists, after checking every path again.",
        (
            general.add_plan,
            general.add_confirmed,
            general.add_movers,
            general.add_catalog,
        ),
        ("haulage deletes apply 7 --yes-delete 81204",),
        moves=True,
    ),
    "decline": Command(
        "haulage.cli.commands.deletes:decline_plan",
        "Drop a plan; nothing is deleted.",
        (general.add_plan, general.add_because, general.add_catalog),
        ("haulage deletes decline 7 --because 'disk 4 was out'",),
    ),
}

_DELETES: Commands = {
    "deletes": Group(
        "Look at delete plans that wait, and apply or decline them.",
        _DECIDE,
        "A run makes one where its deletes are over a cap, and with --delete plan.",
        ("haulage deletes list", "haulage deletes show 7"),
    ),
    "undo": Command(
        "haulage.cli.commands.deletes:undo",
        "Bring back what a run moved into the trash.",
        (general.add_run, general.add_movers, general.add_catalog),
        ("haulage undo 4rzo7o",),
        more="The run must have had --trash; nothing in the target is replaced.",
        moves=True,
    ),
}

_TIDY: Commands = {
    "sweep": Command(
        "haulage.cli.commands.sweep:sweep",
        "Abort old multipart uploads that lost machines left in a bucket.",
        (
            general.add_dataset,
            general.add_older,
            general.add_dry_run,
            general.add_catalog,
        ),
        ("haulage sweep docs --dry-run", "haulage sweep docs --older-than 3d"),
    ),
    "run-shard": Command(
        "haulage.cli.commands.run:run_one_shard",
        "Do the actions of one shard file, as a mover does.",
        (general.add_shard,),
        ("haulage run-shard shards/copy-0-000001.parquet",),
        more="It serves to find out why a shard fails; a run keeps its shards in\n"
        "$HAULAGE_HOME/work/RUN/shards until it is done.",
    ),
}

_SERVER: Commands = {
    "up": Command(
        "haulage.cli.server.up:up",
        "Start a local Prefect server and worker for this checkout.",
        (general.add_project, general.add_server),
        ("haulage up", "haulage up --port 4201"),
    ),
    "down": Command(
        "haulage.cli.server.up:down",
        "Stop what 'up' started.",
        (general.add_project,),
        ("haulage down",),
    ),
    "completion": Command(
        "haulage.cli.commands.completion:print_script",
        "Print a script with which a shell completes command lines.",
        (general.add_shell,),
        (
            "haulage completion bash > /etc/bash_completion.d/haulage",
            'haulage completion zsh > "${fpath[1]}/_haulage"',
            "haulage completion fish > ~/.config/fish/completions/haulage.fish",
        ),
        more="It completes commands, options, datasets and ids of runs.",
        lists=True,
    ),
}

SECTIONS = (
    Section("move", _MOVE),
    Section("look", _LOOK),
    Section("deletes", _DELETES),
    Section("keep tidy", _TIDY),
    Section("server and shell", _SERVER),
)
