"""What waits to be written: frames in order, and the bodies that the peer's windows hold back.

Envoy: StreamImpl's pending_send_data_ over nghttp2's outbound queue. Heads and control frames are never held back; streams whose data
is take turns, a frame each.
"""

from collections import OrderedDict, deque

from mesh.sidecar.wire.http2 import frames
from mesh.sidecar.wire.http2.header_blocks import NO_TABLE


class Stream:
    """One stream's state. The defaults stand on the class: a stream pays only for what happens to it."""

    remote_ended = False
    local_ended = False
    closed = False
    awaits_head = False  # as client: the final head of the answer did not come yet
    discarding = False  # what still comes is dropped
    bodyless = False  # as client: the answer to HEAD
    interim_heads = 0
    expected = -1  # bytes that content-length says are still to come; -1: it says nothing
    unread = 0  # bytes received and not consumed
    credit = 0  # bytes consumed, of which the peer was not told
    send_delta = 0  # of the window to send into, against what every stream begins with
    waiting: deque[bytes] | None = None
    waiting_bytes = 0
    offset = 0  # of the first piece that waits
    end_waits = False
    trailers: bytes | None = None  # a header block that waits

    def __init__(self, stream_id: int) -> None:
        self.id = stream_id


class Outbox:
    """``frames`` is what to write, ``write`` appends to it; ``data`` obeys the windows.

    A stream whose last frame was written has ``local_ended`` set.
    """

    __slots__ = ("block_start", "blocked", "data_frames", "frames", "initial_window", "max_frame_bytes", "paused", "window", "write")

    def __init__(self) -> None:
        self.frames: list[bytes] = []
        self.write = self.frames.append
        self.window = frames.DEFAULT_WINDOW
        self.initial_window = frames.DEFAULT_WINDOW
        self.max_frame_bytes = frames.MIN_MAX_FRAME_BYTES
        self.blocked: OrderedDict[int, Stream] = OrderedDict()  # by the connection's window, not by their own
        self.paused = False
        self.block_start = NO_TABLE  # of the first
        self.data_frames = 0

    def headers(self, stream_id: int, block: bytes, end_stream: bool) -> None:
        if self.block_start:
            block, self.block_start = self.block_start + block, b""
        limit = self.max_frame_bytes
        flags = frames.END_STREAM if end_stream else 0
        if len(block) <= limit:
            size = len(block)
            self.write(frames.pack_header(size >> 16, size & 0xFFFF, frames.HEADERS, flags | frames.END_HEADERS, stream_id))
            self.write(block)
            return
        pieces = [block[at : at + limit] for at in range(0, len(block), limit)]
        self.write(frames.frame(frames.HEADERS, flags, stream_id, pieces[0]))
        for piece in pieces[1:-1]:
            self.write(frames.frame(frames.CONTINUATION, 0, stream_id, piece))
        self.write(frames.frame(frames.CONTINUATION, frames.END_HEADERS, stream_id, pieces[-1]))

    def data(self, stream: Stream, data: bytes, end_stream: bool) -> int:
        """Answers how many bytes of the stream wait now."""
        size = len(data)
        if stream.waiting is not None:
            if size:
                stream.waiting.append(data)
                stream.waiting_bytes += size
            stream.end_waits = end_stream
        elif not size or (not self.paused and self._fits(stream, size)):
            self._frame(stream, data, end_stream)
        else:
            stream.waiting = deque((data,))
            stream.waiting_bytes = size
            stream.end_waits = end_stream
            self.pump(stream)
        return stream.waiting_bytes

    def trailers(self, stream: Stream, block: bytes) -> None:
        if stream.waiting is None:
            stream.local_ended = True
            self.headers(stream.id, block, end_stream=True)
        else:
            stream.trailers = block

    def drop(self, stream: Stream) -> None:
        """The stream is over; what waits is not sent any more."""
        self.blocked.pop(stream.id, None)
        stream.waiting = None
        stream.waiting_bytes = 0

    def pump(self, stream: Stream) -> bool:
        """Write what may be written of one stream, whose window is new. True if nothing is left."""
        while stream.waiting is not None and not self.paused and self._one_frame(stream):
            pass
        if stream.waiting is not None and self.initial_window + stream.send_delta > 0:
            self.blocked[stream.id] = stream
        else:
            self.blocked.pop(stream.id, None)
        return stream.waiting is None

    def flush(self) -> list[Stream]:
        """Write what may be written, a frame of each stream in turn. Answers the streams of which nothing is left."""
        drained: list[Stream] = []
        blocked = self.blocked
        while blocked and self.window > 0 and not self.paused:
            stream_id, stream = blocked.popitem(last=False)
            if not self._one_frame(stream):
                continue  # its own window is shut: ``pump`` comes when that changes
            if stream.waiting is None:
                drained.append(stream)
            else:
                blocked[stream_id] = stream  # at the end of the queue
        return drained

    def _fits(self, stream: Stream, size: int) -> bool:
        return size <= self.window and size <= self.initial_window + stream.send_delta and size <= self.max_frame_bytes

    def _one_frame(self, stream: Stream) -> bool:
        """False if a window is shut."""
        waiting = stream.waiting
        assert waiting is not None
        piece, offset = waiting[0], stream.offset
        left = len(piece) - offset
        room = min(self.window, self.initial_window + stream.send_delta, self.max_frame_bytes)
        if left <= room:
            waiting.popleft()
            stream.offset = 0
            stream.waiting_bytes -= left
            self._last_of_piece(stream, piece[offset:] if offset else piece)
            return True
        if room <= 0:
            return False
        stream.offset += room
        stream.waiting_bytes -= room
        self._frame(stream, piece[offset : offset + room], end_stream=False)
        return True

    def _last_of_piece(self, stream: Stream, piece: bytes) -> None:
        if stream.waiting:
            self._frame(stream, piece, end_stream=False)
            return
        stream.waiting = None
        if stream.trailers is None:
            self._frame(stream, piece, stream.end_waits)
        else:
            self._frame(stream, piece, end_stream=False)
            self.trailers(stream, stream.trailers)

    def _frame(self, stream: Stream, piece: bytes, end_stream: bool) -> None:
        size = len(piece)
        if end_stream:
            stream.local_ended = True
        elif not size:
            return
        self.data_frames += 1
        self.window -= size
        stream.send_delta -= size
        self.write(frames.pack_header(size >> 16, size & 0xFFFF, frames.DATA, end_stream, stream.id))
        self.write(piece)
