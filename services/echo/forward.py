"""The calling half of echo: make these calls, so many, so fast, and tell what came of each. Istio: ForwardEcho."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from types import TracebackType
from typing import Any, Self

from aiohttp import ClientError, ClientResponse, ClientSession, ClientTimeout, DummyCookieJar, TCPConnector
from pydantic import BaseModel, ConfigDict, Field

from services.echo.grpc_call import GrpcCaller
from services.echo.tcp_port import ask


class ForwardRequest(BaseModel):
    """``rps`` paces the starts of calls (open loop, as far as ``concurrency`` lets it); 0 means as fast as answers come.

    ``tcp://host:port`` sends ``body`` as a line on a connection of its own. ``grpc://host:port`` asks the other end's gRPC port once a call
    (``headers`` are metadata, ``body`` the message); ``xds:///host:port`` does so without a proxy, where GRPC_XDS_BOOTSTRAP is set.
    """

    model_config = ConfigDict(extra="forbid")

    url: str = Field(pattern=r"^(https?|grpc|tcp)://|^xds:///")
    method: str = Field(default="GET", pattern=r"^[A-Za-z]+$")
    headers: dict[str, str] | list[tuple[str, str]] = Field(default_factory=dict)
    body: str = ""
    count: int = Field(default=1, ge=1, le=100_000)
    rps: float = Field(default=0, ge=0)
    concurrency: int = Field(default=1, ge=1, le=1000)
    timeout_seconds: float = Field(default=15, gt=0)
    new_connection_per_request: bool = False

    def header_list(self) -> list[tuple[str, str]]:
        return list(self.headers.items()) if isinstance(self.headers, dict) else self.headers


Call = Callable[[ForwardRequest], Awaitable[dict[str, Any]]]


class Caller:
    """Two connection pools: one that keeps connections, one that closes each after its call."""

    _keeping: ClientSession
    _closing: ClientSession

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self._grpc = GrpcCaller(environment)

    async def __aenter__(self) -> Self:
        self._keeping = _session(TCPConnector(limit=0))
        self._closing = _session(TCPConnector(limit=0, force_close=True))
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self._keeping.close()
        await self._closing.close()
        await self._grpc.close()

    async def forward(self, request: ForwardRequest) -> dict[str, Any]:
        """Every call's outcome, in the order of their starts."""
        call = self._call
        if request.url.startswith(("grpc://", "xds:///")):
            call = self._grpc.call
        elif request.url.startswith("tcp://"):
            call = self._line
        outcomes: list[dict[str, Any]] = [{}] * request.count
        turns = iter(range(request.count))
        begin = time.perf_counter()

        async with asyncio.TaskGroup() as group:
            for _ in range(min(request.concurrency, request.count)):
                group.create_task(_caller(call, request, turns, begin, outcomes))
        return {"calls": outcomes, "seconds": time.perf_counter() - begin}

    async def _line(self, request: ForwardRequest) -> dict[str, Any]:
        """``seen`` is the line that came back; there is no status."""
        authority = request.url.removeprefix("tcp://").rstrip("/")
        try:
            answer = await ask(authority, request.body, self._environment, request.timeout_seconds)
        except (OSError, EOFError) as error:
            why = f"{type(error).__name__}: {error}".rstrip(": ")
            return {"status": None, "headers": [], "body_bytes": 0, "seen": None, "error": why}
        return {"status": None, "headers": [], "body_bytes": len(answer), "seen": answer, "error": ""}

    async def _call(self, request: ForwardRequest) -> dict[str, Any]:
        session = self._closing if request.new_connection_per_request else self._keeping
        try:
            async with session.request(
                request.method,
                request.url,
                headers=request.header_list(),
                data=request.body or None,
                timeout=ClientTimeout(total=request.timeout_seconds),
                allow_redirects=False,
            ) as response:
                return _told(response, await response.read())
        except (ClientError, TimeoutError, OSError, ValueError) as error:
            why = f"{type(error).__name__}: {error}".rstrip(": ")
            return {"status": None, "headers": [], "body_bytes": 0, "seen": None, "error": why}


def _session(connector: TCPConnector) -> ClientSession:
    return ClientSession(
        connector=connector, cookie_jar=DummyCookieJar(), trust_env=True, auto_decompress=False, skip_auto_headers=["Accept-Encoding"]
    )


async def _caller(call: Call, request: ForwardRequest, turns: Iterator[int], begin: float, outcomes: list[dict[str, Any]]) -> None:
    for turn in turns:
        if request.rps:
            await asyncio.sleep(begin + turn / request.rps - time.perf_counter())
        started = time.perf_counter()
        outcome = await call(request)
        outcomes[turn] = {**outcome, "latency_us": round((time.perf_counter() - started) * 1e6)}


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
