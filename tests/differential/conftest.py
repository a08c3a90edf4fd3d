"""The bench of the differential suite: a real Envoy and our sidecar side by side, with the same configuration, upstreams and requests.

Everything that the two may talk to is here: recording upstreams which behave as a request's ``x-script`` says, and a client on a bare
socket that writes bytes as they are. ``Bench.compare`` sends the same bytes to both and returns what each of them made of it.
"""

import asyncio
import contextlib
import itertools
import json
import os
import re
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

VOLATILE = {"date", "x-request-id", "x-envoy-upstream-service-time", "traceparent", "x-b3-traceid", "x-b3-spanid"}
LOCALHOST = "127.0.0.1"


# --- what was asked and what came back


@dataclass(frozen=True)
class Ask:
    """A request. ``raw`` replaces all the rest, ``half`` sends it without ending it; ``then`` is sent after the first answer began."""

    path: str = "/"
    method: str = "GET"
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    script: str = "200"
    host: str = ""  # empty: the case's own domain
    raw: bytes = b""
    times: int = 1
    at_least_seconds: float = 0.0
    give_up_seconds: float = 3.0

    def wire(self, domain: str, key: str) -> bytes:
        if self.raw:
            return self.raw.replace(b"{host}", (self.host or domain).encode()).replace(b"{key}", key.encode())
        lines = [f"{self.method} {self.path} HTTP/1.1", f"host: {self.host or domain}", f"x-key: {key}", f"x-script: {self.script}"]
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

    def comparable(self) -> tuple[Any, ...]:
        return self.cluster, self.method, self.path, normal(self.headers), self.body


@dataclass
class Answer:
    """What one proxy made of a request: the answer, what went up, what it logged."""

    status: int = 0  # 0: no answer, the connection was closed
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""
    whole: bool = True  # the body came to its end
    closed: bool = False  # the connection was closed after it
    interim: list[int] = field(default_factory=list)
    seconds: float = 0.0
    upstream: list[Seen] = field(default_factory=list)
    log: dict[str, str] = field(default_factory=dict)

    def comparable(self) -> dict[str, Any]:
        """All that must be equal, by name."""
        return {
            "status": self.status,
            "headers": normal(self.headers),
            "body": self.body,
            "whole": self.whole,
            "interim": self.interim,
            "upstream": sorted(seen.comparable() for seen in self.upstream),
            "log": self.log,
        }


