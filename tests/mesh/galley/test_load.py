"""From a document to a resource: kinds, metadata, shape, and how refusals are told."""

import pytest

from mesh.galley.diagnostics import did_you_mean, render
from mesh.galley.load import load
from mesh.galley.models.destination_rule import DestinationRule
from mesh.galley.models.service import Service
from mesh.galley.models.service_entry import ServiceEntry
from mesh.galley.models.types import nanoseconds
from mesh.galley.models.virtual_service import HTTPRetry, VirtualService

HEAD = "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: reviews}\n"


def errors(text: str) -> list[tuple[int, int, str]]:
    return [(one.line, one.column, one.message) for one in load("x.yaml", text)[1] if one.is_error]


def test_a_virtual_service_is_read_field_by_field(virtual_service) -> None:
    text = virtual_service("""
name: canary
match:
- uri: {prefix: /api}
  headers: {end-user: {exact: jason}}
  withoutHeaders: {x-internal: {}}
  queryParams: {test: {exact: "1"}}
  ignoreUriCase: true
  port: 9080
  sourceLabels: {app: productpage}
route:
- destination: {host: reviews, subset: v2, port: {number: 9080}}
  weight: 90
  headers: {response: {remove: [x-old]}}
- destination: {host: reviews, subset: v3}
  weight: 10
timeout: 1.5s
retries: {attempts: 3, perTryTimeout: 500ms, retryOn: "5xx,reset"}
fault:
  delay: {percentage: {value: 0.5}, fixedDelay: 7s}
  abort: {percentage: {value: 10}, httpStatus: 500}
mirrors:
- destination: {host: shadow}
  percentage: {value: 50}
corsPolicy: {allowOrigins: [{exact: "https://example.com"}], allowMethods: [GET], maxAge: 24h}
headers: {request: {set: {x-a: b}, add: {x-c: "100%%"}}}
""")
    (loaded,), found = load("x.yaml", text)
    assert [str(one) for one in found] == []
    assert isinstance(loaded.resource, VirtualService)
    route = loaded.resource.spec.http[0]
    assert (route.timeout, route.cors_policy.max_age, route.retries.per_try_timeout) == (1.5, 86400.0, 0.5)
    assert [one.weight for one in route.route] == [90, 10]
    match = route.match[0]
    assert (match.uri.prefix, match.headers["end-user"].exact, match.without_headers["x-internal"].exact) == ("/api", "jason", None)
    assert (match.ignore_uri_case, match.port, match.source_labels) == (True, 9080, {"app": "productpage"})
    assert (route.fault.delay.fixed_delay, route.fault.abort.http_status) == (7.0, 500)
    assert route.mirrors[0].percentage.value == 50


def test_the_other_kinds_are_read(service) -> None:
    rule = "spec:\n  host: reviews\n  subsets: [{name: v1, labels: {version: v1}}]\n  trafficPolicy: {loadBalancer: {simple: RANDOM}}\n"
    entry = "spec:\n  hosts: [example.com]\n  ports: [{number: 80, name: http, protocol: HTTP}]\n  resolution: DNS\n"
    text = "---\n".join(
        [
            HEAD.replace("VirtualService", "DestinationRule").replace("io/v1", "io/v1beta1") + rule,
            HEAD.replace("VirtualService", "ServiceEntry").replace("io/v1", "io/v1alpha3") + entry,
            service(),
        ]
    )
    loaded, found = load("x.yaml", text)
    assert not found
    first, second, third = (one.resource for one in loaded)
    assert isinstance(first, DestinationRule)
    assert first.spec.subsets[0].labels == {"version": "v1"}
    assert isinstance(second, ServiceEntry)
    assert second.spec.ports[0].number == 80
    assert isinstance(third, Service)
    assert third.spec.ports[0].port == 9080


@pytest.mark.parametrize(
    ("head", "line", "column", "message", "hint"),
    [
        ("apiVersion: networking.istio.io/v1\nkind: VirtualServise", 2, 7, 'the kind "VirtualServise" is not known', "VirtualService"),
        ("apiVersion: networking.istio.io/v2\nkind: VirtualService", 1, 13, 'VirtualService has no version "v2"', "v1beta1"),
        ("apiVersion: networking.istio.io/v1\nkind: Sidecar", 2, 7, "Sidecar is not supported yet", "VirtualService"),
        ("apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy", 2, 7, "AuthorizationPolicy is not supported yet", ""),
        ("apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute", 2, 7, "HTTPRoute is not supported yet", "use a VirtualService"),
        ("apiVersion: v1\nkind: VirtualService", 1, 13, 'there is no kind VirtualService in "v1"', "networking.istio.io/v1"),
        ("apiVersion: networking.istio.io/v1\nkind: Service", 1, 13, "there is no kind Service in", '"v1"'),
        ("kind: VirtualService", 1, 1, "apiVersion: Required value", ""),
        ("apiVersion: networking.istio.io/v1", 1, 1, "kind: Required value", ""),
        ("apiversion: networking.istio.io/v1\nkind: VirtualService", 1, 1, "apiVersion: Required value", "apiversion"),
        ("apiVersion: 1\nkind: VirtualService", 1, 13, "apiVersion must be a word", ""),
    ],
)
def test_a_kind_that_is_not_ours_is_refused_by_name(head: str, line: int, column: int, message: str, hint: str) -> None:
    loaded, found = load("x.yaml", head + "\nmetadata: {name: x}\nspec: {}\n")
    assert not loaded
    assert [(one.line, one.column) for one in found] == [(line, column)]
    assert message in found[0].message
    assert hint in found[0].hint


