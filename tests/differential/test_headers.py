"""Header operations on all levels, and the headers that a proxy adds, trusts and takes away."""

from dataclasses import replace

from side_by_side.bench import Bench
from side_by_side.cases import PLAIN, Case, answers, case, get, send, split, to

from mesh.model.route import WeightedCluster
from mesh.policy.direct_response import DirectResponse
from mesh.policy.headers import HeaderOperations as Headers
from mesh.policy.redirect import Redirect

RETRY_WISHES = {"x_envoy_retry_on": "5xx", "x_envoy_max_retries": "3", "x_envoy_upstream_rq_per_try_timeout_ms": "100"}

CASES = [
    case("request set", to("red", Headers(request_set=(("a", "new"),))), get(), get(a="old")),
    case("request set over repeated", to("red", Headers(request_set=(("a", "new"),))), send("GET", "/", ("a", "1"), ("a", "2"))),
    case("request add", to("red", Headers(request_add=(("a", "new"),))), get(), get(a="old")),
    case("request remove", to("red", Headers(request_remove=("a",))), get(), get(a="1", b="2"), send("GET", "/", ("A", "1"), ("a", "2"))),
    case(
        "request remove then set",
        to("red", Headers(request_remove=("a",), request_set=(("a", "x"),), request_add=(("a", "y"),))),
        get(a="1"),
    ),
    case("request set and add of one name", to("red", Headers(request_set=(("a", "x"),), request_add=(("a", "y"),))), get(a="1"), get()),
    case("request add twice", to("red", Headers(request_add=(("a", "x"), ("a", "y")))), get(a="1")),
    case("response set", to("red", Headers(response_set=(("a", "new"),))), get(), get("/", "200+a=old")),
    case("response add", to("red", Headers(response_add=(("a", "new"),))), get(), get("/", "200+a=old"), get("/", "200+a=1+a=2")),
    case("response remove", to("red", Headers(response_remove=("a",))), get("/", "200+a=old+b=1"), get("/", "200+a=1+a=2")),
    case("response server", to("red", Headers(response_set=(("server", "mine"),))), get("/", "200+server=theirs")),
    case("response server removed", to("red", Headers(response_remove=("server",))), get("/", "200+server=theirs")),
    case("response service time removed", to("red", Headers(response_remove=("x-envoy-upstream-service-time",))), get()),
    case("empty value", to("red", Headers(request_set=(("a", ""),), response_set=(("b", ""),))), get(a="old"), get("/", "200+b=old")),
    case("percent signs", to("red", Headers(request_set=(("a", "100%%"),), response_set=(("b", "50%%"),))), get()),
    case(
        "operators",
        to("red", Headers(request_set=(("a", "%REQ(x-b)%-%REQ(:METHOD)%"),), request_add=(("c", "%PROTOCOL% %REQ(missing)%"),))),
        get("/x", x_b="b"),
    ),
    case(
        "operators of the response",
        to("red", Headers(response_set=(("a", "%RESPONSE_CODE% %RESP(x)% %UPSTREAM_CLUSTER%"),), response_add=(("b", "%REQ(:PATH)%"),))),
        get("/x", "201+x=y"),
    ),
    case("letters beyond ascii", to("red", Headers(request_set=(("a", "ü"),), response_set=(("b", "é"),))), get()),
    case(
        "four levels of the request",
        split(
            WeightedCluster("red", 1, (Headers(request_add=(("a", "cluster"),), request_set=(("b", "cluster"),)),)),
            policies=(Headers(request_add=(("a", "route"),), request_set=(("b", "route"),)),),
        ),
        get(a="old", b="old"),
        policies=(Headers(request_add=(("a", "host"),), request_set=(("b", "host"),)),),
        outer=(Headers(request_add=(("a", "all"),), request_set=(("b", "all"),)),),
    ),
    case(
        "four levels of the response",
        split(
            WeightedCluster("red", 1, (Headers(response_add=(("a", "cluster"),), response_set=(("b", "cluster"),)),)),
            policies=(Headers(response_add=(("a", "route"),), response_set=(("b", "route"),)),),
        ),
        get("/", "200+a=old+b=old"),
        policies=(Headers(response_add=(("a", "host"),), response_set=(("b", "host"),)),),
        outer=(Headers(response_add=(("a", "all"),), response_set=(("b", "all"),)),),
    ),
    case(
        "outer level removes what an inner one sets",
        to("red", Headers(request_set=(("a", "route"),), response_set=(("b", "route"),))),
        get(),
        policies=(Headers(request_remove=("a",), response_remove=("b",)),),
    ),
    case(
        "inner level removes what an outer one sets",
        to("red", Headers(request_remove=("a",), response_remove=("b",))),
        get(a="old"),
        policies=(Headers(request_set=(("a", "host"),), response_set=(("b", "host"),)),),
    ),
    case("response of a direct response", answers(DirectResponse(200, b"x"), Headers(response_set=(("a", "b"),))), get()),
    case(
        "content type of a direct response",
        answers(DirectResponse(200, b"{}"), Headers(response_set=(("content-type", "text/json"),))),
        get(),
    ),
    case("response of a redirect", answers(Redirect(path="/y"), Headers(response_set=(("a", "b"),))), get()),
    case("location of a redirect", answers(Redirect(path="/y"), Headers(response_set=(("location", "/z"),))), get()),
    case("response without an upstream", to("empty", Headers(response_set=(("a", "b"),))), get()),
    case("response without a cluster", to("nowhere", Headers(response_set=(("a", "b"),))), get()),
    case("response that was refused", to("refusing", Headers(response_set=(("a", "b"),))), get()),
    case("attempt count", to("red"), get(), get(x_envoy_attempt_count="7"), counts_attempts=True),
    case("attempt count not asked for", to("red"), get(x_envoy_attempt_count="7")),
    case(
        "hop by hop",
        to("red"),
        get(connection="x-mine, keep-alive", x_mine="1", keep_alive="5", proxy_connection="close"),
        get(te="trailers"),
    ),
    case("te", to("red"), get(te="gzip"), get(te="trailers, gzip"), get(connection="te", te="trailers")),
    case("connection names trusted headers", to("red"), get(connection="x-forwarded-for"), get(connection="x-envoy-foo", x_envoy_foo="1")),
    case("connection close", to("red"), get(connection="close")),
    case("internal headers", to("red"), get(**RETRY_WISHES), get(x_envoy_upstream_rq_timeout_ms="5", x_envoy_expected_rq_timeout_ms="5")),
    case(
        "more internal headers",
        to("red"),
        get(x_envoy_internal="true", x_envoy_force_trace="1", x_envoy_ip_tags="a", x_envoy_original_url="u"),
    ),
    case(
        "peers' headers", to("red"), get(x_envoy_decorator_operation="op"), get(x_envoy_original_path="/p"), get(x_envoy_original_host="h")
    ),
    case(
        "forwarded for",
        to("red"),
        get(x_forwarded_for="1.2.3.4"),
        get(x_forwarded_proto="https"),
        get(x_forwarded_host="h", x_forwarded_port="1"),
    ),
    case("forwarded proto of nonsense", to("red"), get(x_forwarded_proto="gopher"), get(x_forwarded_proto="HTTPS")),
    case("external address", to("red"), get(x_envoy_external_address="1.2.3.4"), get(x_forwarded_client_cert="By=a")),
    case("trace context", to("red"), get(traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"), get(b3="0")),
    case("user agent", to("red"), get(user_agent="curl/8"), get(referer="http://a", cookie="a=b", authorization="Basic eA==")),
    case(
        "cookies stay apart",
        to("red"),
        send("GET", "/", ("cookie", "a=1"), ("cookie", "b=2")),
        get("/", "200+set-cookie=a=1+set-cookie=b=2"),
    ),
    case(
        "upstream server and date",
        to("red"),
        get("/", "200+server=theirs+x-powered-by=php"),
        get("/", "200+date=Thu, 01 Jan 1970 00:00:00 GMT"),
    ),
    case(
        "upstream hop by hop", to("red"), get("/", "200+connection=close"), get("/", "200+keep-alive=timeout=5+proxy-connection=keep-alive")
    ),
    case("upstream connection names a header", to("red"), get("/", "200+connection=x-mine+x-mine=1")),
    case(
        "upstream internal headers", to("red"), get("/", "200+x-envoy-upstream-service-time=99+x-envoy-overloaded=true+x-envoy-degraded=1")
    ),
    case("upstream immediate health check fail", to("green"), get("/", "200+x-envoy-immediate-health-check-fail=1+x-envoy-foo=1")),
    case("server name", to("red"), get("/", "200+server=theirs"), get("/", "503"), manager=replace(PLAIN, server_name="mine")),
    case(
        "server passed through",
        [to("red")],
        get("/", "200+server=theirs"),
        get(),
        manager=replace(PLAIN, pass_through_server_header=True),
    ),
    case(
        "server passed through of a local reply",
        to("empty"),
        get(),
        manager=replace(PLAIN, pass_through_server_header=True, stat_prefix="e"),
    ),
    case("no request id", to("red"), get(), get(x_request_id="mine"), manager=replace(PLAIN, generate_request_id=False)),
    case("request id kept", to("red"), get(x_request_id="mine")),
    case("path not normalised", to("red"), get("/a/../b"), get("/%61"), manager=replace(PLAIN, normalize_path=False)),
]


def test_both_send_and_answer_the_same_headers(bench: Bench, case: Case) -> None:
    bench.compare(case)
