"""Heads of HTTP/1 messages: request line or status line and the header fields, strictly by RFC 9112.

Envoy: source/common/http/http1/codec_impl.cc over its parser; stricter here than there: no bare LF, no folded lines, no whitespace
around names, one Host, one Content-Length, no Content-Length beside Transfer-Encoding.

Lines come again and again, so what a line means is remembered by its bytes; a line that was seen before costs one look-up. So are
heads, as a whole. The memory is bounded, and what never repeats (a request id) or holds secrets is not remembered.
"""

import re
from collections.abc import Callable
from typing import Final, NamedTuple, TypeVar

from mesh.sidecar.headers import Field, join_fields

T = TypeVar("T")

CHUNKED: Final = -1
UNTIL_CLOSE: Final = -2

RequestLine = tuple[str, str, str | None, int]
"""Method, path, authority if the target was in absolute form, minor version."""


class MalformedMessage(Exception):
    """The peer does not speak HTTP; ``status`` is what a client gets for it, ``details`` are Envoy's response code details.

    ``request`` (method, path, authority) is set where it is HTTP, but not to be served.
    """

    def __init__(self, details: str, status: int = 400, request: tuple[str, str, str] | None = None) -> None:
        super().__init__(details)
        self.details = details
        self.status = status
        self.request = request


class RequestHead(NamedTuple):
    """``length``: bytes of the body, or CHUNKED. ``special``: fields that are for this hop only (see ``hop``) may be among ``fields``."""

    method: str
    path: str
    authority: str
    minor: int
    fields: dict[str, Field]
    length: int
    special: bool


ResponseHead = tuple[int, int, dict[str, Field], int, bool]
"""Status, minor version, fields; bytes of the body, CHUNKED or UNTIL_CLOSE; whether the connection cannot be used again."""


HOP_BY_HOP: Final = frozenset({"connection", "keep-alive", "proxy-connection", "te", "upgrade", "http2-settings", "trailer"})
"""Fields for this hop only, and ``expect``; a request with none of them (and none of Envoy's internal ones) takes the short way."""

INTERNAL: Final = frozenset(
    {
        "x-envoy-retriable-status-codes",
        "x-envoy-retriable-header-names",
        "x-envoy-retry-on",
        "x-envoy-retry-grpc-on",
        "x-envoy-max-retries",
        "x-envoy-upstream-alt-stat-name",
        "x-envoy-upstream-rq-timeout-ms",
        "x-envoy-upstream-rq-per-try-timeout-ms",
        "x-envoy-upstream-rq-timeout-alt-response",
        "x-envoy-expected-rq-timeout-ms",
        "x-envoy-force-trace",
        "x-envoy-ip-tags",
        "x-envoy-original-url",
        "x-envoy-hedge-on-per-try-timeout",
        "x-envoy-internal",
        "x-forwarded-client-cert",
    }
)
"""Fields by which a client could command the proxy or lie about itself. Envoy: ConnectionManagerUtility::cleanInternalHeaders."""

SPECIAL: Final = HOP_BY_HOP | INTERNAL | {"expect"}

_METHOD_NAMES: Final = (
    "ACL BIND CHECKOUT CONNECT COPY DELETE GET HEAD LINK LOCK MERGE MKACTIVITY MKCALENDAR MKCOL MOVE MSEARCH M-SEARCH NOTIFY OPTIONS PATCH"
    " POST PROPFIND PROPPATCH PURGE PUT REBIND REPORT SEARCH SOURCE SUBSCRIBE TRACE UNBIND UNLINK UNLOCK UNSUBSCRIBE"
)
METHODS: Final = frozenset(_METHOD_NAMES.split())
"""Envoy: BalsaParser. No others."""

FORGETTABLE: Final = frozenset(
    {
        "authorization",
        "cookie",
        "set-cookie",
        "proxy-authorization",
        "x-request-id",
        "traceparent",
        "tracestate",
        "b3",
        "x-b3-traceid",
        "x-b3-spanid",
        "x-b3-parentspanid",
        "etag",
    }
)
"""What never repeats, or holds secrets."""

REMEMBERED_LINES: Final = 1024
REMEMBERED_LINE_BYTES: Final = 1024

_FIELD = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*([^\x00-\x08\x0a-\x1f\x7f]*)")
_REQUEST_LINE = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+) ([\x21-\x7e]+)(?: HTTP/(\d\.\d)| ?)")
_STATUS_LINE = re.compile(rb"HTTP/1\.([01]) ([1-9]\d\d)(?: [^\x00-\x08\x0a-\x1f\x7f]*)?")
_AUTHORITY = re.compile(r"[A-Za-z0-9\-._~!$&'()*+,;=%:@\[\]]*")
_HOST_AND_PORT = re.compile(r"[^/?#]+:\d+")
_DIGITS = re.compile(r"[0-9]{1,19}")
_START_OF_REQUEST = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]*(?: [\x21-\x7e]*(?: [HTP/\d.]*)?)?")
_CONTROL = re.compile(rb"[\x00-\x08\x0e-\x1f\x7f]")
_BARE_LF = re.compile(rb"(?<!\r)\n")


