"""ratings: stars by book and reviewer, kept in a database (``ratings_store``). Asks nobody else.

SERVICE_VERSION may ask for a bad day, with Bookinfo's names: v-faulty (every second answer is 503), v-delayed (every second one
takes 7 s), v-unavailable (a minute up, a minute down), v-unhealthy (a quarter of an hour up and down, and says so in /health).
"""

import asyncio
import os
import random
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from json import JSONDecodeError, loads
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

from services.bookshop import ratings_grpc
from services.bookshop.ratings_store import RatingsStore, StoreUnavailable, open_store
from services.serving import serve

DELAY_SECONDS = 7.0
UNAVAILABLE_PERIOD_SECONDS = 60.0
UNHEALTHY_PERIOD_SECONDS = 15 * 60.0
HALF = 0.5
GRPC_GRACE_SECONDS = 1.0


@dataclass(slots=True)
class BadDay:
    """What SERVICE_VERSION does to this instance; ``clock`` in seconds, ``dice`` in [0, 1)."""

    version: str
    clock: Callable[[], float] = time.monotonic
    dice: Callable[[], float] = random.random
    started: float = field(init=False)

    def __post_init__(self) -> None:
        self.started = self.clock()

    def _down(self, period_seconds: float) -> bool:
        return int((self.clock() - self.started) / period_seconds) % 2 == 1

    def healthy(self) -> bool:
        return self.version != "v-unhealthy" or not self._down(UNHEALTHY_PERIOD_SECONDS)

    def available(self) -> bool:
        match self.version:
            case "v-faulty":
                return self.dice() >= HALF
            case "v-unavailable":
                return not self._down(UNAVAILABLE_PERIOD_SECONDS)
            case "v-unhealthy":
                return self.healthy()
            case _:
                return True

    def delay_seconds(self) -> float:
        return DELAY_SECONDS if self.version == "v-delayed" and self.dice() < HALF else 0.0


def create_app(environment: Mapping[str, str], store: RatingsStore | None = None, day: BadDay | None = None) -> FastAPI:
    store = store or open_store(environment)
    day = day or BadDay(environment.get("SERVICE_VERSION", "v1"))

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        grpc_port = await ratings_grpc.start(environment, store)
        yield
        if grpc_port is not None:
            await grpc_port.stop(GRPC_GRACE_SECONDS)
        await store.close()

    app = FastAPI(title="ratings", openapi_url=None, lifespan=lifespan)
    _add_health(app, day)
    _add_ratings(app, store, day)
    return app


def _add_health(app: FastAPI, day: BadDay) -> None:
    @app.exception_handler(StoreUnavailable)
    async def unavailable(_request: Request, _error: Exception) -> JSONResponse:
        return JSONResponse({"error": "could not connect to ratings database"}, 500)

    @app.get("/health")
    async def health() -> JSONResponse:
        return JSONResponse({"status": "Ratings is healthy"}) if day.healthy() else JSONResponse({"status": "Ratings is not healthy"}, 500)


def _add_ratings(app: FastAPI, store: RatingsStore, day: BadDay) -> None:
    @app.get("/ratings/{product_id}")
    async def read(product_id: str) -> JSONResponse:
        if not product_id.isdecimal():
            return JSONResponse({"error": "please provide numeric product ID"}, 400)
        if not day.available():
            return JSONResponse({"error": "Service unavailable"}, 503)
        if delay := day.delay_seconds():
            await asyncio.sleep(delay)
        return JSONResponse({"id": int(product_id), "ratings": await store.read(int(product_id))})

    @app.post("/ratings/{product_id}")
    async def write(product_id: str, request: Request) -> JSONResponse:
        if not product_id.isdecimal():
            return JSONResponse({"error": "please provide numeric product ID"}, 400)
        ratings = _ratings(await request.body())
        if ratings is None:
            return JSONResponse({"error": "please provide valid ratings JSON"}, 400)
        await store.write(int(product_id), ratings)
        return JSONResponse({"id": int(product_id), "ratings": await store.read(int(product_id))})


def _ratings(body: bytes) -> dict[str, int] | None:
    """``{"Reviewer1": 4, …}`` or None for anything else."""
    try:
        ratings: Any = loads(body)
    except (JSONDecodeError, UnicodeDecodeError):
        return None
    if not isinstance(ratings, dict) or not all(type(stars) is int and 0 <= stars <= 5 for stars in ratings.values()):
        return None
    return ratings


def main() -> None:
    serve(create_app(os.environ))


if __name__ == "__main__":
    main()
