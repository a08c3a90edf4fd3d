"""What a proxy answers when the upstream does not."""

from dataclasses import replace

from side_by_side.bench import Bench
from side_by_side.cases import PLAIN, Case, case, exact, get, raw, send, to, when

INBOUND_LIKE = replace(PLAIN, server_name="other")

CASES = [
    case("no route", to("red", match=when(exact("/only"))), get("/x"), send("HEAD", "/x"), send("POST", "/x", body=b"abc")),
    case("no virtual host", to("red"), raw("GET / HTTP/1.1\nhost: unknown.example\nx-key: {key}\n\n")),
    case("unknown cluster", to("nowhere"), get(), send("POST", "/", body=b"abc")),
    case("no endpoints", to("empty"), get(), send("HEAD"), send("POST", "/", body=b"abc")),
    case("no healthy endpoint", to("sick"), get()),
    case("refused", to("refusing"), get(), send("HEAD"), send("POST", "/", body=b"abc")),
    case("closed without an answer", to("red"), get("/", "close"), send("POST", "/", body=b"abc", script="close")),
    case("no http", to("red"), get("/", "garbage")),
    case("answer cut off", to("red"), get("/", "cut")),
    case("grpc without endpoints", to("empty"), send("POST", "/a/B", ("content-type", "application/grpc"))),
    case("grpc without a route", to("red", match=when(exact("/only"))), send("POST", "/a/B", ("content-type", "application/grpc"))),
    case("grpc refused", to("refusing"), send("POST", "/a/B", ("content-type", "application/grpc+proto"))),
    case("grpc text is no grpc", to("empty"), send("POST", "/a/B", ("content-type", "application/grpc-web"))),
    case("named route", to("red", name="the name"), get(), get("/", "503")),
    case("named route without endpoints", to("empty", name="the name"), get()),
    case("alternative statistics name", to("renamed"), get()),
    case("server name of local replies", to("empty"), get(), manager=INBOUND_LIKE),
    *(
        case(f"upstream {status}", to("red"), get("/", str(status)), send("HEAD", "/", script=str(status)))
        for status in (201, 204, 206, 301, 304, 400, 404, 500, 503, 511, 599)
    ),
]


def test_both_say_the_same_for_want_of_an_upstream(bench: Bench, case: Case) -> None:
    bench.compare(case)
