"""Answers that a route gives by itself."""

from side_by_side.bench import Bench
from side_by_side.cases import Case, answers, case, get, raw, send

from mesh.policy.direct_response import DirectResponse

CASES = [
    *(
        case(f"status {status}", answers(DirectResponse(status)), get(), send("HEAD"))
        for status in (200, 202, 204, 205, 304, 404, 418, 500, 503, 599)
    ),
    case("with a body", answers(DirectResponse(200, b"hello\n")), get(), send("HEAD"), send("POST", "/", body=b"abc")),
    case("status 204 with a body", answers(DirectResponse(204, b"hello")), get()),
    case("status 304 with a body", answers(DirectResponse(304, b"hello")), get()),
    case("body of bytes", answers(DirectResponse(200, bytes(range(256)))), get()),
    case("long body", answers(DirectResponse(200, b"x" * 100_000)), get()),
    case(
        "connection goes on",
        answers(DirectResponse(200, b"a")),
        raw("GET / HTTP/1.1\nhost: {host}\n\nGET /2 HTTP/1.1\nhost: {host}\n\n", answers=2),
    ),
    case("connection ends", answers(DirectResponse(200, b"a")), get(connection="close")),
    case("http 1.0", answers(DirectResponse(200, b"a")), raw("GET / HTTP/1.0\nhost: {host}\n\n")),
    case("expecting 100", answers(DirectResponse(200, b"a")), send("POST", "/", ("expect", "100-continue"), body=b"abc")),
    case("grpc", answers(DirectResponse(403, b"no")), send("POST", "/", ("content-type", "application/grpc"))),
]


def test_both_answer_directly(bench: Bench, case: Case) -> None:
    bench.compare(case)
