"""HTTP/2 from the client, HTTP/1 behind: heads, bodies, trailers, resets, wrong messages."""

from dataclasses import replace

from side_by_side.asking import Ask
from side_by_side.bench import Bench
from side_by_side.cases import PLAIN, Case, case, get, send, taking, to

from mesh.model.listener import Codec
from mesh.policy.retry import RetryPolicy
from mesh.policy.timeout import Timeout

RED = to("red")


def h2(ask: Ask, *trailers: tuple[str, str]) -> Ask:
    return replace(ask, http2=True, trailers=trailers)


def head(*pairs: tuple[str, str], **more: object) -> Ask:
    """A request with these fields; a pseudo-header ``-`` is left out."""
    return h2(Ask("/", str(more.pop("method", "GET")), pairs, **more))  # type: ignore[arg-type]


GRPC = (("content-type", "application/grpc"), ("te", "trailers"))

CASES = [
    *(
        case(f"method {method}", RED, h2(send(method)), h2(send(method, "/", body=b"abc")))
        for method in ("GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS")
    ),
    case("head", RED, h2(send("HEAD")), h2(send("HEAD", "/", script="404"))),
    case("statuses", RED, *(h2(get("/", str(status))) for status in (201, 204, 301, 304, 400, 404, 500, 503))),
    case("upstream chunked", RED, h2(get("/", "chunked"))),
    case("upstream in pieces", RED, h2(get("/", "slow:0.05"))),
    case("upstream ends with the connection", RED, h2(get("/", "unframed"))),
    case("upstream hangs up", RED, h2(get("/", "close")), h2(get("/", "garbage"))),
    case("trailers", RED, h2(send("POST", "/", body=b"abc"), ("x-trailer", "1"))),
    case("content length", RED, head(("content-length", "3"), method="POST", body=b"abc")),
    case("expecting 100", RED, head(("expect", "100-continue"), method="POST", body=b"abc")),
    case("te", RED, head(("te", "trailers"))),
    case("cookies", RED, head(("cookie", "a=1"), ("cookie", "b=2"))),
    case("fields twice", RED, head(("x-a", "1"), ("x-a", "2"))),
    case("query and case", RED, h2(get("/A/b?c=D&e"))),
    case("path to be normalized", RED, h2(get("/a/../b//c")), h2(get("/a/%2e%2e/b")), h2(get("/a#b"))),
    case("connect", RED, head((":path", "-"), (":scheme", "-"), method="CONNECT")),
    case("user agent", RED, head(("user-agent", "x"), ("x-forwarded-for", "10.0.0.1"), ("x-request-id", "abc"))),
    case("scheme https", RED, head((":scheme", "https")), head((":scheme", "HTTP"))),
    case("no route", (), h2(get()), head(*GRPC, method="POST", body=b"x")),
    case("no cluster", to("missing"), h2(get()), head(*GRPC, method="POST", body=b"x")),
    case("nobody", to("empty"), h2(get()), head(*GRPC, method="POST", body=b"x")),
    case("refused", to("refusing"), h2(get()), head(*GRPC, method="POST", body=b"x")),
    case("time-out", to("red", Timeout(0.1)), taking(0.1, 0.9, h2(get("/", "1:200"))), taking(0.1, 0.9, head(*GRPC, script="1:200"))),
    case("retries", to("red", RetryPolicy(attempts=2, retry_on=("5xx",))), h2(get("/", "503,200")), h2(get("/", "503"))),
    case("codec http2", RED, h2(get()), manager=replace(PLAIN, codec=Codec.HTTP2)),
    case("large", RED, h2(send("POST", "/", body=bytes(60_000)))),
    case("grpc answered as no grpc", RED, head(*GRPC, method="POST", body=b"x"), head(*GRPC, method="POST", body=b"x", script="503")),
    case("grpc status in the head", RED, head(*GRPC, script="200+grpc-status=5"), head(*GRPC, script="200+grpc-status=x")),
    case(
        "too many fields",
        RED,
        head(*((f"x-{number}", "1") for number in range(120))),
        known="the sidecar says 431 where Envoy resets the stream",
    ),
    case("too long fields", RED, head(("x-long", "a" * 15_000))),
]


def test_both_do_the_same(bench: Bench, case: Case) -> None:
    bench.compare(case)
