"""The four services together, on real sockets."""

import asyncio
import time

import httpx
import pytest
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

from services.bookshop import details, productpage, ratings, reviews


@pytest.fixture
def client():
    with httpx.Client(trust_env=False, timeout=30) as client:
        yield client


@pytest.fixture
def shop(serve):
    """The URL of a product page over details, ratings and the given version of reviews."""

    def shop(**reviews_environment: str) -> str:
        ratings_url = serve(ratings.create_app({}))
        environment = {
            "DETAILS_URL": serve(details.create_app()),
            "RATINGS_URL": ratings_url,
            "REVIEWS_URL": serve(reviews.create_app({"RATINGS_URL": ratings_url, "POD_NAME": "reviews-v9-0", **reviews_environment})),
        }
        return serve(productpage.create_app(environment))

    return shop


def test_without_ratings_there_are_no_stars(shop, client):
    page = client.get(f"{shop()}/productpage").text
    assert "Book Details" in page
    assert "1234567890" in page
    assert "Reviewer1" in page
    assert "★" not in page
    assert "Reviews served by: <u>reviews-v9-0</u>" in page


@pytest.mark.parametrize("color", ["black", "red"])
def test_stars_have_the_color_of_the_version(shop, client, color):
    page = client.get(f"{shop(ENABLE_RATINGS='true', STAR_COLOR=color)}/productpage").text
    assert "★★★★★" in page
    assert "★★★★☆" in page
    assert f'data-color="{color}"' in page


def test_the_page_loads_nothing_from_elsewhere(shop, client):
    page = client.get(f"{shop()}/productpage").text
    assert "<title>Simple Bookstore App</title>" in page
    assert "http://" not in page
    assert "https://" not in page


def test_a_user_that_signs_in_is_named_to_the_services_behind(serve, client):
    seen: list[str | None] = []
    recorder = FastAPI()

    @recorder.get("/{path:path}")
    async def record(request: Request) -> JSONResponse:
        seen.append(request.headers.get("end-user"))
        return JSONResponse({})

    url = serve(recorder)
    page = serve(productpage.create_app({"DETAILS_URL": url, "REVIEWS_URL": url}))
    client.get(f"{page}/productpage")
    assert client.post(f"{page}/login", data={"username": "jason"}).status_code == 303
    assert "jason" in client.get(f"{page}/productpage").text
    client.get(f"{page}/logout")
    client.get(f"{page}/productpage", headers={"end-user": "from-a-header"})
    assert seen == [None, None, "jason", "jason", "from-a-header", "from-a-header"]


@pytest.mark.parametrize("name", ["", "a\r\nx-evil: 1", "ü", "x" * 65])
def test_a_name_that_cannot_travel_in_a_header_is_refused(serve, client, name):
    page = serve(productpage.create_app({}))
    assert client.post(f"{page}/login", data={"username": name}).status_code == 400


def test_a_name_is_shown_as_text_never_as_markup(shop, client):
    page = shop()
    client.post(f"{page}/login", data={"username": "<script>alert(1)</script>"})
    text = client.get(f"{page}/productpage").text
    assert "<script>" not in text
    assert "&lt;script&gt;" in text


def test_the_api_answers_as_bookinfo_does(shop, client):
    api = shop(ENABLE_RATINGS="true") + "/api/v1/products"
    assert client.get(api).json()[0]["title"] == "The Comedy of Errors"
    assert client.get(f"{api}/0").json()["ISBN-13"] == "123-1234567890"
    assert client.get(f"{api}/0/ratings").json() == {"id": 0, "ratings": {"Reviewer1": 5, "Reviewer2": 4}}
    answer = client.get(f"{api}/0/reviews").json()
    assert answer["id"] == "0"
    assert answer["podname"] == "reviews-v9-0"
    assert [review["rating"] for review in answer["reviews"]] == [{"stars": 5, "color": "black"}, {"stars": 4, "color": "black"}]


@pytest.mark.parametrize("path", ["/details/x", "/ratings/x", "/reviews/-1"])
def test_a_product_is_a_number(serve, client, path):
    app = {"details": details.create_app(), "ratings": ratings.create_app({}), "reviews": reviews.create_app({})}[path.split("/")[1]]
    answer = client.get(serve(app) + path)
    assert answer.status_code == 400
    assert "numeric" in answer.json()["error"]


@pytest.fixture
def refusing(serve):
    """A service that answers 503 and counts."""
    app = FastAPI()
    app.state.count = 0

    @app.get("/{path:path}")
    async def refuse(path: str) -> JSONResponse:
        app.state.count += 1
        return JSONResponse({"error": "no"}, 503)

    return app, serve(app)


