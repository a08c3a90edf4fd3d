"""VirtualServices into route configurations, as Istio makes them."""

from collections.abc import Callable

import pytest

from mesh.model.match import MatchKind, RouteMatch, StringMatch
from mesh.model.node import Node
from mesh.model.route import Route, WeightedCluster
from mesh.pilot.translate import routes
from mesh.pilot.translate.actions import DEFAULT_RETRY
from mesh.pilot.translate.mesh import Mesh
from mesh.policy.cors import CorsPolicy
from mesh.policy.direct_response import DirectResponse
from mesh.policy.fault import Fault
from mesh.policy.headers import HeaderOperations
from mesh.policy.mirror import Mirror
from mesh.policy.redirect import Redirect
from mesh.policy.retry import RetryPolicy
from mesh.policy.rewrite import Rewrite
from mesh.policy.timeout import Timeout

REVIEWS = "reviews.default.svc.cluster.local"
SUBSETS = """apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: reviews}
spec:
  host: reviews
  subsets: [{name: v1, labels: {version: v1}}, {name: v2, labels: {version: v2}}]
"""
TO_REVIEWS = "route: [{destination: {host: reviews}}]"


@pytest.fixture
def translate(make_mesh: Callable[..., Mesh], make_node: Callable[..., Node]) -> Callable[..., tuple[Route, ...]]:
    """The routes to reviews that the given ``http`` entries (YAML, one an argument) make."""

    def do(*http: str, caller: Node | None = None) -> tuple[Route, ...]:
        entries = "\n".join("  - " + entry.strip().replace("\n", "\n    ") for entry in http)
        head = "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: reviews}\nspec:\n  hosts: [reviews]\n  http:\n"
        mesh = make_mesh(f"{SUBSETS}---\n{head}{entries}\n")
        configuration = routes.outbound(mesh, caller or make_node("productpage", "v1", "10.0.0.9"), 9080)
        return next(host for host in configuration.virtual_hosts if host.name == f"{REVIEWS}:9080").routes

    return do


Translate = Callable[..., tuple[Route, ...]]


def test_without_a_rule_all_goes_to_the_service_with_istios_default_retries(
    make_mesh: Callable[..., Mesh], make_node: Callable[..., Node]
) -> None:
    configuration = routes.outbound(make_mesh(), make_node("productpage", "v1", "10.0.0.9"), 9080)
    host = next(host for host in configuration.virtual_hosts if "reviews" in host.name)
    (route,) = host.routes
    assert route.clusters == (WeightedCluster(f"outbound|9080||{REVIEWS}"),)
    assert route.policies == (DEFAULT_RETRY,)
    assert host.domains == (REVIEWS, "reviews", "reviews.default", "reviews.default.svc")
    assert configuration.ignore_port_in_host_matching


def test_unknown_hosts_are_passed_on_under_capture_and_refused_without(
    make_mesh: Callable[..., Mesh], make_node: Callable[..., Node]
) -> None:
    captured = routes.outbound(make_mesh(), make_node("productpage", "v1", "10.0.0.9"), 9080)
    explicit = routes.http_proxy(make_mesh(captured=False), make_node("productpage", "v1", "10.0.0.9", captured=False))
    assert captured.virtual_hosts[-1].routes[0].clusters == (WeightedCluster("PassthroughCluster"),)
    assert explicit.virtual_hosts[-1].routes[0].policies == (DirectResponse(502),)
    assert f"{REVIEWS}:9080" in explicit.virtual_hosts[3].domains


def test_weights_and_subsets_become_weighted_clusters(translate: Translate) -> None:
    (route,) = translate(
        "route: [{destination: {host: reviews, subset: v1}, weight: 90}, {destination: {host: reviews, subset: v2}, weight: 10}]"
    )
    assert route.clusters == (WeightedCluster(f"outbound|9080|v1|{REVIEWS}", 90), WeightedCluster(f"outbound|9080|v2|{REVIEWS}", 10))


def test_a_single_destination_takes_all_whatever_its_weight(translate: Translate) -> None:
    (route,) = translate("route: [{destination: {host: reviews, subset: v1}, weight: 7}]")
    assert route.clusters == (WeightedCluster(f"outbound|9080|v1|{REVIEWS}"),)


def test_matches_keep_their_order_and_nothing_follows_a_catch_all(translate: Translate) -> None:
    found = translate(
        f"match: [{{headers: {{end-user: {{exact: jason}}}}}}, {{uri: {{prefix: /a}}}}]\n{TO_REVIEWS}",
        TO_REVIEWS,
        f"match: [{{uri: {{exact: /never}}}}]\n{TO_REVIEWS}",
    )
    assert len(found) == 3
    assert found[0].match.headers[0].name == "end-user"
    assert found[1].match.path == StringMatch(MatchKind.PREFIX, "/a")
    assert found[2].match == RouteMatch(StringMatch(MatchKind.PREFIX, "/"))


