"""Copies of requests."""

from dataclasses import replace

from side_by_side.asking import Ask
from side_by_side.bench import Bench
from side_by_side.cases import Case, answers, case, get, prefix, raw, send, to, when

from lab.until import until
from mesh.policy.direct_response import DirectResponse
from mesh.policy.fault import Fault
from mesh.policy.headers import HeaderOperations as Headers
from mesh.policy.mirror import Mirror
from mesh.policy.retry import RetryPolicy
from mesh.policy.rewrite import Rewrite
from mesh.policy.timeout import Timeout


def copied(ask: Ask, times: int = 1) -> Ask:
    return replace(ask, mirrored=times)


COPY = Mirror("blue")

CASES = [
    case("all", to("red", COPY), copied(get("/x?a=b", a="1")), copied(send("DELETE", "/x")), copied(send("HEAD", "/"))),
    case("none", to("red", Mirror("blue", 0)), get()),
    case("body", to("red", COPY), copied(send("POST", "/", body=b"abc")), copied(send("POST", "/"))),
    case(
        "chunked body",
        to("red", COPY),
        copied(send("POST", "/", ("transfer-encoding", "chunked"), body=b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n")),
    ),
    case("two mirrors", to("red", COPY, Mirror("green")), copied(get(), 2)),
    case("to the same cluster", to("red", Mirror("red")), copied(get())),
    case("port in the authority", to("red", COPY), copied(raw("GET / HTTP/1.1\nhost: {host}:80\nx-key: {key}\n\n")), ignore_port=True),
    case("header operations", to("red", COPY, Headers(request_set=(("a", "1"),), request_remove=("b",))), copied(get(b="2"))),
    case("rewritten", to("red", COPY, Rewrite("/new", authority="other"), match=when(prefix("/old"))), copied(get("/old/x"))),
    case("retried", to("red", COPY, RetryPolicy(2, ("5xx",), backoff_base_seconds=0.001)), copied(get("/", "503,200"), 2)),
    case("attempt count", to("red", COPY), copied(get()), counts_attempts=True),
    case("with a time-out", to("red", COPY, Timeout(2)), copied(get())),
    case("with a time-out of each try", to("red", COPY, RetryPolicy(1, ("5xx",), 0.5)), copied(get())),
    case("with both time-outs", to("red", COPY, Timeout(2), RetryPolicy(1, ("5xx",), 0.5)), copied(get())),
    case("failing", to("red", COPY), copied(get("/", "503")), copied(get("/", "close"))),
    case("to nowhere", to("red", Mirror("nowhere")), get()),
    case("to nobody", to("red", Mirror("empty")), get()),
    case("to one who refuses", to("red", Mirror("refusing")), get()),
    case("aborted", to("red", COPY, Fault(abort_status=503, abort_percent=100)), get()),
    case("nothing upstream", to("empty", COPY), get(), known="the sidecar mirrors before it looks for a host"),
    case("direct response", answers(DirectResponse(200), COPY), get()),
    case("connection headers", to("red", COPY), copied(get(connection="close", te="trailers"))),
    case("expecting 100", to("red", COPY), copied(send("POST", "/", ("expect", "100-continue"), body=b"abc"))),
]


SLOW = [case("a copy's slow answer", to("red", COPY), copied(get(x_shadow_script="slow:0.2")))]
CASES += SLOW


def test_both_hear_a_copys_answer_out(bench: Bench) -> None:
    for outcome in bench.ask(SLOW[0], SLOW[0].asks[0]):
        [copy] = [seen for seen in outcome.upstream if seen.shadow]
        until(lambda copy=copy: copy.left_early is not None, 5, "the copy's answer")
        assert copy.left_early is False


def test_both_send_the_same_copies(bench: Bench, case: Case) -> None:
    bench.compare(case)
