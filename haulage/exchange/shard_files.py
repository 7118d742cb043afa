"""The Parquet files that a mover reads and writes."""

import json
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from haulage.errors import FatalError, own_files
from haulage.model import ACTION, ENTRY, OUTCOME, PRESERVED, Loss, Outcome
from haulage.place import Place
from haulage.private import make_file

_KEY = b"haulage"
_FORMAT = 6
_ENDS = ("source", "target")
TURNS = "mdt-turns"
LEASE = "lease"


@dataclass(frozen=True, slots=True)
class Job:
    """What a mover needs to know besides its actions; part of the shard file."""

    source: Place
    target: Place
    temp_token: str
    hashing: bool
    fsync: bool
    verify_content: bool
    allow_empty_source: bool
    preserve: tuple[str, ...] = PRESERVED  # names of model.Preserve
    trust_metadata: bool = False  # of a bucket that is synced to a directory
    trash: str | None = None  # the run in whose trash deletes go, or undo looks
    stripe: str = ""  # rules that striping.rules_of reads
    mdts: tuple[int, ...] = ()  # that directories of the first level alternate over
    folds: bool = False  # whether the target takes several spellings for one name
    format: int = _FORMAT


@dataclass(frozen=True, slots=True)
class Order:
    """One attempt at one shard."""

    shard: Path
    outcome: Path
    progress: Path
    token: str
    dead_tokens: tuple[str, ...] = ()
    only_sweep: bool = False
    hold_s: float = 0  # of the attempt's own lease; 0: its driver watches its process

    @property
    def ranges(self) -> Path:
        """Return where all movers of the run record the ranges of large entries."""
        return self.shard.parent.parent / "ranges"

    @property
    def lease(self) -> Path | None:
        """Return the file that says until when movers of the run may act.

        None where its clock is another machine's.
        """
        return None if self.hold_s else self.shard.parent.parent / LEASE

    @property
    def turns(self) -> Path:
        """Return the file that counts the directories made on MDTs in turn."""
        return self.shard.parent.parent / TURNS

    def to_line(self) -> bytes:
        """Return the order as the line that a mover reads."""
        fields = {
            "shard": str(self.shard),
            "outcome": str(self.outcome),
            "progress": str(self.progress),
            "token": self.token,
            "dead_tokens": self.dead_tokens,
            "only_sweep": self.only_sweep,
            "hold_s": self.hold_s,
        }
        return json.dumps(fields).encode() + b"\n"

    @classmethod
    def from_line(cls, line: bytes) -> "Order":
        """Read an order that `to_line` wrote."""
        fields = json.loads(line)
        return cls(
            shard=Path(fields["shard"]),
            outcome=Path(fields["outcome"]),
            progress=Path(fields["progress"]),
            token=fields["token"],
            dead_tokens=tuple(fields["dead_tokens"]),
            only_sweep=fields["only_sweep"],
            hold_s=fields["hold_s"],
        )


def write_shard(file: Path, actions: pa.Table, job: Job) -> None:
    """Write a shard; it gets its name only when it is complete."""
    metadata = {_KEY: json.dumps(asdict(job)).encode()}
    _write(file, actions.cast(ACTION).replace_schema_metadata(metadata))


def read_shard(file: Path) -> tuple[pa.Table, Job]:
    """Read a shard; FatalError for one of another version."""
    table = _read(file)
    fields = _metadata(table.schema)
    if fields["format"] != _FORMAT:
        raise FatalError(
            f"{file}: shard format {fields['format']}, this mover reads {_FORMAT}; "
            f"install the same version of Haulage everywhere"
        )
    source, target = (Place.from_fields(fields.pop(end)) for end in _ENDS)
    fields["preserve"] = tuple(fields["preserve"])
    fields["mdts"] = tuple(fields.get("mdts", ()))
    return table.cast(ACTION), Job(source, target, **fields)


def is_readable(file: Path) -> bool:
    """Tell whether a shard exists, complete and of this version."""
    metadata = _footer(file)
    return metadata is not None and _metadata(metadata)["format"] == _FORMAT


def has_outcomes(file: Path) -> bool:
    """Tell whether a mover's outcomes exist, complete and of this version."""
    schema = _footer(file)
    return schema is not None and set(OUTCOME.names) <= set(schema.names)