def _check_request_field(name: str, value: str) -> None:
    if name == "host":
        if not _AUTHORITY.fullmatch(value):
            raise MalformedMessage("http.invalid_authority")
    elif name == "transfer-encoding":
        codings = [coding.strip(" \t").lower() for coding in value.split(",")]
        if codings != ["chunked"]:
            raise MalformedMessage("http1.invalid_transfer_encoding", 501)
    elif name == "content-length" and not _DIGITS.fullmatch(value):
        raise MalformedMessage("http1.codec_error")


def _check_response_field(name: str, value: str) -> None:
    if name != "host":
        _check_request_field(name, value)


class HeadReader:
    """Reads heads; one per proxy, so that all connections share what it remembers."""

    def __init__(self) -> None:
        self._request_lines: dict[bytes, RequestLine] = {}
        self._request_fields: dict[bytes, tuple[str, Field]] = {}
        self._status_lines: dict[bytes, tuple[int, int]] = {}
        self._response_fields: dict[bytes, tuple[str, Field]] = {}
        self._request_heads: dict[bytes, RequestHead] = {}
        self._response_heads: dict[tuple[bytes, bool], ResponseHead] = {}

    def request(self, head: bytes, max_count: int = 100) -> RequestHead:
        """``head``: all up to, but not with, the empty line. Raises MalformedMessage. The fields are the caller's to change."""
        known = self._request_heads.get(head)
        if known is not None and len(known[4]) < max_count:
            method, path, authority, minor, fields, length, special = known
            return tuple.__new__(RequestHead, (method, path, authority, minor, fields.copy(), length, special))
        read = self._read_request(head, max_count)
        if FORGETTABLE.isdisjoint(read[4]):
            self._remember(self._request_heads, head, read._replace(fields=read.fields.copy()))
        return read

    def _read_request(self, head: bytes, max_count: int) -> RequestHead:
        lines = head.split(b"\r\n")
        start = self._request_lines.get(lines[0])
        if start is None:
            start = self._remember(self._request_lines, lines[0], _request_line(lines[0]))
        fields = self._fields(lines, self._request_fields, _check_request_field, max_count)
        method, path, authority, minor = start
        host = fields.pop("host", None)
        if host is None:
            raise MalformedMessage("missing_host_header", request=(method, path, ""))
        if authority is None:
            authority = host[0]
        length = 0
        if "content-length" in fields:
            if "transfer-encoding" in fields:
                raise MalformedMessage("http1.content_length_and_chunked_not_allowed")
            length = int(fields["content-length"][0])
        elif fields.pop("transfer-encoding", None) is not None:
            length = CHUNKED
        return RequestHead(method, path, authority, minor, fields, length, not SPECIAL.isdisjoint(fields))

    def response(self, head: bytes, method: str, max_count: int = 1000) -> ResponseHead:
        """The answer to a request of that method. Raises MalformedMessage. The fields are the caller's to change."""
        key = head, method == "HEAD"
        known = self._response_heads.get(key)
        if known is not None:
            status, minor, fields, length, close = known
            return status, minor, fields.copy(), length, close
        read = self._read_response(head, method, max_count)
        if FORGETTABLE.isdisjoint(read[2]) and len(head) <= REMEMBERED_LINE_BYTES:
            if len(self._response_heads) >= REMEMBERED_LINES:
                self._response_heads.clear()
            self._response_heads[key] = (read[0], read[1], read[2].copy(), read[3], read[4])
        return read

    def _read_response(self, head: bytes, method: str, max_count: int) -> ResponseHead:
        lines = head.split(b"\r\n")
        start = self._status_lines.get(lines[0])
        if start is None:
            start = self._remember(self._status_lines, lines[0], _status_line(lines[0]))
        fields = self._fields(lines, self._response_fields, _check_response_field, max_count)
        status, minor = start
        close = minor == 0
        if not HOP_BY_HOP.isdisjoint(fields):
            close = _strip_response(fields, status, minor)
        length = UNTIL_CLOSE
        if "content-length" in fields:
            if "transfer-encoding" in fields:
                raise MalformedMessage("http1.content_length_and_chunked_not_allowed")
            length = int(fields["content-length"][0])
        elif fields.pop("transfer-encoding", None) is not None:
            if minor == 0 or status < 200 or status == 204:
                raise MalformedMessage("http1.transfer_encoding_not_allowed")
            length = CHUNKED
        if status < 200 or status == 204 or status == 304 or method == "HEAD":
            if status < 200 or status == 204:
                fields.pop("content-length", None)
                if length > 0:
                    raise MalformedMessage("http1.content_length_not_allowed", 502)
            length = 0
        return status, minor, fields, length, close or length == UNTIL_CLOSE

    def _fields(
        self, lines: list[bytes], known: dict[bytes, tuple[str, Field]], check: Callable[[str, str], None], max_count: int
    ) -> dict[str, Field]:
        if len(lines) - 1 > max_count:
            raise MalformedMessage("http1.too_many_headers", 431)
        fields: dict[str, Field] = {}
        del lines[0]
        for line in lines:
            entry = known.get(line)
            if entry is None:
                entry = self._read_field(line, known, check)
            name, value = entry
            if name in fields:
                value = _repeated(name, fields[name], value)
            fields[name] = value
        return fields

    def _read_field(self, line: bytes, known: dict[bytes, tuple[str, Field]], check: Callable[[str, str], None]) -> tuple[str, Field]:
        match = _FIELD.fullmatch(line)
        if match is None:
            raise MalformedMessage("http1.invalid_characters" if _CONTROL.search(line) else "http1.codec_error")
        raw_name, raw_value = match[1].lower(), match[2].rstrip(b" \t")
        name, value = raw_name.decode("ascii"), raw_value.decode("utf-8", "surrogateescape")
        check(name, value)
        entry = (name, (value, b"%b: %b\r\n" % (raw_name, raw_value)))
        return entry if name in FORGETTABLE else self._remember(known, line, entry)

    @staticmethod
    def _remember(known: dict[bytes, T], line: bytes, meaning: T) -> T:
        if len(line) <= REMEMBERED_LINE_BYTES:
            if len(known) >= REMEMBERED_LINES:
                known.clear()
            known[line] = meaning
        return meaning