def normal(headers: Sequence[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """Sorted, and without what differs from one request to the next."""
    return tuple(sorted((name.lower(), "…" if name.lower() in VOLATILE else value) for name, value in headers))


# --- upstreams


class Upstreams:
    """One recording server a cluster. A request's ``x-script`` has a step for each try, the last one for all further tries:

    ``503`` a status · ``0.5:200`` wait before it · ``close`` hang up instead · ``cut`` hang up amid the body · ``garbage`` no HTTP ·
    ``slow:0.5`` a body in two pieces with a pause between · ``200+name=value`` with a header · ``ws`` switch protocols and echo.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self.ports: dict[str, int] = {}
        self._names = names
        self._seen: dict[str, list[Seen]] = {}
        self._servers: list[asyncio.Server] = []

    async def start(self) -> None:
        for name in self._names:
            server = await asyncio.start_server(lambda r, w, name=name: self._serve(name, r, w), LOCALHOST, 0)
            self.ports[name] = server.sockets[0].getsockname()[1]
            self._servers.append(server)

    def take(self, key: str) -> list[Seen]:
        return self._seen.pop(key, [])

    def count(self, key: str) -> int:
        return len(self._seen.get(key, []))

    async def _serve(self, name: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while await self._one(name, reader, writer):
                pass
        writer.close()

    async def _one(self, name: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("utf-8", "surrogateescape")
        line, *fields = head[:-4].split("\r\n")
        method, path, _ = line.split(" ")
        headers = [(n, v.strip()) for n, _, v in (f.partition(":") for f in fields)]
        values = {n.lower(): v for n, v in headers}
        seen = Seen(name, method, path, headers)
        history = self._seen.setdefault(values.get("x-key", "?"), [])
        shadow = "-shadow" in values.get("host", "")
        tries = sum("-shadow" not in dict(s.headers).get("host", "") for s in history)
        history.append(seen)
        steps = ["200"] if shadow else values.get("x-script", "200").split(",")
        step = steps[min(tries, len(steps) - 1)]
        if "100-continue" in values.get("expect", ""):
            writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        if step != "early":
            seen.body = await self._body(values, reader)
        return await self._answer(step, name, method, reader, writer)

    async def _body(self, values: dict[str, str], reader: asyncio.StreamReader) -> bytes:
        if "chunked" in values.get("transfer-encoding", "") and values.get("upgrade", "") == "":
            body = b""
            while size := int((await reader.readuntil(b"\r\n")).split(b";")[0], 16):
                body += (await reader.readexactly(size + 2))[:-2]
            await reader.readuntil(b"\r\n")
            return body
        return await reader.readexactly(int(values.get("content-length", "0")))

    async def _answer(self, step: str, name: str, method: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        step, *extra = step.split("+")
        delay, _, rest = step.rpartition(":") if not step.startswith("slow") else ("", "", step)
        if delay:
            await asyncio.sleep(float(delay))
        if rest == "close":
            return False
        if rest == "garbage":
            writer.write(b"this is no HTTP\r\n\r\n")
            return False
        if rest == "ws":
            writer.write(b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n")
            writer.write(await reader.readexactly(4))
            return False
        lines = "".join(f"{item.replace('=', ': ', 1)}\r\n" for item in extra)
        if rest == "cut":
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc")
            await writer.drain()
            return False
        if rest.startswith("slow:"):
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nabc")
            await asyncio.sleep(float(rest[5:]))
            writer.write(b"def")
            return True
        if rest == "chunked":
            writer.write(f"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n{lines}\r\n".encode())
            writer.write(b"" if method == "HEAD" else b"3\r\nabc\r\n3\r\ndef\r\n0\r\n\r\n")
            return True
        status = 200 if rest == "early" else int(rest)
        body = b"" if status in (204, 304) else f"{name} {status}\n".encode()
        length = "" if status in (204, 304) else f"content-length: {len(body)}\r\n"
        writer.write(f"HTTP/1.1 {status} Whatever\r\n{length}{lines}\r\n".encode() + (b"" if method == "HEAD" else body))
        return True


# --- the client


def exchange(address: tuple[str, int], data: bytes, give_up_seconds: float, method: str = "GET") -> Answer:
    """Send bytes on a fresh connection and read one whole answer."""
    answer = Answer()
    began = time.monotonic()
    with socket.create_connection(address, timeout=give_up_seconds) as connection:
        stream = connection.makefile("rb")
        with contextlib.suppress(ConnectionError, TimeoutError):
            head, _, body = data.partition(b"\r\n\r\n")
            if b"100-continue" in head.lower() and body:
                connection.sendall(head + b"\r\n\r\n")
                _read(stream, answer, method)
                if answer.status == 100:
                    answer.interim.append(100)
                    connection.sendall(body)
                    answer.status = 0
                    _read(stream, answer, method)
            else:
                connection.sendall(data)
                _read(stream, answer, method)
        answer.seconds = time.monotonic() - began
    return answer


def _read(stream: Any, answer: Answer, method: str) -> None:
    line = stream.readline().decode("latin-1")
    if not line:
        answer.closed = True
        return
    answer.status = int(line.split(" ")[1])
    answer.headers = []
    while (line := stream.readline().decode("utf-8", "surrogateescape").rstrip("\r\n")) != "":
        name, _, value = line.partition(":")
        answer.headers.append((name, value.strip()))
    if answer.status == 100:
        return
    if answer.status < 200 and answer.status != 101:
        answer.interim.append(answer.status)
        _read(stream, answer, method)
        return
    values = {name.lower(): value for name, value in answer.headers}
    if method == "HEAD" or answer.status in (204, 304):
        return
    if answer.status == 101:
        answer.body = stream.read(4)
    elif "chunked" in values.get("transfer-encoding", ""):
        _read_chunks(stream, answer)
    elif "content-length" in values:
        length = int(values["content-length"])
        answer.body = stream.read(length)
        answer.whole = len(answer.body) == length
    else:
        answer.body = stream.read()


def _read_chunks(stream: Any, answer: Answer) -> None:
    while True:
        line = stream.readline()
        if not line:
            answer.whole = False
            return
        size = int(line.split(b";")[0], 16)
        answer.body += stream.read(size)
        stream.readline()
        if not size:
            return
