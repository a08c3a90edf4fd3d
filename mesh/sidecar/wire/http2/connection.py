"""One HTTP/2 connection, as server or as client: bytes in, calls out; calls in, bytes out. RFC 9113.

Envoy: source/common/http/http2/codec_impl.cc ConnectionImpl, ServerConnectionImpl, ClientConnectionImpl. A fault of the connection ends
it with a GOAWAY; a fault of a stream resets that stream, where Envoy closes the connection.

    transport ──receive──▶ Http2Connection ──on_request, on_data, …──▶ handler
    transport ◀───take──── Http2Connection ◀─send_response, send_data, consume, reset…── handler

``receive`` takes whatever was read, ``take`` gives everything to be written: call it once per turn of the event loop, and after each
``receive``. Nothing here raises because of what a peer sent.
"""

from mesh.sidecar.headers import Field
from mesh.sidecar.wire.http2 import frames
from mesh.sidecar.wire.http2.cutting import ConnectionFault
from mesh.sidecar.wire.http2.handler import Clock, ErrorCode, Http2Handler, Http2Settings
from mesh.sidecar.wire.http2.heads import HeadMemory
from mesh.sidecar.wire.http2.messages import Messages
from mesh.sidecar.wire.http2.outbox import Stream
from mesh.sidecar.wire.http2.streams import DEFAULT_SETTINGS