def test_kinds_without_a_meaning_here_are_left_out_with_a_warning() -> None:
    loaded, found = load("x.yaml", "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: x}\nspec: {anything: goes}\n")
    assert not loaded
    assert [(one.severity, one.code) for one in found] == [("warning", "SEA0001")]


@pytest.mark.parametrize(
    ("route", "line", "column", "message", "hint"),
    [
        ("routes:\n- destination: {host: a}", 8, 5, 'unknown field "spec.http[0].routes"', 'did you mean "route"?'),
        ("route:\n- destination: {host: a}\n  wieght: 1", 10, 7, 'unknown field "spec.http[0].route[0].wieght"', 'did you mean "weight"?'),
        ("route:\n- destination: {host: a}\n  timeout: 1s", 10, 7, "unknown field", "belongs in spec.http[]: look at the indentation"),
        ("retries: {attempts: 1, per_try_timeout: 1s}\nroute:\n- destination: {host: a}", 8, 28, "unknown field", "perTryTimeout"),
        ("route:\n- destination: {hst: a}", 9, 7, "spec.http[0].route[0].destination.host: Required value", ""),
        ("route:\n- weight: 1", 9, 7, "spec.http[0].route[0].destination: Required value", ""),
        ('route:\n- destination: {host: a}\n  weight: "90"', 10, 15, 'must be a whole number, not the text "90"', "leave the quotes out"),
        ("route:\n- destination: {host: a}\n  weight: 90.5", 10, 15, "must be a whole number, not the number 90.5", ""),
        ("route:\n- destination: {host: 5}", 9, 27, "must be text, not the number 5", 'quote it to make it text: "5"'),
        ("route:\n- destination: {host: yes}", 9, 27, "must be text, not the boolean true", "quote it"),
        ("route:\n  destination: {host: a}", 9, 7, "must be a list, not a set of keys and values", '"- "'),
        ("route:\n- destination:\n  - host: a", 10, 7, "must be a set of keys and values, not a list", 'leave the "- " out'),
        ("route:", 8, 5, "spec.http[0].route: there is no value", "leave the key out"),
        ("timeout: 5\nroute:\n- destination: {host: a}", 8, 14, "a duration must be text with a unit", 'did you mean "5s"?'),
        ("timeout: 5 seconds\nroute:\n- destination: {host: a}", 8, 14, '"5 seconds" is not a duration', 'did you mean "5s"?'),
        ("timeout: 2min\nroute:\n- destination: {host: a}", 8, 14, '"2min" is not a duration', 'did you mean "2m"?'),
        ("timeout: 0s\nroute:\n- destination: {host: a}", 8, 14, "at least 1ms", "leave the field out"),
        ("timeout: 1.5ms\nroute:\n- destination: {host: a}", 8, 14, "finer than a millisecond", ""),
        ("timeout: -1s\nroute:\n- destination: {host: a}", 8, 14, "at least 1ms", ""),
        ("timeout: 9999999h\nroute:\n- destination: {host: a}", 8, 14, "longer than 292 years", ""),
        ("match:\n- uri: {exact: /, prefix: /}\nroute:\n- destination: {host: a}", 9, 23, "only one of exact and prefix", ""),
        ("match:\n- port: -1\nroute:\n- destination: {host: a}", 9, 13, "must be at least 0", ""),
        ("match:\n- ignoreUriCase: 1\nroute:\n- destination: {host: a}", 9, 22, "must be true or false", ""),
        ("redirect: {derivePort: FROM_REQEST_PORT}", 8, 28, "is not one of FROM_PROTOCOL_DEFAULT, FROM_REQUEST_PORT", "FROM_REQUEST_PORT"),
    ],
)
def test_a_wrong_shape_is_refused_at_its_place(virtual_service, route: str, line: int, column: int, message: str, hint: str) -> None:
    loaded, found = load("x.yaml", virtual_service(route))
    assert not loaded
    first = next(one for one in found if message in one.message)
    assert (first.line, first.column) == (line, column), str(first)
    assert hint in first.hint
    assert first.resource == "VirtualService default/reviews"


