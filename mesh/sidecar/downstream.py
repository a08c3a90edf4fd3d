"""One connection from a client that speaks HTTP/1: bytes into requests, served one after the other, and answers into bytes.

Envoy: ConnectionManagerImpl over its HTTP/1 server codec. While a request is being answered (mesh/sidecar/exchange.py), what the client
pipelines behind it waits, and soon the client does too.
"""

import asyncio
from typing import Final, cast

from mesh.model.listener import Codec
from mesh.sidecar.body import Body
from mesh.sidecar.connection_manager import ConnectionManager, Worker
from mesh.sidecar.exchange import NEVER, Exchange, address_text, answer_with
from mesh.sidecar.filter import Flag, Request, Response, StreamInfo, local_reply
from mesh.sidecar.http2_downstream import Http2Downstream
from mesh.sidecar.wire.chunks import ChunkedReader
from mesh.sidecar.wire.first_bytes import PREFACE
from mesh.sidecar.wire.heads import CHUNKED, MalformedMessage, check_start
from mesh.sidecar.wire.writing import CONTINUE, LAST_CHUNK, chunk, reason

MAX_PIPELINED_BYTES: Final = 64 * 1024
LINGER_SECONDS: Final = 1.0  # after a refusal the client may still be sending: let it read the answer before the connection breaks
IDLE_SECONDS: Final = 3600.0  # Envoy's idle time-out of a downstream connection
HEADERS_SECONDS: Final = 60.0  # for a whole head, where the listener sets no limit: a head that takes longer is an attack
_CHUNKED: Final = b"transfer-encoding: chunked\r\n"

_HEAD, _BODY, _BUSY, _TUNNEL, _LINGER = range(5)


