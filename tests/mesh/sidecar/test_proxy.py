"""A proxy as a whole: what it is given, it serves; what cannot be, it refuses and serves on."""

from typing import Any


async def test_a_request_reaches_its_upstream_and_the_answer_comes_back(bench: Any) -> None:
    upstream = await bench.upstream()
    await bench.forward_to(upstream.port)
    answer = await (await bench.client()).get("/a?b=c", "x-some: thing")
    assert (answer.status, answer.body) == (200, b"hi")
    (seen,) = upstream.seen
    assert (seen.method, seen.path, seen.headers["host"], seen.headers["x-some"]) == ("GET", "/a?b=c", "reviews:9080", "thing")
