"""An HTTP client for one address: what a test or a person outside the mesh speaks with.

Plain ``http.client``: it follows no redirect, retries nothing, obeys no proxy variable, and shows header and body as they came.
"""

import http.client
import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

TIMEOUT_SECONDS = 30.0
DROPPED = (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError)


class NoAnswer(ConnectionError):
    """The request got no answer, or none that is HTTP."""


class Headers(Mapping[str, str]):
    """Response headers; names in any case, the values of a repeated one joined by commas."""

    def __init__(self, pairs: list[tuple[str, str]]) -> None:
        self.pairs = tuple(pairs)
        self._values: dict[str, str] = {}
        for name, value in pairs:
            key = name.lower()
            self._values[key] = f"{self._values[key]}, {value}" if key in self._values else value

    def __getitem__(self, name: str) -> str:
        return self._values[name.lower()]

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name.lower() in self._values

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return f"Headers({self._values!r})"


@dataclass(frozen=True, slots=True)
class Response:
    """``seconds``: from the first byte sent to the last byte received."""

    status: int
    content: bytes
    headers: Headers = field(default_factory=lambda: Headers([]))
    seconds: float = 0.0

    @property
    def text(self) -> str:
        return self.content.decode("utf-8", errors="replace")

    def json(self) -> Any:
        return json.loads(self.content)


class Client:
    """Requests to one ``http://host:port``, one after the other on a connection that is kept. Not for several threads at once."""

    def __init__(self, url: str, timeout_seconds: float = TIMEOUT_SECONDS, headers: Mapping[str, str] | None = None) -> None:
        parts = urlsplit(url)
        if parts.scheme != "http" or not parts.hostname:
            raise ValueError(f"not an http:// address: {url!r}")
        self.url = url.rstrip("/")
        self._headers = dict(headers or {})
        self._connection = http.client.HTTPConnection(parts.hostname, parts.port or 80, timeout=timeout_seconds)

    def get(self, path: str, headers: Mapping[str, str] | None = None) -> Response:
        return self.request("GET", path, headers=headers)

    def post(
        self,
        path: str,
        body: bytes | str = b"",
        headers: Mapping[str, str] | None = None,
        json: Any = None,
        timeout_seconds: float | None = None,
    ) -> Response:
        return self.request("POST", path, body, headers, json, timeout_seconds)

    def request(
        self,
        method: str,
        path: str,
        body: bytes | str = b"",
        headers: Mapping[str, str] | None = None,
        json: Any = None,
        timeout_seconds: float | None = None,
    ) -> Response:
        """``json`` is sent as the body. Raises ``NoAnswer``, or ``TimeoutError`` when the answer takes too long."""
        sent = {**self._headers, **(headers or {})}
        content = body.encode() if isinstance(body, str) else body
        if json is not None:
            content = _to_json(json)
            sent.setdefault("content-type", "application/json")
        if timeout_seconds is not None:
            self._wait_at_most(timeout_seconds)
        kept = self._connection.sock is not None
        try:
            return self._exchange(method, path, content, sent)
        except DROPPED as error:
            self.close()
            if not kept:
                raise NoAnswer(f"{method} {self.url}{path}: the connection was closed without an answer ({error!r})") from error
            return self._again(method, path, content, sent)  # it was closed while it was idle, before this request

    def _again(self, method: str, path: str, content: bytes, headers: dict[str, str]) -> Response:
        try:
            return self._exchange(method, path, content, headers)
        except DROPPED as error:
            self.close()
            raise NoAnswer(f"{method} {self.url}{path}: the connection was closed without an answer ({error!r})") from error

    def _exchange(self, method: str, path: str, content: bytes, headers: dict[str, str]) -> Response:
        started = time.perf_counter()
        try:
            self._connection.request(method, path or "/", content or None, headers)
            answer = self._connection.getresponse()
            received = answer.read()
        except DROPPED:
            raise
        except TimeoutError as error:
            self.close()
            raise TimeoutError(f"{method} {self.url}{path}: no answer within {self._connection.timeout:g} s") from error
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise NoAnswer(f"{method} {self.url}{path}: {str(error) or type(error).__name__}") from error
        return Response(answer.status, received, Headers(answer.getheaders()), time.perf_counter() - started)

    def _wait_at_most(self, seconds: float) -> None:
        self._connection.timeout = seconds
        if self._connection.sock is not None:
            self._connection.sock.settimeout(seconds)

    def close(self) -> None:
        self._connection.close()

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def _to_json(value: Any) -> bytes:
    return json.dumps(value).encode()
