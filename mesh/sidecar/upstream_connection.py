"""One connection to an endpoint, speaking HTTP/1.1 upwards: one request at a time, back to its host's pool when that is safe.

Envoy: source/common/http/http1/codec_impl.cc ClientConnectionImpl and conn_pool.cc. A connection on which anything was odd — bytes
that nobody asked for, a body cut short, an answer before the request was sent — is never used again.
"""

import asyncio
import select
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, cast

from mesh.sidecar.body import EMPTY, Body
from mesh.sidecar.filter import Flag, Headers, Request, Reset, Response
from mesh.sidecar.wire.chunks import ChunkedReader
from mesh.sidecar.wire.heads import CHUNKED, UNTIL_CLOSE, HeadReader, MalformedMessage, ResponseHead
from mesh.sidecar.wire.writing import LAST_CHUNK, chunk, request_head

if TYPE_CHECKING:
    from mesh.sidecar.host import Host

MAX_HEAD_BYTES: Final = 60 * 1024
MAX_INTERIM_RESPONSES: Final = 16
_TRANSFER_ENCODING: Final = b"transfer-encoding: chunked\r\n"
_NO_BODY: Final = b"content-length: 0\r\n"
_WITHOUT_BODY: Final = frozenset(
    {"GET", "HEAD", "DELETE", "TRACE", "CONNECT"}
)  # where nobody expects one: HeaderUtility::requestShouldHaveNoBody
_UPGRADE: Final = b"connection: upgrade\r\nupgrade: %b\r\n"


