"""Messages to bytes: heads in one piece, chunks. What is written here is canonical, whatever came in.

Envoy: source/common/http/http1/codec_impl.cc, StreamEncoderImpl: lower-case names, its own reason phrases.
"""

import http
from typing import Final

from mesh.sidecar.headers import Field

LAST_CHUNK: Final = b"0\r\n\r\n"
CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"

_REASONS = {status.value: status.phrase for status in http.HTTPStatus}
_STATUS_LINES: dict[int, bytes] = {}


def reason(status: int) -> str:
    return _REASONS.get(status, "Unknown")


def status_line(status: int) -> bytes:
    line = _STATUS_LINES.get(status)
    if line is None:
        line = _STATUS_LINES[status] = f"HTTP/1.1 {status} {reason(status)}\r\n".encode()
    return line


def request_head(method: str, path: str, authority: str, fields: dict[str, Field], more: bytes) -> bytes:
    """``more``: lines that are not among the fields (framing), each with its line end."""
    start = f"{method} {path} HTTP/1.1\r\nhost: {authority}\r\n".encode("utf-8", "surrogateescape")
    return b"".join([start, *[line for _, line in fields.values()], more, b"\r\n"])


def response_head(status: int, fields: dict[str, Field], more: bytes) -> bytes:
    return b"".join([status_line(status), *[line for _, line in fields.values()], more, b"\r\n"])


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)
