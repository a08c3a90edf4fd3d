"""Ratings over gRPC and over HTTP are the same ratings."""

import grpc
import httpx
import pytest

from services.bookshop.ratings_pb2 import Product, ProductRatings


@pytest.fixture
def port(free_port):
    return free_port()


@pytest.fixture
def url(start, port):
    return start("services.bookshop.ratings", PORT_GRPC=str(port)).url


@pytest.fixture
def call(url, port):
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:

        def call(method, request, kind="unary_unary"):
            codec = {"request_serializer": type(request).SerializeToString, "response_deserializer": ProductRatings.FromString}
            return getattr(channel, kind)(f"/bookshop.v1.Ratings/{method}", **codec)(request, timeout=10)

        yield call


def test_a_rating_given_over_one_is_read_over_the_other(url, call):
    assert dict(call("Get", Product(id=7)).stars) == {"Reviewer1": 5, "Reviewer2": 4}
    assert dict(call("Rate", ProductRatings(id=7, stars={"Reviewer1": 2})).stars) == {"Reviewer1": 2}
    assert httpx.get(f"{url}/ratings/7", trust_env=False).json() == {"id": 7, "ratings": {"Reviewer1": 2}}


def test_six_stars_are_refused(call):
    with pytest.raises(grpc.RpcError) as error:
        call("Rate", ProductRatings(id=7, stars={"Reviewer1": 6}))
    assert error.value.code() is grpc.StatusCode.INVALID_ARGUMENT


def test_who_watches_is_told_of_a_change(call):
    watched = call("Watch", Product(id=8), "unary_stream")
    assert dict(next(watched).stars) == {"Reviewer1": 5, "Reviewer2": 4}
    call("Rate", ProductRatings(id=8, stars={"Reviewer1": 1}))
    assert dict(next(watched).stars) == {"Reviewer1": 1}
    watched.cancel()