def _footer(file: Path) -> pa.Schema | None:
    try:
        return pq.read_schema(file)
    except (OSError, pa.ArrowInvalid):
        return None


def write_outcomes(
    file: Path, actions: pa.Table, outcomes: Sequence[Outcome]
) -> dict[str, int]:
    """Write the outcome of each action, in order; return their tally."""
    _write(file, _outcome_table(actions, outcomes))
    return _tally(outcomes)


def read_outcomes(file: Path, columns: Sequence[str] | None = None) -> pa.Table:
    """Read a mover's outcomes, or some of their columns."""
    table = _read(file, columns)
    return table.cast(pa.schema([OUTCOME.field(name) for name in table.schema.names]))


def _tally(outcomes: Sequence[Outcome]) -> dict[str, int]:
    counts = Counter(outcome.status for outcome in outcomes)
    tally = {status.name.lower(): count for status, count in counts.items()}
    tally["bytes"] = sum(outcome.moved for outcome in outcomes)
    read = [outcome.read for outcome in outcomes if outcome.read is not None]
    tally |= {"checked": len(read), "checked_bytes": sum(read)} if read else {}
    losses = [outcome.lost.kinds for outcome in outcomes if outcome.lost]
    tally["lost"] = len(losses)
    for kind in Loss if losses else ():
        tally[f"lost_{kind.name}".lower()] = sum(kind in lost for lost in losses)
    return tally


def _reason(outcome: Outcome) -> str | None:
    return outcome.lost.words if outcome.lost else outcome.reason


def _outcome_table(actions: pa.Table, outcomes: Sequence[Outcome]) -> pa.Table:
    entries = _seen_entries(actions, outcomes)
    columns = {
        "verb": actions["verb"],
        "status": pa.array([outcome.status for outcome in outcomes], pa.uint8()),
        **{name: entries[name] for name in ENTRY.names},
        "checksum": pa.array([outcome.checksum for outcome in outcomes], pa.binary(16)),
        "verified": pa.array([outcome.verified for outcome in outcomes], pa.uint8()),
        "racy": pa.array([outcome.racy for outcome in outcomes], pa.bool_()),
        "made": pa.array([outcome.made for outcome in outcomes], pa.binary()),
        "offset": actions["offset"],
        "length": actions["length"],
        "moved": pa.array([outcome.moved for outcome in outcomes], pa.int64()),
        "errno": pa.array([outcome.errno for outcome in outcomes], pa.int32()),
        "reason": pa.array(map(_reason, outcomes), pa.string()),
    }
    return pa.table([columns[name] for name in OUTCOME.names], schema=OUTCOME)


def _seen_entries(actions: pa.Table, outcomes: Sequence[Outcome]) -> pa.Table:
    """Return the source's entries as listed, or newer if a mover saw a change."""
    if not any(outcome.entry for outcome in outcomes):
        return actions
    listed = zip(*(actions[name].to_pylist() for name in ENTRY.names), strict=True)
    rows = [
        (row[0], *outcome.entry[1:]) if outcome.entry else row
        for outcome, row in zip(outcomes, listed, strict=True)
    ]
    columns = zip(*rows, strict=True)
    return pa.table(list(map(pa.array, columns, ENTRY.types)), schema=ENTRY)


def _write(file: Path, table: pa.Table) -> None:
    unfinished = file.with_name(file.name + ".unfinished")
    with own_files(file):
        make_file(unfinished)
        pq.write_table(
            table,
            unfinished,
            compression="lz4",  # written and read once, so speed counts more than size
            use_dictionary=False,
            write_statistics=False,
        )
        os.replace(unfinished, file)


def _read(file: Path, columns: Sequence[str] | None = None) -> pa.Table:
    try:
        with pq.ParquetFile(file, memory_map=True) as parquet:
            return parquet.read(columns, use_threads=False)  # too small to share out
    except pa.ArrowInvalid as err:
        raise FatalError(f"{file}: not a shard or outcome file: {err}") from err


def _metadata(schema: pa.Schema) -> dict[str, Any]:
    metadata = schema.metadata or {}
    found: dict[str, Any] = json.loads(metadata.get(_KEY, b'{"format": 0}'))
    return found
