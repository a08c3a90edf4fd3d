"""Redirects."""

from side_by_side.bench import Bench
from side_by_side.cases import Case, answers, below, case, exact, get, prefix, raw, regex, send, when

from mesh.policy.redirect import Redirect


def at(port: str) -> object:
    return raw(f"GET /x HTTP/1.1\nhost: {{host}}{port}\nx-key: {{key}}\n\n")


CASES = [
    *(
        case(f"status {status}", answers(Redirect(status, path="/new")), get("/x"), send("POST", "/x"))
        for status in (301, 302, 303, 307, 308)
    ),
    case("path", answers(Redirect(path="/new")), get("/x"), get("/x?a=b"), get("/x?")),
    case("path with a query", answers(Redirect(path="/new?own")), get("/x"), get("/x?a=b")),
    case("path without a slash", answers(Redirect(path="new")), get("/x?a")),
    case("path with a fragment", answers(Redirect(path="/new#f")), get("/x?a")),
    case("authority", answers(Redirect(authority="other.example")), get("/x?a=b"), at(":81")),
    case("authority with a port", answers(Redirect(authority="other.example:81")), get("/x")),
    case("port", answers(Redirect(port=81)), get("/x"), at(":99"), at(":80"), ignore_port=True),
    case("scheme", answers(Redirect(scheme="https")), get("/x"), at(":80"), at(":443"), at(":99"), ignore_port=True),
    case("same scheme", answers(Redirect(scheme="http", path="/y")), at(":80"), ignore_port=True),
    case("scheme and port", answers(Redirect(scheme="https", port=8443)), get("/x"), at(":80"), ignore_port=True),
    case("scheme, authority and port", answers(Redirect(scheme="https", authority="o", port=8443)), get("/x")),
    case("forwarded proto", answers(Redirect(path="/new")), get("/x", x_forwarded_proto="https")),
    case("forwarded proto and scheme", answers(Redirect(scheme="http")), get("/x", x_forwarded_proto="https")),
    case("prefix", answers(Redirect(prefix="/new"), match=when(prefix("/old"))), get("/old"), get("/old/x?a=b"), get("/oldx")),
    case("prefix of a path below", answers(Redirect(prefix="/new"), match=when(below("/old"))), get("/old/x"), get("/old?x")),
    case("prefix of an exact path", answers(Redirect(prefix="/new"), match=when(exact("/old"))), get("/old?x")),
    case("prefix of a regex", answers(Redirect(prefix="/new"), match=when(regex("/o.*"))), get("/old?x")),
    case("by regex", answers(Redirect(regex=("/old/([a-z]+)", r"/new/\1"))), get("/old/a?b=c"), get("/other")),
    case("to itself", answers(Redirect(authority="{host}")), get("/x")),
    case("absolute target", answers(Redirect(path="/new")), raw("GET http://{host}/x HTTP/1.1\nhost: other\nx-key: {key}\n\n")),
    case("head", answers(Redirect(path="/new")), send("HEAD", "/x")),
    case("with a body", answers(Redirect(path="/new")), send("POST", "/x", body=b"abc")),
    case("status 301 by default", answers(Redirect(authority="o")), get("/ü")),
]


def test_both_point_to_the_same_place(bench: Bench, case: Case) -> None:
    bench.compare(case)
