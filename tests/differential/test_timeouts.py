"""Requests that take too long."""

from dataclasses import replace

from side_by_side.bench import Bench
from side_by_side.cases import PLAIN, Case, case, get, raw, send, taking, to

from mesh.policy.headers import HeaderOperations as Headers
from mesh.policy.retry import RetryPolicy
from mesh.policy.timeout import Timeout

SHORT = Timeout(0.1)
UNFINISHED = "POST / HTTP/1.1\nhost: {host}\nx-key: {key}\ncontent-length: 5\n\nab"

CASES = [
    case(
        "too late", to("red", SHORT), taking(0.1, 0.6, get("/", "1:200")), taking(0.1, 0.6, send("POST", "/", body=b"abc", script="1:200"))
    ),
    case("in time", to("red", Timeout(1)), get("/", "0.05:200"), get()),
    case("no limit", to("red", Timeout(0)), get("/", "0.1:200")),
    # Envoy lingers a second before it closes what it has cut off.
    case("in the middle of the answer", to("red", SHORT), taking(0.1, 1.9, get("/", "slow:2"))),
    case("answer in pieces in time", to("red", Timeout(1)), get("/", "slow:0.05")),
    case("expected time is told", to("red", Timeout(2.5)), get(), get(x_envoy_expected_rq_timeout_ms="7")),
    case("head too late", to("red", SHORT), taking(0.1, 0.6, send("HEAD", "/", script="1:200"))),
    case("with header operations", to("red", SHORT, Headers(response_set=(("a", "b"),))), taking(0.1, 0.6, get("/", "1:200"))),
    case("nothing upstream", to("empty", SHORT), get()),
    case("refused", to("refusing", SHORT), get()),
    case("client's wish", to("red", Timeout(0.2)), taking(0.2, 0.7, get("/", "1:200", x_envoy_upstream_rq_timeout_ms="50"))),
    case(
        "over all tries",
        to("red", Timeout(0.15), RetryPolicy(5, ("5xx",), backoff_base_seconds=0.01)),
        taking(0.15, 0.6, get("/", "503,0.05:503,1:200")),
    ),
    case("per try", to("red", RetryPolicy(1, ("5xx",), 0.1)), taking(0.2, 0.9, get("/", "1:200")), taking(0.1, 0.8, get("/", "1:200,200"))),
    case("per try without retries", to("red", RetryPolicy(0, (), 0.1)), taking(0.1, 0.6, get("/", "1:200"))),
    case("per try of another reason", to("red", RetryPolicy(2, ("connect-failure",), 0.1)), taking(0.1, 0.6, get("/", "1:200,200"))),
    case("per try and the whole", to("red", Timeout(0.15), RetryPolicy(3, ("5xx",), 0.1)), taking(0.15, 0.6, get("/", "1:200"))),
    case("per try above the whole", to("red", Timeout(0.1), RetryPolicy(3, ("5xx",), 0.5)), taking(0.1, 0.6, get("/", "1:200"))),
    case("per try and the answer's body", to("red", RetryPolicy(1, ("5xx",), 0.1)), taking(0.2, 0.8, get("/", "slow:0.2"))),
    case("per try expected time", to("red", Timeout(2), RetryPolicy(1, ("5xx",), 0.5)), get()),
    case(
        "stream idle upstream",
        to("red"),
        taking(0.1, 0.7, get("/", "1:200")),
        manager=replace(PLAIN, stream_idle_timeout_seconds=0.1),
        known="the sidecar closes the connection after a time-out of its own",
    ),
    case(
        "stream idle amid the answer",
        to("red"),
        taking(0.1, 1.9, get("/", "slow:2")),
        manager=replace(PLAIN, stream_idle_timeout_seconds=0.1),
    ),
    case(
        "stream idle amid the request",
        to("red"),
        taking(0.1, 0.7, raw(UNFINISHED)),
        manager=replace(PLAIN, stream_idle_timeout_seconds=0.1),
    ),
    case(
        "idle time-out of the route",
        to("red", Timeout(0, 0.1)),
        taking(0.1, 0.7, get("/", "1:200")),
        known="the sidecar knows the connection manager's idle time-out only",
    ),
    case("request time-out", to("red"), taking(0.1, 0.7, raw(UNFINISHED)), manager=replace(PLAIN, request_timeout_seconds=0.1)),
    case("request time-out kept", to("red"), get("/", "0.2:200"), manager=replace(PLAIN, request_timeout_seconds=0.1)),
    case(
        "headers time-out",
        to("red"),
        taking(0.1, 0.7, raw("GET / HTTP/1.1\nhost: {host}\nx-")),
        manager=replace(PLAIN, request_headers_timeout_seconds=0.1),
    ),
]


def test_both_give_up_alike(bench: Bench, case: Case) -> None:
    bench.compare(case)
