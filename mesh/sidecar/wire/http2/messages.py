"""Heads, bodies and trailers as they come, for both roles. RFC 9113 §6.1, §6.2, §8.1.

Envoy: ServerConnectionImpl, ClientConnectionImpl: onBeginHeaders … onData. What is malformed resets its stream and is never seen.
"""

from typing import Final

from mesh.sidecar.wire.http2 import frames
from mesh.sidecar.wire.http2.control import ControlFrames
from mesh.sidecar.wire.http2.cutting import ConnectionFault, unpadded
from mesh.sidecar.wire.http2.handler import ErrorCode
from mesh.sidecar.wire.http2.header_blocks import BlockError, HeadTooLarge, MalformedField
from mesh.sidecar.wire.http2.heads import MalformedHead
from mesh.sidecar.wire.http2.outbox import Stream

_MAX_INTERIM_HEADS: Final = 16
_GAPS_REMEMBERED: Final = 16
_NO_BODY_STATUSES: Final = frozenset({204, 304})


class Messages(ControlFrames):
    """What peers send each other."""

    # --- heads

    def _on_block(self, stream_id: int, block: bytes, end_stream: bool) -> None:
        stream = self._streams.get(stream_id)
        try:
            if stream is None:
                self._first_block(stream_id, block, end_stream)
            elif stream.remote_ended:
                self._reader.skip(block)
                self._reset_stream(stream, ErrorCode.STREAM_CLOSED)
            elif stream.awaits_head:
                self._response(stream, block, end_stream)
            else:
                self._trailers(stream, block, end_stream)
        except BlockError as error:
            raise ConnectionFault(ErrorCode.COMPRESSION_ERROR, str(error)) from error

    def _first_block(self, stream_id: int, block: bytes, end_stream: bool) -> None:
        if stream_id != self._next_peer_id and not self._skips_ahead(stream_id):
            self._reader.skip(block)
            return
        self._last_peer_id = stream_id
        self._next_peer_id = stream_id + 2
        if len(self._streams) >= self._settings.max_concurrent_streams or stream_id > self._ignored_above:
            self._not_taken(stream_id, block)
            return
        if self._work and not self._table_refused:
            self._refuse_table()
        try:
            head = self._reader.request(block, end_stream)
        except MalformedField:
            self._refuse(stream_id, ErrorCode.PROTOCOL_ERROR)
            self._premature()
            return
        except HeadTooLarge:
            self._too_large(stream_id, end_stream)
            return
        self._work += 1
        stream = self._streams[stream_id] = Stream(stream_id)
        if end_stream:
            stream.remote_ended = True
        elif head.length >= 0:
            stream.expected = head.length
        self._handler.on_request(stream_id, head, end_stream)

    def _skips_ahead(self, stream_id: int) -> bool:
        """Whether this stream may be opened, though others were expected first; False if it is one that we closed."""
        if self._client or not stream_id & 1 or stream_id < self._next_peer_id:
            self._check_late(stream_id)
            return False
        self._gaps.append(range(self._next_peer_id, stream_id, 2))
        del self._gaps[:-_GAPS_REMEMBERED]
        return True

    def _not_taken(self, stream_id: int, block: bytes) -> None:
        self._reader.skip(block)
        if stream_id <= self._ignored_above:
            self._refuse(stream_id, ErrorCode.REFUSED_STREAM)
        self._spend()

    def _too_large(self, stream_id: int, end_stream: bool) -> None:
        stream = self._streams[stream_id] = Stream(stream_id)
        stream.discarding = True
        stream.remote_ended = end_stream
        self._handler.on_head_too_large(stream_id, "http2.headers_too_large")

    def _response(self, stream: Stream, block: bytes, end_stream: bool) -> None:
        try:
            status, fields, length = self._reader.response(block)
            self._check_response(stream, status, length, end_stream)
        except MalformedField:
            self._reset_stream(stream, ErrorCode.PROTOCOL_ERROR)
            return
        except HeadTooLarge:
            self._reset_stream(stream, ErrorCode.ENHANCE_YOUR_CALM)
            return
        self._work += 1
        if end_stream:
            stream.remote_ended = True
            if stream.local_ended:
                self._forget(stream)
        self._handler.on_response(stream.id, status, fields, end_stream)

    @staticmethod
    def _check_response(stream: Stream, status: int, length: int, end_stream: bool) -> None:
        if status < 200:
            stream.interim_heads += 1
            if end_stream or stream.interim_heads > _MAX_INTERIM_HEADS:
                raise MalformedHead("1xx that ends the stream, or too many of them")
            return
        stream.awaits_head = False
        if stream.bodyless or status in _NO_BODY_STATUSES:
            stream.expected = 0
        elif length >= 0:
            stream.expected = length
            if end_stream and length:
                raise MalformedHead("content-length without DATA")

    def _trailers(self, stream: Stream, block: bytes, end_stream: bool) -> None:
        try:
            fields = self._reader.trailers(block)
            if not end_stream or stream.expected > 0:
                raise MalformedHead("trailers that do not end the stream, or come before all of it")
        except (MalformedField, HeadTooLarge):
            self._reset_stream(stream, ErrorCode.PROTOCOL_ERROR)
            return
        stream.remote_ended = True
        if stream.local_ended:
            self._forget(stream)
        if not stream.discarding:
            self._handler.on_trailers(stream.id, fields)

    # --- data

    def _on_data(self, flags: int, stream_id: int, payload: bytes) -> None:
        size = len(payload) + self._data_left
        self._unread += size
        if self._unread + self._credit > self._connection_limit:
            raise ConnectionFault(ErrorCode.FLOW_CONTROL_ERROR, "more than the connection's window")
        stream = self._streams.get(stream_id)
        if stream is None:
            self._late_data(stream_id, size)
            return
        stream.unread += size
        if flags & frames.PADDED:
            payload = unpadded(payload)
            padding, size = size - len(payload), len(payload)
            self.consume(stream_id, padding)
        end_stream = flags & frames.END_STREAM == frames.END_STREAM
        if stream.expected >= 0:
            stream.expected -= size
            if stream.expected < 0 or (end_stream and stream.expected):
                self._data_fault(stream)
                return
        if stream.unread + stream.credit > self._stream_limit or stream.remote_ended or stream.awaits_head:
            self._data_fault(stream)
        elif self._data_left or not size:
            self._part_of_data(stream, payload, size, end_stream)
        else:
            self._work += 1
            self._deliver(stream, payload, end_stream)

    def _part_of_data(self, stream: Stream, payload: bytes, size: int, end_stream: bool) -> None:
        """A frame without content, or one of which more bytes will come."""
        if not size and not end_stream:
            self._spend()
            return
        self._work += 1
        if self._data_left:
            self._data_stream, self._data_ends = stream, end_stream
            end_stream = False
        if payload or end_stream:
            self._deliver(stream, payload, end_stream)

    def _late_data(self, stream_id: int, size: int) -> None:
        if not stream_id:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "DATA without a stream")
        self._data_stream = None
        self._consumed(size)
        self._check_late(stream_id)

    def _data_fault(self, stream: Stream) -> None:
        self._data_stream = None
        code = ErrorCode.PROTOCOL_ERROR  # more or less than content-length says, or before the head
        if stream.remote_ended:
            code = ErrorCode.STREAM_CLOSED
        elif stream.unread + stream.credit > self._stream_limit:
            code = ErrorCode.FLOW_CONTROL_ERROR
        self._reset_stream(stream, code)

    def _on_more_data(self, piece: bytes) -> None:
        stream = self._data_stream
        if stream is not None and not stream.closed:
            self._deliver(stream, piece, self._data_ends and not self._data_left)

    def _deliver(self, stream: Stream, piece: bytes, end_stream: bool) -> None:
        if end_stream:
            stream.remote_ended = True
            if stream.local_ended:
                self._forget(stream)
        if stream.discarding:
            self.consume(stream.id, len(piece))
        else:
            self._handler.on_data(stream.id, piece, end_stream)

    def consume(self, stream_id: int, size: int) -> None:
        """These bytes of ``on_data`` are out of the way: the peer may send as many."""
        stream = self._streams.get(stream_id)
        if stream is None:
            return
        if size > stream.unread:
            size = stream.unread
        stream.unread -= size
        stream.credit += size
        if stream.credit >= self._stream_credit and not stream.remote_ended:
            self._outbox.write(frames.window_update(stream_id, stream.credit))
            stream.credit = 0
        self._unread -= size
        self._credit += size
        if self._credit >= self._connection_credit:
            self._consumed(0)
