"""Fields to requests, responses and trailers, strictly: what is malformed by RFC 9113 §8 never becomes one.

Envoy: nghttp2's http messaging rules and HeaderUtility; a malformed message there closes the connection, here it resets the stream.
Everything that HTTP/1 could not carry unambiguously is refused here, so that a request can go on to an HTTP/1 upstream as it is.
"""

import re
from collections.abc import Iterable
from typing import Final, TypeVar

from mesh.sidecar.headers import Field, join_fields
from mesh.sidecar.wire.heads import CHUNKED, FORGETTABLE, REMEMBERED_LINE_BYTES, REMEMBERED_LINES, SPECIAL
from mesh.sidecar.wire.http2.handler import RequestHead
from mesh.sidecar.wire.http2.header_blocks import BlockMemory, Entry, MalformedField, encode_field, encode_path

T = TypeVar("T")

ResponseHead = tuple[int, dict[str, Field], int]
"""Status, fields, and what content-length says, or CHUNKED."""

_REQUEST_PSEUDO: Final = frozenset({":method", ":path", ":scheme", ":authority", ":protocol"})
_CONNECTION_SPECIFIC: Final = frozenset({"connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade", "http2-settings"})
_SINGLE: Final = frozenset({"host", "content-length"})

_METHOD = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_PATH = re.compile(r"/[\x21-\x7e]*")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*")
_AUTHORITY = re.compile(r"(?:[A-Za-z0-9\-._~!$&'()*+,;=%]+|\[[0-9A-Fa-f:.%A-Za-z\-_~]+\])(?::[0-9]*)?")
_PROTOCOL = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z/]+")
_STATUS = re.compile(r"[1-5][0-9][0-9]")
_DIGITS = re.compile(r"[0-9]{1,19}")


class MalformedHead(MalformedField):
    """Fields, but not of a message."""


def _split(entries: Iterable[Entry]) -> tuple[dict[str, str], dict[str, Field]]:
    """Pseudo-headers and the others. Raises MalformedHead."""
    pseudo: dict[str, str] = {}
    fields: dict[str, Field] = {}
    for name, field, _ in entries:
        if name[0] == ":":
            if fields or name in pseudo:
                raise MalformedHead(f"{name} twice or behind a field")
            pseudo[name] = field[0]
        elif name in fields:
            fields[name] = _repeated(name, fields[name], field)
        else:
            fields[name] = field
    if not _CONNECTION_SPECIFIC.isdisjoint(fields) or ("te" in fields and fields["te"][0].lower() != "trailers"):
        raise MalformedHead("a field about the connection")
    return pseudo, fields


def _repeated(name: str, first: Field, second: Field) -> Field:
    if name in _SINGLE:
        raise MalformedHead(f"{name} twice")
    if name == "cookie":  # RFC 9113 §8.2.3: one line, where it goes on as HTTP/1
        value = f"{first[0]}; {second[0]}"
        return value, b"cookie: %b\r\n" % value.encode("utf-8", "surrogateescape")
    return join_fields(first, second)


def _length(fields: dict[str, Field], end_stream: bool) -> int:
    field = fields.get("content-length")
    if field is None:
        return 0 if end_stream else CHUNKED
    if not _DIGITS.fullmatch(field[0]):
        raise MalformedHead("content-length")
    return int(field[0])


def read_request(entries: list[Entry], end_stream: bool) -> RequestHead:
    """Raises MalformedHead."""
    pseudo, fields = _split(entries)
    if not _REQUEST_PSEUDO.issuperset(pseudo):
        raise MalformedHead("a pseudo-header that requests do not have")
    method, protocol = pseudo.get(":method", ""), pseudo.get(":protocol", "")
    if not _METHOD.fullmatch(method):
        raise MalformedHead(":method")
    authority = _authority(pseudo.get(":authority"), fields.pop("host", None))
    if method == "CONNECT" and ":protocol" not in pseudo:
        if ":path" in pseudo or ":scheme" in pseudo or ":authority" not in pseudo:
            raise MalformedHead("CONNECT with a path or a scheme, or without an authority")
    else:
        _check_target(method, pseudo)
    length = _length(fields, end_stream)
    if end_stream and length > 0:
        raise MalformedHead("content-length without DATA")
    special = not SPECIAL.isdisjoint(fields)
    return RequestHead(method, pseudo.get(":path", ""), authority, pseudo.get(":scheme", ""), protocol, fields, length, special)


def _check_target(method: str, pseudo: dict[str, str]) -> None:
    path = pseudo.get(":path", "")
    if not _PATH.fullmatch(path) and not (path == "*" and method == "OPTIONS"):
        raise MalformedHead(":path")
    if not _SCHEME.fullmatch(pseudo.get(":scheme", "")):
        raise MalformedHead(":scheme")
    if ":protocol" in pseudo and (method != "CONNECT" or ":authority" not in pseudo or not _PROTOCOL.fullmatch(pseudo[":protocol"])):
        raise MalformedHead(":protocol")


