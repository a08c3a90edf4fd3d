"""Requests from other sites' pages."""

from dataclasses import replace

from side_by_side.asking import Ask
from side_by_side.bench import Bench
from side_by_side.cases import PLAIN, Case, answers, case, exact, get, prefix, regex, send, split, suffix, to

from mesh.model.route import WeightedCluster
from mesh.policy.cors import CorsPolicy
from mesh.policy.direct_response import DirectResponse
from mesh.policy.fault import Fault
from mesh.policy.headers import HeaderOperations as Headers
from mesh.policy.redirect import Redirect


def preflight(origin: str = "http://a.example", method: str = "PUT", headers: str = "x-a") -> Ask:
    asked = (("access-control-request-method", method), ("access-control-request-headers", headers))
    return send("OPTIONS", "/", ("origin", origin), *(pair for pair in asked if pair[1]))


A = exact("http://a.example")
FULL = CorsPolicy((A,), "GET,PUT", "x-a,x-b", "x-c", "600", True)

BOTH = (preflight(), get(origin="http://a.example"))
ISTIO = replace(PLAIN, filters=("envoy.filters.http.fault", "envoy.filters.http.cors", "envoy.filters.http.router"))

CASES = [
    case("all fields", to("red", FULL), preflight(), get(origin="http://a.example"), get(origin="http://b.example"), get()),
    case("only origins", to("red", CorsPolicy((A,))), preflight(), get(origin="http://a.example"), preflight("http://b.example")),
    case("no credentials", to("red", CorsPolicy((A,), allow_credentials=False)), preflight(), get(origin="http://a.example")),
    case("any origin", to("red", CorsPolicy((exact("*"),))), preflight(), get(origin="http://b.example"), get(origin="null")),
    case("origin prefix", to("red", CorsPolicy((prefix("http://a"),))), get(origin="http://a.b"), get(origin="http://b")),
    case("origin suffix", to("red", CorsPolicy((suffix(".example"),))), get(origin="http://a.example"), get(origin="http://b")),
    case(
        "origin regex",
        to("red", CorsPolicy((regex("http://[ab]"),))),
        get(origin="http://a"),
        get(origin="http://ab"),
        preflight("http://b"),
    ),
    case(
        "several origins",
        to("red", CorsPolicy((exact("http://b"), A))),
        get(origin="http://a.example"),
        get(origin="http://b"),
        get(origin="c"),
    ),
    case("no origins", to("red", CorsPolicy()), preflight(), get(origin="http://a.example")),
    case("any method and header", to("red", CorsPolicy((A,), "*", "*")), preflight(), preflight(headers="")),
    case(
        "preflights answered always",
        to("red", CorsPolicy((A,), "GET", forward_not_matching_preflights=False)),
        preflight(),
        preflight("http://b"),
    ),
    case(
        "preflights passed on", to("red", CorsPolicy((A,), "GET", forward_not_matching_preflights=True)), preflight(), preflight("http://b")
    ),
    case("options that is none", to("red", FULL), preflight(method=""), send("OPTIONS"), send("OPTIONS", "/", ("origin", ""))),
    case("empty origin", to("red", FULL), get(origin="")),
    case(
        "upstream has its own",
        to("red", FULL),
        get("/", "200+access-control-allow-origin=*+access-control-expose-headers=z", origin="http://a.example"),
    ),
    case("of the virtual host", to("red"), preflight(), get(origin="http://a.example"), policies=(FULL,)),
    case(
        "of the route before the virtual host's",
        to("red", CorsPolicy((exact("http://b"),))),
        preflight(),
        preflight("http://b"),
        policies=(FULL,),
    ),
    case("of the cluster", split(WeightedCluster("red", 1, (FULL,))), preflight(), get(origin="http://a.example")),
    case("direct response", answers(DirectResponse(200), FULL), preflight(), get(origin="http://a.example")),
    case("redirect", answers(Redirect(path="/y"), FULL), preflight(), get(origin="http://a.example")),
    case("with header operations", to("red", FULL, Headers(response_set=(("a", "b"),))), preflight(), get(origin="http://a.example")),
    case("with a fault", to("red", FULL, Fault(abort_status=503, abort_percent=100)), preflight(), get(origin="http://a.example")),
    case("behind a fault", to("red", FULL, Fault(abort_status=503, abort_percent=100)), *BOTH, manager=ISTIO),
    case("with header operations in istio's order", to("red", FULL, Headers(response_set=(("a", "b"),))), *BOTH, manager=ISTIO),
    case("with nothing upstream", to("empty", FULL), preflight(), get(origin="http://a.example")),
    case("unknown cluster", to("nowhere", FULL), preflight(), get(origin="http://a.example")),
]


def test_both_treat_other_sites_alike(bench: Bench, case: Case) -> None:
    bench.compare(case)
