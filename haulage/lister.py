"""A lister process: lists the spans that it is ordered to, and writes pages to a spool.

Its first line of standard input tells what to list and where the spool is; each further
line orders one span. It answers in lines of JSON, in order; a page is a file of the
spool, named in its line. It ends when its input does.
"""

import haulage.lean  # noqa: F401  comes before pyarrow

# isort: split

import json
import mmap
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from haulage.ops.listing import Selection, listing
from haulage.spool import (
    HUNGER_BYTES,
    HUNGER_FILE,
    span_from_fields,
    span_to_fields,
    to_text,
    write_page,
)
from haulage.storage.descent import Descent
from haulage.storage.walk import Given, Page, Piece, Span


@dataclass(frozen=True, slots=True)
class _Desk:
    """What a lister works with from its first order to its last."""

    descent: Descent
    selection: Selection
    spool: Path
    hunger: mmap.mmap
    out: BinaryIO

    def tell(self, **line: object) -> None:
        self.out.write(json.dumps(line).encode() + b"\n")
        self.out.flush()

    def is_somebody_hungry(self) -> bool:
        return self.hunger[0] != 0


def main() -> int:
    """Serve orders until standard input ends, or nobody reads the answers any more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the consumer decides, then ends us
    try:
        _serve()
    except BrokenPipeError:
        return 1
    return 0


def _serve() -> None:
    orders = sys.stdin.buffer
    setup = orders.readline()
    if not setup:  # whoever started this is gone already
        return
    desk = _desk(json.loads(setup))
    for line in orders:
        order = json.loads(line)
        _list(desk, order.pop("span"), span_from_fields(order))


def _desk(setup: dict[str, object]) -> _Desk:
    spool = Path(str(setup["spool"]))
    with (spool / HUNGER_FILE).open("r+b") as shared:
        hunger = mmap.mmap(shared.fileno(), HUNGER_BYTES)
    selection = setup["selection"]
    assert isinstance(selection, dict)
    return _Desk(
        Descent(str(setup["root"])),
        Selection(**selection),
        spool,
        hunger,
        sys.stdout.buffer,
    )


def _list(desk: _Desk, number: int, span: Span) -> None:
    """List one span and tell of each piece; what can not be read is told as such."""

    def offer(part: Span) -> None:
        desk.hunger[0] = 0
        desk.tell(offer=span_to_fields(part))

    pieces = listing(desk.descent, span, desk.selection, desk.is_somebody_hungry, offer)
    for count, piece in enumerate(pieces):
        _tell_piece(desk, number, count, piece)
    desk.tell(span=number, end=True)


def _tell_piece(desk: _Desk, number: int, count: int, piece: Piece) -> None:
    if isinstance(piece, Page):
        name = f"{number}-{count}.arrow"
        write_page(desk.spool / name, piece.entries)
        desk.tell(span=number, page=name)
    elif isinstance(piece, Given):
        desk.tell(span=number, given=to_text(piece.start))
    else:
        desk.tell(span=number, unreadable=to_text(piece.path), errno=piece.errno)


if __name__ == "__main__":
    sys.exit(main())
