"""What an HTTP/2 connection tells its owner, and the nouns in which it does.

Envoy: Http::ConnectionCallbacks, RequestDecoder, ResponseDecoder; source/common/http/http2/codec_impl.cc. There are no event objects:
``Http2Connection.receive`` calls the handler directly. A handler may send, reset and consume from within any of these calls.
"""

import enum
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from mesh.sidecar.headers import Field


class ErrorCode(enum.IntEnum):
    """RFC 9113 §7."""

    NO_ERROR = 0x0
    PROTOCOL_ERROR = 0x1
    INTERNAL_ERROR = 0x2
    FLOW_CONTROL_ERROR = 0x3
    SETTINGS_TIMEOUT = 0x4
    STREAM_CLOSED = 0x5
    FRAME_SIZE_ERROR = 0x6
    REFUSED_STREAM = 0x7
    CANCEL = 0x8
    COMPRESSION_ERROR = 0x9
    CONNECT_ERROR = 0xA
    ENHANCE_YOUR_CALM = 0xB
    INADEQUATE_SECURITY = 0xC
    HTTP_1_1_REQUIRED = 0xD


class RequestHead(NamedTuple):
    """A request as it came. The fields are the handler's to change: the same shape as ``heads.RequestHead`` gives for HTTP/1.

    ``fields`` has no pseudo-headers and no ``host``; cookies are joined by "; ". ``length``: what content-length says, 0 when the stream
    ended with the head, else ``CHUNKED``. ``special``: fields of ``heads.SPECIAL`` are among them. ``protocol``: of an extended CONNECT
    (RFC 8441), else "". A CONNECT has no path and no scheme ("").
    """

    method: str
    path: str
    authority: str
    scheme: str
    protocol: str
    fields: dict[str, Field]
    length: int
    special: bool


class Http2Handler(Protocol):
    """The owner of a connection. A stream on which ``on_reset`` was called, or that has ended both ways, is forgotten by the connection.

    After ``on_connection_error`` nothing more is called: the owner writes what ``take`` has (the GOAWAY) and closes the transport; it
    ends the streams it knows by itself.
    """

    def on_request(self, stream_id: int, head: RequestHead, end_stream: bool) -> None:
        """As server: a stream began."""

    def on_response(self, stream_id: int, status: int, fields: dict[str, Field], end_stream: bool) -> None:
        """As client: the head of the answer; 1xx heads come before it, each by a call."""

    def on_data(self, stream_id: int, data: bytes, end_stream: bool) -> None:
        """``data`` may be empty when the stream ends. To be credited with ``consume`` once it is out of the way."""

    def on_trailers(self, stream_id: int, fields: dict[str, Field]) -> None:
        """The stream has ended on the peer's side."""

    def on_head_too_large(self, stream_id: int, details: str) -> None:
        """As server: more or longer fields than the settings allow; to be answered with 431. What follows on the stream is dropped."""

    def on_reset(self, stream_id: int, code: int) -> None:
        """The peer reset the stream, or broke the rules on it so that it was reset from here, or went away before it took it."""

    def on_window(self, stream_id: int) -> None:
        """All that was buffered of this stream is now written: its source may go on."""

    def on_streams_available(self) -> None:
        """As client: ``open_stream`` may succeed again (the peer allows more streams, or its settings arrived)."""

    def on_goaway(self, last_stream_id: int, code: int) -> None:
        """As client: no new streams here. Those above the last one get ``on_reset`` with REFUSED_STREAM right after this."""

    def on_connection_error(self, code: int, reason: str) -> None:
        """The connection is over: a GOAWAY with this code is in ``take``."""


@dataclass(frozen=True, slots=True)
class Http2Settings:
    """What this side asks of its peer, and what it puts up with.

    Envoy: Http2ProtocolOptions; the windows there are 16 MiB (stream) and 24 MiB (connection), the limits as here.
    """

    initial_stream_window_bytes: int = 256 * 1024
    connection_window_bytes: int = 16 * 1024 * 1024
    max_concurrent_streams: int = 100
    max_frame_bytes: int = 16_384
    max_header_list_bytes: int = 60 * 1024
    max_header_count: int = 100
    enable_connect_protocol: bool = True
    max_premature_resets: int = 250
    premature_resets_forgiven_per_second: float = 10.0
    max_queued_control_frames: int = 1_000
    idle_frame_burst: int = 1_000
    idle_frames_per_second: float = 100.0


Clock = Callable[[], float]
"""Seconds, monotonic; asked only when a budget is touched."""