class UpstreamConnection(asyncio.Protocol):
    """``start`` sends a request and brings the head of its answer; the body follows as a stream."""

    def __init__(self, host: "Host", reader: HeadReader) -> None:
        self.host = host
        self.local_address = ""
        self.idle_since_seconds = 0.0
        self.opened_seconds: float | None = None
        self.requests = 0
        self.closed = False
        self._reader = reader
        self._transport: asyncio.Transport | None = None
        self._came: Callable[[Response | Reset], None] = _nobody
        self._request: Request | None = None  # being answered
        self._sending: Body | None = None  # its body, while it is not all sent
        self._sending_chunked = False
        self._buffer = b""
        self._body: Body | None = None  # of the answer, while it comes
        self._remaining = 0
        self._chunks: ChunkedReader | None = None
        self._reusable = False
        self._reading_paused = False
        self._interim = 0

    # --- the request

    def start(self, request: Request, came: Callable[[Response | Reset], None]) -> None:
        """Send a request; ``came`` is called with the answer, once, perhaps at once. Who gives up waiting for it must ``abandon``."""
        self._request = request
        self._came = came
        self._reusable = False
        self._interim = 0
        self.requests += 1
        body = request.body
        head = self._head(request, body)
        transport = self._open()
        if transport is None:
            self._fail(Reset.CONNECTION_TERMINATION)
        elif body.complete and not request.upgrade:
            data = body.take()
            if not data:
                transport.write(head + LAST_CHUNK if self._sending_chunked else head)
            elif self._sending_chunked:
                transport.write(b"".join((head, chunk(data), LAST_CHUNK)))
            else:
                transport.write(head + data)
        else:
            transport.write(head)
            self._sending = body
            body.attach(self)

    def _head(self, request: Request, body: Body) -> bytes:
        more = b""
        self._sending_chunked = False
        if request.upgrade:
            more = _UPGRADE % request.upgrade.encode()
        elif "content-length" not in request.headers.fields:
            if request.chunked or not body.complete or body.received_bytes:
                more = _TRANSFER_ENCODING
                self._sending_chunked = True
            elif request.method not in _WITHOUT_BODY:
                more = _NO_BODY
        return request_head(request.method, request.path, request.authority, request.headers.fields, more)

    def body_data(self, data: bytes) -> None:
        transport = self._open()
        if transport is not None:
            transport.write(chunk(data) if self._sending_chunked else data)

    def body_end(self) -> None:
        self._sending = None
        transport = self._open()
        if transport is None:
            return
        if self._sending_chunked:
            transport.write(LAST_CHUNK)
        elif self._request is not None and self._request.upgrade:
            self._end_tunnel(from_upstream=False)

    def _end_tunnel(self, *, from_upstream: bool) -> None:
        """One direction has ended; the other goes on. With both at their end the connection is done."""
        transport = self._open()
        if not from_upstream and transport is not None:
            transport.write_eof()
        if self._body is None and self._sending is None:
            self.close()

    def body_failed(self, reason: str) -> None:
        self._sending = None
        self.abort()

    def pause_writing(self) -> None:
        if self._sending is not None:
            self._sending.pause()

    def resume_writing(self) -> None:
        if self._sending is not None:
            self._sending.resume()

    # --- the answer

    def data_received(self, data: bytes) -> None:
        try:
            if self._body is not None:
                self._read_body(data)
            elif self._request is None:  # nobody asked: whatever this is, no later request must take it for its answer
                self.abort()
            else:
                self._read_head(self._buffer + data if self._buffer else data)
        except MalformedMessage:
            self._fail(Reset.PROTOCOL_ERROR)

    def _read_head(self, data: bytes) -> None:
        assert self._request is not None
        while True:
            end = data.find(b"\r\n\r\n")
            if end < 0 or end > MAX_HEAD_BYTES:
                if len(data) > MAX_HEAD_BYTES or not (data.startswith(b"HTTP/1.") or b"HTTP/1.".startswith(data)):
                    raise MalformedMessage("http1.codec_error", 502)
                self._buffer = data
                return
            head = self._reader.response(data[:end], self._request.method)
            data = data[end + 4 :]
            if head[0] >= 200 or head[0] == 101:
                break
            self._interim += 1
            if self._interim > MAX_INTERIM_RESPONSES:
                raise MalformedMessage("http1.too_many_interim_responses", 502)
        self._buffer = b""
        if head[0] == 101:
            self._start_tunnel(head, data)
        else:
            self._start_response(head, data)

    def _start_response(self, head: ResponseHead, data: bytes) -> None:
        status, _, fields, length, close = head
        if length >= 0 and len(data) >= length:
            self._reusable = not close and len(data) == length and self._sending is None
            body = Body.of(data[:length]) if length else EMPTY
            self._let_go()  # first: who waits for the answer may need a connection at once
            self._came(Response(status, Headers.of(fields), body))
            return
        self._body = body = Body(self)
        self._reusable = not close
        self._remaining = length
        self._chunks = ChunkedReader() if length == CHUNKED else None
        if data:
            try:
                self._read_body(data)
            except MalformedMessage:
                self._body = None  # nobody has seen the head yet
                raise
        self._came(Response(status, Headers.of(fields), body))

    def _start_tunnel(self, head: ResponseHead, data: bytes) -> None:
        if self._request is None or not self._request.upgrade:
            raise MalformedMessage("http1.unexpected_switching_protocols", 502)
        self._body = body = Body(self)
        self._remaining = UNTIL_CLOSE
        self._chunks = None
        if data:
            body.feed(data)
        self._came(Response(101, Headers.of(head[2]), body))

    def _read_body(self, data: bytes) -> None:
        body = self._body
        assert body is not None
        if self._chunks is not None:
            payload = self._chunks.feed(data)
            done, excess = self._chunks.done, bool(self._chunks.rest)
        elif self._remaining == UNTIL_CLOSE:
            payload, done, excess = data, False, False
        else:
            payload = data[: self._remaining]
            excess = len(data) > self._remaining
            self._remaining -= len(payload)
            done = not self._remaining
        if payload:
            body.feed(payload)
        if done and self._body is body:
            self._body = None
            self._reusable = self._reusable and not excess and self._sending is None
            self._let_go()
            body.finish()

    def _let_go(self) -> None:
        self._request = None
        self._chunks = None
        self._detach()
        if self._reusable and not self.closed:
            if self._reading_paused:
                self.resume_body()  # whoever took the body may have paused us at its very end
            self.host.release(self)
        else:
            self.close()

    # --- flow control of the answer's body

    def pause_body(self) -> None:
        transport = self._open()
        if transport is not None:
            self._reading_paused = True
            transport.pause_reading()

    def resume_body(self) -> None:
        transport = self._open()
        if self._reading_paused and transport is not None:
            self._reading_paused = False
            transport.resume_reading()

    def cancel_body(self) -> None:
        self._body = None
        self.abort()

    # --- coming and going

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's are not its subclasses
        name = transport.get_extra_info("sockname")
        self.local_address = f"{name[0]}:{name[1]}" if name else ""
        self.host.opened(self)

    @property
    def lost(self) -> bool:
        return self._open() is None

    def socket(self) -> Any:
        return self._transport.get_extra_info("socket") if self._transport is not None else None

    def has_news(self) -> bool:
        """Whether something waits to be read; on an idle connection that is its end, or bytes that nobody asked for."""
        sock = self.socket()
        return sock is None or readable(sock.fileno())

    def eof_received(self) -> bool:
        body = self._body
        if body is None or self._remaining != UNTIL_CLOSE:
            return False
        tunnel = self._request is not None and bool(self._request.upgrade)
        self._body = None
        self._reusable = False
        if tunnel:
            if self._sending is not None and self._request is not None:
                mark_cut(self._request, Reset.CONNECTION_TERMINATION)
            self._end_tunnel(from_upstream=True)
        else:
            self._let_go()
        body.finish()
        return tunnel

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed = True
        short = self._body is not None and self._remaining > 0  # of the length that was announced: for Envoy no HTTP
        self._fail(Reset.PROTOCOL_ERROR if short else Reset.CONNECTION_TERMINATION)
        self.host.lost(self)

    def _fail(self, reset: Reset) -> None:
        """Whoever waits for the head or the rest of the body learns that it will not come."""
        request, body = self._request, self._body
        self._request = self._body = None
        nothing_came = not self._buffer and not self._interim
        self.close()
        if body is not None:
            if request is not None:
                mark_cut(request, reset)
            body.fail(reset.value)
        elif request is not None:
            if reset is Reset.CONNECTION_TERMINATION and self.requests > 1 and nothing_came:
                reset = Reset.REUSED_CONNECTION
            self._came(reset)

    def close(self) -> None:
        """Let what was written go out, then close."""
        self._detach()
        if not self.closed:
            self.closed = True
            if self._transport is not None:
                self._transport.close()

    def _open(self) -> asyncio.Transport | None:
        """The transport, if it can be written to. uvloop raises where it cannot, and tells us only in the next turn that it is closed."""
        transport = self._transport
        return None if transport is None or self.closed or transport.is_closing() else transport

    def give_back(self) -> None:
        """Not used after all."""
        self.host.release(self)

    def abandon(self, request: Request) -> None:
        """Nobody waits for this answer any more. If it has come meanwhile, the connection may already serve somebody else."""
        if self._request is request:
            self.abort()

    def abort(self) -> None:
        """Close now; who waits here has gone."""
        self._request = None
        self._detach()
        self.closed = True
        if self._transport is not None:
            self._transport.abort()

    def _detach(self) -> None:
        if self._sending is not None:
            self._sending.detach()
            self._sending = None


def _nobody(_outcome: object) -> None:
    """Before the first request."""


def readable(file_descriptor: int) -> bool:
    """Whether the kernel has something for us on this socket: bytes, or the end."""
    poll = select.poll()
    poll.register(file_descriptor, select.POLLIN)
    return bool(poll.poll(0))


def mark_cut(request: Request, reset: Reset) -> None:
    """The head of this answer is on its way already: all that is left is to say so in the log."""
    stream = request.stream
    if reset is Reset.PROTOCOL_ERROR:
        stream.flags |= Flag.UPE
        stream.details = "upstream_reset_after_response_started{protocol_error}"
    elif reset in (Reset.REMOTE_RESET, Reset.REFUSED_STREAM):
        stream.flags |= Flag.UR
        stream.details = f"upstream_reset_after_response_started{{{reset.value.replace(' ', '_')}}}"
    else:
        stream.flags |= Flag.UC
        stream.details = "upstream_reset_after_response_started{connection_termination}"