class Http2Connection(Messages):
    """``open_streams`` counts both directions of all; ``over`` is True once the connection failed.

    What a handler must do: ``consume`` what it got, as it gets rid of it (that, and only that, opens the peer's windows; a stream that is
    closed is credited by itself); stop its source while ``send_data`` answers that much waits, until ``on_window``.
    """

    def __init__(
        self,
        handler: Http2Handler,
        *,
        client: bool,
        clock: Clock,
        settings: Http2Settings = DEFAULT_SETTINGS,
        memory: HeadMemory | None = None,
    ) -> None:
        """``memory``: to be shared by all connections of a proxy that have the same settings."""
        super().__init__(handler, client=client, clock=clock, settings=settings, memory=memory)
        self._greet()

    def _greet(self) -> None:
        settings = self._settings
        values = [
            (frames.INITIAL_WINDOW_SIZE, settings.initial_stream_window_bytes),
            (frames.MAX_HEADER_LIST_SIZE, settings.max_header_list_bytes),
        ]
        if settings.max_frame_bytes != frames.MIN_MAX_FRAME_BYTES:
            values.append((frames.MAX_FRAME_SIZE, settings.max_frame_bytes))
        if self._client:
            values += [(frames.ENABLE_PUSH, 0), (frames.HEADER_TABLE_SIZE, 0)]
            self._table_refused = True
            self._outbox.write(frames.PREFACE)
        else:
            values.append((frames.MAX_CONCURRENT_STREAMS, settings.max_concurrent_streams))
            if settings.enable_connect_protocol:
                values.append((frames.ENABLE_CONNECT_PROTOCOL, 1))
        self._send_settings(values)
        more = settings.connection_window_bytes - frames.DEFAULT_WINDOW
        if more > 0:
            self._outbox.write(frames.window_update(0, more))

    # --- the transport's side

    def receive(self, data: bytes) -> None:
        """Everything that was read. Calls the handler."""
        if self.over:
            return
        try:
            self._cut(data)
        except ConnectionFault as fault:
            self._fail(fault.code, fault.reason)

    def take(self) -> bytes:
        """Everything that is to be written now; empty if there is nothing."""
        outbox = self._outbox
        if not outbox.paused:
            self._queued_control = 0
        data = b"".join(outbox.frames)
        outbox.frames.clear()
        return data

    def pause_writing(self) -> None:
        """The transport is full: DATA waits here (``send_data`` says how much), the rest is still given to ``take``."""
        self._outbox.paused = True

    def resume_writing(self) -> None:
        self._outbox.paused = False
        self._queued_control = 0
        self._flush()

    def _fail(self, code: ErrorCode, reason: str) -> None:
        self.over = True
        self._outbox.write(frames.goaway(self._last_peer_id, code, reason.encode()))
        self._streams.clear()
        self._outbox.blocked.clear()
        self._handler.on_connection_error(code, reason)

    # --- sending

    @property
    def open_streams(self) -> int:
        return len(self._streams)

    @property
    def peer_allows_connect_protocol(self) -> bool:
        """As client: the server knows extended CONNECT (RFC 8441); False before its SETTINGS came."""
        return self._peer_connect_protocol

    def send_request(
        self,
        method: str,
        path: str,
        authority: str,
        fields: dict[str, Field],
        end_stream: bool,
        scheme: str = "http",
        protocol: str = "",
    ) -> int | None:
        """As client: open a stream. None if the peer takes none now; ``on_streams_available`` tells when that changes.

        Fields that HTTP/2 does not have (connection, transfer-encoding …) are left out, as is ``host``. A CONNECT has path and scheme "".
        """
        if not self.can_open:
            self._wanted = True
            return None
        stream_id = self._next_id
        self._next_id += 2
        stream = self._streams[stream_id] = Stream(stream_id)
        if end_stream:
            stream.local_ended = True
        stream.awaits_head = True
        if method == "HEAD":
            stream.bodyless = True
        block = self._memory.write_request(method, path, authority, scheme, protocol, fields)
        self._outbox.headers(stream_id, block, end_stream)
        return stream_id

    def send_response(self, stream_id: int, status: int, fields: dict[str, Field], end_stream: bool) -> None:
        """As server: the head, or a 1xx head before it. Nothing happens if the stream is gone."""
        stream = self._streams.get(stream_id)
        if stream is None or stream.local_ended:
            return
        self._outbox.headers(stream_id, self._memory.write_response(status, fields), end_stream)
        if end_stream:
            stream.local_ended = True
            if stream.remote_ended:
                self._forget(stream)

    def send_data(self, stream_id: int, data: bytes, end_stream: bool) -> int:
        """Answers how many bytes of the stream wait for the peer (or the transport); ``on_window`` tells when none do any more."""
        stream = self._streams.get(stream_id)
        if stream is None or stream.local_ended or stream.end_waits:
            return 0
        waiting = self._outbox.data(stream, data, end_stream)
        if stream.local_ended and stream.remote_ended:
            self._forget(stream)
        return waiting

    def send_trailers(self, stream_id: int, fields: dict[str, Field]) -> None:
        """Ends the stream, behind the data that waits. Trailers without a field are no trailers: an empty DATA frame ends the stream."""
        stream = self._streams.get(stream_id)
        if stream is None or stream.local_ended or stream.end_waits:
            return
        block = self._memory.write_trailers(fields)
        if block:
            self._outbox.trailers(stream, block)
        else:
            self._outbox.data(stream, b"", end_stream=True)
        if stream.local_ended and stream.remote_ended:
            self._forget(stream)

    def buffered(self, stream_id: int) -> int:
        """Bytes of the stream that wait."""
        stream = self._streams.get(stream_id)
        return 0 if stream is None else stream.waiting_bytes

    def reset(self, stream_id: int, code: int) -> None:
        """Give a stream up, both ways. A server that has answered and wants no more of the request says NO_ERROR."""
        stream = self._streams.get(stream_id)
        if stream is not None:
            self._outbox.write(frames.rst_stream(stream_id, code))
            self._remember_reset(stream_id)
            self._forget(stream)

    def ping(self, data: bytes = b"\0" * 8) -> None:
        """``pings_unanswered`` goes down again when the peer answers."""
        self.pings_unanswered += 1
        self._outbox.write(frames.frame(frames.PING, 0, 0, data))

    def drain(self) -> None:
        """As server: tell that the connection will go away; a round trip later, ``goaway`` says which streams were taken."""
        self._outbox.write(frames.goaway(frames.MAX_STREAM_ID, ErrorCode.NO_ERROR))

    def goaway(self, code: int = ErrorCode.NO_ERROR) -> None:
        """No streams of the peer after those that came; the others go on to their end."""
        self._ignored_above = self._last_peer_id
        self._outbox.write(frames.goaway(self._last_peer_id, code))
