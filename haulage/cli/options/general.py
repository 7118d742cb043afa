"""Options that several commands take, and those of the small ones."""

import argparse

Container = argparse._ActionsContainer  # noqa: SLF001  a parser or a group of one


def add_catalog(parser: Container) -> None:
    """Add the options of every command that opens the catalog."""
    parser.add_argument(
        "--catalog", metavar="URL",
        help="postgresql://... or sqlite:///... (default: $HAULAGE_CATALOG, else a "
        "SQLite file in your data directory)",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print JSON, for programs")


def add_dry_run(parser: Container) -> None:
    """Add the option by which nothing is changed."""
    parser.add_argument(
        "-n", "--dry-run", action="store_true",
        help="only list what would be done",
    )  # fmt: skip


def add_run(parser: Container) -> None:
    """Add the word that names a run."""
    parser.add_argument(
        "run",
        metavar="RUN",
        help="id of a run, or its last characters ('haulage runs')",
    )


def add_wanted_movers(parser: Container) -> None:
    """Add the word that says how many movers, or slots of movers, there are to be."""
    parser.add_argument("movers", metavar="N", help="how many, at least 1")


def add_node(parser: Container) -> None:
    """Add the word that names a machine."""
    parser.add_argument("node", metavar="NODE", help="as 'haulage status' shows it")


def add_take_over(parser: Container) -> None:
    """Add the option by which a person says that another host's driver is dead."""
    parser.add_argument(
        "--take-over", action="store_const", const=True,
        help="take the run from another host, which is dead for certain",
    )  # fmt: skip


def add_movers(parser: Container) -> None:
    """Add the option that says how many processes move in one run."""
    parser.add_argument(
        "--movers", metavar="N", help="processes that work at once (default 2)"
    )


def add_dataset(parser: Container) -> None:
    """Add the word that names a dataset."""
    parser.add_argument(
        "dataset", metavar="DATASET", help="name of a dataset ('haulage status')"
    )


def add_some_dataset(parser: Container) -> None:
    """Add the word that names a dataset where all are meant without it."""
    parser.add_argument(
        "dataset", metavar="DATASET", nargs="?", help="of this dataset only"
    )


def add_watch(parser: Container) -> None:
    """Add the option by which a status is shown again and again."""
    parser.add_argument(
        "-w", "--watch", action="store_true", help="show it again each second"
    )


def add_clean(parser: Container) -> None:
    """Add the option that ends what runs without a driver left on a cluster."""
    parser.add_argument(
        "--clean", action="store_true",
        help="first cancel jobs of runs that nobody drives; 'resume' goes on with them",
    )  # fmt: skip


def add_limit(parser: Container) -> None:
    """Add the option that bounds a list."""
    parser.add_argument(
        "--limit",
        type=int,
        default=20,
        metavar="N",
        help="at most so many (default 20)",
    )


def add_format(parser: Container) -> None:
    """Add the options of a manifest."""
    formats = ["table", "csv", "parquet"]
    parser.add_argument(
        "--format", choices=formats, default="table", help="default table"
    )
    parser.add_argument(
        "-o", "--output", metavar="FILE",
        help="where csv or parquet goes (default: standard output)",
    )  # fmt: skip


def add_plan(parser: Container) -> None:
    """Add the word that names a delete plan."""
    parser.add_argument(
        "plan", metavar="PLAN", type=int,
        help="number of a delete plan ('haulage deletes list')",
    )  # fmt: skip


def add_confirmed(parser: Container) -> None:
    """Add the option without which no plan is applied."""
    parser.add_argument(
        "--yes-delete", metavar="N", type=int, required=True,
        help="how many entries the plan deletes, as 'deletes show' says",
    )  # fmt: skip


def add_because(parser: Container) -> None:
    """Add the option that gives a reason."""
    parser.add_argument(
        "--because", metavar="TEXT", help="why; it is kept with the plan"
    )


def add_older(parser: Container) -> None:
    """Add the option that says which uploads are old."""
    parser.add_argument(
        "--older-than", metavar="AGE", default="7d",
        help="abort uploads that began longer ago: 90s, 12h, 7d (default 7d)",
    )  # fmt: skip


def add_shard(parser: Container) -> None:
    """Add what a single shard takes."""
    parser.add_argument("shard", metavar="SHARD", help="a shard file")
    parser.add_argument(
        "--outcome", metavar="FILE",
        help="where its outcome goes (default: beside the shard)",
    )  # fmt: skip
    parser.add_argument(
        "--token", metavar="HEX", help="token of the attempt (default: random)"
    )


def add_project(parser: Container) -> None:
    """Add the option that names the checkout."""
    parser.add_argument(
        "--project", metavar="DIR", help="the checkout (default: this directory)"
    )


def add_server(parser: Container) -> None:
    """Add the options of a server that is started."""
    parser.add_argument(
        "--port", type=int, metavar="N",
        help="port of the server and its UI (default: 4200, or a free one)",
    )  # fmt: skip
    parser.add_argument(
        "--database", metavar="URL", help="database of Prefect (default: a SQLite file)"
    )


def add_shell(parser: Container) -> None:
    """Add the word that names a shell."""
    parser.add_argument("shell", choices=["bash", "zsh", "fish"], help="your shell")
