"""One connection to an endpoint that speaks HTTP/2: many requests at the same time, each a stream (mesh/sidecar/upstream_stream.py).

Envoy: source/common/http/http2/codec_impl.cc ClientConnectionImpl and conn_pool.cc. Answers are handed on once all that a read brought
has been looked at, so that a short body, or gRPC's trailers, are there with the head.
"""

import asyncio
from typing import TYPE_CHECKING, Any, Final, cast

from mesh.model.world import Clock
from mesh.sidecar.filter import Reset
from mesh.sidecar.headers import Field
from mesh.sidecar.upstream_connection import readable
from mesh.sidecar.wire.http2 import ErrorCode, HeadMemory, Http2Connection, Http2Settings, RequestHead

if TYPE_CHECKING:
    from mesh.sidecar.http2_pool import Http2Pool
    from mesh.sidecar.upstream_stream import UpstreamStream

SETTINGS: Final = Http2Settings(enable_connect_protocol=False)
SUSPECT_AFTER_SECONDS: Final = 0.2  # idle for longer: look whether the peer has gone before trusting the connection


class Http2Upstream(asyncio.Protocol):
    def __init__(self, pool: "Http2Pool", clock: Clock, memory: HeadMemory) -> None:
        self.local_address = ""
        self.closed = False
        self.going_away = False  # takes no more requests, and ends with those it has
        self.requests = 0
        self.opened_seconds: float | None = None
        self.idle_since_seconds = 0.0
        self.codec = Http2Connection(self, client=True, clock=clock, settings=SETTINGS, memory=memory)
        self._pool = pool
        self._clock = clock
        self._transport: asyncio.Transport | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._streams: dict[int, UpstreamStream] = {}
        self._answered: list[UpstreamStream] = []
        self._will_flush = False

    # --- for the pool

    @property
    def busy(self) -> int:
        return len(self._streams)

    def can_take(self, most: int) -> bool:
        """Another request, where so many at the same time are allowed."""
        if self.closed or self.going_away or len(self._streams) >= most or not self.codec.can_open:
            return False
        transport = self._transport
        if transport is None or transport.is_closing():
            return False
        suspect = not self._streams and self.idle_since_seconds and self._clock() - self.idle_since_seconds > SUSPECT_AFTER_SECONDS
        return not (suspect and readable(self.socket().fileno()))

    def socket(self) -> Any:
        return self._transport.get_extra_info("socket") if self._transport is not None else None

    def retire(self) -> None:
        """Take no more; end when nothing runs."""
        self.going_away = True
        if not self._streams:
            self.close()

    def close(self) -> None:
        if not self.closed and self._transport is not None:
            self.closed = True
            self._flush()
            self._transport.close()

    def abort(self) -> None:
        self.closed = True
        if self._transport is not None:
            self._transport.abort()

    # --- coming and going

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's are not its subclasses
        self._loop = asyncio.get_running_loop()
        name = transport.get_extra_info("sockname")
        self.local_address = f"{name[0]}:{name[1]}" if name else ""
        self._pool.opened(self)
        self.wants_to_write()

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed = True
        self._fail_all(Reset.CONNECTION_TERMINATION)
        self._pool.lost(self)

    def _fail_all(self, reset: Reset) -> None:
        streams, self._streams = self._streams, {}
        answered, self._answered = self._answered, []
        for stream in answered:
            stream.begin()  # what came whole, came
        for stream in streams.values():
            stream.failed(reset)

    def eof_received(self) -> bool:
        return False

    # --- bytes

    def data_received(self, data: bytes) -> None:
        self._will_flush = True
        self.codec.receive(data)
        if self._answered:
            answered, self._answered = self._answered, []
            for stream in answered:
                stream.begin()
        self._flush()

    def wants_to_write(self) -> None:
        """Once, at the end of this turn of the loop."""
        if not self._will_flush and self._loop is not None:
            self._will_flush = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._will_flush = False
        data = self.codec.take()
        transport = self._transport
        if data and transport is not None and not transport.is_closing():
            transport.write(data)

    def pause_writing(self) -> None:
        self.codec.pause_writing()

    def resume_writing(self) -> None:
        self.codec.resume_writing()
        self.wants_to_write()

    # --- what a stream tells

    def began(self, stream: "UpstreamStream") -> None:
        self._streams[stream.id] = stream
        self.requests += 1
        self._pool.used(self)
        self.wants_to_write()

    def answers(self, stream: "UpstreamStream") -> None:
        self._answered.append(stream)

    def ended(self, stream_id: int) -> None:
        if self._streams.pop(stream_id, None) is None:
            return
        if not self._streams:
            self.idle_since_seconds = self._clock()
            if self.going_away and self._loop is not None:
                self._loop.call_soon(self.close)
        self._pool.freed()

    def reset(self, stream_id: int, code: ErrorCode) -> None:
        self.codec.reset(stream_id, code)
        self.ended(stream_id)
        self.wants_to_write()

    # --- what the codec tells

    def on_response(self, stream_id: int, status: int, fields: dict[str, Field], end_stream: bool) -> None:
        stream = self._streams.get(stream_id)
        if stream is not None and status >= 200:
            stream.response(status, fields, end_stream)

    def on_data(self, stream_id: int, data: bytes, end_stream: bool) -> None:
        stream = self._streams.get(stream_id)
        if stream is None:
            self.codec.consume(stream_id, len(data))
        else:
            stream.data(data, end_stream)

    def on_trailers(self, stream_id: int, fields: dict[str, Field]) -> None:
        stream = self._streams.get(stream_id)
        if stream is not None:
            stream.trailers(fields)

    def on_reset(self, stream_id: int, code: int) -> None:
        stream = self._streams.get(stream_id)
        if stream is not None:
            self.ended(stream_id)
            stream.failed(_RESETS.get(code, Reset.REMOTE_RESET))

    def on_window(self, stream_id: int) -> None:
        stream = self._streams.get(stream_id)
        if stream is not None:
            stream.writable()

    def on_streams_available(self) -> None:
        self._pool.freed()

    def on_goaway(self, last_stream_id: int, code: int) -> None:
        """Those above the last stream are reset as refused by the codec, and may be tried again."""
        self._pool.goes_away(self)
        if not self._streams and self._loop is not None:
            self._loop.call_soon(self.close)

    def on_connection_error(self, code: int, reason: str) -> None:
        self._fail_all(Reset.PROTOCOL_ERROR)
        self.going_away = True
        self.close()

    def on_request(self, stream_id: int, head: RequestHead, end_stream: bool) -> None:
        """For servers."""

    def on_head_too_large(self, stream_id: int, details: str) -> None:
        """For servers."""


_RESETS: Final[dict[int, Reset]] = {
    ErrorCode.REFUSED_STREAM: Reset.REFUSED_STREAM,
    ErrorCode.PROTOCOL_ERROR: Reset.PROTOCOL_ERROR,
    ErrorCode.ENHANCE_YOUR_CALM: Reset.PROTOCOL_ERROR,
}
