"""Which route takes a request."""

from side_by_side.bench import Bench
from side_by_side.cases import Case, below, case, contains, exact, get, header, prefix, present, raw, regex, send, suffix, to, when

from mesh.model.match import QueryMatch

ELSE = to("blue")

CASES = [
    case("exact path", [to("red", match=when(exact("/x"))), ELSE], get("/x"), get("/x/"), get("/xy"), get("/X"), get("/x?a=1")),
    case("prefix", [to("red", match=when(prefix("/x"))), ELSE], get("/x"), get("/xy"), get("/y/x"), get("/X"), get("/?/x")),
    case(
        "exact ignoring case", [to("red", match=when(exact("/aBc", ignore_case=True))), ELSE], get("/AbC"), get("/abcd"), get("/ab%C3%A9")
    ),
    case("prefix ignoring case", [to("red", match=when(prefix("/aBc", ignore_case=True))), ELSE], get("/AbCd"), get("/ab")),
    case("path below", [to("red", match=when(below("/x"))), ELSE], get("/x"), get("/x/"), get("/x/y"), get("/xy"), get("/x?q"), get("/X")),
    case("path regex", [to("red", match=when(regex("/x/[0-9]+"))), ELSE], get("/x/12"), get("/x/12/"), get("/x/"), get("/x/1?a=b")),
    case("path regex matches the whole", [to("red", match=when(regex("/x"))), ELSE], get("/x"), get("/x/y"), get("/a/x")),
    case("path regex case flag", [to("red", match=when(regex("(?i)/abc"))), ELSE], get("/ABC"), get("/abd")),
    case("path regex unicode", [to("red", match=when(regex("/.{2}"))), ELSE], get("/ab"), get("/abc")),
    case("no route matches", to("red", match=when(exact("/only"))), get("/only"), get("/other")),
    case("first match wins", [to("red", match=when(prefix("/a"))), to("green", match=when(exact("/a/b"))), ELSE], get("/a/b"), get("/b")),
    case(
        "header exact", [to("red", match=when(headers=[header("user", exact("jason"))])), ELSE], get(user="jason"), get(user="Jason"), get()
    ),
    case("header name in any case", [to("red", match=when(headers=[header("end-user", exact("x"))])), ELSE], get(End_User="x")),
    case("header prefix", [to("red", match=when(headers=[header("v", prefix("ab"))])), ELSE], get(v="abc"), get(v="ba"), get(v=""), get()),
    case("header suffix", [to("red", match=when(headers=[header("v", suffix("bc"))])), ELSE], get(v="abc"), get(v="bcd")),
    case("header contains", [to("red", match=when(headers=[header("v", contains("b"))])), ELSE], get(v="abc"), get(v="ac")),
    case("header regex", [to("red", match=when(headers=[header("v", regex("a+"))])), ELSE], get(v="aaa"), get(v="aab"), get(v=""), get()),
    case(
        "header ignoring case", [to("red", match=when(headers=[header("v", exact("aB", ignore_case=True))])), ELSE], get(v="Ab"), get(v="b")
    ),
    case("header present", [to("red", match=when(headers=[header("v", present())])), ELSE], get(v="x"), get(v=""), get()),
    case("header not present", [to("red", match=when(headers=[header("v", present(), invert=True)])), ELSE], get(v="x"), get(v=""), get()),
    case("header inverted", [to("red", match=when(headers=[header("v", exact("a"), invert=True)])), ELSE], get(v="a"), get(v="b"), get()),
    case(
        "header inverted, missing is empty",
        [to("red", match=when(headers=[header("v", exact("a"), invert=True, missing_is_empty=True)])), ELSE],
        get(v="a"),
        get(v="b"),
        get(),
    ),
    case(
        "missing header is empty and matches an empty regex",
        [to("red", match=when(headers=[header("v", regex(".*"), missing_is_empty=True)])), ELSE],
        get(),
        get(v="x"),
    ),
    case(
        "header twice is joined",
        [to("red", match=when(headers=[header("v", exact("a,b"))])), ELSE],
        send("GET", "/", ("v", "a"), ("v", "b")),
    ),
    case(
        "all headers must match",
        [to("red", match=when(headers=[header("a", exact("1")), header("b", exact("2"))])), ELSE],
        get(a="1", b="2"),
        get(a="1"),
    ),
    case(
        "header value is trimmed", [to("red", match=when(headers=[header("v", exact("a b"))])), ELSE], send("GET", "/", ("v", "  a b \t"))
    ),
    case(
        "header with letters beyond ascii",
        [to("red", match=when(headers=[header("v", exact("ü"))])), ELSE],
        get(v="ü"),
        get(v="Ü"),
        get(v="\udcfc"),
    ),
    case("header regex and invalid utf-8", [to("red", match=when(headers=[header("v", regex(".*"))])), ELSE], get(v="ü"), get(v="\udcfc")),
    case(
        "header ignoring case beyond ascii",
        [to("red", match=when(headers=[header("v", exact("ü", ignore_case=True))])), ELSE],
        get(v="Ü"),
        get(v="ü"),
    ),
    case("method", [to("red", match=when(headers=[header(":method", exact("POST"))])), ELSE], send("POST"), send("GET"), send("DELETE")),
    case("authority", [to("red", match=when(headers=[header(":authority", prefix("auth"))])), ELSE], get()),
    case("scheme", [to("red", match=when(headers=[header(":scheme", exact("http"))])), ELSE], get()),
    case("path header has the query", [to("red", match=when(headers=[header(":path", exact("/a?b=c"))])), ELSE], get("/a?b=c"), get("/a")),
    case(
        "query exact",
        [to("red", match=when(query=[QueryMatch("a", exact("1"))])), ELSE],
        get("/?a=1"),
        get("/?a=12"),
        get("/?b=1&a=1"),
        get("/"),
    ),
    case(
        "query present",
        [to("red", match=when(query=[QueryMatch("a", present())])), ELSE],
        get("/?a"),
        get("/?a="),
        get("/?ab=1"),
        get("/?b"),
    ),
    case("query empty value", [to("red", match=when(query=[QueryMatch("a", exact(""))])), ELSE], get("/?a"), get("/?a="), get("/?a=1")),
    case("query regex", [to("red", match=when(query=[QueryMatch("a", regex("[0-9]+"))])), ELSE], get("/?a=12"), get("/?a=1x")),
    case("query prefix", [to("red", match=when(query=[QueryMatch("a", prefix("1"))])), ELSE], get("/?a=12"), get("/?a=21")),
    case("query as sent", [to("red", match=when(query=[QueryMatch("a", exact("x y"))])), ELSE], get("/?a=x%20y"), get("/?a=x+y")),
    case("query percent encoded", [to("red", match=when(query=[QueryMatch("a", exact("x%20y"))])), ELSE], get("/?a=x%20y"), get("/?a=x+y")),
    case("query name percent encoded", [to("red", match=when(query=[QueryMatch("ab", exact("1"))])), ELSE], get("/?%61b=1"), get("/?ab=1")),
    case("query twice", [to("red", match=when(query=[QueryMatch("a", exact("2"))])), ELSE], get("/?a=1&a=2"), get("/?a=2&a=1")),
    case("query value with equals sign", [to("red", match=when(query=[QueryMatch("a", exact("b=c"))])), ELSE], get("/?a=b=c")),
    case("query with a question mark", [to("red", match=when(query=[QueryMatch("a", exact("1?"))])), ELSE], get("/?a=1?"), get("/?x?a=1?")),
    case("fragment in the target", [to("red", match=when(exact("/x"))), ELSE], get("/x#top"), get("/x#top?a")),
    case(
        "path normalised",
        [to("red", match=when(exact("/a/c"))), ELSE],
        get("/a/b/../c"),
        get("/a/./c"),
        get("/a//c"),
        get("/%61/c"),
        get("/a%2fc"),
    ),
    case("path normalised beyond the root", [to("red", match=when(exact("/c"))), ELSE], get("/../../c"), get("/a\\..\\c")),
    case("path with an encoded nul", ELSE, get("/a%00b")),
    case("path with bad percent signs", ELSE, get("/a%zz"), get("/a%"), get("/a%2")),
    case("path with bytes beyond ascii", ELSE, get("/ä"), get("/?ä")),
    case("absolute target", [to("red", match=when(exact("/x"))), ELSE], raw("GET http://{host}/x HTTP/1.1\nhost: other\nx-key: {key}\n\n")),
    case("absolute target without a path", ELSE, raw("GET http://{host} HTTP/1.1\nhost: other\nx-key: {key}\n\n")),
    case("options of everything", ELSE, raw("OPTIONS * HTTP/1.1\nhost: {host}\nx-key: {key}\n\n", method="OPTIONS")),
    case("host in any case", ELSE, get(), raw("GET / HTTP/1.1\nhost: HOST-IN-ANY-CASE.TEST\nx-key: {key}\n\n")),
    case("host with a port", ELSE, raw("GET / HTTP/1.1\nhost: {host}:80\nx-key: {key}\n\n")),
    case("host with a port ignored", ELSE, raw("GET / HTTP/1.1\nhost: {host}:1234\nx-key: {key}\n\n"), ignore_port=True),
    case("unknown host", ELSE, raw("GET / HTTP/1.1\nhost: nobody\nx-key: {key}\n\n")),
    case("domain with a port", ELSE, raw("GET / HTTP/1.1\nhost: {host}:9080\nx-key: {key}\n\n"), get(), domains=("{host}:9080",)),
    case(
        "suffix domain",
        ELSE,
        *(
            raw(f"GET / HTTP/1.1\nhost: {host}\nx-key: {{key}}\n\n")
            for host in ("a.suffix.example", ".suffix.example", "suffix.example", "A.B.Suffix.Example")
        ),
        domains=("*.suffix.example",),
    ),
    case(
        "longer suffix before",
        to("red"),
        *(raw(f"GET / HTTP/1.1\nhost: {host}\nx-key: {{key}}\n\n") for host in ("a.longer.suffix.example", "longer.suffix.example")),
        domains=("*.longer.suffix.example",),
    ),
    case(
        "prefix domain",
        ELSE,
        *(
            raw(f"GET / HTTP/1.1\nhost: {host}\nx-key: {{key}}\n\n")
            for host in ("pre.fix.a", "pre.fix.", "pre.fix", "pre.fix.suffix.example")
        ),
        domains=("pre.fix.*",),
    ),
    case(
        "exact domain before suffix",
        to("green"),
        raw("GET / HTTP/1.1\nhost: exact.suffix.example\nx-key: {key}\n\n"),
        domains=("exact.suffix.example",),
    ),
]


def test_both_choose_the_same_route(bench: Bench, case: Case) -> None:
    bench.compare(case)
