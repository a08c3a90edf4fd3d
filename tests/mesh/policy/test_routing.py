"""Routing: domain precedence, the kinds of match, first match wins, weights."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from mesh.model.match import HeaderMatch, MatchKind, QueryMatch, RouteMatch, StringMatch
from mesh.model.route import Route, RouteConfiguration, VirtualHost, WeightedCluster
from mesh.policy import routing
from mesh.policy.redirect import Redirect
from mesh.sidecar.headers import Headers

ANY = RouteMatch(StringMatch(MatchKind.PREFIX, "/"))


@dataclass
class Seen:
    path: str = "/"
    authority: str = "reviews"
    method: str = "GET"
    scheme: str = "http"
    headers: Headers = field(default_factory=Headers)


def never() -> float:
    raise AssertionError("no dice needed")


def fixed(*values: float) -> Iterator[float]:
    return iter(values).__next__


def host(name: str, *domains: str) -> VirtualHost:
    return VirtualHost(name, domains, (Route(ANY, (WeightedCluster(name),)),))


def found(hosts: tuple[VirtualHost, ...], authority: str, **options: bool) -> str | None:
    table = routing.compile(RouteConfiguration("r", hosts, **options))
    match = table.find(Seen(authority=authority), never)
    assert match is None or match is table.matches[match.index]
    return match and match.virtual_host.name


HOSTS = (
    host("default", "*"),
    host("suffix", "*.foo.com"),
    host("longer-suffix", "*.bar.foo.com"),
    host("dashed-suffix", "*-x.foo.com"),
    host("prefix", "foo.*"),
    host("longer-prefix", "foo.bar.*"),
    host("exact", "foo.bar.foo.com", "Reviews:9080"),
)


@pytest.mark.parametrize(
    ("authority", "name"),
    [
        ("foo.bar.foo.com", "exact"),
        ("REVIEWS:9080", "exact"),
        ("reviews", "default"),
        ("reviews:80", "default"),
        ("a.foo.com", "suffix"),
        ("a.bar.foo.com", "longer-suffix"),
        ("bar.foo.com", "suffix"),
        (".foo.com", "default"),
        ("a-x.foo.com", "dashed-suffix"),
        ("foo.x.foo.com", "suffix"),
        ("foo.example", "prefix"),
        ("foo.bar.example", "longer-prefix"),
        ("foo.", "default"),
        ("a.foo.com:80", "default"),
        ("", "default"),
    ],
)
def test_the_most_exact_domain_wins(authority: str, name: str) -> None:
    assert found(HOSTS, authority) == name


@pytest.mark.parametrize("authority", ["a.foo.com:80", "A.FOO.com:80", "a.foo.com"])
def test_the_port_is_left_out_of_host_matching_when_told(authority: str) -> None:
    assert found(HOSTS, authority, ignore_port_in_host_matching=True) == "suffix"


def test_an_ipv6_authority_keeps_its_colons() -> None:
    assert routing.without_port("[::1]:80") == "[::1]"
    assert routing.without_port("[::1]") == "[::1]"


def test_no_virtual_host_means_no_match() -> None:
    assert found((host("a", "a"),), "b") is None


def test_a_domain_named_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="'A' is named twice"):
        found((host("a", "a"), host("b", "A")), "a")


def test_the_memo_of_authorities_stays_bounded() -> None:
    table = routing.compile(RouteConfiguration("r", (host("d", "*"),)))
    for number in range(3 * routing.MAX_REMEMBERED_AUTHORITIES):
        table.find(Seen(authority=f"host-{number}"), never)
    assert len(table._remembered) <= routing.MAX_REMEMBERED_AUTHORITIES


def test_a_huge_authority_is_not_remembered() -> None:
    table = routing.compile(RouteConfiguration("r", (host("d", "*"),)))
    assert table.find(Seen(authority="x" * 60_000), never) is not None
    assert not table._remembered


def matches(match: RouteMatch, request: Seen) -> bool:
    route = Route(match, (WeightedCluster("c"),))
    return routing.compile(RouteConfiguration("r", (VirtualHost("v", ("*",), (route,)),))).find(request, never) is not None


@pytest.mark.parametrize(
    ("kind", "value", "path", "expected"),
    [
        (MatchKind.EXACT, "/a", "/a", True),
        (MatchKind.EXACT, "/a", "/a?x=1", True),
        (MatchKind.EXACT, "/a", "/a/", False),
        (MatchKind.EXACT, "/a", "/A", False),
        (MatchKind.PREFIX, "/a", "/abc", True),
        (MatchKind.PREFIX, "/a", "/b/a", False),
        (MatchKind.PREFIX, "/a?x", "/a?x=1", False),
        (MatchKind.PREFIX, "/", "*", False),
        (MatchKind.PREFIX, "", "*", True),
        (MatchKind.PATH_PREFIX, "/a", "/a", True),
        (MatchKind.PATH_PREFIX, "/a", "/a/b", True),
        (MatchKind.PATH_PREFIX, "/a", "/a?x=/", True),
        (MatchKind.PATH_PREFIX, "/a", "/ab", False),
        (MatchKind.REGEX, "/a.*z", "/abcz", True),
        (MatchKind.REGEX, "/a.*z", "/abcz?q", True),
        (MatchKind.REGEX, "/a.*z", "/abczq", False),
        (MatchKind.REGEX, "/a|/b", "/b", True),
        (MatchKind.REGEX, "/.", "/ü", False),
        (MatchKind.REGEX, "/(?i)abc", "/ABC", True),
    ],
)
def test_a_path_matches_without_its_query(kind: MatchKind, value: str, path: str, expected: bool) -> None:
    assert matches(RouteMatch(StringMatch(kind, value)), Seen(path=path)) is expected


@pytest.mark.parametrize("kind", [MatchKind.EXACT, MatchKind.PREFIX, MatchKind.PATH_PREFIX])
def test_case_is_ignored_when_told(kind: MatchKind) -> None:
    assert matches(RouteMatch(StringMatch(kind, "/ABc", ignore_case=True)), Seen(path="/abC?x"))


def test_ignore_case_does_not_change_a_regex() -> None:
    assert not matches(RouteMatch(StringMatch(MatchKind.REGEX, "/abc", ignore_case=True)), Seen(path="/ABC"))


def test_a_bad_regex_is_refused_in_re2s_words() -> None:
    with pytest.raises(ValueError, match=r"bad regex '/\(': missing \)"):
        matches(RouteMatch(StringMatch(MatchKind.REGEX, "/(")), Seen())


def by_header(kind: MatchKind, value: str = "", name: str = "end-user", **options: bool) -> RouteMatch:
    ignore_case = options.pop("ignore_case", False)
    return RouteMatch(ANY.path, headers=(HeaderMatch(name, StringMatch(kind, value, ignore_case), **options),))


@pytest.mark.parametrize(
    ("match", "values", "expected"),
    [
        (by_header(MatchKind.EXACT, "jason"), ["jason"], True),
        (by_header(MatchKind.EXACT, "jason"), ["Jason"], False),
        (by_header(MatchKind.EXACT, "jason", ignore_case=True), ["JASON"], True),
        (by_header(MatchKind.EXACT, "a,b"), ["a", "b"], False),
        (by_header(MatchKind.EXACT, "a"), ["a", "b"], True),
        (by_header(MatchKind.EXACT, "b"), ["a", "b"], True),
        (by_header(MatchKind.EXACT, "b", invert=True), ["a", "b"], False),
        (by_header(MatchKind.EXACT, "a,b"), ["a,b"], True),
        (by_header(MatchKind.EXACT, "jason"), None, False),
        (by_header(MatchKind.EXACT, "jason", invert=True), ["tom"], True),
        (by_header(MatchKind.EXACT, "jason", invert=True), ["jason"], False),
        (by_header(MatchKind.EXACT, "jason", invert=True), None, False),
        (by_header(MatchKind.EXACT, "jason", invert=True, treat_missing_as_empty=True), None, True),
        (by_header(MatchKind.EXACT, "", treat_missing_as_empty=True), None, True),
        (by_header(MatchKind.PREFIX, "ja"), ["jason"], True),
        (by_header(MatchKind.SUFFIX, "on"), ["jason"], True),
        (by_header(MatchKind.CONTAINS, "as"), ["jason"], True),
        (by_header(MatchKind.CONTAINS, "xx"), ["jason"], False),
        (by_header(MatchKind.REGEX, "j.*n"), ["jason"], True),
        (by_header(MatchKind.REGEX, "j"), ["jason"], False),
        (by_header(MatchKind.REGEX, ".*"), ["\udcff"], True),
        (by_header(MatchKind.PRESENT), [""], True),
        (by_header(MatchKind.PRESENT), None, False),
        (by_header(MatchKind.PRESENT, invert=True), None, True),
        (by_header(MatchKind.PRESENT, invert=True), ["x"], False),
    ],
)
def test_headers(match: RouteMatch, values: list[str] | None, expected: bool) -> None:
    headers = Headers([("end-user", value) for value in values or ()])
    assert matches(match, Seen(headers=headers)) is expected


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        (":method", "PUT", True),
        (":method", "GET", False),
        (":authority", "a:80", True),
        (":scheme", "http", True),
        (":path", "/x?q=1", True),
    ],
)
def test_the_request_line_is_matched_as_headers(name: str, value: str, expected: bool) -> None:
    request = Seen(method="PUT", authority="a:80", path="/x?q=1")
    assert matches(by_header(MatchKind.EXACT, value, name=name), request) is expected


@pytest.mark.parametrize(
    ("kind", "value", "path", "expected"),
    [
        (MatchKind.EXACT, "1", "/?v=1", True),
        (MatchKind.EXACT, "1", "/?a=2&v=1", True),
        (MatchKind.EXACT, "1", "/?v=2&v=1", False),
        (MatchKind.EXACT, "", "/?v", True),
        (MatchKind.EXACT, "1 2", "/?v=1%202", False),
        (MatchKind.EXACT, "1", "/?V=1", False),
        (MatchKind.PRESENT, "", "/?v", True),
        (MatchKind.PRESENT, "", "/?w=v", False),
        (MatchKind.PRESENT, "", "/", False),
        (MatchKind.REGEX, "[0-9]+", "/?v=12", True),
        (MatchKind.REGEX, "[0-9]+", "/?v=12a", False),
        (MatchKind.PREFIX, "ab", "/?v=abc", True),
    ],
)
def test_query_parameters(kind: MatchKind, value: str, path: str, expected: bool) -> None:
    assert matches(RouteMatch(ANY.path, query=(QueryMatch("v", StringMatch(kind, value)),)), Seen(path=path)) is expected


def test_all_conditions_must_hold_and_the_first_match_wins() -> None:
    jason = HeaderMatch("end-user", StringMatch(MatchKind.EXACT, "jason"))
    routes = (
        Route(RouteMatch(StringMatch(MatchKind.PREFIX, "/x"), (jason,)), (WeightedCluster("both"),)),
        Route(RouteMatch(ANY.path, (jason,)), (WeightedCluster("jason"),)),
        Route(ANY, (WeightedCluster("rest"),)),
        Route(RouteMatch(StringMatch(MatchKind.PREFIX, "/x")), (WeightedCluster("never"),)),
    )
    table = routing.compile(RouteConfiguration("r", (VirtualHost("v", ("*",), routes),)))

    def cluster(request: Seen) -> str:
        match = table.find(request, never)
        assert match is not None
        assert match.cluster is not None
        return match.cluster.cluster

    known = Headers([("end-user", "jason")])
    assert cluster(Seen(path="/x", headers=known)) == "both"
    assert cluster(Seen(path="/y", headers=known)) == "jason"
    assert cluster(Seen(path="/x")) == "rest"


def test_a_route_that_answers_itself_has_no_cluster() -> None:
    route = Route(ANY, policies=(Redirect(path="/new"),))
    match = routing.compile(RouteConfiguration("r", (VirtualHost("v", ("*",), (route,)),))).find(Seen(), never)
    assert match is not None
    assert match.cluster is None
    assert match.route is route


WEIGHTED = (WeightedCluster("v1", 3), WeightedCluster("none", 0), WeightedCluster("v2", 1))


@pytest.mark.parametrize(("value", "name"), [(0.0, "v1"), (0.7499, "v1"), (0.75, "v2"), (0.999999, "v2"), (1.0, "v2")])
def test_weights_share_the_dice(value: float, name: str) -> None:
    assert routing.pick(WEIGHTED, fixed(value)).cluster == name
    table = routing.compile(RouteConfiguration("r", (VirtualHost("v", ("*",), (Route(ANY, WEIGHTED),)),)))
    match = table.find(Seen(), fixed(value))
    assert match is not None
    assert match.cluster is not None
    assert match.cluster.cluster == name


def test_a_single_cluster_needs_no_dice() -> None:
    assert routing.pick(WEIGHTED[:1], never) is WEIGHTED[0]


@pytest.mark.parametrize(("weights", "reason"), [((0, 0), "sum to 0"), ((2, -1), "negative weight")])
def test_weights_that_cannot_be_shared_are_refused(weights: tuple[int, ...], reason: str) -> None:
    clusters = tuple(WeightedCluster(f"v{w}", w) for w in weights)
    with pytest.raises(ValueError, match=reason):
        routing.compile(RouteConfiguration("r", (VirtualHost("v", ("*",), (Route(ANY, clusters),)),)))