class HttpConnection(Exchange, asyncio.Protocol):
    """``deadline_seconds``: when ``check_deadline`` (swept by the worker) has something to end."""

    def __init__(self, manager: ConnectionManager, worker: Worker) -> None:
        self.manager = manager  # swapped by a change of configuration; a request keeps the one it began with
        self.deadline_seconds = NEVER
        self.original_dst: tuple[str, int] | None = None
        self.requested_server_name = ""
        self.local_address = ""
        self.remote_address = ""
        self.closed = False
        self._worker = worker
        self._transport: asyncio.Transport | None = None
        self._state = _HEAD
        self._buffer = bytearray()
        self._current = manager
        self._remaining = 0  # of the request's body
        self._chunks: ChunkedReader | None = None
        self._close_after = False
        self._forward = manager.forward  # of the request that has come
        self._reading_paused = False
        self._out_chunked = False

    # --- coming and going

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's are not its subclasses
        self.local_address = address_text(transport.get_extra_info("sockname"))
        self.remote_address = address_text(transport.get_extra_info("peername"))
        worker = self._worker
        worker.connections.add(self)
        stats = self.manager.stats
        stats.downstream_cx_total += 1
        stats.downstream_cx_active += 1
        self.deadline_seconds = worker.clock() + IDLE_SECONDS

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed = True
        self._worker.connections.discard(self)
        self.manager.stats.downstream_cx_active -= 1
        if self._request is not None:
            self.manager.stats.downstream_cx_destroy_remote_active_rq += 1
            self._lost("downstream_remote_disconnect")

    def eof_received(self) -> bool:
        if self._state == _TUNNEL and self._request is not None:
            self._request.body.finish()
            self._tunnel_ended()
            return True
        return False  # as Envoy: who closes his side while waiting for an answer has left

    def close(self) -> None:
        if not self.closed and self._transport is not None:
            self._transport.close()

    def _open(self) -> asyncio.Transport | None:
        """The transport, if it can be written to. uvloop raises where it cannot, and tells us only in the next turn that it is closed."""
        transport = self._transport
        return None if transport is None or self.closed or transport.is_closing() else transport

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def move_to(self, manager: ConnectionManager | None) -> None:
        """The configuration has changed: go on under this chain; without one the connection ends with its next answer."""
        if manager is None:
            self.manager.draining = True
            if self.idle:
                self.deadline_seconds = self._worker.clock() + LINGER_SECONDS
            return
        self.manager.stats.downstream_cx_active -= 1
        manager.stats.downstream_cx_active += 1
        self.manager = manager

    @property
    def idle(self) -> bool:
        """Between two requests."""
        return self._state == _HEAD and not self._buffer

    # --- reading

    def data_received(self, data: bytes) -> None:
        state = self._state
        if state == _HEAD:
            self._read_head(data)
        elif state == _BODY:
            self._read_body(data)
        elif state == _BUSY:
            self._buffer += data
            if len(self._buffer) > MAX_PIPELINED_BYTES:
                self.pause_body()
        elif state == _TUNNEL and self._request is not None:
            self._request.body.feed(data)

    def _read_head(self, data: bytes) -> None:
        buffer = self._buffer
        searched = len(buffer)
        if searched:
            buffer += data
            data = bytes(buffer)
        while data.startswith(b"\r\n"):  # empty lines before a request: RFC 9112 §2.2
            data = data[2:]
            searched = 0
        end = data.find(b"\r\n\r\n", max(0, searched - 3))
        try:
            if end < 0:
                self._incomplete_head(data, searched)
                return
            if end > self.manager.max_head_bytes:
                raise MalformedMessage("http1.headers_too_large", 431)
            self._begin(data[:end], data[end + 4 :])
        except MalformedMessage as error:
            if not self._turned_to_http2(data):
                self._refuse_message(error)

    def _turned_to_http2(self, data: bytes) -> bool:
        """What begins a connection and is no HTTP/1 may be HTTP/2's preface. Envoy: ConnectionManagerUtility::autoCreateCodec."""
        if self._answer_begun or self.manager.config.codec is not Codec.AUTO or data[: len(PREFACE)] != PREFACE[: len(data)]:
            return False
        transport = self._open()
        if len(data) < len(PREFACE) or transport is None:
            self._buffer = bytearray(data)
            return True
        stats = self.manager.stats
        stats.downstream_cx_total -= 1
        stats.downstream_cx_active -= 1
        self._worker.connections.discard(self)
        connection = Http2Downstream(self.manager, self._worker)
        connection.original_dst, connection.requested_server_name = self.original_dst, self.requested_server_name
        transport.set_protocol(connection)
        connection.connection_made(transport)
        connection.data_received(data)
        return True

    def _incomplete_head(self, data: bytes, searched: int) -> None:
        if len(data) > self.manager.max_head_bytes:
            raise MalformedMessage("http1.headers_too_large", 431)
        if data:
            check_start(data if searched < 4096 else data[searched - 1 :].rpartition(b"\r\n")[2])
        if not searched and data:
            self.deadline_seconds = self._worker.clock() + (self.manager.headers_seconds or HEADERS_SECONDS)
        self._buffer = bytearray(data)

    def _begin(self, head: bytes, rest: bytes) -> None:
        """A whole head is here: make a request of it and send it down the chain."""
        worker, manager = self._worker, self.manager
        self._current = manager
        now = worker.clock()
        method, path, authority, minor, fields, length, special = worker.reader.request(head, manager.max_header_count)
        stream = StreamInfo(now, worker.wall.epoch(now))
        stream.downstream_local = self.local_address
        stream.downstream_remote = self.remote_address
        request = Request.of(method, path, authority, fields, stream)
        request.original_dst = self.original_dst
        self._close_after = worker.draining or manager.draining
        expects = False
        if special or minor == 0 or method == "CONNECT":
            close, expects = manager.sanitize(request, minor)
            self._close_after = self._close_after or close
        refusal = manager.prepare(request)
        self._forward = manager.forward if refusal is None else answer_with(refusal)
        if refusal is not None and refusal.status == 400:
            self._close_after = True
        manager.stats.downstream_rq_total += 1
        self._request = request
        self._answer_begun = False
        if request.upgrade and not length:
            self._state = _TUNNEL
            request.body = Body(self)
            if rest:
                request.body.feed(rest)
            rest = b""
        elif not length:
            stream.request_end_seconds = now
            self._state = _BUSY
        else:
            request.upgrade = ""
            rest = self._begin_body(request, length, rest, expects)
        self._buffer = bytearray(rest)
        if manager.idle_seconds or self._state == _BODY:
            self._touch(now)
        else:
            self.deadline_seconds = NEVER
        self._dispatching = length != 0
        self._dispatch(request)
        self._dispatching = False

    def _begin_body(self, request: Request, length: int, rest: bytes, expects: bool) -> bytes:
        """Take of the body what is here; answers what came behind it."""
        if 0 < length <= len(rest):
            request.body = Body.of(rest[:length])
            request.stream.request_end_seconds = request.stream.start_seconds
            self._state = _BUSY
            return rest[length:]
        request.body = Body(self)
        self._remaining = length
        if length == CHUNKED:
            request.chunked = True
            self._chunks = ChunkedReader()
        else:
            self._chunks = None
        self._state = _BODY
        transport = self._open()
        if expects and not rest and transport is not None:
            transport.write(CONTINUE)
        return self._take_body(request.body, rest) if rest else b""

    def _take_body(self, body: Body, data: bytes) -> bytes:
        if self._chunks is None:
            payload, rest = data[: self._remaining], data[self._remaining :]
            self._remaining -= len(payload)
            done = not self._remaining
        else:
            payload = self._chunks.feed(data)
            done, rest = self._chunks.done, self._chunks.rest
        if payload:
            body.feed(payload)
        if done:
            self._state = _BUSY
            self._chunks = None
            if self._request is not None:
                self._request.stream.request_end_seconds = self._worker.clock()
            body.finish()
        return rest

    def _read_body(self, data: bytes) -> None:
        request = self._request
        assert request is not None
        try:
            rest = self._take_body(request.body, data)
        except MalformedMessage as error:
            request.body.fail("downstream protocol error")
            self._give_up(local_reply(error.status, reason(error.status), details=error.details, flags=Flag.DPE))
            return
        self._touch(self._worker.clock())
        if rest:
            self._buffer += rest

    # --- flow control of the request's body

    def pause_body(self) -> None:
        transport = self._open()
        if not self._reading_paused and transport is not None:
            self._reading_paused = True
            transport.pause_reading()

    def resume_body(self) -> None:
        transport = self._open()
        if self._reading_paused and transport is not None:
            self._reading_paused = False
            transport.resume_reading()

    def cancel_body(self) -> None:
        """Nobody wants the rest of the request: the answer will end the connection."""
        self._close_after = True

    # --- answering

    @property
    def _request_comes(self) -> bool:
        return self._state == _BODY

    def _next(self) -> None:
        """Ready for the next request, if the connection is to have one."""
        if self._state == _BODY or self._given_up:
            self._linger()
            return
        if self._close_after or self._state == _TUNNEL:
            self.close()
            return
        self._state = _HEAD
        if self._reading_paused:
            self.resume_body()
        self.deadline_seconds = self._worker.clock() + IDLE_SECONDS
        if self._buffer:
            data, self._buffer = bytes(self._buffer), bytearray()
            self._read_head(data)

    def _own(self, request: Request, response: Response) -> Response:
        if request.upgrade and response.status != 101:
            self._close_after = True
        return super()._own(request, response)

    def _answer(self, request: Request, response: Response) -> None:
        """The usual case: the whole answer is here and leaves in one piece."""
        data = response.body.take()
        self._out_bytes = len(data)
        if self._dispatching:
            self._close_after = True
        if "content-length" in response.headers.fields:
            more = b""
        else:
            data, more = self._framed(request, response, data)
        if request.method == "HEAD" or response.status in (204, 304):
            data = b""
            self._out_bytes = 0 if request.method == "HEAD" else self._out_bytes
        head = self._head(response, more)
        transport = self._open()
        if transport is not None:
            transport.write(head + data if data else head)

    def _framed(self, request: Request, response: Response, data: bytes) -> tuple[bytes, bytes]:
        """Of a body whose length nobody has told: what was chunked stays so, and a HEAD is answered as if it were."""
        if response.status in (204, 304):
            return data, b""
        if response.local and request.method != "HEAD":
            return data, b"content-length: %d\r\n" % len(data)
        return (chunk(data) if data else b"") + LAST_CHUNK, _CHUNKED

    def _head(self, response: Response, more: bytes) -> bytes:
        self._answer_begun = True
        if self._state == _BODY:
            self._close_after = True  # the answer overtakes its request
        worker = self._worker
        return self._current.response_head(response, more, worker.clock(), worker.wall, close=self._close_after)

    def _begin_answer(self, request: Request, response: Response) -> None:
        body, more = response.body, b""
        self._out_chunked = False
        if response.status == 101:
            self._close_after = False
        elif "content-length" not in response.headers.fields:
            self._out_chunked = True
            more = _CHUNKED
        data = body.take()
        self._out_bytes = len(data)
        head = self._head(response, more)
        transport = self._open()
        if transport is not None:
            transport.write(head + (chunk(data) if data and self._out_chunked else data))

    def body_data(self, data: bytes) -> None:
        self._out_bytes += len(data)
        transport = self._open()
        if transport is not None:
            transport.write(chunk(data) if self._out_chunked else data)
            if self._current.idle_seconds:
                self._touch(self._worker.clock())

    def body_end(self) -> None:
        transport = self._open()
        if transport is not None:
            if self._out_chunked:
                transport.write(LAST_CHUNK)
            if self._state == _TUNNEL:
                transport.write_eof()
        if self._state == _TUNNEL:
            self._out = None
            self._tunnel_ended()
        else:
            self._written()

    def _tunnel_ended(self) -> None:
        if self._out is None and self._answer_begun and self._request is not None and self._request.body.complete:
            self._written()

    def _broken_off(self) -> None:
        self._close_after = True
        self.abort()

    def _give_up(self, response: Response) -> None:
        self._close_after = True
        super()._give_up(response)

    # --- what is no request

    def _refuse_message(self, error: MalformedMessage) -> None:
        """What Envoy's codec takes for HTTP, but its connection manager does not serve, gets an empty answer and no flag."""
        if error.request is None:
            self._refuse(error.status, error.details, reason(error.status))
        else:
            self._refuse(error.status, error.details, flags=0, request=Request(*error.request))

    def _refuse(self, status: int, details: str, text: str = "", flags: int = Flag.DPE, request: Request | None = None) -> None:
        """What came is no request: say so, and end the connection."""
        now = self._worker.clock()
        self._current = self.manager
        request = request or Request("", "", "")
        request.stream.start_seconds, request.stream.start_time = now, self._worker.wall.epoch(now)
        request.stream.downstream_local, request.stream.downstream_remote = self.local_address, self.remote_address
        self.manager.stats.downstream_cx_protocol_error += 1
        response = local_reply(status, text, details=details, flags=flags)
        self._close_after = True
        self._answer(request, response)
        self._finish(request, response)
        self._linger()

    def _linger(self) -> None:
        """Half-close, and read on for a moment: closing at once could destroy the answer before the client has read it."""
        self._state = _LINGER
        self._buffer.clear()
        self.resume_body()
        self.deadline_seconds = self._worker.clock() + LINGER_SECONDS
        transport = self._open()
        if transport is not None:
            transport.write_eof()

    # --- time-outs

    def check_deadline(self, now: float) -> None:
        """Called by the worker's sweep when the deadline has passed."""
        self.deadline_seconds = NEVER
        if self._state == _HEAD:
            if self._buffer:
                self._refuse(408, "request_header_timeout", "request header timeout", 0)
            else:
                self.close()
        elif self._state == _LINGER:
            self.abort()
        elif self._request is not None:
            self._give_up(self._time_is_over(self._request.stream, now))
