"""Another try."""

import pytest
from side_by_side.bench import Bench
from side_by_side.cases import Case, case, get, send, to

from mesh.policy.headers import HeaderOperations as Headers
from mesh.policy.retry import DEFAULT_RETRY_ON, RetryPolicy
from mesh.policy.rewrite import Rewrite


def retry(*retry_on: str, attempts: int = 2, codes: tuple[int, ...] = ()) -> RetryPolicy:
    return RetryPolicy(attempts, retry_on, retriable_status_codes=codes, backoff_base_seconds=0.001, backoff_max_seconds=0.01)


GRPC = ("content-type", "application/grpc")

CASES = [
    case(
        "5xx", to("red", retry("5xx")), get("/", "503,200"), get("/", "500,504,200"), get("/", "503"), get("/", "404"), get("/", "501,200")
    ),
    case(
        "5xx of broken connections",
        to("red", retry("5xx")),
        get("/", "close,200"),
        get("/", "close"),
        get("/", "garbage,200"),
        get("/", "garbage"),
    ),
    case("5xx refused", to("refusing", retry("5xx")), get()),
    case(
        "gateway error",
        to("red", retry("gateway-error")),
        get("/", "502,503,200"),
        get("/", "500,200"),
        get("/", "504,200"),
        get("/", "close,200"),
    ),
    case("reset", to("red", retry("reset")), get("/", "close,200"), get("/", "503,200"), get("/", "close"), get("/", "garbage,200")),
    case("reset refused", to("refusing", retry("reset")), get()),
    case("reset before request", to("red", retry("reset-before-request")), get("/", "close,200")),
    case("reset before request refused", to("refusing", retry("reset-before-request")), get()),
    case("connect failure", to("refusing", retry("connect-failure")), get()),
    case("half refuses", to("half", retry("connect-failure"))),
    case("connect failure only", to("red", retry("connect-failure")), get("/", "close,200"), get("/", "503,200")),
    case("refused stream", to("red", retry("refused-stream")), get("/", "close,200"), get("/", "503,200")),
    case("retriable 4xx", to("red", retry("retriable-4xx")), get("/", "409,200"), get("/", "404,200"), get("/", "409")),
    case(
        "retriable status codes",
        to("red", retry("retriable-status-codes", codes=(418, 200))),
        get("/", "418,404"),
        get("/", "503,404"),
        get("/", "200,404"),
    ),
    case("retriable status codes without codes", to("red", retry("retriable-status-codes")), get("/", "503,200")),
    case("codes without the reason", to("red", retry("5xx", codes=(418,))), get("/", "418,200")),
    case("rate limited", to("red", retry("5xx")), get("/", "503+x-envoy-ratelimited=true,200")),
    case("envoy rate limited", to("red", retry("envoy-ratelimited")), get("/", "503+x-envoy-ratelimited=true,200"), get("/", "503,200")),
    case(
        "grpc unavailable",
        to("red", retry("unavailable")),
        send("POST", "/", GRPC, script="200+grpc-status=14,200"),
        send("POST", "/", GRPC, script="200+grpc-status=13,200"),
    ),
    case("grpc cancelled", to("red", retry("cancelled")), send("POST", "/", GRPC, script="200+grpc-status=1,200")),
    case("grpc deadline exceeded", to("red", retry("deadline-exceeded")), send("POST", "/", GRPC, script="200+grpc-status=4,200")),
    case("grpc internal", to("red", retry("internal")), send("POST", "/", GRPC, script="200+grpc-status=13,200")),
    case("grpc resource exhausted", to("red", retry("resource-exhausted")), send("POST", "/", GRPC, script="200+grpc-status=8,200")),
    case("grpc status without grpc", to("red", retry("unavailable")), get("/", "200+grpc-status=14,200")),
    case("unknown reason", to("red", retry("nonsense", "5xx")), get("/", "503,200")),
    case("only an unknown reason", to("red", retry("nonsense")), get("/", "503,200")),
    case("istio's default", to("red", retry(*DEFAULT_RETRY_ON)), get("/", "503,200"), get("/", "close,200"), get("/", "500,200")),
    case("istio's default refused", to("refusing", retry(*DEFAULT_RETRY_ON)), get()),
    case("no retries", to("red", retry("5xx", attempts=0)), get("/", "503,200")),
    case("one retry", to("red", retry("5xx", attempts=1)), get("/", "503,200"), get("/", "503,503,200")),
    case("many retries", to("red", retry("5xx", attempts=5)), get("/", "503,503,503,503,503,200"), get("/", "503")),
    case(
        "with a body",
        to("red", retry("5xx")),
        send("POST", "/", body=b"abc", script="503,close,200"),
        send("PUT", "/", body=b"x" * 70_000, script="503,200"),
    ),
    case(
        "with a chunked body",
        to("red", retry("5xx")),
        send("POST", "/", ("transfer-encoding", "chunked"), body=b"3\r\nabc\r\n0\r\n\r\n", script="503,200"),
    ),
    case("with a body too long to keep", to("red", retry("5xx")), send("POST", "/", body=b"x" * 1_500_000, script="503,200")),
    case("head", to("red", retry("5xx")), send("HEAD", "/", script="503,200")),
    case("attempt count", to("red", retry("5xx")), get("/", "503,503,200"), get("/", "close"), counts_attempts=True),
    case(
        "header operations once",
        to("red", retry("5xx"), Headers(request_add=(("a", "1"),), response_add=(("b", "2"),))),
        get("/", "503,200", a="0"),
    ),
    case("rewritten once", to("red", retry("5xx"), Rewrite("/new/", authority="other")), get("/x", "503,200")),
    case("nothing upstream", to("empty", retry("5xx")), get()),
    case("unknown cluster", to("nowhere", retry("5xx")), get()),
    case("answer broken off", to("red", retry("5xx")), get("/", "cut,200")),
    case("retry after an answer with a body", to("red", retry("5xx")), get("/", "503+content-type=text/x,200")),
    case("client's wishes", to("red"), get("/", "503,200", x_envoy_retry_on="5xx", x_envoy_max_retries="2")),
    case("other hosts", to("both", retry("5xx")), get("/", "503"), get("/", "503,200")),
]


BY_CHANCE = ("other hosts", "half refuses")  # which host comes first


@pytest.fixture
def by_name() -> dict[str, Case]:
    return {case.name: case for case in CASES}


def test_both_try_again_alike(bench: Bench, case: Case) -> None:
    if case.name not in BY_CHANCE:
        bench.compare(case)


def test_both_try_the_other_host_next(bench: Bench, by_name: dict[str, Case]) -> None:
    for outcome in bench.ask(by_name["other hosts"], get("/", "503,200")):
        assert len({seen.cluster for seen in outcome.upstream}) == 2, outcome


def test_both_hide_a_host_that_refuses(bench: Bench, by_name: dict[str, Case]) -> None:
    attempts: list[set[int]] = [set(), set()]
    for _ in range(4):
        for side, outcome in enumerate(bench.ask(by_name["half refuses"], get())):
            assert (outcome.answer.status, outcome.log[0]["flags"], outcome.log[0]["failure"]) == (200, "-", None)
            attempts[side].add(outcome.log[0]["attempts"])
    assert all(2 in seen for seen in attempts)