def test_without_its_services_the_page_still_stands_and_says_sorry(serve, client, refusing):
    app, url = refusing
    page = serve(productpage.create_app({"DETAILS_URL": "http://127.0.0.1:1", "REVIEWS_URL": url}))
    answer = client.get(f"{page}/productpage")
    assert answer.status_code == 200
    assert "Error fetching product details!" in answer.text
    assert "Sorry, product details are currently unavailable for this book." in answer.text
    assert "Error fetching product reviews!" in answer.text
    assert "Sorry, product reviews are currently unavailable for this book." in answer.text
    assert app.state.count == 2  # reviews are asked for twice


def test_the_api_passes_the_status_of_the_failing_service_on(serve, client, refusing):
    _, url = refusing
    page = serve(productpage.create_app({"DETAILS_URL": "http://127.0.0.1:1", "REVIEWS_URL": url}))
    assert client.get(f"{page}/api/v1/products/0/reviews").status_code == 503
    assert client.get(f"{page}/api/v1/products/0").status_code == 500


def test_when_ratings_fail_the_reviews_stay(serve, client, refusing):
    _, url = refusing
    answer = client.get(serve(reviews.create_app({"ENABLE_RATINGS": "true", "RATINGS_URL": url})) + "/reviews/0")
    assert answer.status_code == 200
    assert {review["rating"]["error"] for review in answer.json()["reviews"]} == {"Ratings service is currently unavailable"}


@pytest.mark.parametrize("garbage", [[], {}, {"ratings": []}, {"ratings": {"Reviewer1": "five"}}])
def test_ratings_that_make_no_sense_are_ratings_that_fail(serve, client, garbage):
    app = FastAPI()

    @app.get("/ratings/0")
    async def rate() -> JSONResponse:
        return JSONResponse(garbage)

    answer = client.get(serve(reviews.create_app({"ENABLE_RATINGS": "true", "RATINGS_URL": serve(app)})) + "/reviews/0").json()
    assert "error" in answer["reviews"][0]["rating"]


def test_a_proxy_of_the_environment_carries_the_calls(serve, client):
    seen: list[str] = []
    proxy = FastAPI()

    @proxy.middleware("http")
    async def record(request: Request, _call_next) -> JSONResponse:
        seen.append(request.headers["host"])
        return JSONResponse({"ratings": {"Reviewer1": 1}})

    url = serve(reviews.create_app({"ENABLE_RATINGS": "true", "HTTP_PROXY": serve(proxy), "NO_PROXY": "other"}))
    assert client.get(f"{url}/reviews/0").json()["reviews"][0]["rating"]["stars"] == 1
    assert seen == ["ratings:9080"]


def test_flooding_asks_for_more_reviews_than_needed(serve, client, refusing):
    app, url = refusing
    page = serve(productpage.create_app({"DETAILS_URL": url, "REVIEWS_URL": url, "FLOOD_FACTOR": "10"}))
    client.get(f"{page}/productpage")
    assert app.state.count == 1 + 2 * 11


@pytest.mark.slow
def test_seven_seconds_in_ratings_are_borne_by_black_reviews_but_by_neither_the_page_nor_red_ones(serve):
    """The fault-delay lesson: 10 s in one service, 3 s twice in the one before it, and nobody noticed until there was a delay."""
    delayed = serve(ratings.create_app({}, day=ratings.BadDay("v-delayed", dice=lambda: 0.0)))
    black = serve(reviews.create_app({"ENABLE_RATINGS": "true", "RATINGS_URL": delayed}))
    red = serve(reviews.create_app({"ENABLE_RATINGS": "true", "STAR_COLOR": "red", "RATINGS_URL": delayed}))
    page = serve(productpage.create_app({"DETAILS_URL": serve(details.create_app()), "REVIEWS_URL": black}))

    async def timed(client: httpx.AsyncClient, url: str) -> tuple[float, str]:
        begin = time.monotonic()
        text = (await client.get(url)).text
        return time.monotonic() - begin, text

    async def ask() -> list[tuple[float, str]]:
        async with httpx.AsyncClient(trust_env=False, timeout=30) as client:
            return await asyncio.gather(*(timed(client, url) for url in (f"{black}/reviews/0", f"{red}/reviews/0", f"{page}/productpage")))

    (black_seconds, black_text), (red_seconds, red_text), (page_seconds, page_text) = asyncio.run(ask())
    assert "stars" in black_text
    assert 7 <= black_seconds < 10
    assert "Ratings service is currently unavailable" in red_text
    assert 2.5 <= red_seconds < 6
    assert "Sorry, product reviews are currently unavailable for this book." in page_text
    assert 6 <= page_seconds < 7
