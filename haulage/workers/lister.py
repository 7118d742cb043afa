"""A lister process: lists the spans that it is given, and writes pages to a spool.

Its first line of standard input says what to list and where the spool is; each further
line orders one span. It answers in lines of JSON, of each span in order; a page is a
file of the spool, named in its line. It ends when its input does. It lists as many
spans at once as it has lanes: requests to a bucket's server take time, a directory
answers at once.
"""

import haulage.start  # comes before all else

# isort: split

import haulage.lean  # noqa: F401  comes before pyarrow

# isort: split

import json
import mmap
import os
import signal
import sys
import threading
import traceback
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import BinaryIO

from haulage.errors import HaulageError
from haulage.exchange.listing_pages import (
    HUNGER_BYTES,
    HUNGER_FILE,
    Setup,
    span_from_fields,
    span_to_fields,
    to_text,
    write_page,
)
from haulage.place import Place
from haulage.planning.listing.selection import Selection, listing, sorted_listing
from haulage.storage.buckets.keys.server_pages import DisorderError, KeyRoot
from haulage.storage.tree.descent import Descent
from haulage.storage.tree.listing.walk import Given, Page, Piece, Span


@dataclass(frozen=True, slots=True)
class _Desk:
    """The state of a lister from its first order to its last."""

    root: Descent | KeyRoot
    selection: Selection
    setup: Setup
    hunger: mmap.mmap
    out: BinaryIO
    lock: threading.Lock = field(default_factory=threading.Lock)

    def tell(self, **line: object) -> None:
        with self.lock:
            self.out.write(json.dumps(line).encode() + b"\n")
            self.out.flush()

    def is_somebody_hungry(self) -> bool:
        return self.hunger[0] != 0

    def offer(self, part: Span) -> None:
        self.hunger[0] = 0
        self.tell(offer=span_to_fields(part))


def main() -> int:
    """Serve orders until standard input ends, or the reader of the answers is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the consumer decides, then ends us
    try:
        _serve()
    except BrokenPipeError:
        return 1
    return 0


def _serve() -> None:
    orders = sys.stdin.buffer
    line = orders.readline()
    if not line:  # whoever started this is gone already
        return
    setup = Setup.from_fields(json.loads(line))
    try:
        desk = _desk(setup)
    except HaulageError as err:
        print(json.dumps({"fatal": str(err)}), flush=True)  # noqa: T201  the answer
        return
    if setup.lanes == 1:
        for line in orders:
            _obey(desk, line)
        return
    with ThreadPoolExecutor(setup.lanes, "lane") as lanes:
        for line in orders:
            lanes.submit(_obey_apart, desk, line)


def _desk(setup: Setup) -> _Desk:
    with (setup.spool / HUNGER_FILE).open("r+b") as shared:
        hunger = mmap.mmap(shared.fileno(), HUNGER_BYTES)
    selection = Selection(**setup.selection)  # type: ignore[arg-type]
    return _Desk(_root(setup), selection, setup, hunger, sys.stdout.buffer)


def _root(setup: Setup) -> Descent | KeyRoot:
    place = Place.from_fields(setup.place)
    if not place.is_bucket:
        return Descent(place.url)
    from haulage.storage.buckets.open import open_bucket

    bucket = open_bucket(place, os.environ)
    return KeyRoot(bucket, place.prefix, for_files=setup.for_files)


def _obey_apart(desk: _Desk, line: bytes) -> None:
    """Carry out one order in a thread, whose failure must end the whole process."""
    try:
        _obey(desk, line)
    except BrokenPipeError:
        os._exit(1)
    except BaseException:  # noqa: BLE001  it is told, then this process ends
        traceback.print_exc()
        os._exit(1)


def _obey(desk: _Desk, line: bytes) -> None:
    """List one span and report each piece, unreadable paths included."""
    order = json.loads(line)
    number = int(order.pop("span"))
    try:
        for count, piece in enumerate(_pieces(desk, span_from_fields(order))):
            _tell_piece(desk, number, count, piece)
    except DisorderError as err:
        desk.tell(disorder=str(err))
    except HaulageError as err:
        desk.tell(fatal=str(err))
    else:
        desk.tell(span=number, end=True, decided=desk.selection.decided())


def _pieces(desk: _Desk, span: Span) -> Iterator[Piece]:
    if desk.setup.in_order:
        hungry, offer = desk.is_somebody_hungry, desk.offer
        spool = desk.setup.spool
        return listing(desk.root, span, desk.selection, hungry, offer, spool)
    assert isinstance(desk.root, KeyRoot)
    return sorted_listing(desk.root, span.after, desk.selection, desk.setup.spool)


def _tell_piece(desk: _Desk, number: int, count: int, piece: Piece) -> None:
    if isinstance(piece, Page):
        name = f"{number}-{count}.arrow"
        write_page(desk.setup.spool / name, piece.entries)
        desk.tell(span=number, page=name)
    elif isinstance(piece, Given):
        desk.tell(span=number, given=to_text(piece.start))
    else:
        desk.tell(
            span=number,
            unreadable=to_text(piece.path),
            errno=piece.errno,
            reason=piece.reason,
            left_out=piece.left_out,
        )


if __name__ == "__main__":
    sys.exit(main())
