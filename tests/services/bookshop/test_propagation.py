from starlette.datastructures import Headers

from services.bookshop.propagation import PROPAGATED, propagated


def test_only_what_is_listed_goes_along():
    incoming = Headers(
        {"X-Request-Id": "1", "TraceParent": "00-a-b-01", "end-user": "jason", "host": "reviews", "x-forwarded-for": "10.0.0.1"}
    )
    assert propagated(incoming) == {"x-request-id": "1", "traceparent": "00-a-b-01", "end-user": "jason"}


def test_names_are_listed_as_they_are_looked_up():
    assert all(name == name.lower() for name in PROPAGATED)
