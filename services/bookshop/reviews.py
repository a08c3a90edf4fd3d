"""reviews: what two readers say. v1 without stars; v2 with black and v3 with red stars, which it asks ``ratings`` for.

ENABLE_RATINGS and STAR_COLOR make the difference. How long it waits for ``ratings`` is hard-coded and differs by colour, as in
Bookinfo: the fault-delay lesson lives on it.
"""

import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

from services.bookshop.calls import Calls, Peer
from services.bookshop.propagation import propagated
from services.serving import serve

TIMEOUT_BLACK_SECONDS = 10.0
TIMEOUT_RED_SECONDS = 2.5

REVIEWS = (
    ("Reviewer1", "Two pairs of twins, one town, and not a dull minute: the funniest evening Shakespeare ever wrote."),
    ("Reviewer2", "Great fun from start to finish. Do not look for the depth of the later plays in it, though."),
)
RATINGS_UNAVAILABLE = {"error": "Ratings service is currently unavailable"}


def create_app(environment: Mapping[str, str]) -> FastAPI:
    calls = Calls()
    enabled = environment.get("ENABLE_RATINGS", "false").lower() == "true"
    color = environment.get("STAR_COLOR", "black")
    timeout_seconds = TIMEOUT_BLACK_SECONDS if color == "black" else TIMEOUT_RED_SECONDS
    ratings = Peer(environment, environment.get("RATINGS_URL", "http://ratings:9080"), timeout_seconds)
    signature = {"podname": environment.get("POD_NAME", ""), "clustername": environment.get("CLUSTER_NAME", "")}

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        async with calls:
            yield

    app = FastAPI(title="reviews", openapi_url=None, lifespan=lifespan)

    @app.get("/health")
    async def health() -> JSONResponse:
        return JSONResponse({"status": "Reviews is healthy"})

    @app.get("/reviews/{product_id}")
    async def reviews(product_id: str, request: Request) -> JSONResponse:
        if not product_id.isdecimal():
            return JSONResponse({"error": "please provide numeric product ID"}, 400)
        entries: list[dict[str, Any]] = [{"reviewer": reviewer, "text": text} for reviewer, text in REVIEWS]
        if enabled:
            stars = _stars((await calls.fetch(ratings, f"/ratings/{product_id}", propagated(request.headers))).body)
            for entry in entries:
                entry["rating"] = {"stars": stars[entry["reviewer"]], "color": color} if entry["reviewer"] in stars else RATINGS_UNAVAILABLE
        return JSONResponse({"id": product_id, **signature, "reviews": entries})

    return app


def _stars(body: Any) -> dict[str, int]:
    """Whatever ``ratings`` said, only numbers become stars."""
    ratings = body.get("ratings") if isinstance(body, dict) else None
    return {name: stars for name, stars in ratings.items() if isinstance(stars, int)} if isinstance(ratings, dict) else {}


def main() -> None:
    serve(create_app(os.environ))


if __name__ == "__main__":
    main()