def check_start(data: bytes) -> None:
    """Refuse early what can no longer become a request head: a TLS hello, lines that end in a bare LF."""
    line_end = data.find(b"\r\n")
    first = data if line_end < 0 else data[:line_end]
    if not _START_OF_REQUEST.fullmatch(first.removesuffix(b"\r")) or _BARE_LF.search(data):
        raise MalformedMessage("http1.codec_error")


def _request_line(line: bytes) -> RequestLine:
    match = _REQUEST_LINE.fullmatch(line)
    if match is None:
        begun = line.partition(b" ")[0].decode("ascii", "replace") in METHODS
        raise MalformedMessage("http1.invalid_characters" if begun and _CONTROL.search(line) else "http1.codec_error")
    method, target, version = (part.decode("ascii") for part in match.groups(default=b""))
    if method not in METHODS:
        raise MalformedMessage("http1.codec_error")
    if version != "1.1":
        raise MalformedMessage("low_version", 426)
    minor = 1
    if method == "CONNECT":
        if not _HOST_AND_PORT.fullmatch(target):
            raise MalformedMessage("http1.invalid_url")
        return method, "", target, minor
    authority: str | None
    if target[0] == "/" or (target == "*" and method == "OPTIONS"):
        path, authority = target, None
    else:
        path, authority = _absolute_form(target)
    return method, path, authority, minor


def _absolute_form(target: str) -> tuple[str, str]:
    scheme, separator, rest = target.partition("://")
    if not separator:
        raise MalformedMessage("http1.invalid_url" if target == "*" else "http1.codec_error")
    if scheme.lower() not in ("http", "https"):
        raise MalformedMessage("http1.invalid_scheme")
    ends = [at for at in (rest.find("/"), rest.find("?"), rest.find("#")) if at >= 0]
    end = min(ends, default=len(rest))
    authority, path = rest[:end], rest[end:]
    if not authority or not _AUTHORITY.fullmatch(authority):
        raise MalformedMessage("http1.invalid_url")
    return path if path.startswith("/") else "/" + path, authority


def _status_line(line: bytes) -> tuple[int, int]:
    match = _STATUS_LINE.fullmatch(line)
    if match is None:
        raise MalformedMessage("http1.codec_error", 502)
    return int(match[2]), int(match[1])


_SINGLE = frozenset({"host", "content-length", "transfer-encoding"})


def _repeated(name: str, first: Field, second: Field) -> Field:
    if name in _SINGLE:
        if name == "transfer-encoding":
            raise MalformedMessage("http1.invalid_transfer_encoding", 501)
        raise MalformedMessage("http1.codec_error")
    return join_fields(first, second)


def tokens(value: str) -> list[str]:
    """A comma-separated list, lower-case, without empty members."""
    return [token for part in value.split(",") if (token := part.strip(" \t").lower())]


def _strip_response(fields: dict[str, Field], status: int, minor: int) -> bool:
    """Take the hop-by-hop fields out; answers whether the connection ends with this response."""
    connection = tokens(fields["connection"][0]) if "connection" in fields else []
    if status != 101:
        for name in HOP_BY_HOP:
            fields.pop(name, None)
    return "close" in connection or (minor == 0 and "keep-alive" not in connection)
