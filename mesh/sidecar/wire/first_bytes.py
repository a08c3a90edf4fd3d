"""Whether a connection begins as HTTP. Envoy: filters.listener.http_inspector."""

import re
from typing import Final

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
MAX_LINE_BYTES: Final = 8192
_METHOD: Final = re.compile(rb"[A-Z]{1,32}\Z")
_LINE: Final = re.compile(rb"[A-Z]{1,32} \S+ HTTP/1\.([01])\r?\Z")


def protocol(data: bytes) -> str | None:
    """``http/1.0``, ``http/1.1``, ``h2c``, or empty for what is no HTTP; None: too early to tell."""
    if data[: len(PREFACE)] == PREFACE[: len(data)]:
        return "h2c" if len(data) >= len(PREFACE) else None
    line, end, _ = data.partition(b"\n")
    if end:
        matched = _LINE.match(line)
        return f"http/1.{matched[1].decode()}" if matched else ""
    method, _, _ = line.partition(b" ")
    if not _METHOD.match(method) or len(data) > MAX_LINE_BYTES:
        return "" if data else None
    return None
