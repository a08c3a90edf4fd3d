"""The streams of a connection: how they end, what came too late for them, how often they may fail. RFC 9113 §5.1, §5.4.

Envoy: ConnectionImpl's active_streams_. The connection is one object, in four files of which each extends the one before: streams,
control frames, messages, and what its owner calls. A call from one to the next would be paid for on every request.
"""

from typing import Final

from mesh.sidecar.wire.http2 import frames
from mesh.sidecar.wire.http2.budgets import IdleFrames, PrematureResets
from mesh.sidecar.wire.http2.cutting import ConnectionFault, FrameCutter
from mesh.sidecar.wire.http2.handler import Clock, ErrorCode, Http2Handler, Http2Settings
from mesh.sidecar.wire.http2.head_reader import HeadReader
from mesh.sidecar.wire.http2.heads import HeadMemory
from mesh.sidecar.wire.http2.outbox import Outbox, Stream

DEFAULT_SETTINGS: Final = Http2Settings()
_STREAMS_BEFORE_SETTINGS: Final = 100
_RESETS_REMEMBERED: Final = 2048


class Streams(FrameCutter):
    """What is known of the connection, and its streams."""

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
        super().__init__(b"" if client else frames.PREFACE, settings.max_frame_bytes)
        self.over = False
        self.pings_unanswered = 0
        self._handler = handler
        self._client = client
        self._settings = settings
        self._memory = HeadMemory() if memory is None else memory
        self._reader = HeadReader(self._memory, settings)
        self._outbox = Outbox()
        self._streams: dict[int, Stream] = {}
        self._reset_here: dict[int, None] = {}  # closed by us, so that frames on them may be under way
        self._gaps: list[range] = []  # streams of the peer that it went past
        self._next_id = 1
        self._last_peer_id = 0
        self._next_peer_id = 0 if client else 1  # what comes next, if none is left out
        self._ignored_above = frames.MAX_STREAM_ID  # streams that our GOAWAY said we would not take
        self._going_away = False  # the peer takes no more streams
        self._wanted = False  # a stream was asked for in vain
        self._peer_max_streams = _STREAMS_BEFORE_SETTINGS
        self._peer_connect_protocol = False
        self._peer_settled = False
        self._unacknowledged: list[bool] = []  # SETTINGS on their way: whether they refuse the peer's table
        self._table_refused = False
        # the windows that the peer has; before it knows our SETTINGS, a stream's may be larger than those say
        self._connection_limit = max(settings.connection_window_bytes, frames.DEFAULT_WINDOW)
        self._stream_limit = max(settings.initial_stream_window_bytes, frames.DEFAULT_WINDOW)
        self._connection_credit = settings.connection_window_bytes // 2  # told when it is as much
        self._stream_credit = (settings.initial_stream_window_bytes + 1) // 2
        self._unread = 0
        self._credit = 0
        self._data_stream: Stream | None = None
        self._data_ends = False
        self._work = 0  # heads and DATA frames with something in them
        self._queued_control = 0
        self._idle = IdleFrames(clock, settings.idle_frame_burst, settings.idle_frames_per_second)
        self._resets = PrematureResets(clock, settings.max_premature_resets, settings.premature_resets_forgiven_per_second)

    @property
    def can_open(self) -> bool:
        """As client: whether ``send_request`` would get a stream."""
        return (
            len(self._streams) < self._peer_max_streams and not self._going_away and not self.over and self._next_id <= frames.MAX_STREAM_ID
        )

    # --- the life of a stream

    def _forget(self, stream: Stream) -> None:
        """It has ended both ways, or was reset."""
        del self._streams[stream.id]
        stream.closed = True
        if stream.unread:
            self._consumed(stream.unread)
        if stream.waiting is not None:
            self._outbox.drop(stream)
        if self._resets.level and stream.remote_ended and stream.local_ended:
            self._resets.forgive()
        if self._wanted:
            self._offer_streams()

    def _offer_streams(self) -> None:
        if self._wanted and self.can_open:
            self._wanted = False
            self._handler.on_streams_available()

    def _consumed(self, size: int) -> None:
        self._unread -= size
        self._credit += size
        if self._credit >= self._connection_credit:
            self._outbox.write(frames.window_update(0, self._credit))
            self._credit = 0

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

    # --- budgets

    def _spend(self) -> None:
        if not self._idle.spend(self._work + self._outbox.data_frames):
            raise ConnectionFault(ErrorCode.ENHANCE_YOUR_CALM, "too many frames that bring nothing")

    def _control(self, frame: bytes) -> None:
        """An answer that the peer provokes: a peer that does not read them must not make us keep them."""
        self._queued_control += 1
        if self._queued_control > self._settings.max_queued_control_frames:
            raise ConnectionFault(ErrorCode.ENHANCE_YOUR_CALM, "too many control frames queued")
        self._outbox.write(frame)
