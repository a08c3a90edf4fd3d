"""The chunked transfer coding, incoming. RFC 9112 §7.1, strictly: digits and nothing but, CRLF and nothing else.

Envoy: the same parser as its heads. Chunk extensions and trailers are dropped, never merged into the headers.
"""

import re
from typing import Final

from mesh.sidecar.wire.heads import MalformedMessage

_MAX_LINE_BYTES: Final = 4096
_MAX_EXTENSION_BYTES: Final = 16 * 1024  # in all of one body
_MAX_TRAILER_BYTES: Final = 60 * 1024

_SIZE_LINE = re.compile(rb"([0-9A-Fa-f]{1,16})([ \t]*;[^\x00-\x08\x0a-\x1f\x7f]*)?")
_TRAILER_LINE = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[^\x00-\x08\x0a-\x1f\x7f]*")

_SIZE, _DATA, _DATA_END, _TRAILERS, _DONE = range(5)


class ChunkedReader:
    """Feed it what comes; ``done`` when the body has ended, and then ``rest`` is what came behind it."""

    __slots__ = ("_extension_bytes", "_held", "_remaining", "_state", "_trailer_bytes", "done", "rest")

    def __init__(self) -> None:
        self._state = _SIZE
        self._held = b""
        self._remaining = 0
        self._extension_bytes = 0
        self._trailer_bytes = 0
        self.done = False
        self.rest = b""

    def feed(self, data: bytes) -> bytes:
        """The payload in these bytes. Raises MalformedMessage."""
        if self._held:
            data = self._held + data
            self._held = b""
        position, payload = 0, []
        while position >= 0 and not self.done:
            if self._state == _DATA:
                piece = data[position : position + self._remaining]
                if not piece:
                    break
                payload.append(piece)
                position += len(piece)
                self._remaining -= len(piece)
                if not self._remaining:
                    self._state = _DATA_END
            elif self._state == _DATA_END:
                position = self._end_of_data(data, position)
            else:
                position = self._line(data, position)
        if self.done:
            self.rest = data[position:]
        return payload[0] if len(payload) == 1 else b"".join(payload)

    def _end_of_data(self, data: bytes, position: int) -> int:
        found = data[position : position + 2]
        if found == b"\r\n":
            self._state = _SIZE
            return position + 2
        if b"\r\n".startswith(found):
            self._held = found
            return -1
        raise MalformedMessage("http1.codec_error")

    def _line(self, data: bytes, position: int) -> int:
        end = data.find(b"\r\n", position)
        if end < 0:
            held = data[position:]
            if b"\n" in held or b"\r" in held[:-1] or len(held) > _MAX_LINE_BYTES:
                raise MalformedMessage("http1.codec_error")
            self._held = held
            return -1
        line = data[position:end]
        if len(line) > _MAX_LINE_BYTES:
            raise MalformedMessage("http1.codec_error")
        if self._state == _SIZE:
            self._start_chunk(line)
        else:
            self._trailer(line)
        return end + 2

    def _start_chunk(self, line: bytes) -> None:
        match = _SIZE_LINE.fullmatch(line)
        if match is None:
            raise MalformedMessage("http1.codec_error")
        self._extension_bytes += len(match[2] or b"")
        if self._extension_bytes > _MAX_EXTENSION_BYTES:
            raise MalformedMessage("http1.codec_error")
        self._remaining = int(match[1], 16)
        self._state = _DATA if self._remaining else _TRAILERS

    def _trailer(self, line: bytes) -> None:
        self._trailer_bytes += len(line) + 2
        if not line:
            self._state, self.done = _DONE, True
        elif self._trailer_bytes > _MAX_TRAILER_BYTES or not _TRAILER_LINE.fullmatch(line):
            raise MalformedMessage("http1.codec_error")
