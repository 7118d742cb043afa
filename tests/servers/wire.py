"""HTTP/1.1 on sockets: heads as they were sent, bodies piece by piece."""

import re
import select
import socket
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

_PIECE_BYTES = 1 << 18
_HEAD_BYTES = 1 << 18
BODILESS = {204, 304}
_RESET = struct.pack("ii", 1, 0)  # what was sent and not read yet is thrown away


class GoneError(Exception):
    """A peer that ended its connection, or broke HTTP, before a message was whole."""


@dataclass(frozen=True)
class Head:
    """The first line and the fields of a request or an answer, byte by byte."""

    raw: bytes

    @cached_property
    def first(self) -> list[str]:
        """Return the three words of the first line."""
        words = self.raw.partition(b"\r\n")[0].decode("latin-1").split(" ", 2)
        if len(words) < 2:
            raise GoneError(f"not HTTP: {self.raw[:80]!r}")
        return words

    @property
    def answers(self) -> bool:
        """Tell whether this is the head of an answer."""
        return self.first[0].startswith("HTTP/")

    @property
    def status(self) -> int:
        """Return the status of an answer."""
        return int(self.first[1])

    def field(self, name: str) -> str:
        """Return a field in small letters, empty if it is not there."""
        found = re.search(rb"(?mi)^%b:[ \t]*(.*?)[ \t]*\r$" % name.encode(), self.raw)
        return found[1].decode("latin-1").lower() if found else ""

    @cached_property
    def length(self) -> int | None:
        """Return the Content-Length."""
        text = self.field("content-length")
        return int(text) if text else None

    @cached_property
    def chunked(self) -> bool:
        """Tell whether the body comes in chunks."""
        return self.field("transfer-encoding") == "chunked"

    @property
    def lasting(self) -> bool:
        """Tell whether the connection stays after this message."""
        if self.answers and self.length is None and not self.chunked:
            return self.status in BODILESS
        old = b"HTTP/1.0" in self.raw.partition(b"\r\n")[0]
        wish = self.field("connection")
        return wish == "keep-alive" if old else wish != "close"

    def in_chunks(self) -> "Head":
        """Return the head of the same message in chunks."""
        fields = re.sub(rb"(?mi)^content-length:.*\r\n", b"", self.raw)
        return Head(fields[:-2] + b"Transfer-Encoding: chunked\r\n\r\n")


class Wire:
    """One connection, with what was received and not yet asked for."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._held = b""

    def head(self) -> Head:
        """Receive the head of the next message."""
        while (end := self._held.find(b"\r\n\r\n")) < 0:
            if len(self._held) > _HEAD_BYTES:
                raise GoneError(f"a head of more than {_HEAD_BYTES} bytes")
            self._held += self._receive()
        raw, self._held = self._held[: end + 4], self._held[end + 4 :]
        return Head(raw)

    def body(self, head: Head) -> Iterator[bytes]:
        """Receive the body of a message piece by piece."""
        if head.chunked:
            return self._chunks()
        if head.length is None and head.answers:
            return self._rest()
        return self._exactly(head.length or 0)

    def send(self, pieces: Iterable[bytes]) -> None:
        """Send all of the pieces."""
        for piece in pieces:
            self.connection.sendall(piece)

    def waiting(self) -> bool:
        """Tell whether there is something to receive, or the peer has gone."""
        return bool(self._held or ready(0, self))

    def reset(self) -> None:
        """End the connection such that the peer meets `connection reset`."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self.connection.close()

    def _chunks(self) -> Iterator[bytes]:
        while size := int(self._line().partition(b";")[0], 16):
            yield from self._exactly(size)
            self._line()
        while self._line():
            pass  # S3 has its trailers in the body, so these tell nothing

    def _exactly(self, size: int) -> Iterator[bytes]:
        while size:
            piece = self._held or self._receive()
            piece, self._held = piece[:size], piece[size:]
            size -= len(piece)
            yield piece

    def _rest(self) -> Iterator[bytes]:
        try:
            while True:
                piece = self._held or self._receive()
                self._held = b""
                yield piece
        except GoneError:
            return

    def _line(self) -> bytes:
        while b"\r\n" not in self._held:
            self._held += self._receive()
        line, _, self._held = self._held.partition(b"\r\n")
        return line

    def _receive(self) -> bytes:
        try:
            piece = self.connection.recv(_PIECE_BYTES)
        except OSError as error:
            raise GoneError(str(error)) from error
        if not piece:
            raise GoneError("the peer has ended the connection")
        return piece


def ready(timeout_s: float | None, *wires: Wire) -> list[Wire]:
    """Wait until one of the wires has something to receive, and return those."""
    watch = select.poll()  # select() knows no descriptors beyond 1023
    for wire in wires:
        watch.register(wire.connection, select.POLLIN)
    timeout_ms = None if timeout_s is None else timeout_s * 1000
    found = {descriptor for descriptor, _ in watch.poll(timeout_ms)}
    return [wire for wire in wires if wire.connection.fileno() in found]


def chunk(piece: bytes) -> bytes:
    """Dress a piece of a body as a chunk."""
    return b"%x\r\n%b\r\n" % (len(piece), piece)


def in_chunks(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Dress a whole body as chunks."""
    yield from map(chunk, pieces)
    yield b"0\r\n\r\n"


def drain(pieces: Iterator[bytes]) -> None:
    """Receive what is left of a body, for nobody."""
    for _ in pieces:
        pass
