"""Rows between a directory and a bucket, near and with the latency of a far server.

The server runs outside of the process that measures, which counts what all of its
descendants take.
"""

import multiprocessing
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from bench import clients, data, measure, peers, rounds, table
from bench.objects import Objects
from bench.peers import Places, Tool
from bench.rounds import Results
from bench.rows import TMPFS_BYTES_A_FILE, Bar, Row
from bench.store_turns import SEED, Scene, Transfer, Unchanged, Way
from tests.servers.localstack import localstack
from tests.servers.rclone import rclone
from tests.servers.s3 import S3Server

ROOT = Path(__file__).parents[1]
SERVERS = {"rclone": rclone, "localstack": localstack}
FAR_MS = 20
ENDS_S = 10
OURS = peers.HAULAGE_METADATA

Ways = Callable[[Way], Row]


@dataclass(frozen=True, slots=True)
class Asked:
    """What was asked for on the command line."""

    rounds: int
    server: str
    peers_only: bool

    def tools(self, row: Row) -> list[Tool]:
        """Return the tools of a row that take part."""
        return [each for each in row.tools if not (self.peers_only and each.is_ours)]


def small(files: int) -> Ways:
    """Return the row of many small files, by the way that they go."""
    make = partial(data.make_tree, files=files, size_bytes=4096)
    title, size_bytes = f"{files:,} files of 4 KiB", files * TMPFS_BYTES_A_FILE

    def row(way: Way) -> Row:
        tools = _copiers(way)
        return Row(title, size_bytes, make, tools, [Bar(OURS, clients.S5CMD, 0.5)])

    return row


def large(size_bytes: int) -> Ways:
    """Return the row of one large file, by the way that it goes."""
    make = partial(data.make_large_file, size_bytes=size_bytes)

    def row(way: Way) -> Row:
        tools = _copiers(way)
        bars = [Bar(OURS, peer, 0.8) for peer in tools[:2]]
        return Row(
            f"One file of {size_bytes >> 20:,} MiB", size_bytes, make, tools, bars
        )

    return row


def nochange(entries: int) -> Ways:
    """Return the row in which nothing changed, by the way that is looked at."""
    compared = [clients.RCLONE_SYNC, clients.RCLONE_LISTING]
    row = Row(
        f"No change among {entries:,} files",
        entries * TMPFS_BYTES_A_FILE,
        partial(data.make_tree, files=entries, size_bytes=16),
        [*compared, clients.S5CMD_SYNC, OURS],
        [Bar(OURS, peer, 0.5) for peer in compared],
        unchanged=True,
    )
    return lambda _: row


def _copiers(way: Way) -> list[Tool]:
    by_rclone = clients.RCLONE if way is Way.UP else clients.RCLONE_NO_HEAD
    return [by_rclone, clients.S5CMD, clients.BOTO, OURS]


def report(row_of: Ways, asked: Asked) -> None:
    """Print four tables: up and down, near and far."""
    row = row_of(Way.UP)
    # Where targets stay there is one for each tool and way, beside source and seed.
    copies = len(row.tools) + 1 if row.unchanged else 2
    with (
        data.place_for(copies * row.size_bytes) as place,
        SERVERS[asked.server](place / "server") as near,
        _proxied(near) as far,
    ):
        # A fork, because the server must be no descendant of who measures.
        fork = multiprocessing.get_context("fork")
        child = fork.Process(target=_measure, args=(row_of, asked, place, (near, far)))
        child.start()
        try:
            child.join()
        finally:
            child.terminate()
            child.join()
    if child.exitcode:
        raise SystemExit(child.exitcode)


@contextmanager
def _proxied(server: S3Server) -> Iterator[S3Server]:
    """Run a proxy as a process of its own, that hands every request on late."""
    words = [sys.executable, "-m", "tests.servers.proxy", "--target", server.endpoint]
    words += ["--delay-ms", str(FAR_MS)]
    with subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, text=True) as proxy:
        try:
            assert proxy.stdout is not None
            yield server.at(f"http://127.0.0.1:{int(proxy.stdout.readline())}")
        finally:
            proxy.terminate()
            proxy.wait(ENDS_S)


def _measure(
    row_of: Ways,
    asked: Asked,
    place: Path,
    servers: tuple[S3Server, S3Server],
) -> None:
    measure.adopt_orphans()
    objects = Objects(servers[0])
    objects.make()
    row_of(Way.UP).make(place / "source")
    try:
        _seed(place, objects, servers[0])
        for way in Way:
            _way(
                row_of(way),
                asked,
                Scene(place, objects, servers[0], way),
                servers,
            )
    except RuntimeError as err:  # a tool failed, or did not do its work
        raise SystemExit(str(err)) from err


def _seed(place: Path, objects: Objects, server: S3Server) -> None:
    """Store the objects that all tools copy to a directory."""
    source, notes = place / "source", place / "seed.notes"
    at = Places(str(source), SEED, notes, clients.environment_of(server))
    measure.run(clients.RCLONE.command(at), clients.RCLONE.env(at))
    objects.demand_equal(source, SEED, clients.RCLONE.name)


def _way(
    row: Row, asked: Asked, scene: Scene, servers: tuple[S3Server, S3Server]
) -> None:
    tools = asked.tools(row)
    still = Unchanged(scene)
    if row.unchanged:
        still.prepare(tools)
    for server, late_ms in zip(servers, (0, FAR_MS), strict=True):
        if row.unchanged:
            still.reach(server)
            results = rounds.take_turns(still, tools, asked.rounds)
        else:
            transfer = Transfer(replace(scene, server=server))
            transfer.prepare(tools)
            results = rounds.take_turns(transfer, tools, asked.rounds)
        _print(row, scene, late_ms, {tool: results[tool] for tool in tools})


def _print(row: Row, scene: Scene, late_ms: int, results: Results) -> None:
    late = f", every request {late_ms} ms late" if late_ms else ""
    titled = replace(row, title=f"{row.title}, {scene.way.value}{late}")
    print(table.report(titled, results), flush=True)
