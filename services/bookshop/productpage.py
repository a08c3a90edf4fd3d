"""productpage: the page itself, for people as HTML and for programs as JSON.

Its time-outs are hard-coded, and reviews are asked for twice, as in Bookinfo: a delay of 7 s in ``ratings`` is within what ``reviews``
(v2) bears and beyond what this page bears, which is what the fault-delay lesson brings to light.
"""

import os
from asyncio import TaskGroup
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import parse_qs, quote, unquote

from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, JSONResponse, PlainTextResponse, RedirectResponse, Response

from services.bookshop.calls import Answer, Calls, Peer
from services.bookshop.page import index_page, product_page
from services.bookshop.propagation import propagated
from services.serving import serve

DETAILS_TIMEOUT_SECONDS = 3.0
REVIEWS_TIMEOUT_SECONDS = 3.0
REVIEWS_TRIES = 2
RATINGS_TIMEOUT_SECONDS = 3.0

SESSION_COOKIE = "session"  # holds the user's name: there is no password, so a signature would protect nothing
PRODUCTS = (
    {
        "id": 0,
        "title": "The Comedy of Errors",
        "descriptionHtml": "One of <b>William Shakespeare's</b> earliest and shortest plays: two pairs of twins, parted at birth, meet in "
        "Ephesus, and everybody takes everybody for somebody else. Slapstick and puns do the rest.",
    },
)


class Shop:
    """The services behind the page, and how patiently each is asked."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self.calls = Calls()
        self._details = Peer(environment, environment.get("DETAILS_URL", "http://details:9080"), DETAILS_TIMEOUT_SECONDS)
        self._reviews = Peer(environment, environment.get("REVIEWS_URL", "http://reviews:9080"), REVIEWS_TIMEOUT_SECONDS)
        self._ratings = Peer(environment, environment.get("RATINGS_URL", "http://ratings:9080"), RATINGS_TIMEOUT_SECONDS)
        self._flood_factor = int(environment.get("FLOOD_FACTOR", "0"))  # so many reviews more than needed, to run into a rate limit

    async def details(self, product_id: str, headers: Mapping[str, str]) -> Answer:
        return _or_sorry(await self.calls.fetch(self._details, f"/details/{product_id}", headers), "details")

    async def reviews(self, product_id: str, headers: Mapping[str, str]) -> Answer:
        answer = Answer(None, None)
        for _ in range(REVIEWS_TRIES):
            answer = await self.calls.fetch(self._reviews, f"/reviews/{product_id}", headers)
            if answer.status == 200:
                break
        return _or_sorry(answer, "reviews")

    async def ratings(self, product_id: str, headers: Mapping[str, str]) -> Answer:
        return _or_sorry(await self.calls.fetch(self._ratings, f"/ratings/{product_id}", headers), "ratings")

    async def flood(self, product_id: str, headers: Mapping[str, str]) -> None:
        async with TaskGroup() as group:
            for _ in range(self._flood_factor):
                group.create_task(self.reviews(product_id, headers))


def _or_sorry(answer: Answer, what: str) -> Answer:
    if answer.status == 200 and isinstance(answer.body, dict):
        return answer
    return Answer(answer.status if answer.status not in (None, 200) else 500, {"error": _sorry(what)})


def _sorry(what: str) -> str:
    return f"Sorry, product {what} are currently unavailable for this book."


def create_app(environment: Mapping[str, str]) -> FastAPI:
    shop = Shop(environment)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        async with shop.calls:
            yield

    app = FastAPI(title="productpage", openapi_url=None, lifespan=lifespan)
    _add_pages(app, shop)
    _add_login(app)
    _add_api(app, shop)
    return app


def _add_pages(app: FastAPI, shop: Shop) -> None:
    @app.get("/health")
    async def health() -> PlainTextResponse:
        return PlainTextResponse("Product page is healthy")

    @app.get("/")
    @app.get("/index.html")
    async def index() -> HTMLResponse:
        return HTMLResponse(index_page())

    @app.get("/productpage")
    async def productpage(request: Request) -> HTMLResponse:
        headers = _forwarded(request)
        details = await shop.details("0", headers)
        await shop.flood("0", headers)
        reviews = await shop.reviews("0", headers)
        return HTMLResponse(product_page(PRODUCTS[0], details, reviews, _user(request)))


def _add_login(app: FastAPI) -> None:
    @app.post("/login")
    async def login(request: Request) -> Response:
        user = parse_qs((await request.body()).decode("latin-1")).get("username", [""])[0]
        if not _is_name(user):
            return PlainTextResponse("a user name is 1 to 64 printable ASCII characters", 400)
        response = RedirectResponse("/productpage", 303)
        response.set_cookie(SESSION_COOKIE, quote(user), httponly=True, samesite="lax")
        return response

    @app.get("/logout")
    async def logout() -> Response:
        response = RedirectResponse("/productpage", 303)
        response.delete_cookie(SESSION_COOKIE)
        return response


def _add_api(app: FastAPI, shop: Shop) -> None:
    @app.get("/api/v1/products")
    async def products() -> JSONResponse:
        return JSONResponse(PRODUCTS)

    @app.get("/api/v1/products/{product_id}")
    async def details(product_id: str, request: Request) -> JSONResponse:
        return _json(await shop.details(quote(product_id, safe=""), _forwarded(request)))

    @app.get("/api/v1/products/{product_id}/reviews")
    async def reviews(product_id: str, request: Request) -> JSONResponse:
        return _json(await shop.reviews(quote(product_id, safe=""), _forwarded(request)))

    @app.get("/api/v1/products/{product_id}/ratings")
    async def ratings(product_id: str, request: Request) -> JSONResponse:
        return _json(await shop.ratings(quote(product_id, safe=""), _forwarded(request)))


def _json(answer: Answer) -> JSONResponse:
    return JSONResponse(answer.body, answer.status or 500)


def _user(request: Request) -> str:
    user = unquote(request.cookies.get(SESSION_COOKIE, ""))
    return user if _is_name(user) else ""


def _is_name(user: str) -> bool:
    """Fit to travel in a header."""
    return 0 < len(user) <= 64 and user.isascii() and user.isprintable() and user == user.strip()


def _forwarded(request: Request) -> dict[str, Any]:
    headers = propagated(request.headers)
    if user := _user(request):
        headers["end-user"] = user
    return headers


def main() -> None:
    serve(create_app(os.environ))


if __name__ == "__main__":
    main()
