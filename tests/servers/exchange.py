"""Requests and answers that pass through a proxy on one connection, and its faults."""

import contextlib
import socket
import threading
from collections.abc import Iterator

from tests.servers.faults import (
    Answer,
    Cut,
    Fault,
    FlipAnswer,
    FlipRequest,
    Ledger,
    Reset,
    Seen,
)
from tests.servers.wire import (
    BODILESS,
    GoneError,
    Head,
    Wire,
    chunk,
    drain,
    in_chunks,
    ready,
)

_FINAL = 200
_NO_ANSWER = 0


class Exchanges:
    """All requests of one client connection, each passed on to the server."""

    def __init__(
        self,
        client: socket.socket,
        target: tuple[str, int],
        ledger: Ledger,
        ended: threading.Event,
    ) -> None:
        self._client = Wire(client)
        self._target = target
        self._ledger = ledger
        self._ended = ended
        self._server: Wire | None = None
        self._lasting = True  # the client's connection may carry another request

    def run(self) -> None:
        """Pass requests on until one of both sides ends its connection."""
        # What one side has done to its connection, the other meets too.
        with contextlib.suppress(GoneError, OSError):
            while self._lasting and not self._ended.is_set():
                self._one()
        self._client.connection.close()
        self._leave_server()

    def _one(self) -> None:
        request = self._client.head()
        self._lasting = request.lasting
        delay_s, fault = self._ledger.meet(*request.first[:2])
        if delay_s and self._ended.wait(delay_s):
            return  # what is late now would come after the test
        if isinstance(fault, Answer | Reset) and not fault.carried_out:
            self._refuse(request, fault)
            return
        try:
            answer = self._carry_out(request, fault)
        except (GoneError, OSError):
            self._note(request, _NO_ANSWER)
            raise
        pieces = self._body(request, answer)
        if isinstance(fault, Answer | Reset):
            drain(pieces)
            self._fail(request, fault)
        else:
            self._note(request, answer.status)
            self._pass_back(answer, pieces, fault)
        self._lasting &= answer.lasting
        if not answer.lasting:
            self._leave_server()

    def _refuse(self, request: Head, fault: Answer | Reset) -> None:
        """Answer, or reset, for the server, which learns nothing of the request."""
        if isinstance(fault, Answer):
            if request.field("expect"):
                self._lasting = False  # nobody knows whether the body will come
            else:
                drain(self._client.body(request))
        self._fail(request, fault)

    def _fail(self, request: Head, fault: Answer | Reset) -> None:
        if isinstance(fault, Reset):
            self._note(request, _NO_ANSWER)
            self._lasting = False
            self._client.reset()
            return
        self._note(request, fault.status)
        head, body = _error(fault, lasting=self._lasting)
        self._client.send([head] if request.first[0] == "HEAD" else [head, body])

    def _carry_out(self, request: Head, fault: Fault | None) -> Head:
        """Send the request to the server and return the head of its answer."""
        server = self._living_server()
        server.send([request.raw])
        if request.field("expect"):
            early = self._until_wanted(server)
            if early is not None:
                self._lasting = False  # as in _refuse
                return early
        pieces = self._client.body(request)
        if isinstance(fault, FlipRequest):
            pieces = _flipped(pieces, fault.at)
        try:
            server.send(in_chunks(pieces) if request.chunked else pieces)
        except OSError:
            drain(pieces)  # the server has heard enough, and may have said why
        while (answer := server.head()).status < _FINAL:
            self._client.send([answer.raw])
        return answer

    def _until_wanted(self, server: Wire) -> Head | None:
        """Wait until the server asks for the body, or the client sends it unasked;
        return the answer of a server that does not want it."""
        while not self._client.waiting():
            if server in ready(None, self._client, server):
                head = server.head()
                if head.status >= _FINAL:
                    return head
                self._client.send([head.raw])
                return None
        return None

    def _body(self, request: Head, answer: Head) -> Iterator[bytes]:
        if request.first[0] == "HEAD" or answer.status in BODILESS:
            return iter(())
        assert self._server is not None
        return self._server.body(answer)

    def _pass_back(
        self, answer: Head, pieces: Iterator[bytes], fault: Fault | None
    ) -> None:
        if isinstance(fault, Cut):
            self._lasting = False
            in_parts = fault.in_chunks or answer.chunked
            kept = _first(pieces, fault.keep_bytes)
            self._client.send([(answer.in_chunks() if in_parts else answer).raw])
            self._client.send(map(chunk, kept) if in_parts else kept)
            return
        if isinstance(fault, FlipAnswer):
            pieces = _flipped(pieces, fault.at)
        self._client.send([answer.raw])
        self._client.send(in_chunks(pieces) if answer.chunked else pieces)

    def _note(self, request: Head, status: int) -> None:
        method, target = request.first[:2]
        path, _, query = target.partition("?")
        self._ledger.note(Seen(method, path, query, status, request.field))

    def _living_server(self) -> Wire:
        if self._server is not None and self._server.waiting():
            self._leave_server()  # it has ended a connection that lay idle
        if self._server is None:
            self._server = Wire(socket.create_connection(self._target))
        return self._server

    def _leave_server(self) -> None:
        if self._server is not None:
            self._server.connection.close()
            self._server = None


def _flipped(pieces: Iterator[bytes], at: int) -> Iterator[bytes]:
    for piece in pieces:
        if 0 <= at < len(piece):
            yield piece[:at] + bytes([piece[at] ^ 1]) + piece[at + 1 :]
        else:
            yield piece
        at -= len(piece)


def _first(pieces: Iterator[bytes], size: int) -> Iterator[bytes]:
    for piece in pieces:
        if size <= 0:
            return
        yield piece[:size]
        size -= len(piece)


def _error(fault: Answer, *, lasting: bool) -> tuple[bytes, bytes]:
    """Return the head and the body of an error document, empty without a code."""
    body = fault.code and (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f"<Error><Code>{fault.code}</Code><Message>made by a test</Message></Error>"
    )
    head = (
        f"HTTP/1.1 {fault.status} {fault.code}\r\n"
        "Content-Type: application/xml\r\n"
        f"Content-Length: {len(body)}\r\n"
        f"Connection: {'keep-alive' if lasting else 'close'}\r\n\r\n"
    )
    return head.encode(), body.encode()
