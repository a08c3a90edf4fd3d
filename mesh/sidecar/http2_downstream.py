"""One connection from a client that speaks HTTP/2: many requests at the same time, each an exchange of its own.

Envoy: ConnectionManagerImpl over its HTTP/2 server codec. What one read brings is looked at as a whole before any request of it goes on,
so that a short body is there with its head; what one turn of the loop has to say is written once.
"""

import asyncio
from typing import Final, cast

from mesh.sidecar.connection_manager import ConnectionManager, Worker
from mesh.sidecar.exchange import NEVER, address_text
from mesh.sidecar.headers import Field
from mesh.sidecar.http2_exchange import Http2Exchange
from mesh.sidecar.wire.http2 import ErrorCode, Http2Connection, RequestHead

IDLE_SECONDS: Final = 3600.0  # Envoy's idle time-out of a downstream connection
DRAIN_SECONDS: Final = 5.0  # Envoy's drain_timeout: so long a client may take to answer the ping behind the first GOAWAY


class Http2Downstream(asyncio.Protocol):
    """``deadline_seconds``: when ``check_deadline`` (swept by the worker) has something to end."""

    def __init__(self, manager: ConnectionManager, worker: Worker) -> None:
        self.manager = manager  # swapped by a change of configuration; a request keeps the one it began with
        self.worker = worker
        self.deadline_seconds = NEVER
        self.original_dst: tuple[str, int] | None = None
        self.requested_server_name = ""
        self.local_address = ""
        self.remote_address = ""
        self.closed = False
        self.draining = False
        settings = manager.http2_settings
        self.codec = Http2Connection(self, client=False, clock=worker.clock, settings=settings, memory=worker.memory(settings))
        self._transport: asyncio.Transport | None = None
        self._streams: dict[int, Http2Exchange] = {}
        self._arrived: list[Http2Exchange] = []
        self._will_flush = False
        self._told_last = False  # the GOAWAY that names the last stream is out
        self._drain_until_seconds = NEVER

    # --- coming and going

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's are not its subclasses
        self.local_address = address_text(transport.get_extra_info("sockname"))
        self.remote_address = address_text(transport.get_extra_info("peername"))
        self.worker.connections.add(self)
        stats = self.manager.stats
        stats.downstream_cx_total += 1
        stats.downstream_cx_http2_total += 1
        stats.downstream_cx_active += 1
        self.deadline_seconds = self.worker.clock() + IDLE_SECONDS
        self.wants_to_write()

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed = True
        self.worker.connections.discard(self)
        self.manager.stats.downstream_cx_active -= 1
        if self._streams:
            self.manager.stats.downstream_cx_destroy_remote_active_rq += 1
        self._drop_streams("downstream_remote_disconnect")

    def _drop_streams(self, details: str) -> None:
        streams, self._streams = self._streams, {}
        self._arrived.clear()
        self.worker.http2.streams_active -= len(streams)
        for stream in streams.values():
            stream.gone(details)

    def close(self) -> None:
        """Say that no more streams are taken, then close."""
        if not self.closed and self._transport is not None:
            self._say_last()
            self._flush()
            self._transport.close()

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def move_to(self, manager: ConnectionManager | None) -> None:
        """The configuration has changed: go on under this chain; without one the connection ends with its streams."""
        if manager is None:
            self.manager.draining = True
            self.drain()
            return
        self.manager.stats.downstream_cx_active -= 1
        manager.stats.downstream_cx_active += 1
        self.manager = manager

    @property
    def idle(self) -> bool:
        return not self._streams

    # --- drain: RFC 9113 §6.8

    def drain(self) -> None:
        """Ask the client to open no streams here, but take those that are under way; name the last one a round trip later."""
        if not self.draining:
            self.draining = True
            self.manager.stats.downstream_cx_drain_close += 1
            self.worker.http2.goaway_sent += 1
            self.codec.drain()
            self.codec.ping()
            self._drain_until_seconds = self.worker.clock() + DRAIN_SECONDS
            self.due(self._drain_until_seconds)
            self.wants_to_write()

    def _say_last(self) -> None:
        if not self._told_last and not self.codec.over:
            self._told_last = self.draining = True
            self.worker.http2.goaway_sent += 1
            self.codec.goaway()
            self.wants_to_write()

    def _close_if_done(self) -> None:
        if self._told_last and not self._streams:
            self.close()

    # --- bytes

    def data_received(self, data: bytes) -> None:
        self._will_flush = True
        self.codec.receive(data)
        if self._arrived:
            arrived, self._arrived = self._arrived, []
            for stream in arrived:
                stream.begin()
        if self.draining and not self._told_last and not self.codec.pings_unanswered:
            self._say_last()
        self._flush()
        if self._told_last:
            self._close_if_done()

    def eof_received(self) -> bool:
        return False

    def wants_to_write(self) -> None:
        """Once, at the end of this turn of the loop."""
        if not self._will_flush:
            self._will_flush = True
            self.worker.loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._will_flush = False
        data = self.codec.take()
        transport = self._transport
        if data and transport is not None and not self.closed and not transport.is_closing():
            transport.write(data)

    def pause_writing(self) -> None:
        self.codec.pause_writing()

    def resume_writing(self) -> None:
        self.codec.resume_writing()
        self.wants_to_write()

    # --- what the codec tells

    def on_request(self, stream_id: int, head: RequestHead, end_stream: bool) -> None:
        self.worker.http2.streams_active += 1
        stream = self._streams[stream_id] = Http2Exchange(self, stream_id)
        stream.take(head, end_stream)
        self._arrived.append(stream)

    def on_head_too_large(self, stream_id: int, details: str) -> None:
        self.worker.http2.header_overflow += 1
        self.worker.http2.streams_active += 1
        stream = self._streams[stream_id] = Http2Exchange(self, stream_id)
        stream.refuse(431, details)

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
        self.worker.http2.rx_reset += 1
        stream = self._streams.get(stream_id)
        if stream is not None:
            self.manager.stats.downstream_rq_rx_reset += 1
            self.ended(stream_id)
            stream.gone("http2.remote_reset" if code in _BY_CLIENT else "http2.violation.of.messaging.rule")

    def on_window(self, stream_id: int) -> None:
        stream = self._streams.get(stream_id)
        if stream is not None:
            stream.resume_writing()

    def on_response(self, stream_id: int, status: int, fields: dict[str, Field], end_stream: bool) -> None:
        """For clients."""

    def on_streams_available(self) -> None:
        """For clients."""

    def on_goaway(self, last_stream_id: int, code: int) -> None:
        """The client has no more requests: what runs is answered, and it will close."""

    def on_connection_error(self, code: int, reason: str) -> None:
        self.manager.stats.downstream_cx_protocol_error += 1
        self.worker.http2.goaway_sent += 1
        self._drop_streams("http2.protocol_error")
        self._told_last = True
        self._flush()
        if self._transport is not None:
            self._transport.close()

    # --- what a stream tells

    def ended(self, stream_id: int) -> None:
        if self._streams.pop(stream_id, None) is None:
            return
        self.worker.http2.streams_active -= 1
        if self.worker.draining or self.manager.draining:
            self.drain()
        if not self._streams:
            if self._told_last:
                self.worker.loop.call_soon(self._close_if_done)
            elif not self.draining:
                self.deadline_seconds = self.worker.clock() + IDLE_SECONDS

    def reset(self, stream_id: int, code: ErrorCode) -> None:
        self.worker.http2.tx_reset += 1
        self.codec.reset(stream_id, code)
        self.wants_to_write()

    def due(self, deadline_seconds: float) -> None:
        self.deadline_seconds = min(self.deadline_seconds, deadline_seconds)

    def check_deadline(self, now: float) -> None:
        """Called by the worker's sweep when the deadline has passed."""
        for stream in [stream for stream in self._streams.values() if stream.deadline_seconds <= now]:
            stream.check_deadline(now)
        if now >= self._drain_until_seconds:
            self._drain_until_seconds = NEVER
            self._say_last()
            self._close_if_done()
        elif not self._streams and not self.draining and now >= self.deadline_seconds:
            self.manager.stats.downstream_cx_idle_timeout += 1
            self.close()
        self.deadline_seconds = min([self._drain_until_seconds, *[stream.deadline_seconds for stream in self._streams.values()]])


_BY_CLIENT: Final = frozenset({ErrorCode.NO_ERROR, ErrorCode.CANCEL, ErrorCode.INTERNAL_ERROR, ErrorCode.REFUSED_STREAM})
