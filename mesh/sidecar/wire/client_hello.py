"""The first message of a TLS client, read without answering it: which server it wants and what it speaks. RFC 8446 §4.1.2, RFC 6066 §3.

Envoy: filters.listener.tls_inspector. Bounded: who has not said it within ``MAX_BYTES`` is not waited for.
"""

from dataclasses import dataclass
from typing import Final

MAX_BYTES: Final = 64 * 1024
_HANDSHAKE, _CLIENT_HELLO = 22, 1
_SERVER_NAME, _ALPN = 0, 16


@dataclass(frozen=True, slots=True)
class ClientHello:
    server_name: str = ""
    application_protocols: tuple[str, ...] = ()


class NotTls(Exception):
    """These bytes begin no TLS connection."""


class _Short(Exception):
    """A length that points beyond the message."""


class _Bytes:
    """Reads a message front to back; never beyond its end."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def __bool__(self) -> bool:
        return self._at < len(self._data)

    def take(self, count: int) -> bytes:
        end = self._at + count
        if end > len(self._data):
            raise _Short
        piece = self._data[self._at : end]
        self._at = end
        return piece

    def rest(self) -> bytes:
        return self.take(len(self._data) - self._at)

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size), "big")

    def vector(self, size: int) -> "_Bytes":
        return _Bytes(self.take(self.number(size)))


def read(data: bytes) -> ClientHello | None:
    """None: not all of it is here yet. Raises NotTls."""
    message = _message(data)
    if message is None:
        return None
    try:
        return _hello(_Bytes(message))
    except (_Short, UnicodeDecodeError):
        raise NotTls from None


def _message(data: bytes) -> bytes | None:
    """The handshake message out of its records."""
    message = b""
    at = 0
    while True:
        head = data[at : at + 5]
        if (head[:1] and head[0] != _HANDSHAKE) or (head[1:2] and head[1] != 3):
            raise NotTls
        if len(data) > MAX_BYTES:
            raise NotTls
        length = int.from_bytes(head[3:5], "big")
        if len(head) < 5 or len(data) < at + 5 + length:
            return None
        if not length:
            raise NotTls
        message += data[at + 5 : at + 5 + length]
        at += 5 + length
        if message[0] != _CLIENT_HELLO:
            raise NotTls
        if len(message) >= 4 and len(message) >= 4 + int.from_bytes(message[1:4], "big"):
            return message[4 : 4 + int.from_bytes(message[1:4], "big")]


def _hello(body: _Bytes) -> ClientHello:
    body.take(2 + 32)  # version, random
    body.vector(1)  # session
    body.vector(2)  # cipher suites
    body.vector(1)  # compression methods
    name = ""
    protocols: tuple[str, ...] = ()
    extensions = body.vector(2) if body else _Bytes(b"")
    while extensions:
        kind, content = extensions.number(2), extensions.vector(2)
        if kind == _SERVER_NAME:
            name = _server_name(content)
        elif kind == _ALPN:
            protocols = _protocols(content)
    return ClientHello(name, protocols)


def _server_name(content: _Bytes) -> str:
    names = content.vector(2) if content else content
    while names:
        kind, name = names.number(1), names.vector(2)
        if kind == 0:
            return name.rest().decode("ascii").lower()
    return ""


def _protocols(content: _Bytes) -> tuple[str, ...]:
    found, listed = [], content.vector(2)
    while listed:
        name = listed.vector(1)
        found.append(name.rest().decode("latin-1"))
    return tuple(found)
