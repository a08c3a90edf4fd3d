"""Injected faults."""

from dataclasses import replace

from side_by_side.bench import Bench
from side_by_side.cases import PLAIN, Case, answers, case, get, raw, send, split, taking, to

from mesh.model.route import WeightedCluster
from mesh.policy.direct_response import DirectResponse
from mesh.policy.fault import Fault
from mesh.policy.headers import HeaderOperations as Headers
from mesh.policy.redirect import Redirect
from mesh.policy.retry import RetryPolicy
from mesh.policy.timeout import Timeout

ABORT = Fault(abort_status=503, abort_percent=100)
DELAY = Fault(delay_seconds=0.1, delay_percent=100)
BOTH = replace(ABORT, delay_seconds=0.1, delay_percent=100)

CASES = [
    *(
        case(f"abort {status}", to("red", Fault(abort_status=status, abort_percent=100)), get())
        for status in (200, 404, 418, 429, 500, 599)
    ),
    case("abort", to("red", ABORT), get(), send("HEAD"), send("POST", "/", body=b"abc"), get(connection="close")),
    case("abort never", to("red", Fault(abort_status=503, abort_percent=0)), get()),
    case("delay", to("red", DELAY), taking(0.1, 0.6, get()), taking(0.1, 0.6, send("POST", "/", body=b"abc"))),
    case("delay never", to("red", Fault(delay_seconds=5, delay_percent=0)), get()),
    case("delay and abort", to("red", BOTH), taking(0.1, 0.6, get())),
    case("delay and the time-out", to("red", DELAY, Timeout(0.05)), taking(0.1, 0.6, get())),
    case(
        "delay and upstream's time",
        to("red", DELAY, Timeout(0.15)),
        taking(0.2, 0.7, get("/", "0.1:200")),
        taking(0.25, 0.8, get("/", "1:200")),
    ),
    case("abort and retries", to("red", ABORT, RetryPolicy(3, ("5xx",))), get()),
    case("abort and headers", to("red", ABORT, Headers(request_set=(("a", "1"),), response_set=(("b", "2"),))), get()),
    case("abort without a cluster", to("nowhere", ABORT), get()),
    case("delay without a cluster", to("nowhere", DELAY), taking(0.1, 0.6, get())),
    case("delay and nothing upstream", to("empty", DELAY), taking(0.1, 0.6, get())),
    case("abort of a direct response", answers(DirectResponse(200, b"x"), ABORT), get()),
    case("delay of a direct response", answers(DirectResponse(200, b"x"), DELAY), get()),
    case("abort of a redirect", answers(Redirect(path="/y"), ABORT), get()),
    case("abort of the virtual host", to("red"), get(), policies=(ABORT,)),
    case("abort of everything", to("red"), get(), outer=(ABORT,)),
    case("fault of the route before the virtual host's", to("red", Fault(abort_status=418, abort_percent=100)), get(), policies=(ABORT,)),
    case("fault of the cluster", split(WeightedCluster("red", 1, (ABORT,))), get()),
    case(
        "fault of the cluster before the route's",
        split(WeightedCluster("red", 1, (ABORT,)), policies=(Fault(abort_status=418, abort_percent=100),)),
        get(),
    ),
    case("no such filter", to("red", ABORT), get(), manager=replace(PLAIN, filters=("envoy.filters.http.router",))),
    case("abort of grpc", to("red", ABORT), send("POST", "/a/B", ("content-type", "application/grpc"))),
    case(
        "abort and a connection that goes on",
        to("red", ABORT),
        raw("GET / HTTP/1.1\nhost: {host}\n\nGET /2 HTTP/1.1\nhost: {host}\n\n", answers=2),
    ),
]

LATE = case("a delay and the time of the upstream", to("red", Fault(delay_seconds=0.5, delay_percent=100)), taking(0.5, 2, get()))
CASES.append(LATE)


def test_neither_counts_a_delay_as_the_upstreams_time(bench: Bench) -> None:
    for outcome in bench.ask(LATE, LATE.asks[0]):
        assert int(outcome.answer.header("x-envoy-upstream-service-time") or "500") < 400


def test_both_inject_the_same_faults(bench: Bench, case: Case) -> None:
    bench.compare(case)