def test_every_kind_of_match_is_carried_over(translate: Translate) -> None:
    found = translate(
        "match:\n- uri: {regex: '/a.*'}\n  method: {exact: GET}\n  authority: {prefix: r}\n  scheme: {exact: http}\n  ignoreUriCase: true\n"
        f"  queryParams: {{q: {{exact: x}}}}\n  withoutHeaders: {{x-no: {{exact: z}}, x-none: {{}}}}\n{TO_REVIEWS}"
    )
    match = found[0].match
    assert match.path == StringMatch(MatchKind.REGEX, "/a.*")
    by_name = {header.name: header for header in match.headers}
    assert by_name[":method"].match == StringMatch(MatchKind.EXACT, "GET")
    assert by_name[":authority"].match == StringMatch(MatchKind.PREFIX, "r")
    assert by_name["x-no"].invert
    assert by_name["x-no"].treat_missing_as_empty
    assert by_name["x-none"].match.kind is MatchKind.PRESENT
    assert match.query[0].match == StringMatch(MatchKind.EXACT, "x")


def test_source_labels_and_port_are_decided_for_the_proxy(translate: Translate, make_node: Callable[..., Node]) -> None:
    entry = f"match: [{{sourceLabels: {{app: productpage}}, uri: {{prefix: /p}}}}, {{port: 80, uri: {{prefix: /q}}}}]\n{TO_REVIEWS}"
    assert [route.match.path.value for route in translate(entry, TO_REVIEWS)] == ["/p", "/"]
    assert [route.match.path.value for route in translate(entry, TO_REVIEWS, caller=make_node("details", "v1", "10.0.0.8"))] == ["/"]


@pytest.mark.parametrize(
    ("fields", "policy"),
    [
        ("timeout: 1.5s", Timeout(1.5)),
        ("retries: {attempts: 3, perTryTimeout: 2s, retryOn: '5xx,429'}", RetryPolicy(3, ("5xx", "retriable-status-codes"), 2.0, (429,))),
        ("retries: {attempts: 1}", RetryPolicy(1, retriable_status_codes=())),
        ("mirror: {host: reviews, subset: v2}", Mirror(f"outbound|9080|v2|{REVIEWS}", 100.0)),
        (
            "mirrors: [{destination: {host: ratings}, percentage: {value: 5}}]",
            Mirror("outbound|9080||ratings.default.svc.cluster.local", 5.0),
        ),
        ("fault: {delay: {fixedDelay: 7s, percentage: {value: 100}}}", Fault(7.0, 100.0)),
        ("fault: {abort: {httpStatus: 500, percentage: {value: 0.5}}}", Fault(abort_status=500, abort_percent=0.5)),
        ("rewrite: {uri: /new, authority: other}", Rewrite("/new", None, "other")),
        ("rewrite: {uriRegexRewrite: {match: '/a/(.*)', rewrite: '/b/\\1'}}", Rewrite("", ("/a/(.*)", "/b/\\1"))),
        (
            "headers: {request: {set: {X-A: '1'}, remove: [x-B]}, response: {add: {c: '2'}}}",
            HeaderOperations((("x-a", "1"),), (), ("x-b",), (), (("c", "2"),)),
        ),
        (
            "corsPolicy: {allowOrigins: [{exact: 'https://a'}], allowMethods: [GET, POST], maxAge: 24h, allowCredentials: false}",
            CorsPolicy((StringMatch(MatchKind.EXACT, "https://a"),), "GET,POST", max_age="86400", allow_credentials=False),
        ),
    ],
)
def test_each_policy_of_a_route_is_carried_over(translate: Translate, fields: str, policy: object) -> None:
    (route,) = translate(f"{fields}\n{TO_REVIEWS}")
    assert policy in route.policies


def test_no_attempts_means_no_retry_policy_at_all(translate: Translate) -> None:
    (route,) = translate(f"retries: {{attempts: 0}}\n{TO_REVIEWS}")
    assert route.policy(RetryPolicy) is None


def test_redirects_and_direct_responses_have_no_cluster(translate: Translate) -> None:
    redirect, answer = translate(
        "match: [{uri: {prefix: /r}}]\nredirect: {uri: /x, authority: other, redirectCode: 302}",
        "directResponse: {status: 418, body: {string: tea}}",
    )
    assert (redirect.clusters, redirect.policy(Redirect)) == ((), Redirect(302, authority="other", path="/x"))
    assert (answer.clusters, answer.policy(DirectResponse)) == ((), DirectResponse(418, b"tea"))


def test_a_route_says_which_rule_it_is_from(translate: Translate) -> None:
    (route,) = translate(TO_REVIEWS)
    assert route.metadata["config"] == "/apis/networking.istio.io/v1/namespaces/default/virtual-service/reviews"
