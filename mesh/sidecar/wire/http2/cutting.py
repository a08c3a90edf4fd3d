"""Bytes to frames: where one ends, whether it may come now, and the pieces of a header block put together. RFC 9113 §4, §6.10.

Envoy: nghttp2_session_mem_recv. What may come is a table of functions: before the first SETTINGS nothing else may, and inside a header
block nothing but CONTINUATION; so the common frame pays for no question. A DATA frame is handed on as its bytes come.
"""

from collections.abc import Callable
from typing import Final

from mesh.sidecar.wire.http2 import frames
from mesh.sidecar.wire.http2.handler import ErrorCode

OnFrame = Callable[[int, int, bytes], None]
"""Flags, stream, payload."""

_MAX_BLOCK_BYTES: Final = 64 * 1024
_MAX_CONTINUATIONS: Final = 64
_HEADER_BYTES: Final = 9
_ODD: Final = frames.PADDED | frames.PRIORITIZED | frames.END_HEADERS


class ConnectionFault(Exception):
    """The peer broke a rule that ends the connection."""

    def __init__(self, code: ErrorCode, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class FrameCutter:
    """Feed it with ``cut``. The subclass has a function for every type of frame."""

    def __init__(self, preface: bytes, max_frame_bytes: int) -> None:
        self._held = b""
        self._preface = preface  # what must still come of it
        self._max_frame_bytes = max_frame_bytes
        self._data_left = 0  # of a DATA frame whose first bytes were handed on
        self._block: list[bytes] = []
        self._block_bytes = 0
        self._block_stream = 0
        self._block_flags = 0
        self._all: list[OnFrame] = [
            self._on_data,
            self._headers,
            self._on_priority,
            self._on_rst_stream,
            self._on_settings,
            self._on_push_promise,
            self._on_ping,
            self._on_goaway,
            self._on_window_update,
            self._lone_continuation,
        ]
        self._on_frame: list[OnFrame] = [self._not_settings] * len(self._all)
        self._on_frame[frames.SETTINGS] = self._first_settings

    def _cut(self, data: bytes) -> None:
        """Raises ConnectionFault."""
        if self._held:
            data = self._held + data
            self._held = b""
        if self._preface:
            data = self._check_preface(data)
        position, size = self._rest_of_data(data) if self._data_left else 0, len(data)
        while size - position >= _HEADER_BYTES:
            high, low, kind, flags, stream_id = frames.read_frame_header(data, position)
            length = high << 16 | low
            if length > self._max_frame_bytes:
                raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, "a frame too long")
            start = position + _HEADER_BYTES
            position = start + length
            if position > size:
                if kind or flags & frames.PADDED:
                    position = start - _HEADER_BYTES
                    break
                self._data_left = position - size
            payload = data[start:position]
            if kind < 10:
                self._on_frame[kind](flags, stream_id & 0x7FFFFFFF, payload)
            else:
                self._unknown()
        self._held = data[position:]

    def _check_preface(self, data: bytes) -> bytes:
        expected = self._preface
        begun = data[: len(expected)]
        if not expected.startswith(begun):
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "not the preface")
        self._preface = expected[len(begun) :]
        return data[len(begun) :]

    def _rest_of_data(self, data: bytes) -> int:
        piece = data[: self._data_left]
        self._data_left -= len(piece)
        self._on_more_data(piece)
        return len(piece)

    # --- what may come when

    def _not_settings(self, flags: int, stream_id: int, payload: bytes) -> None:
        raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "SETTINGS must come first")

    def _first_settings(self, flags: int, stream_id: int, payload: bytes) -> None:
        if flags & frames.ACK:
            self._not_settings(flags, stream_id, payload)
        self._on_frame = self._all
        self._on_settings(flags, stream_id, payload)

    def _inside_block(self, flags: int, stream_id: int, payload: bytes) -> None:
        raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "a header block was not finished")

    def _unknown(self) -> None:
        if self._on_frame is not self._all:
            self._on_frame[frames.PING](0, 0, b"")  # not settled, or inside a block: as any other
        self._on_unknown()

    # --- header blocks

    def _headers(self, flags: int, stream_id: int, payload: bytes) -> None:
        if flags & _ODD == frames.END_HEADERS and stream_id:
            self._on_block(stream_id, payload, flags & frames.END_STREAM == frames.END_STREAM)
        else:
            self._odd_headers(flags, stream_id, payload)

    def _odd_headers(self, flags: int, stream_id: int, payload: bytes) -> None:
        if not stream_id:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "HEADERS without a stream")
        dependency = -1
        if flags & frames.PADDED:
            payload = unpadded(payload)
        if flags & frames.PRIORITIZED:
            if len(payload) < 5:
                raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, "HEADERS too short")
            dependency = int.from_bytes(payload[:4], "big") & 0x7FFFFFFF
            payload = payload[5:]
        if dependency == stream_id:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "a stream that depends on itself")
        if flags & frames.END_HEADERS:
            self._on_block(stream_id, payload, bool(flags & frames.END_STREAM))
            return
        self._block_stream, self._block_flags = stream_id, flags
        self._block, self._block_bytes = [payload], len(payload)
        self._on_frame = [self._inside_block] * len(self._all)
        self._on_frame[frames.CONTINUATION] = self._continuation

    def _continuation(self, flags: int, stream_id: int, payload: bytes) -> None:
        if stream_id != self._block_stream:
            self._inside_block(flags, stream_id, payload)
        self._block.append(payload)
        self._block_bytes += len(payload)
        if self._block_bytes > _MAX_BLOCK_BYTES or len(self._block) > _MAX_CONTINUATIONS:
            raise ConnectionFault(ErrorCode.ENHANCE_YOUR_CALM, "a header block without end")
        if flags & frames.END_HEADERS:
            block, self._block = b"".join(self._block), []
            self._on_frame = self._all
            self._on_block(stream_id, block, bool(self._block_flags & frames.END_STREAM))

    def _lone_continuation(self, flags: int, stream_id: int, payload: bytes) -> None:
        raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "CONTINUATION without HEADERS")

    # --- the subclass's

    def _on_block(self, stream_id: int, block: bytes, end_stream: bool) -> None:
        raise NotImplementedError

    def _on_data(self, flags: int, stream_id: int, payload: bytes) -> None:
        """``_data_left`` more bytes of the frame will come by ``_on_more_data``."""
        raise NotImplementedError

    def _on_more_data(self, piece: bytes) -> None:
        raise NotImplementedError

    def _on_priority(self, flags: int, stream_id: int, payload: bytes) -> None:
        raise NotImplementedError

    def _on_rst_stream(self, flags: int, stream_id: int, payload: bytes) -> None:
        raise NotImplementedError

    def _on_settings(self, flags: int, stream_id: int, payload: bytes) -> None:
        raise NotImplementedError

    def _on_push_promise(self, flags: int, stream_id: int, payload: bytes) -> None:
        raise NotImplementedError

    def _on_ping(self, flags: int, stream_id: int, payload: bytes) -> None:
        raise NotImplementedError

    def _on_goaway(self, flags: int, stream_id: int, payload: bytes) -> None:
        raise NotImplementedError

    def _on_window_update(self, flags: int, stream_id: int, payload: bytes) -> None:
        raise NotImplementedError

    def _on_unknown(self) -> None:
        raise NotImplementedError


def unpadded(payload: bytes) -> bytes:
    """Raises ConnectionFault."""
    if not payload or payload[0] >= len(payload):
        raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "more padding than payload")
    return payload[1 : len(payload) - payload[0]]
