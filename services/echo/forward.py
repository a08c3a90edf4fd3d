"""The calling half of echo: make these calls, so many, so fast, and tell what came of each. Istio: ForwardEcho."""

import asyncio
import json
import time
from collections.abc import Iterator
from types import TracebackType
from typing import Any, Self

from aiohttp import ClientError, ClientResponse, ClientSession, ClientTimeout, DummyCookieJar, TCPConnector
from pydantic import BaseModel, ConfigDict, Field


class ForwardRequest(BaseModel):
    """``rps`` paces the starts of calls (open loop, as far as ``concurrency`` lets it); 0 means as fast as answers come."""

    model_config = ConfigDict(extra="forbid")

    url: str = Field(pattern=r"^https?://")
    method: str = Field(default="GET", pattern=r"^[A-Za-z]+$")
    headers: dict[str, str] | list[tuple[str, str]] = Field(default_factory=dict)
    body: str = ""
    count: int = Field(default=1, ge=1, le=100_000)
    rps: float = Field(default=0, ge=0)
    concurrency: int = Field(default=1, ge=1, le=1000)
    timeout_seconds: float = Field(default=15, gt=0)
    new_connection_per_request: bool = False


class Caller:
    """Two connection pools: one that keeps connections, one that closes each after its call."""

    _keeping: ClientSession
    _closing: ClientSession

    async def __aenter__(self) -> Self:
        self._keeping = _session(TCPConnector(limit=0))
        self._closing = _session(TCPConnector(limit=0, force_close=True))
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self._keeping.close()
        await self._closing.close()

    async def forward(self, request: ForwardRequest) -> dict[str, Any]:
        """Every call's outcome, in the order of their starts."""
        session = self._closing if request.new_connection_per_request else self._keeping
        outcomes: list[dict[str, Any]] = [{}] * request.count
        turns = iter(range(request.count))
        begin = time.perf_counter()

        async with asyncio.TaskGroup() as group:
            for _ in range(min(request.concurrency, request.count)):
                group.create_task(_caller(session, request, turns, begin, outcomes))
        return {"calls": outcomes, "seconds": time.perf_counter() - begin}


def _session(connector: TCPConnector) -> ClientSession:
    return ClientSession(
        connector=connector, cookie_jar=DummyCookieJar(), trust_env=True, auto_decompress=False, skip_auto_headers=["Accept-Encoding"]
    )


async def _caller(
    session: ClientSession, request: ForwardRequest, turns: Iterator[int], begin: float, outcomes: list[dict[str, Any]]
) -> None:
    for turn in turns:
        if request.rps:
            await asyncio.sleep(begin + turn / request.rps - time.perf_counter())
        outcomes[turn] = await _call(session, request)


async def _call(session: ClientSession, request: ForwardRequest) -> dict[str, Any]:
    headers = list(request.headers.items()) if isinstance(request.headers, dict) else request.headers
    begin = time.perf_counter()
    try:
        async with session.request(
            request.method,
            request.url,
            headers=headers,
            data=request.body or None,
            timeout=ClientTimeout(total=request.timeout_seconds),
            allow_redirects=False,
        ) as response:
            outcome = _told(response, await response.read())
    except (ClientError, TimeoutError, OSError, ValueError) as error:
        outcome = {"status": None, "headers": [], "body_bytes": 0, "seen": None, "error": f"{type(error).__name__}: {error}".rstrip(": ")}
    return {**outcome, "latency_us": round((time.perf_counter() - begin) * 1e6)}


def _told(response: ClientResponse, body: bytes) -> dict[str, Any]:
    headers = [[name.decode("latin-1").lower(), value.decode("latin-1")] for name, value in response.raw_headers]
    return {"status": response.status, "headers": headers, "body_bytes": len(body), "seen": _seen(response, body), "error": ""}


def _seen(response: ClientResponse, body: bytes) -> Any:
    """What the other end saw, if it is an echo (or says anything in JSON)."""
    if response.content_type != "application/json":
        return None
    try:
        return json.loads(body)
    except ValueError:
        return None