def _authority(authority: str | None, host: Field | None) -> str:
    """One answer to the question whom this is for: two that differ are none."""
    if authority is None:
        if host is None:
            raise MalformedHead("neither :authority nor host")
        authority = host[0]
    elif host is not None and host[0] != authority:
        raise MalformedHead(":authority and host differ")
    if not _AUTHORITY.fullmatch(authority):
        raise MalformedHead(":authority")
    return authority


def read_response(entries: list[Entry]) -> ResponseHead:
    """Raises MalformedHead."""
    pseudo, fields = _split(entries)
    if len(pseudo) != 1 or not _STATUS.fullmatch(pseudo.get(":status", "")):
        raise MalformedHead(":status")
    status = int(pseudo[":status"])
    if status == 101:
        raise MalformedHead("switching protocols")  # RFC 9113 §8.6
    return status, fields, _length(fields, end_stream=False)


def read_trailers(entries: list[Entry]) -> dict[str, Field]:
    """Raises MalformedHead."""
    pseudo, fields = _split(entries)
    if pseudo:
        raise MalformedHead("a pseudo-header among trailers")
    return fields


class HeadMemory:
    """What whole blocks mean, and how heads are written; one for all connections of a proxy that have the same limits on heads."""

    def __init__(self) -> None:
        self.blocks = BlockMemory()
        self._requests: tuple[dict[bytes, RequestHead], dict[bytes, RequestHead]] = {}, {}
        self._responses: dict[bytes, ResponseHead] = {}
        self._trailers: dict[bytes, dict[str, Field]] = {}
        self._request_starts: dict[tuple[str, str, str], bytes] = {}
        self._statuses: dict[int, bytes] = {}

    def request(self, block: bytes, end_stream: bool) -> RequestHead | None:
        """What a block without state is known to mean. The fields are the caller's to change."""
        known = self._requests[end_stream].get(block)
        if known is None:
            return None
        method, path, authority, scheme, protocol, fields, length, special = known
        return tuple.__new__(RequestHead, (method, path, authority, scheme, protocol, fields.copy(), length, special))

    def remember_request(self, block: bytes, end_stream: bool, head: RequestHead) -> None:
        if len(block) <= REMEMBERED_LINE_BYTES and FORGETTABLE.isdisjoint(head.fields):
            _remember(self._requests[end_stream], block, head._replace(fields=head.fields.copy()))

    def response(self, block: bytes) -> ResponseHead | None:
        known = self._responses.get(block)
        if known is None:
            return None
        status, fields, length = known
        return status, fields.copy(), length

    def remember_response(self, block: bytes, head: ResponseHead) -> None:
        status, fields, length = head
        if len(block) <= REMEMBERED_LINE_BYTES and FORGETTABLE.isdisjoint(fields):
            _remember(self._responses, block, (status, fields.copy(), length))

    def trailers(self, block: bytes) -> dict[str, Field] | None:
        known = self._trailers.get(block)
        return None if known is None else known.copy()

    def remember_trailers(self, block: bytes, fields: dict[str, Field]) -> None:
        if len(block) <= REMEMBERED_LINE_BYTES and FORGETTABLE.isdisjoint(fields):
            _remember(self._trailers, block, fields.copy())

    # --- writing

    def write_request(self, method: str, path: str, authority: str, scheme: str, protocol: str, fields: dict[str, Field]) -> bytes:
        key = method, authority, scheme
        start = self._request_starts.get(key)
        if start is None:
            start = _remember(self._request_starts, key, _request_start(method, authority, scheme))
        if path:
            start += encode_path(path)
        if protocol:
            start += encode_field(b":protocol", protocol.encode())
        return self.blocks.write(start, fields)

    def write_response(self, status: int, fields: dict[str, Field]) -> bytes:
        start = self._statuses.get(status)
        if start is None:
            start = _remember(self._statuses, status, encode_field(b":status", b"%d" % status))
        return self.blocks.write(start, fields)

    def write_trailers(self, fields: dict[str, Field]) -> bytes:
        return self.blocks.write(b"", fields)


K = TypeVar("K")


def _remember(known: dict[K, T], key: K, meaning: T) -> T:
    if len(known) >= REMEMBERED_LINES:
        known.clear()
    known[key] = meaning
    return meaning


def _request_start(method: str, authority: str, scheme: str) -> bytes:
    pieces = [encode_field(b":method", method.encode())]
    if scheme:
        pieces.append(encode_field(b":scheme", scheme.encode()))
    pieces.append(encode_field(b":authority", authority.encode("utf-8", "surrogateescape")))
    return b"".join(pieces)
