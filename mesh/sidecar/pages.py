"""A few pages over HTTP/1.1 for admin and health: one request a connection, small bodies, no dependencies.

Envoy: source/server/admin. What changes something must be POSTed, as there.
"""

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final, Self
from urllib.parse import parse_qs

from mesh.sidecar.wire.heads import HeadReader, MalformedMessage

MAX_HEAD_BYTES: Final = 16 * 1024
READ_SECONDS: Final = 5.0

Query = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Page:
    body: str
    status: int = 200
    content_type: str = "text/plain; charset=UTF-8"


Handler = Callable[[Query], Page | Awaitable[Page]]
Table = Mapping[tuple[str, str], Handler]
"""By (method, path)."""


def as_json(value: Any) -> Page:
    return Page(json.dumps(value, indent=1) + "\n", content_type="application/json")


class Pages:
    """``async with Pages(host, port, table)``; raises OSError where the address cannot be had."""

    def __init__(self, host: str, port: int, table: Table) -> None:
        self._host, self._port, self._table = host, port, table
        self._reader = HeadReader()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, self._host, self._port, limit=MAX_HEAD_BYTES)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()

    @property
    def port(self) -> int:
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, TimeoutError, asyncio.IncompleteReadError):
            async with asyncio.timeout(READ_SECONDS):
                page, method = await self._answer(reader)
                body = page.body.encode()
                head = (
                    f"HTTP/1.1 {page.status} {HTTPStatus(page.status).phrase}\r\ncontent-type: {page.content_type}\r\n"
                    f"content-length: {len(body)}\r\ncache-control: no-cache, max-age=0\r\nconnection: close\r\n\r\n"
                )
                writer.write(head.encode() + (b"" if method == "HEAD" else body))
                await writer.drain()
        writer.close()

    async def _answer(self, reader: asyncio.StreamReader) -> tuple[Page, str]:
        try:
            raw = await reader.readuntil(b"\r\n\r\n")
            asked, target, *_ = self._reader.request(raw[:-4])
        except asyncio.LimitOverrunError:
            return Page("request header fields too large\n", 431), "GET"
        except MalformedMessage as error:
            return Page(f"{error.details}\n", error.status), "GET"
        path, _, query = target.partition("?")
        method = "GET" if asked == "HEAD" else asked
        handler = self._table.get((method, path.rstrip("/") or "/"))
        if handler is None:
            return self._missing(path, method), asked
        result = handler({name: values[-1] for name, values in parse_qs(query, keep_blank_values=True).items()})
        return (result if isinstance(result, Page) else await result), asked

    def _missing(self, path: str, method: str) -> Page:
        allowed = sorted(m for m, p in self._table if p == path)
        if allowed:
            return Page(f"Method {method} not allowed, {' or '.join(allowed)} required.\n", 405)
        known = "\n".join(f"  {m} {p}" for m, p in sorted(self._table, key=lambda entry: entry[1]))
        return Page(f"invalid path. admin commands are:\n{known}\n", 404)
