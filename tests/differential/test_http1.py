"""HTTP/1.1 itself: framing, limits, odd and wrong messages."""

from dataclasses import replace

from side_by_side.asking import Ask
from side_by_side.bench import Bench
from side_by_side.cases import PLAIN, Case, case, get, raw, send, to

RED = to("red")
HEAD = "host: {host}\nx-key: {key}\n"


def lines(first: str, *more: str, body: str = "", **options: object) -> Ask:
    return raw(f"{first}\n{HEAD}" + "".join(f"{line}\n" for line in more) + "\n" + body, **options)


TWICE = f"GET /1 HTTP/1.1\n{HEAD}\nGET /2 HTTP/1.1\n{HEAD}\n"
CHUNKED = "transfer-encoding: chunked"
POST = "POST / HTTP/1.1"
NOMINATED = ("x-request-id", "x-envoy-foo", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "authorization", "cookie", "te")
WEBSOCKET = (("connection", "upgrade"), ("upgrade", "websocket"))

CASES = [
    *(
        case(f"method {method}", RED, send(method), send(method, "/", body=b"abc"))
        for method in ("GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "REPORT")
    ),
    case("method TRACE", RED, send("TRACE")),
    case("method in lower case", RED, send("get")),
    case("method of many letters", RED, send("BREW-COFFEE"), send("G@T")),
    case("content length 0", RED, lines(POST, "content-length: 0"), lines("GET / HTTP/1.1", "content-length: 0")),
    case(
        "chunked",
        RED,
        lines(POST, CHUNKED, body="3\nabc\n0\n\n"),
        lines(POST, CHUNKED, body="0\n\n"),
        lines(POST, "Transfer-Encoding: Chunked", body="0\n\n"),
    ),
    case("chunk extensions", RED, lines(POST, CHUNKED, body='3;a=b;c="d"\nabc\n0;x\n\n')),
    case("trailers", RED, lines(POST, CHUNKED, body="3\nabc\n0\nx-trailer: 1\n\n")),
    case(
        "bad chunks",
        RED,
        lines(POST, CHUNKED, body="zz\nabc\n0\n\n"),
        lines(POST, CHUNKED, body="3\nabcd\n0\n\n"),
        lines(POST, CHUNKED, body="-3\nabc\n0\n\n"),
        known="the sidecar checks the chunks that came with a head before it forwards it",
    ),
    case("upstream chunked", RED, get("/", "chunked"), send("HEAD", "/", script="chunked")),
    case("upstream ends with the connection", RED, get("/", "unframed")),
    case("upstream early hints", RED, get("/", "hints")),
    case("upstream in pieces", RED, get("/", "slow:0.05")),
    case("head", RED, send("HEAD"), send("HEAD", "/", script="404")),
    case(
        "expecting 100",
        RED,
        send("POST", "/", ("expect", "100-continue"), body=b"abc"),
        send("POST", "/", ("expect", "100-Continue"), body=b"abc"),
    ),
    case("expecting something else", RED, send("POST", "/", ("expect", "coffee"), body=b"abc")),
    case("pipelined", RED, raw(TWICE, answers=2)),
    case("pipelined behind a body", RED, raw(f"POST /1 HTTP/1.1\n{HEAD}content-length: 3\n\nabcGET /2 HTTP/1.1\n{HEAD}\n", answers=2)),
    case("http 1.0", RED, lines("GET / HTTP/1.0"), lines("GET / HTTP/1.0", "connection: keep-alive"), raw("GET / HTTP/1.0\n\n")),
    case("http 1.0 with a chunked answer", RED, lines("GET / HTTP/1.0", "x-script: chunked")),
    case("other versions", RED, lines("GET / HTTP/1.2"), lines("GET / HTTP/2.0"), lines("GET / HTTP/0.9"), lines("GET / HTTP/11")),
    case("no version", RED, raw("GET /\n\n"), raw("GET / \n\n")),
    case("no host", RED, raw("GET / HTTP/1.1\nx-key: {key}\n\n")),
    case("empty host", RED, raw("GET / HTTP/1.1\nhost:\nx-key: {key}\n\n"), known="the sidecar logs no authority instead of an empty one"),
    case(
        "two hosts",
        RED,
        raw("GET / HTTP/1.1\nhost: {host}\nhost: b\nx-key: {key}\n\n"),
        raw("GET / HTTP/1.1\nhost: {host}\nhost: {host}\n\n"),
        known="the sidecar refuses what Envoy joins with a comma",
    ),
    case(
        "bad hosts", RED, raw("GET / HTTP/1.1\nhost: a b\n\n"), raw("GET / HTTP/1.1\nhost: a/b\n\n"), raw("GET / HTTP/1.1\nhost: a@b\n\n")
    ),
    case("host with a bad port", RED, raw("GET / HTTP/1.1\nhost: {host}:abc\n\n"), raw("GET / HTTP/1.1\nhost: {host}:\n\n")),
    case("no http at all", RED, raw("hello\n\n"), raw(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n"), raw("GET\n\n")),
    case("empty lines before", RED, raw(f"\n\nGET / HTTP/1.1\n{HEAD}\n")),
    case("line ends without a return", RED, raw(f"GET / HTTP/1.1\n{HEAD}\n".encode()), known="the sidecar wants whole line ends"),
    case(
        "spaces around the target",
        RED,
        lines("GET  / HTTP/1.1"),
        lines("GET /  HTTP/1.1"),
        lines("GET\t/ HTTP/1.1"),
        known="the sidecar takes one space each",
    ),
    case("odd characters in the target", RED, lines('GET /<>"{}|\\^`?<>"{}|\\^` HTTP/1.1')),
    case("connection names other headers", RED, *(send("POST", "/", ("connection", name), (name, "1"), body=b"abc") for name in NOMINATED)),
    case(
        "connection names framing",
        RED,
        *(send("POST", "/", ("connection", name), body=b"abc") for name in ("content-length", "host", ":path")),
    ),
    case("space in the target", RED, lines("GET /a b HTTP/1.1")),
    case(
        "control characters",
        RED,
        lines("GET /\x01 HTTP/1.1"),
        lines("GET / HTTP/1.1", "a: \x01"),
        lines("GET / HTTP/1.1", "a: b\x7fc"),
        lines("GET / HTTP/1.1", "a: b\tc"),
    ),
    case("nul in a value", RED, lines("GET / HTTP/1.1", "a: b\x00c")),
    case("folded line", RED, lines("GET / HTTP/1.1", "a: b", " c"), known="the sidecar takes no folded lines"),
    case("space before the colon", RED, lines("GET / HTTP/1.1", "a : b")),
    case("bad header names", RED, lines("GET / HTTP/1.1", "a(b): c"), lines("GET / HTTP/1.1", ": c"), lines("GET / HTTP/1.1", "nocolon")),
    case("underscore in a name", RED, lines("GET / HTTP/1.1", "a_b: c")),
    case("empty value", RED, lines("GET / HTTP/1.1", "a:"), lines("GET / HTTP/1.1", "a:   ")),
    case(
        "content length and chunked",
        RED,
        lines(POST, "content-length: 3", CHUNKED, body="0\n\n"),
        lines(POST, CHUNKED, "content-length: 3", body="0\n\n"),
    ),
    case(
        "two content lengths",
        RED,
        lines(POST, "content-length: 3", "content-length: 3", body="abc"),
        lines(POST, "content-length: 3", "content-length: 4", body="abc"),
    ),
    case(
        "bad content lengths",
        RED,
        *(lines(POST, f"content-length: {value}", body="abc") for value in ("+3", "-3", "3a", "0x3", "3, 3", "", "99999999999999999999")),
    ),
    case(
        "other transfer encodings",
        RED,
        *(
            lines(POST, f"transfer-encoding: {value}", body="0\n\n")
            for value in ("gzip", "gzip, chunked", "chunked, gzip", "identity", "", "chunked, chunked")
        ),
    ),
    case("two transfer encodings", RED, lines(POST, CHUNKED, CHUNKED, body="0\n\n")),
    case("chunked in http 1.0", RED, lines("POST / HTTP/1.0", CHUNKED, body="0\n\n")),
    case(
        "absolute targets",
        RED,
        lines("GET http://{host}/x?y HTTP/1.1"),
        lines("GET https://{host}/x HTTP/1.1"),
        lines("GET ftp://{host}/x HTTP/1.1"),
        lines("GET http:// HTTP/1.1"),
    ),
    case("relative target", RED, lines("GET x HTTP/1.1"), lines("GET ?x HTTP/1.1"), lines("GET * HTTP/1.1")),
    case("connect", RED, raw("CONNECT {host}:80 HTTP/1.1\nhost: {host}:80\n\n"), raw("CONNECT / HTTP/1.1\nhost: {host}\n\n")),
    case("websocket", RED, send("GET", "/", *WEBSOCKET, script="ws", then=b"ping")),
    case("websocket declined", RED, send("GET", "/", *WEBSOCKET)),
    case("websocket refused", to("refusing"), send("GET", "/", *WEBSOCKET)),
    case("websocket without connection", RED, send("GET", "/", ("upgrade", "websocket"))),
    case(
        "upgrade not allowed",
        RED,
        send("GET", "/", ("connection", "upgrade"), ("upgrade", "mystery")),
        manager=replace(PLAIN, upgrades=()),
        known="the sidecar refuses before it looks for a route",
    ),
    case("upgrade to h2c", RED, send("GET", "/", ("connection", "upgrade, http2-settings"), ("upgrade", "h2c"), ("http2-settings", "x"))),
    case(
        "websocket not allowed",
        RED,
        send("GET", "/", *WEBSOCKET),
        manager=replace(PLAIN, upgrades=()),
        known="the sidecar refuses before it looks for a route",
    ),
    case(
        "many headers",
        RED,
        lines("GET / HTTP/1.1", *(f"h{i}: 1" for i in range(96))),
        lines("GET / HTTP/1.1", *(f"h{i}: 1" for i in range(120))),
    ),
    case(
        "fewer headers allowed",
        RED,
        lines("GET / HTTP/1.1", *(f"h{i}: 1" for i in range(20))),
        manager=replace(PLAIN, max_request_header_count=10),
    ),
    case("long head", RED, lines("GET / HTTP/1.1", "a: " + "x" * 50_000), lines("GET / HTTP/1.1", "a: " + "x" * 70_000)),
    case("long target", RED, lines("GET /" + "x" * 20_000 + " HTTP/1.1"), lines("GET /" + "x" * 70_000 + " HTTP/1.1")),
    case("shorter heads allowed", RED, lines("GET / HTTP/1.1", "a: " + "x" * 10_000), manager=replace(PLAIN, max_request_headers_kb=8)),
    case("upstream headers of all kinds", RED, get("/", "200+A-B=1+a_c=2+x=  y+z="), get("/", "200+x=ü")),
    case("upstream bad headers", RED, get("/", "200+a b=1"), get("/", "200+content-length=5")),
    case(
        "upstream framing",
        RED,
        get("/", "200+transfer-encoding=chunked"),
        get("/", "204+content-length=0"),
        get("/", "304+content-length=5"),
    ),
    case("upstream content length of 204", RED, get("/", "204+content-length=5")),
    case("upstream status", RED, get("/", "299"), get("/", "600"), get("/", "999")),
    case("long body", RED, send("POST", "/", body=b"x" * 300_000)),
    case(
        "remote address used",
        RED,
        get(),
        get(x_forwarded_for="1.2.3.4"),
        get(x_forwarded_for="1.2.3.4, 5.6.7.8"),
        get(x_envoy_retry_on="5xx"),
        get(x_forwarded_proto="https"),
        get(x_forwarded_host="else.where"),
        get(x_envoy_external_address="1.2.3.4", x_envoy_internal="true", x_envoy_original_path="/a", x_envoy_decorator_operation="o"),
        get(x_request_id="mine"),
        get(x_envoy_peer_metadata="x", x_envoy_downstream_service_cluster="c", x_envoy_downstream_service_node="n"),
        manager=replace(PLAIN, use_remote_address=True),
    ),
]


def test_both_read_the_same_messages(bench: Bench, case: Case) -> None:
    bench.compare(case)
