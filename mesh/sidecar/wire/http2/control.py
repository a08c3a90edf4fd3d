"""Frames that are about the connection: SETTINGS, PING, GOAWAY, windows, resets. RFC 9113 §6.3 to §6.9.

Envoy: ConnectionImpl::onFrameReceived and ProtocolConstraints.
"""

from typing import Final

from mesh.sidecar.wire.http2 import frames
from mesh.sidecar.wire.http2.cutting import ConnectionFault
from mesh.sidecar.wire.http2.handler import ErrorCode
from mesh.sidecar.wire.http2.outbox import Stream
from mesh.sidecar.wire.http2.streams import Streams

_MAX_FRAME_WRITTEN: Final = 64 * 1024  # a longer one would keep the other streams waiting


class ControlFrames(Streams):
    """Everything but heads and bodies."""

    def _send_settings(self, values: list[tuple[int, int]]) -> None:
        self._unacknowledged.append((frames.HEADER_TABLE_SIZE, 0) in values)
        self._outbox.write(frames.settings(values))

    def _refuse_table(self) -> None:
        """As server: a client that comes again is worth a round trip, after which its header blocks have no state."""
        self._table_refused = True
        self._send_settings([(frames.HEADER_TABLE_SIZE, 0)])

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
            self._stream_limit = self._settings.initial_stream_window_bytes
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
        for stream in self._streams.values():
            if stream.waiting is not None:
                self._outbox.blocked[stream.id] = stream
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
            self._forget(stream)
        self._handler.on_window(stream.id)
