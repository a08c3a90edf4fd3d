"""Rewritten paths and authorities."""

from side_by_side.bench import Bench
from side_by_side.cases import Case, below, case, exact, get, prefix, raw, regex, to, when

from mesh.policy.rewrite import Rewrite

CASES = [
    case("prefix", to("red", Rewrite("/new"), match=when(prefix("/old"))), get("/old"), get("/old/x"), get("/oldx?a=b"), get("/old?a")),
    case("prefix with a slash", to("red", Rewrite("/"), match=when(prefix("/old/"))), get("/old/x"), get("/old/"), get("/old//x")),
    case("prefix to the root", to("red", Rewrite("/"), match=when(prefix("/old"))), get("/old"), get("/old/x")),
    case("prefix of everything", to("red", Rewrite("/new"), match=when(prefix("/"))), get("/"), get("/x"), get("/?a")),
    case("prefix ignoring case", to("red", Rewrite("/new"), match=when(prefix("/OLD", ignore_case=True))), get("/old/x"), get("/OlDx")),
    case("exact", to("red", Rewrite("/new"), match=when(exact("/old"))), get("/old"), get("/old?a=b")),
    case("path below", to("red", Rewrite("/new"), match=when(below("/old"))), get("/old"), get("/old/x?y"), get("/old?x")),
    case("regex route", to("red", Rewrite("/new"), match=when(regex("/o.*"))), get("/old/x?a=b"), get("/o")),
    case(
        "by regex",
        to("red", Rewrite(regex=("/old/([a-z]+)/", r"/new/\1/x-"))),
        get("/old/abc/d"),
        get("/old/1/d"),
        get("/old/a/?q=/old/b/"),
    ),
    case("by regex everywhere", to("red", Rewrite(regex=("a", "b"))), get("/aa/xa?a"), get("/x")),
    case("by regex with the whole match", to("red", Rewrite(regex=("x", r"<\0>"))), get("/x/x")),
    case("by regex with a backslash", to("red", Rewrite(regex=("x", r"\\"))), get("/x")),
    case("by regex of two groups", to("red", Rewrite(regex=("^/([^/]*)/([^/]*)$", r"/\2/\1"))), get("/a/b"), get("/a/b/c")),
    case("by regex to nothing", to("red", Rewrite(regex=("/old", ""))), get("/old/x"), get("/old")),
    case("by regex of an empty match", to("red", Rewrite(regex=("z*", "-"))), get("/az")),
    case("authority", to("red", Rewrite(authority="other.example")), get()),
    case("authority and path", to("red", Rewrite("/new", authority="other:80"), match=when(prefix("/old"))), get("/old/x")),
    case("normalised before", to("red", Rewrite("/new"), match=when(prefix("/old"))), get("/x/../old/y")),
    case(
        "absolute target",
        to("red", Rewrite("/new"), match=when(prefix("/old"))),
        raw("GET http://{host}/old/x HTTP/1.1\nhost: x\nx-key: {key}\n\n"),
    ),
    case("nothing upstream", to("empty", Rewrite("/new", authority="other"), match=when(prefix("/old"))), get("/old/x")),
    case("tried twice", to("refusing", Rewrite("/new"), match=when(prefix("/old"))), get("/old/x")),
]


def test_both_rewrite_alike(bench: Bench, case: Case) -> None:
    bench.compare(case)
