"""One HTTP/2 connection, as server or as client: bytes in, calls out; calls in, bytes out. RFC 9113 §5, §6, §8.

Envoy: source/common/http/http2/codec_impl.cc ConnectionImpl, ServerConnectionImpl, ClientConnectionImpl. A fault of the connection ends
it with a GOAWAY; a fault of a stream resets that stream, where Envoy closes the connection.

    transport ──receive──▶ Http2Connection ──on_request, on_data, …──▶ handler
    transport ◀───take──── Http2Connection ◀─send_response, send_data, consume, reset…── handler

``receive`` takes whatever was read, ``take`` gives everything to be written: call it once per turn of the event loop, and after each
``receive``. Nothing here raises because of what a peer sent.
"""

from typing import Final

from mesh.sidecar.headers import Field
from mesh.sidecar.wire.http2 import frames
from mesh.sidecar.wire.http2.budgets import IdleFrames, PrematureResets
from mesh.sidecar.wire.http2.cutting import ConnectionFault, FrameCutter, unpadded
from mesh.sidecar.wire.http2.handler import Clock, ErrorCode, Http2Handler, Http2Settings, RequestHead
from mesh.sidecar.wire.http2.header_blocks import NO_TABLE, BlockError, BlockReader, Entry, HeadTooLarge, MalformedField
from mesh.sidecar.wire.http2.heads import HeadMemory, MalformedHead, ResponseHead, read_request, read_response, read_trailers
from mesh.sidecar.wire.http2.outbox import Outbox, Stream

_DEFAULT_SETTINGS: Final = Http2Settings()
_STREAMS_BEFORE_SETTINGS: Final = 100
_RESETS_REMEMBERED: Final = 2048
_GAPS_REMEMBERED: Final = 16
_MAX_INTERIM_HEADS: Final = 16
_MAX_FRAME_WRITTEN: Final = 64 * 1024  # a longer one would keep the other streams waiting
_NO_BODY_STATUSES: Final = frozenset({204, 304})