def test_every_error_of_a_set_is_told() -> None:
    text = (
        HEAD
        + "spec:\n  hosts: reviews\n  htp: []\n---\n"
        + HEAD.replace("reviews", "Bad_Name")
        + "spec:\n  hosts: [a, a]\n  http:\n  - timeout: soon\n  - retries: {attempts: -1}\n---\nx: [\n"
    )
    assert [line for line, _, _ in errors(text)] == [5, 6, 10, 14, 17]


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ("", "metadata: must be"),
        ("{}", "metadata.name: Required value"),
        ("{name: }", "metadata.name: must be text"),
        ("{name: 5}", "metadata.name: must be text"),
        ("{name: Reviews}", '"Reviews" is not a name'),
        ("{name: a, namespace: b.c}", '"b.c" is not a name'),
        ("{name: a, labels: {version: 1.0}}", "metadata.labels.version: must be text, not the number 1.0"),
        ("{name: a, labels: {version: a b}}", '"a b" is not a label value'),
        ("{name: a, labels: {/x: b}}", '"/x" is not a label name'),
        ("{name: a, lables: {}}", 'unknown field "metadata.lables"'),
    ],
)
def test_bad_metadata_is_refused(metadata: str, message: str) -> None:
    text = f"apiVersion: v1\nkind: Service\nmetadata: {metadata}\nspec: {{ports: [{{port: 1}}]}}\n"
    if message.startswith('"/x"'):
        assert errors(text) == []  # an empty prefix is none
        return
    assert any(message in told for _, _, told in errors(text)), errors(text)


def test_what_kubernetes_adds_to_metadata_is_let_pass(service) -> None:
    text = service().replace(
        "name: reviews\nspec", "name: reviews\n  uid: x\n  creationTimestamp: null\n  managedFields: []\nstatus: {}\nspec", 1
    )
    assert errors(text) == []


def test_an_object_that_stands_twice_is_refused(service) -> None:
    (error,) = errors(service() + "---\n" + service())
    assert "stands twice" in error[2]
    assert error[:2] == (13, 9)


def test_the_items_of_a_list_are_read_with_their_places(service, virtual_service) -> None:
    indented = ["\n".join("  " + line for line in text.splitlines()) for text in (service(), virtual_service("routes: []"))]
    text = "apiVersion: v1\nkind: List\nitems:\n" + "\n".join("-" + one[1:] for one in indented) + "\n- 5\n"
    loaded, found = load("list.yaml", text)
    assert [one.key for one in loaded] == [("Service", "default", "reviews")]
    assert (found[0].line, found[0].column, found[0].message) == (19, 7, 'unknown field "spec.http[0].routes"')
    assert [(one.line, one.message) for one in found][-2:] == [(20, "apiVersion: Required value"), (20, "kind: Required value")]


def test_a_missing_spec_is_refused() -> None:
    assert errors(HEAD) == [(1, 1, "spec: Required value")]


def test_a_diagnostic_is_drawn_under_its_line(virtual_service) -> None:
    _, (found,) = load("canary.yaml", virtual_service("route:\n- destination: {host: a}\n  wieght: 1"))
    assert render(found) == (
        'error[IST0106]: unknown field "spec.http[0].route[0].wieght"\n'
        "  --> canary.yaml:10:7 (VirtualService default/reviews)\n"
        "   |\n"
        "10 |       wieght: 1\n"
        "   |       ^^^^^^\n"
        '   = hint: did you mean "weight"?'
    )
    assert "\x1b[1;31m^^^^^^\x1b[0m" in render(found, color=True)


def test_a_caret_keeps_under_its_word_behind_tabs_and_wide_text() -> None:
    _, (_, found) = load(
        "x.yaml", 'apiVersion: v1\nkind: Service\nmetadata: {name: x,\tlabels: {a: "é", b: "ü ö"}}\nspec: {ports: [{port: 1}]}\n'
    )
    caret = render(found).splitlines()[-2]
    assert caret.count("\t") == 1
    assert caret.endswith(" ^^^^^")


@pytest.mark.parametrize(
    ("text", "value"),
    [("1s", 10**9), ("1.5s", 15 * 10**8), ("1h30m", 5400 * 10**9), ("300ms", 3 * 10**8), (".5s", 5 * 10**8), ("0", 0), ("-1s", -(10**9))],
)
def test_durations_are_gos(text: str, value: int) -> None:
    assert nanoseconds(text) == value


@pytest.mark.parametrize("text", ["", "s", "1", "1 s", "1S", "1d", "1,5s", "one", "1s ", "--1s", "+", "1e3s", "9" * 200 + "s"])
def test_what_is_no_duration_is_none(text: str) -> None:
    assert nanoseconds(text) is None


def test_code_hands_over_seconds_and_snake_case() -> None:
    assert HTTPRetry(attempts=1, per_try_timeout=0.5).per_try_timeout == 0.5


def test_did_you_mean_sees_through_case_and_underscores() -> None:
    assert did_you_mean("Per_Try_Timeout", ["attempts", "perTryTimeout"]) == 'did you mean "perTryTimeout"?'
    assert did_you_mean("zzz", ["attempts"]) == ""
