"""The answering half of echo: any method on any path gets JSON of what arrived, and knobs in the query bend the answer.

?delay=1.5s (or 200ms) waits first · ?status=503 answers so · ?failure_percent=30 only so often (503 unless ?status) · ?size=N answers
N bytes instead of JSON · ?header=name:value (repeatable) adds to the answer.
"""

import asyncio
import hashlib
import os
import random
import re
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

from fastapi import FastAPI
from fastapi.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from services.echo.forward import Caller, ForwardRequest
from services.echo.grpc_port import GRACE_SECONDS
from services.echo.grpc_port import start as grpc_port_of
from services.echo.tcp_port import serving
from services.serving import serve

LARGEST_SIZE = 1 << 30
CHUNK = b"x" * 65536
DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|)\Z")


class BadKnob(ValueError):
    """A knob in the query that cannot be read."""


@dataclass(frozen=True, slots=True)
class Knobs:
    """How the answer is to be bent."""

    delay_seconds: float = 0.0
    status: int = 200
    size_bytes: int | None = None
    headers: tuple[tuple[str, str], ...] = ()


def read_knobs(query: str, dice: Callable[[], float]) -> Knobs:
    """Knobs from a query string; parameters that are no knobs are the caller's own business. ``dice`` in [0, 1)."""
    values = parse_qs(query)

    def number(name: str, default: float, low: float, high: float) -> float:
        text = values.get(name, [""])[-1]
        try:
            value = float(text) if text else default
        except ValueError:
            raise BadKnob(f"{name}={text} is not a number") from None
        if not low <= value <= high:
            raise BadKnob(f"{name}={text} is not within {low:g} and {high:g}")
        return value

    percent = number("failure_percent", -1, -1, 100)
    status = int(number("status", 503 if percent >= 0 else 200, 200, 599))
    if percent >= 0 and dice() * 100 >= percent:
        status = 200
    size = int(number("size", -1, -1, LARGEST_SIZE))
    headers = tuple(_header(text) for text in values.get("header", []))
    return Knobs(_delay(values.get("delay", [""])[-1]), status, size if size >= 0 else None, headers)


def _delay(text: str) -> float:
    if not text:
        return 0.0
    match = DURATION.match(text)
    if match is None:
        raise BadKnob(f"delay={text} is no duration: try 1.5s or 200ms")
    return float(match[1]) / (1000 if match[2] == "ms" else 1)


def _header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if (
        not colon
        or not name.isascii()
        or not re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name)
        or not value.isprintable()
        or not value.isascii()
    ):
        raise BadKnob(f"header={text!r} is not name:value")
    return name, value.strip()


class Echo:
    """The ASGI app under every path."""

    def __init__(self, environment: Mapping[str, str], dice: Callable[[], float]) -> None:
        self._dice = dice
        self._self = {
            "service": environment.get("SERVICE_NAME", ""),
            "version": environment.get("SERVICE_VERSION", ""),
            "pod": environment.get("POD_NAME", ""),
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await (await self._answer(Request(scope, receive)))(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        try:
            knobs = read_knobs(request.url.query, self._dice)
        except BadKnob as error:
            return PlainTextResponse(f"{error}\n", 400)
        seen = await self._seen(request)
        if knobs.delay_seconds:
            await asyncio.sleep(knobs.delay_seconds)
        response = self._body(seen, knobs)
        for name, value in knobs.headers:
            response.headers.append(name, value)
        return response

    def _body(self, seen: Mapping[str, Any], knobs: Knobs) -> Response:
        if knobs.size_bytes is not None:
            headers = {"content-length": str(knobs.size_bytes)}
            return StreamingResponse(_filler(knobs.size_bytes), knobs.status, headers, media_type="application/octet-stream")
        if knobs.status in (204, 304):  # these carry no body
            return Response(status_code=knobs.status)
        return JSONResponse(seen, knobs.status)

    async def _seen(self, request: Request) -> dict[str, Any]:
        size, digest = 0, hashlib.sha256()
        async for chunk in request.stream():
            size += len(chunk)
            digest.update(chunk)
        scope = request.scope
        return {
            "method": scope["method"],
            "path": scope.get("raw_path", b"").partition(b"?")[0].decode("latin-1"),
            "query": scope["query_string"].decode("latin-1"),
            "headers": [[name.decode("latin-1"), value.decode("latin-1")] for name, value in scope["headers"]],
            "http_version": scope["http_version"],
            "remote_address": "{}:{}".format(*scope["client"]) if scope.get("client") else "",
            "host": request.headers.get("host", ""),
            "body_bytes": size,
            "body_sha256": digest.hexdigest() if size else "",
            **self._self,
        }


async def _filler(size: int) -> AsyncIterator[bytes]:
    while size > 0:
        yield CHUNK[:size]
        size -= len(CHUNK)


def create_app(environment: Mapping[str, str], dice: Callable[[], float] = random.random) -> FastAPI:
    caller = Caller(environment)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        grpc_port = await grpc_port_of(environment)
        try:
            async with caller, serving(environment):
                yield
        finally:
            if grpc_port is not None:
                await grpc_port.stop(GRACE_SECONDS)

    app = FastAPI(title="echo", openapi_url=None, lifespan=lifespan, redirect_slashes=False)

    @app.get("/health")
    async def health() -> JSONResponse:
        return JSONResponse({"status": "Echo is healthy"})

    @app.post("/forward")
    async def forward(request: ForwardRequest) -> JSONResponse:
        return JSONResponse(await caller.forward(request))

    echo: ASGIApp = Echo(environment, dice)
    app.mount("/", echo)
    return app


def main() -> None:
    serve(create_app(os.environ))