class Http2Connection(FrameCutter):
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
        settings: Http2Settings = _DEFAULT_SETTINGS,
        memory: HeadMemory | None = None,
    ) -> None:
        """``memory``: to be shared by all connections of a proxy that have the same settings."""
        super().__init__(b"" if client else frames.PREFACE, settings.max_frame_bytes)
        self.over = False
        self.pings_unanswered = 0
        self._handler = handler
        self._client = client
        self._settings = settings
        self._memory = HeadMemory() if memory is None else memory
        self._reader = BlockReader(self._memory.blocks, settings.max_header_count, settings.max_header_list_bytes)
        self._outbox = Outbox()
        self._block_start = NO_TABLE
        self._streams: dict[int, Stream] = {}
        self._reset_here: dict[int, None] = {}  # closed by us, so that frames on them may be under way
        self._gaps: list[range] = []  # streams of the peer that it went past
        self._next_id = 1
        self._last_peer_id = 0
        self._ignored_above = frames.MAX_STREAM_ID  # streams that our GOAWAY said we would not take
        self._going_away = False  # the peer takes no more streams
        self._wanted = False  # a stream was asked for in vain
        self._peer_max_streams = _STREAMS_BEFORE_SETTINGS
        self._peer_connect_protocol = False
        self._peer_settled = False
        self._acknowledged = False
        self._unacknowledged: list[bool] = []  # SETTINGS on their way: whether they refuse the peer's table
        self._table_refused = False
        self._unread = 0
        self._credit = 0
        self._data_stream: Stream | None = None
        self._data_ends = False
        self._work = 0  # heads and DATA frames with something in them
        self._queued_control = 0
        self._idle = IdleFrames(clock, settings.idle_frame_burst, settings.idle_frames_per_second)
        self._resets = PrematureResets(clock, settings.max_premature_resets, settings.premature_resets_forgiven_per_second)
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

    def _send_settings(self, values: list[tuple[int, int]]) -> None:
        self._unacknowledged.append((frames.HEADER_TABLE_SIZE, 0) in values)
        self._outbox.write(frames.settings(values))

    def _refuse_table(self) -> None:
        """As server: a client that comes again is worth a round trip, after which its header blocks have no state."""
        self._table_refused = True
        self._send_settings([(frames.HEADER_TABLE_SIZE, 0)])

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
        if not self._outbox.paused:
            self._queued_control = 0
        return self._outbox.take()

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
    def can_open(self) -> bool:
        """As client: whether ``send_request`` would get a stream."""
        return (
            len(self._streams) < self._peer_max_streams and not self._going_away and not self.over and self._next_id <= frames.MAX_STREAM_ID
        )

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
        if method == "HEAD":
            stream.bodyless = True
        block = self._memory.write_request(method, path, authority, scheme, protocol, fields)
        self._send_head(stream_id, block, end_stream)
        return stream_id

    def send_response(self, stream_id: int, status: int, fields: dict[str, Field], end_stream: bool) -> None:
        """As server: the head, or a 1xx head before it. Nothing happens if the stream is gone."""
        stream = self._streams.get(stream_id)
        if stream is None or stream.local_ended:
            return
        self._send_head(stream_id, self._memory.write_response(status, fields), end_stream)
        if end_stream:
            stream.local_ended = True
            if stream.remote_ended:
                self._finished(stream)

    def _send_head(self, stream_id: int, block: bytes, end_stream: bool) -> None:
        if self._block_start:
            block, self._block_start = self._block_start + block, b""
        self._outbox.headers(stream_id, block, end_stream)

    def send_data(self, stream_id: int, data: bytes, end_stream: bool) -> int:
        """Answers how many bytes of the stream wait for the peer (or the transport); ``on_window`` tells when none do any more."""
        stream = self._streams.get(stream_id)
        if stream is None or stream.local_ended or stream.end_waits:
            return 0
        waiting = self._outbox.data(stream, data, end_stream)
        if stream.local_ended and stream.remote_ended:
            self._finished(stream)
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
            self._finished(stream)

    def buffered(self, stream_id: int) -> int:
        """Bytes of the stream that wait."""
        stream = self._streams.get(stream_id)
        return 0 if stream is None else stream.waiting_bytes

    def consume(self, stream_id: int, size: int) -> None:
        """These bytes of ``on_data`` are out of the way: the peer may send as many."""
        stream = self._streams.get(stream_id)
        if stream is None:
            return
        size = min(size, stream.unread)
        stream.unread -= size
        stream.credit += size
        settings = self._settings
        if stream.credit * 2 >= settings.initial_stream_window_bytes and not stream.remote_ended:
            self._outbox.write(frames.window_update(stream_id, stream.credit))
            stream.credit = 0
        self._consumed(size)

    def _consumed(self, size: int) -> None:
        self._unread -= size
        self._credit += size
        if self._credit * 2 >= self._settings.connection_window_bytes:
            self._outbox.write(frames.window_update(0, self._credit))
            self._credit = 0

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

    # --- heads

    def _on_block(self, stream_id: int, block: bytes, end_stream: bool) -> None:
        stream = self._streams.get(stream_id)
        try:
            if stream is None:
                self._first_block(stream_id, block, end_stream)
            elif stream.remote_ended:
                self._entries(block)
                self._reset_stream(stream, ErrorCode.STREAM_CLOSED)
            elif self._client and not stream.head_read:
                self._response(stream, block, end_stream)
            else:
                self._trailers(stream, block, end_stream)
        except BlockError as error:
            raise ConnectionFault(ErrorCode.COMPRESSION_ERROR, str(error)) from error

    def _entries(self, block: bytes) -> list[Entry] | None:
        """For a block that nobody wants: read all the same, because of the table."""
        if not self._reader.stateless:
            try:
                return self._reader.read(block)
            except (MalformedField, HeadTooLarge):
                return None
        return None

    def _first_block(self, stream_id: int, block: bytes, end_stream: bool) -> None:
        if self._client or not stream_id & 1 or stream_id <= self._last_peer_id:
            self._check_late(stream_id)
            self._entries(block)
            return
        if stream_id != self._last_peer_id + 2:
            self._note_gap(stream_id)
        if stream_id > self._ignored_above:
            self._last_peer_id = stream_id
            self._entries(block)
            self._spend()
            return
        self._last_peer_id = stream_id
        if len(self._streams) >= self._settings.max_concurrent_streams:
            self._entries(block)
            self._refuse(stream_id, ErrorCode.REFUSED_STREAM)
            self._spend()
            return
        try:
            head = self._read_request(block, end_stream)
        except MalformedField:
            self._refuse(stream_id, ErrorCode.PROTOCOL_ERROR)
            self._premature()
        except HeadTooLarge:
            self._too_large(stream_id, end_stream)
        else:
            self._work += 1
            stream = self._streams[stream_id] = Stream(stream_id)
            if end_stream:
                stream.remote_ended = True
            elif head.length >= 0:
                stream.expected = head.length
            self._handler.on_request(stream_id, head, end_stream)

    def _note_gap(self, stream_id: int) -> None:
        first = self._last_peer_id + 2 if self._last_peer_id else 1
        if stream_id > first:
            self._gaps.append(range(first, stream_id, 2))
            del self._gaps[:-_GAPS_REMEMBERED]

    def _read_request(self, block: bytes, end_stream: bool) -> RequestHead:
        reader, memory = self._reader, self._memory
        if not reader.stateless:
            if self._work and not self._table_refused:
                self._refuse_table()
            return read_request(reader.read(block), end_stream)
        head = memory.request(block, end_stream)
        if head is None:
            head = read_request(reader.read(block), end_stream)
            memory.remember_request(block, end_stream, head)
        return head

    def _read_response(self, block: bytes) -> ResponseHead:
        reader, memory = self._reader, self._memory
        if not reader.stateless:
            return read_response(reader.read(block))
        head = memory.response(block)
        if head is None:
            head = read_response(reader.read(block))
            memory.remember_response(block, head)
        return head

    def _too_large(self, stream_id: int, end_stream: bool) -> None:
        stream = self._streams[stream_id] = Stream(stream_id)
        stream.discarding = True
        stream.remote_ended = end_stream
        self._handler.on_head_too_large(stream_id, "http2.headers_too_large")

    def _response(self, stream: Stream, block: bytes, end_stream: bool) -> None:
        try:
            status, fields, length = self._read_response(block)
            self._check_response(stream, status, length, end_stream)
        except (MalformedField, HeadTooLarge) as error:
            large = isinstance(error, HeadTooLarge)
            self._reset_stream(stream, ErrorCode.ENHANCE_YOUR_CALM if large else ErrorCode.PROTOCOL_ERROR)
            return
        self._work += 1
        if status >= 200:
            stream.head_read = True
        if end_stream:
            self._remote_ended(stream)
        self._handler.on_response(stream.id, status, fields, end_stream)

    @staticmethod
    def _check_response(stream: Stream, status: int, length: int, end_stream: bool) -> None:
        if status < 200:
            stream.interim_heads += 1
            if end_stream or stream.interim_heads > _MAX_INTERIM_HEADS:
                raise MalformedHead("1xx that ends the stream, or too many of them")
        elif stream.bodyless or status in _NO_BODY_STATUSES:
            stream.expected = 0
        elif end_stream and length > 0:
            raise MalformedHead("content-length without DATA")
        else:
            stream.expected = length if length >= 0 else -1

    def _trailers(self, stream: Stream, block: bytes, end_stream: bool) -> None:
        try:
            entries = self._reader.read(block)
            if not end_stream or stream.expected > 0:
                raise MalformedHead("trailers that do not end the stream, or come before all of it")
            fields = read_trailers(entries)
        except (MalformedField, HeadTooLarge):
            self._reset_stream(stream, ErrorCode.PROTOCOL_ERROR)
            return
        discarding = stream.discarding
        self._remote_ended(stream)
        if not discarding:
            self._handler.on_trailers(stream.id, fields)

    # --- data

    def _on_data(self, flags: int, stream_id: int, payload: bytes) -> None:
        size = len(payload) + self._data_left
        if not stream_id:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "DATA without a stream")
        self._unread += size
        if self._unread + self._credit > max(self._settings.connection_window_bytes, frames.DEFAULT_WINDOW):
            raise ConnectionFault(ErrorCode.FLOW_CONTROL_ERROR, "more than the connection's window")
        stream = self._streams.get(stream_id)
        self._data_stream = None
        if stream is None:
            self._consumed(size)
            self._check_late(stream_id)
            return
        padding = 0
        if flags & frames.PADDED:
            payload = unpadded(payload)
            padding = size - len(payload)
        end_stream = bool(flags & frames.END_STREAM)
        stream.unread += size
        fault = self._data_fault(stream, size, size - padding, end_stream)
        if fault:
            self._reset_stream(stream, fault)
            return
        if padding:
            self.consume(stream_id, padding)
        if size == padding and not end_stream:
            self._spend()
            return
        if self._data_left:
            self._data_stream, self._data_ends = stream, end_stream
            end_stream = False
        self._work += 1
        if payload or end_stream:
            self._deliver(stream, payload, end_stream)

    def _data_fault(self, stream: Stream, size: int, payload_size: int, end_stream: bool) -> ErrorCode:
        if stream.remote_ended:
            return ErrorCode.STREAM_CLOSED
        if self._client and not stream.head_read:
            return ErrorCode.PROTOCOL_ERROR
        window = self._settings.initial_stream_window_bytes
        if stream.unread + stream.credit > (window if self._acknowledged else max(window, frames.DEFAULT_WINDOW)):
            return ErrorCode.FLOW_CONTROL_ERROR
        if stream.expected >= 0:
            stream.expected -= payload_size
            if stream.expected < 0 or (end_stream and stream.expected):
                return ErrorCode.PROTOCOL_ERROR
        return ErrorCode.NO_ERROR

    def _on_more_data(self, piece: bytes) -> None:
        stream = self._data_stream
        if stream is not None and not stream.closed:
            self._deliver(stream, piece, self._data_ends and not self._data_left)

    def _deliver(self, stream: Stream, piece: bytes, end_stream: bool) -> None:
        if end_stream:
            self._remote_ended(stream)
        if stream.discarding:
            self.consume(stream.id, len(piece))
        else:
            self._handler.on_data(stream.id, piece, end_stream)

    # --- the life of a stream

    def _remote_ended(self, stream: Stream) -> None:
        stream.remote_ended = True
        if stream.local_ended:
            self._finished(stream)

    def _finished(self, stream: Stream) -> None:
        self._resets.forgive()
        self._forget(stream)

    def _forget(self, stream: Stream) -> None:
        del self._streams[stream.id]
        stream.closed = True
        if stream.unread:
            self._consumed(stream.unread)
        if stream.waiting is not None:
            self._outbox.drop(stream)
        self._offer_streams()

    def _remember_reset(self, stream_id: int) -> None:
        self._reset_here[stream_id] = None
        if len(self._reset_here) > _RESETS_REMEMBERED:
            del self._reset_here[next(iter(self._reset_here))]

    def _refuse(self, stream_id: int, code: ErrorCode) -> None:
        self._remember_reset(stream_id)
        self._control(frames.rst_stream(stream_id, code))

    def _reset_stream(self, stream: Stream, code: ErrorCode) -> None:
        """The peer broke the rules on it."""
        self._refuse(stream.id, code)
        self._forget(stream)
        if not stream.discarding:
            self._handler.on_reset(stream.id, code)
        self._premature()

    def _premature(self) -> None:
        if not self._client and not self._resets.add():
            raise ConnectionFault(ErrorCode.ENHANCE_YOUR_CALM, "too_many_premature_resets")

    def _check_late(self, stream_id: int) -> None:
        """A frame on a stream that is not open: to be passed over if we closed it, otherwise a fault."""
        if self._is_idle(stream_id):
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "a stream that nobody opened")
        self._spend()
        if stream_id not in self._reset_here and stream_id <= self._ignored_above:
            raise ConnectionFault(ErrorCode.STREAM_CLOSED, "a frame on a closed stream")

    def _is_idle(self, stream_id: int) -> bool:
        if self._client:
            return stream_id >= self._next_id or not stream_id & 1
        return stream_id > self._last_peer_id or not stream_id & 1 or any(stream_id in gap for gap in self._gaps)

    # --- other frames

    def _spend(self) -> None:
        if not self._idle.spend(self._work + self._outbox.data_frames):
            raise ConnectionFault(ErrorCode.ENHANCE_YOUR_CALM, "too many frames that bring nothing")

    def _control(self, frame: bytes) -> None:
        """An answer that the peer provokes: a peer that does not read them must not make us keep them."""
        self._queued_control += 1
        if self._queued_control > self._settings.max_queued_control_frames:
            raise ConnectionFault(ErrorCode.ENHANCE_YOUR_CALM, "too many control frames queued")
        self._outbox.write(frame)

    def _on_priority(self, flags: int, stream_id: int, payload: bytes) -> None:
        self._spend()
        if not stream_id:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "PRIORITY without a stream")
        if len(payload) != 5:
            raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, "PRIORITY of another size")
        if int.from_bytes(payload[:4], "big") & 0x7FFFFFFF == stream_id:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "a stream that depends on itself")

    def _on_rst_stream(self, flags: int, stream_id: int, payload: bytes) -> None:
        if not stream_id:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "RST_STREAM without a stream")
        if len(payload) != 4:
            raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, "RST_STREAM of another size")
        stream = self._streams.get(stream_id)
        if stream is None:
            if self._is_idle(stream_id):
                raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "a stream that nobody opened")
            self._spend()
            return
        self._forget(stream)
        if not stream.discarding:
            self._handler.on_reset(stream_id, int.from_bytes(payload, "big"))
        if not stream.local_ended:
            self._premature()

    def _on_settings(self, flags: int, stream_id: int, payload: bytes) -> None:
        if stream_id:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "SETTINGS on a stream")
        if len(payload) % 6 or (flags & frames.ACK and payload):
            raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, "SETTINGS of another size")
        self._spend()
        if flags & frames.ACK:
            self._acknowledged = True
            if self._unacknowledged and self._unacknowledged.pop(0):
                self._reader.acknowledged()
            return
        self._control(frames.frame(frames.SETTINGS, frames.ACK, 0, b""))
        if not self._peer_settled:
            self._peer_settled = True
            self._peer_max_streams = frames.MAX_STREAM_ID
        for identifier, value in frames.read_settings(payload):
            self._set(identifier, value)
        self._offer_streams()

    def _offer_streams(self) -> None:
        if self._wanted and self.can_open:
            self._wanted = False
            self._handler.on_streams_available()

    def _set(self, identifier: int, value: int) -> None:
        if identifier == frames.INITIAL_WINDOW_SIZE:
            self._set_initial_window(value)
        elif identifier == frames.MAX_CONCURRENT_STREAMS:
            self._peer_max_streams = value
        elif identifier == frames.MAX_FRAME_SIZE:
            if not frames.MIN_MAX_FRAME_BYTES <= value <= frames.MAX_MAX_FRAME_BYTES:
                raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "SETTINGS_MAX_FRAME_SIZE")
            self._outbox.max_frame_bytes = min(value, _MAX_FRAME_WRITTEN)
        elif identifier == frames.ENABLE_PUSH:
            if value > (0 if self._client else 1):
                raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "SETTINGS_ENABLE_PUSH")
        elif identifier == frames.ENABLE_CONNECT_PROTOCOL:
            if value > 1 or (self._peer_connect_protocol and not value):
                raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "SETTINGS_ENABLE_CONNECT_PROTOCOL")
            self._peer_connect_protocol = bool(value)

    def _set_initial_window(self, value: int) -> None:
        if value > frames.MAX_WINDOW:
            raise ConnectionFault(ErrorCode.FLOW_CONTROL_ERROR, "SETTINGS_INITIAL_WINDOW_SIZE")
        if any(value + stream.send_delta > frames.MAX_WINDOW for stream in self._streams.values()):
            raise ConnectionFault(ErrorCode.FLOW_CONTROL_ERROR, "a stream's window")
        self._outbox.initial_window = value
        self._flush()

    def _on_push_promise(self, flags: int, stream_id: int, payload: bytes) -> None:
        raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "PUSH_PROMISE")

    def _on_ping(self, flags: int, stream_id: int, payload: bytes) -> None:
        if stream_id:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "PING on a stream")
        if len(payload) != 8:
            raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, "PING of another size")
        self._spend()
        if flags & frames.ACK:
            self.pings_unanswered = max(0, self.pings_unanswered - 1)
        else:
            self._control(frames.frame(frames.PING, frames.ACK, 0, payload))

    def _on_goaway(self, flags: int, stream_id: int, payload: bytes) -> None:
        if stream_id:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "GOAWAY on a stream")
        if len(payload) < 8:
            raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, "GOAWAY of another size")
        self._spend()
        self._going_away = True
        last = int.from_bytes(payload[:4], "big") & 0x7FFFFFFF
        self._handler.on_goaway(last, int.from_bytes(payload[4:8], "big"))
        if not self._client:
            return
        for stream in [stream for stream in self._streams.values() if stream.id > last]:
            if not stream.closed:
                self._remember_reset(stream.id)
                self._forget(stream)
                self._handler.on_reset(stream.id, ErrorCode.REFUSED_STREAM)

    def _on_window_update(self, flags: int, stream_id: int, payload: bytes) -> None:
        if len(payload) != 4:
            raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, "WINDOW_UPDATE of another size")
        increment = int.from_bytes(payload, "big") & 0x7FFFFFFF
        if not increment:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "WINDOW_UPDATE of nothing")
        self._spend()
        outbox = self._outbox
        if not stream_id:
            if outbox.window + increment > frames.MAX_WINDOW:
                raise ConnectionFault(ErrorCode.FLOW_CONTROL_ERROR, "the connection's window")
            outbox.window += increment
            self._flush()
            return
        stream = self._streams.get(stream_id)
        if stream is None:
            if self._is_idle(stream_id):
                raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "a stream that nobody opened")
        elif outbox.initial_window + stream.send_delta + increment > frames.MAX_WINDOW:
            self._reset_stream(stream, ErrorCode.FLOW_CONTROL_ERROR)
        else:
            stream.send_delta += increment
            if stream.waiting is not None and outbox.pump(stream):
                self._drained(stream)

    def _on_unknown(self) -> None:
        self._spend()

    def _flush(self) -> None:
        if self._outbox.blocked:
            for stream in self._outbox.flush():
                self._drained(stream)

    def _drained(self, stream: Stream) -> None:
        if stream.closed:
            return
        if stream.local_ended and stream.remote_ended:
            self._finished(stream)
        self._handler.on_window(stream.id)
