"""A request as bytes on a socket of its own, and all that came of it."""

import contextlib
import re
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

VOLATILE = {"date", "x-request-id", "x-envoy-upstream-service-time", "x-envoy-peer-metadata", "x-envoy-peer-metadata-id"}
GIVE_UP_SECONDS = 5.0

Pairs = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Ask:
    """A request to the case's own domain. ``raw`` replaces all the rest; in it ``{host}`` and ``{key}`` are filled in.

    ``takes`` bounds the seconds the answer may take. ``mirrored`` is how many more requests arrive than are answered. ``then`` is sent
    once the answer's head has come. ``answers`` is how many answers to read from the connection.
    """

    path: str = "/"
    method: str = "GET"
    headers: Pairs = ()
    body: bytes = b""
    script: str = "200"
    host: str = ""
    raw: bytes = b""
    takes: tuple[float, float] = (0.0, 2.0)
    mirrored: int = 0
    then: bytes = b""
    answers: int = 1
    http2: bool = False
    trailers: Pairs = ()  # of HTTP/2

    def wire(self, domain: str, key: str) -> bytes:
        host = self.host.replace("{host}", domain) or domain
        if self.raw:
            return self.raw.replace(b"{host}", host.encode()).replace(b"{key}", key.encode())
        lines = [f"{self.method} {self.path} HTTP/1.1", f"host: {host}", f"x-key: {key}", f"x-script: {self.script}"]
        lines += [f"{name}: {value}" for name, value in self.headers]
        if self.body and not any(name.lower() in ("content-length", "transfer-encoding") for name, _ in self.headers):
            lines.append(f"content-length: {len(self.body)}")
        return "\r\n".join(lines).encode("utf-8", "surrogateescape") + b"\r\n\r\n" + self.body


@dataclass
class Seen:
    """A request as an upstream saw it."""

    cluster: str
    method: str
    path: str
    headers: list[tuple[str, str]]
    body: bytes = b""
    left_early: bool | None = None  # whether who asked had hung up before a slow answer's end

    @property
    def shadow(self) -> bool:
        return "-shadow" in {name.lower(): value for name, value in self.headers}.get("host", "")

    @property
    def at_the_edge(self) -> bool:
        """The client is on this machine: then Envoy says the machine's first address, we the one that he came from."""
        return any(name.lower() == "x-envoy-external-address" for name, _ in self.headers)

    def comparable(self) -> tuple[Any, ...]:
        headers = [pair for pair in self.headers if pair[0].lower() != "x-key"]
        if self.shadow or self.at_the_edge:  # a copy names the machine that it comes from, each proxy in its own way
            headers = [(name, re.sub(r"[^,]+$", "OWN", value) if name == "x-forwarded-for" else value) for name, value in headers]
        return self.cluster, self.method, self.path, normal(headers), self.body


@dataclass
class Answer:
    """``status`` 0: the connection was closed without one. ``next``: what came after it on the same connection."""

    status: int = 0
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""
    whole: bool = True  # the body came to its end
    closed: bool = False  # instead of an answer, or to end it
    interim: list[int] = field(default_factory=list)
    next: list["Answer"] = field(default_factory=list)
    trailers: list[tuple[str, str]] | None = None
    reset: int | None = None  # of its stream, by this code

    def header(self, name: str) -> str | None:
        return next((value for key, value in self.headers if key.lower() == name), None)

    def comparable(self) -> dict[str, Any]:
        return {
            "status": self.status,
            "headers": normal(self.headers),
            "body": self.body,
            "whole": self.whole,
            "closed": self.closed,
            "interim": self.interim,
            "trailers": self.trailers and normal(self.trailers),
            "reset": self.reset,
            **({"next": [answer.comparable() for answer in self.next]} if self.next else {}),
        }


@dataclass
class Outcome:
    """What one proxy made of a request: the answer, what went up, what it logged."""

    answer: Answer
    seconds: float
    upstream: list[Seen]
    log: list[dict[str, Any]]

    def comparable(self) -> dict[str, Any]:
        tries = [seen for seen in self.upstream if not seen.shadow]
        for seen in tries[1:]:  # what is left of the time is told to the millisecond
            seen.headers = [(name, "…" if name == "x-envoy-expected-rq-timeout-ms" else value) for name, value in seen.headers]
        upstream = sorted(seen.comparable() for seen in self.upstream)
        return {"answer": self.answer.comparable(), "upstream": upstream, "log": self.log}


def normal(headers: Sequence[tuple[str, str]]) -> Pairs:
    """Sorted, and without what differs from one request to the next."""
    return tuple(sorted((name.lower(), "…" if name.lower() in VOLATILE else _without_ports(value)) for name, value in headers))


def _without_ports(value: str) -> str:
    """The two proxies listen on ports of their own, which a Host of a redirect repeats."""
    return re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1:PORT", value)


def exchange(address: tuple[str, int], data: bytes, ask: Ask) -> tuple[Answer, str, float]:
    """Send, read what comes; the answer, our own address as the proxy sees it, and the seconds that it took."""
    began = time.monotonic()
    with socket.create_connection(address, timeout=GIVE_UP_SECONDS) as connection:
        own = "{}:{}".format(*connection.getsockname())
        with connection.makefile("rb") as stream:
            first = _converse(connection, stream, data, ask)
            for _ in range(ask.answers - 1):
                first.next.append(_read(stream, ask.method))
            seconds = time.monotonic() - began
    return first, own, seconds


def _converse(connection: socket.socket, stream: Any, data: bytes, ask: Ask) -> Answer:
    head, blank, body = data.partition(b"\r\n\r\n")
    waits = b"100-continue" in head.lower() and bool(body)
    with contextlib.suppress(ConnectionError):
        connection.sendall(head + blank if waits else data)
    answer = _read(stream, ask.method)
    if waits and answer.status == 100:
        connection.sendall(body)
        answer = _read(stream, ask.method)
        answer.interim.append(100)
    if ask.then:
        connection.sendall(ask.then)
        answer.body += stream.read()
        answer.closed = True
    return answer


def _read(stream: Any, method: str) -> Answer:
    answer = Answer()
    try:
        _read_into(answer, stream, method)
    except ConnectionError:
        answer.closed = True
        answer.whole = False
    return answer


def _read_into(answer: Answer, stream: Any, method: str) -> None:
    line = stream.readline().decode("latin-1")
    if not line:
        answer.closed = True
        return
    answer.status = int(line.split(" ")[1])
    answer.headers = []
    while (line := stream.readline().decode("utf-8", "surrogateescape").rstrip("\r\n")) != "":
        name, _, value = line.partition(":")
        answer.headers.append((name, value.strip()))
    if answer.status in (100, 101):
        return
    if answer.status < 200:
        answer.interim.append(answer.status)
        _read_into(answer, stream, method)
    elif method != "HEAD" and answer.status not in (204, 304):
        _read_body(answer, stream)


def _read_body(answer: Answer, stream: Any) -> None:
    length = answer.header("content-length")
    if "chunked" in (answer.header("transfer-encoding") or ""):
        _read_chunks(answer, stream)
    elif length is not None:
        while len(answer.body) < int(length) and (piece := stream.read1(int(length) - len(answer.body))):
            answer.body += piece
        answer.whole = len(answer.body) == int(length)
    else:
        answer.body = stream.read()
        answer.closed = True


def _read_chunks(answer: Answer, stream: Any) -> None:
    size = -1
    while size:
        line = stream.readline()
        if not line:
            answer.whole = False
            return
        size = int(line.split(b";")[0], 16)
        answer.body += stream.read(size)
        stream.readline()
