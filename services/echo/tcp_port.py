"""Echo over plain TCP: each line comes back with who answered before it. PORT_TCP waits for the client, PORT_TCP_FIRST speaks first."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from functools import partial

from services.addresses import address_of

LONGEST_LINE_BYTES = 1 << 20


@contextlib.asynccontextmanager
async def serving(environment: Mapping[str, str]) -> AsyncIterator[None]:
    """While it lasts, the ports that the environment names are served. OSError: one cannot be had."""
    who = " ".join(environment.get(name, "") for name in ("SERVICE_NAME", "SERVICE_VERSION", "POD_NAME")).encode()
    host, loop = environment.get("HOST", "0.0.0.0"), asyncio.get_running_loop()
    servers = [
        await loop.create_server(partial(LineEcho, who, first=first), host, int(environment[name]))
        for name, first in (("PORT_TCP", False), ("PORT_TCP_FIRST", True))
        if name in environment
    ]
    try:
        yield
    finally:
        for server in servers:
            server.close()


class LineEcho(asyncio.Protocol):
    def __init__(self, who: bytes, *, first: bool) -> None:
        self._who = who
        self._first = first
        self._rest = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: asyncio.Transport = transport  # type: ignore[assignment]
        if self._first:
            self._transport.write(self._who + b"\n")

    def data_received(self, data: bytes) -> None:
        *lines, self._rest = (self._rest + data).split(b"\n")
        if lines:
            self._transport.write(b"".join(self._who + b": " + line + b"\n" for line in lines))
        if len(self._rest) > LONGEST_LINE_BYTES:
            self._transport.abort()

    def pause_writing(self) -> None:
        self._transport.pause_reading()

    def resume_writing(self) -> None:
        self._transport.resume_reading()


async def ask(authority: str, line: str, environment: Mapping[str, str], timeout_seconds: float) -> str:
    """One line to ``host:port`` and the first one back. OSError (TimeoutError too), or EOFError where it is closed instead."""
    host, _, port = address_of(authority, environment).rpartition(":")
    async with asyncio.timeout(timeout_seconds):
        reader, writer = await asyncio.open_connection(host, int(port))
        try:
            writer.write(line.encode() + b"\n")
            answer = await reader.readline()
        finally:
            writer.close()
    if not answer:
        raise EOFError("closed without an answer")
    return answer.decode("utf-8", "replace").rstrip("\n")
