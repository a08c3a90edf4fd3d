"""What must hold between fields, and what is only odd. Verdicts are Istio's."""

import pytest

from mesh.galley.load import load

DEST = "route:\n- destination: {host: a}\n"


def found_in(text: str) -> list[tuple[str, str, str]]:
    return [(one.code, one.message, one.hint) for one in load("x.yaml", text)[1]]


@pytest.mark.parametrize(
    ("route", "path", "message"),
    [
        ("name: empty", "spec.http[0]", "HTTP route, redirect or directResponse is required"),
        (DEST + "redirect: {uri: /}", "spec.http[0].route", "cannot contain both route and redirect"),
        ("fault: {abort: {httpStatus: 500}}\nredirect: {uri: /}", "spec.http[0].fault", "cannot contain both fault and redirect"),
        (DEST + "directResponse: {status: 200}", "spec.http[0].route", "cannot contain both route and directResponse"),
        ("directResponse: {status: 200}\nredirect: {uri: /}", "spec.http[0].directResponse", "both directResponse and redirect"),
        ("directResponse: {status: 200}\nrewrite: {uri: /}", "spec.http[0].rewrite", "both rewrite and directResponse"),
        ("directResponse: {status: 600}", "spec.http[0].directResponse.status", "not in range 200-599"),
        ("directResponse: {status: 200, body: {bytes: '***'}}", "spec.http[0].directResponse.body.bytes", "not base64"),
        (DEST + "  weight: -1", "spec.http[0].route[0].weight", "cannot be negative"),
        (DEST + "- destination: {host: b}", "spec.http[0].route", "total destination weight = 0"),
        ("route:\n- destination: {host: ''}", "spec.http[0].route[0].destination.host", "cannot be empty"),
        ("route:\n- destination: {host: 'a:80'}", "spec.http[0].route[0].destination.host", "is not a host"),
        ("route:\n- destination: {host: '*.b'}", "spec.http[0].route[0].destination.host", "cannot be a wildcard"),
        ("route:\n- destination: {host: a, port: {number: 70000}}", "spec.http[0].route[0].destination.port.number", "1-65535"),
        ("route:\n- destination: {host: a, subset: 'v 1'}", "spec.http[0].route[0].destination.subset", "not a subset name"),
        (DEST + "mirror: {host: b}\nmirrors: [{destination: {host: c}}]", "spec.http[0].mirrors", "both mirror and mirrors"),
        (DEST + "mirror: {host: b}\nmirrorPercentage: {value: 101}", "spec.http[0].mirrorPercentage.value", "not in range 0..100"),
        (DEST + "fault: {}", "spec.http[0].fault", "must have an abort, a delay or both"),
        (DEST + "fault: {abort: {percentage: {value: 1}}}", "spec.http[0].fault.abort", "must have an httpStatus"),
        (DEST + "fault: {abort: {httpStatus: 600}}", "spec.http[0].fault.abort.httpStatus", "not in range 200-599"),
        (DEST + "fault: {abort: {grpcStatus: INTERNAL}}", "spec.http[0].fault.abort.grpcStatus", "not supported yet"),
        (DEST + "fault: {abort: {httpStatus: 500, percentage: {value: -1}}}", "spec.http[0].fault.abort.percentage.value", "0..100"),
        (DEST + "fault: {delay: {percentage: {value: 1}}}", "spec.http[0].fault.delay", "must have a fixedDelay"),
        (DEST + "fault: {delay: {fixedDelay: 1s, percent: 101}}", "spec.http[0].fault.delay.percent", "0..100"),
        (DEST + "retries: {attempts: -1}", "spec.http[0].retries.attempts", "cannot be negative"),
        (DEST + "retries: {perTryTimeout: 1s}", "spec.http[0].retries", "attempts are set to 0"),
        (DEST + "retries: {attempts: 1, retryOn: '5xx,gatway-error'}", "spec.http[0].retries.retryOn", '"gatway-error"'),
        (DEST + "retries: {attempts: 1, retryOn: '5xx, reset'}", "spec.http[0].retries.retryOn", '" reset"'),
        (DEST + "rewrite: {}", "spec.http[0].rewrite", "must specify"),
        (DEST + "rewrite: {uri: /, uriRegexRewrite: {match: a, rewrite: b}}", "spec.http[0].rewrite.uriRegexRewrite", "only one of"),
        (DEST + "rewrite: {uriRegexRewrite: {match: a}}", "spec.http[0].rewrite.uriRegexRewrite", "both match and rewrite"),
        (DEST + "rewrite: {uriRegexRewrite: {match: '(', rewrite: b}}", "spec.http[0].rewrite.uriRegexRewrite.match", "RE2"),
        ("redirect: {}", "spec.http[0].redirect", "must specify"),
        ("redirect: {uri: /, redirectCode: 200}", "spec.http[0].redirect.redirectCode", "not one of 301"),
        ("redirect: {uri: /, scheme: ftp}", "spec.http[0].redirect.scheme", "not http or https"),
        ("redirect: {uri: /, prefixRewrite: /b}", "spec.http[0].redirect.prefixRewrite", "only one of"),
        ("delegate: {name: a}", "spec.http[0].delegate", "not supported yet"),
        ("match: [{uri: {prefix: ''}}]\n" + DEST, "spec.http[0].match[0].uri.prefix", "cannot be empty"),
        ("match: [{uri: {}}]\n" + DEST, "spec.http[0].match[0].uri", "one of exact, prefix, regex"),
        (f"match: [{{uri: {{regex: {'a' * 1025}}}}}]\n" + DEST, "spec.http[0].match[0].uri.regex", "at most 1024"),
        ("match: [{uri: {regex: '(?=a)'}}]\n" + DEST, "spec.http[0].match[0].uri.regex", "not a regular expression of RE2"),
        ("match: [{headers: {'a b': {}}}]\n" + DEST, "spec.http[0].match[0].headers.a b", "not a header name"),
        ("match: [{headers: {'@request.auth.claims.x': {}}}]\n" + DEST, "spec.http[0].match[0].headers", "JWT"),
        ("match: [{port: 0}]\n" + DEST, "spec.http[0].match[0].port", "1-65535"),
        (DEST + "headers: {request: {set: {':path': /}}}", "spec.http[0].headers.request.set.:path", "cannot be changed"),
        (DEST + "headers: {response: {add: {x: 'a%b'}}}", "spec.http[0].headers.response.add.x", "has a %"),
        (DEST + 'headers: {response: {add: {x: "a\\nb"}}}', "spec.http[0].headers.response.add.x", "line ends"),
        (DEST + "headers: {request: {remove: [host]}}", "spec.http[0].headers.request.remove[0]", "cannot be changed"),
        (DEST + "corsPolicy: {allowMethods: [GTE]}", "spec.http[0].corsPolicy.allowMethods[0]", "not an HTTP method"),
        (DEST + "corsPolicy: {allowOrigins: [{}]}", "spec.http[0].corsPolicy.allowOrigins[0]", "one of exact"),
        (DEST + "corsPolicy: {maxAge: 1500ms}", "spec.http[0].corsPolicy.maxAge", "whole seconds"),
    ],
)
def test_a_route_that_cannot_be_is_refused(virtual_service, route: str, path: str, message: str) -> None:
    found = found_in(virtual_service(route))
    assert any(code == "IST0106" and told.startswith(path) and message in told for code, told, _ in found), found


@pytest.mark.parametrize(
    "route",
    [
        DEST,
        DEST + "  weight: 0",
        DEST + "  weight: 100\n- destination: {host: b}\n  weight: 0",
        "route:\n- destination: {host: 10.0.0.1}",
        "redirect: {uri: /, redirectCode: 308, derivePort: FROM_REQUEST_PORT}",
        "directResponse: {status: 503, body: {string: sorry}}",
        DEST + "retries: {attempts: 0}",
        DEST + "retries: {attempts: 2, retryOn: 'connect-failure,503,retriable-4xx,unavailable'}",
        DEST + "rewrite: {uriRegexRewrite: {match: '/a/(.*)', rewrite: '/\\1'}}",
        DEST + "headers: {request: {set: {':authority': b, Host: c, x: '%START_TIME(%s)%'}}}".replace("%START_TIME(%s)%", "%PROTOCOL%"),
        "match: [{headers: {':method': {exact: GET}, x-any: {}}, queryParams: {q: {}}}]\n" + DEST,
        DEST + "mirror: {host: b}\nmirrorPercentage: {value: 0.1}",
        DEST + "corsPolicy: {allowOrigins: [{regex: '.*'}], allowHeaders: ['*'], maxAge: 1s}",
    ],
)
def test_a_route_that_can_be_is_taken_without_remark(virtual_service, route: str) -> None:
    assert found_in(virtual_service(route)) == []


@pytest.mark.parametrize(
    ("route", "code", "message"),
    [
        (DEST + "  weight: 90\n- destination: {host: b}\n  weight: 9", "IST0133", "add up to 99, not 100: the shares are 90.9%, 9.1%"),
        (DEST + "mirror: {host: b}\nmirrorPercent: 5", "IST0002", "mirrorPercent is deprecated"),
        (DEST + "mirror: {host: b}\nmirror_percent: 5", "IST0002", "mirrorPercent is deprecated"),
        (DEST + "mirrorPercentage: {value: 5}", "IST0133", "no effect without mirror"),
        ("match: [{uri: {regex: /a}, ignoreUriCase: true}]\n" + DEST, "IST0133", "no effect on a regular expression"),
        (DEST + "fault: {delay: {percent: 5, fixedDelay: 1s}}", "IST0002", "percent is deprecated"),
        (DEST + "retries: {attempts: 1, retryRemoteLocalities: true}", "SEA0001", "localities"),
        (DEST + "fault: {delay: {fixedDelay: 1s}}", "IST0133", "no request is delayed"),
        (DEST + "fault: {abort: {httpStatus: 500}}", "IST0133", "no request is aborted"),
        (f"directResponse: {{status: 200, body: {{string: {'x' * 110_000}}}}}", "IST0133", "large bodies"),
    ],
)
def test_an_odd_route_is_taken_with_a_warning(virtual_service, route: str, code: str, message: str) -> None:
    loaded, found = load("x.yaml", virtual_service(route))
    assert loaded
    assert [one.code for one in found] == [code]
    assert message in found[0].message


@pytest.mark.parametrize(
    ("hosts", "message"),
    [
        ("[]", "spec.hosts: Required value"),
        ('["*"]', "wildcard host * is not allowed"),
        ("[a, a]", 'duplicate host "a"'),
        ("['a b']", '"a b" is not a host'),
        ("['http://a']", "is not a host"),
        ("['a.*']", "is not a host"),
    ],
)
def test_hosts_that_cannot_be_are_refused(virtual_service, hosts: str, message: str) -> None:
    assert any(message in told for _, told, _ in found_in(virtual_service(hosts=hosts)))


@pytest.mark.parametrize("hosts", ["[a]", "[a.b.svc.cluster.local]", "['*.example.com']", "[10.1.2.3]", "['2001:db8::1']", "['*x']"])
def test_hosts_that_can_be_are_taken(virtual_service, hosts: str) -> None:
    assert found_in(virtual_service(hosts=hosts)) == []


@pytest.mark.parametrize(
    ("routes", "problem"),
    [
        ("tcp: [{route: [{destination: {host: a}}]}]", None),
        ("tcp: [{match: [{port: 1, destinationSubnets: [10.0.0.0/8]}], route: [{destination: {host: a}}]}]", None),
        (
            "tcp: [{match: [{port: 70000}], route: [{destination: {host: a}}]}]",
            "tcp[0].match[0].port: port must be between 1-65535, not 70000",
        ),
        (
            "tcp: [{match: [{destinationSubnets: [10.0.0.0/99]}], route: [{destination: {host: a}}]}]",
            'tcp[0].match[0].destinationSubnets[0]: "10.0.0.0/99" is no range of addresses',
        ),
        ("tcp: [{}]", "tcp[0]: a route needs a destination"),
        (
            "tcp: [{route: [{destination: {host: a}, weight: 0}, {destination: {host: b}, weight: 0}]}]",
            "tcp[0].route: total destination weight = 0",
        ),
        ("tls: [{match: [{sniHosts: [a]}], route: [{destination: {host: a}}]}]", None),
        ("tls: [{match: [], route: [{destination: {host: a}}]}]", "tls[0]: a tls route needs a match"),
        (
            "tls: [{match: [{sniHosts: []}], route: [{destination: {host: a}}]}]",
            "tls[0].match[0].sniHosts: Required value: at least one server name",
        ),
        (
            "tls: [{match: [{sniHosts: [b]}], route: [{destination: {host: a}}]}]",
            'tls[0].match[0].sniHosts[0]: "b" is none of the hosts of this VirtualService',
        ),
    ],
)
def test_tcp_and_tls_routes(routes: str, problem: str | None) -> None:
    text = f"apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: a}}\nspec:\n  hosts: [a]\n  {routes}\n"
    found = found_in(text)
    assert (found[0][1].removeprefix("spec.") if found else None) == problem


def test_a_virtual_service_without_routes_is_refused() -> None:
    text = "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: x}\nspec: {hosts: [a]}\n"
    assert found_in(text)[0][1] == "spec: http, tcp or tls must be provided"


def test_a_route_behind_one_that_takes_all_is_remarked_upon(virtual_service) -> None:
    text = virtual_service(DEST) + "  - match: [{uri: {prefix: /a}}]\n    route: [{destination: {host: b}}]\n"
    assert [(code, told) for code, told, _ in found_in(text)] == [("IST0130", "http[1] is never reached: http[0] matches everything")]


def test_the_same_match_twice_is_remarked_upon(virtual_service) -> None:
    match = "match: [{uri: {prefix: /a}}]\n"
    text = virtual_service(match + DEST) + "  - match: [{uri: {prefix: /a}}]\n    route: [{destination: {host: b}}]\n"
    assert [code for code, _, _ in found_in(text)] == ["IST0131"]


def rule(spec: str) -> str:
    return f"apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {{name: x}}\nspec: {{host: a, {spec}}}\n"


@pytest.mark.parametrize(
    ("spec", "code", "message"),
    [
        ("subsets: [{name: ''}]", "IST0106", "cannot be empty"),
        ("subsets: [{name: a, labels: {b: c}}, {name: a, labels: {b: d}}]", "IST0106", 'duplicate subset "a"'),
        ("subsets: [{name: a}]", "IST0133", "has no labels"),
        ("subsets: [{name: a, labels: {version: '*'}}]", "IST0106", "not a label value"),
        ("trafficPolicy: {}", "IST0106", "at least one field"),
        ("trafficPolicy: {connectionPool: {}}", "IST0106", "must have http or tcp"),
        (
            "trafficPolicy: {connectionPool: {tcp: {maxConnections: -1}}}",
            "IST0106",
            "connectionPool.tcp.maxConnections: it cannot be negative",
        ),
        ("trafficPolicy: {loadBalancer: {simple: RONDOM}}", "IST0106", "is not one of UNSPECIFIED, LEAST_CONN, RANDOM"),
        ("trafficPolicy: {loadBalancer: {simple: RANDOM, consistentHash: {useSourceIp: true}}}", "IST0106", "only one of"),
        ("trafficPolicy: {loadBalancer: {consistentHash: {}}}", "IST0106", "one of httpHeaderName"),
        ("trafficPolicy: {loadBalancer: {simple: LEAST_CONN}}", "IST0002", "LEAST_CONN is deprecated"),
        ("trafficPolicy: {outlierDetection: {maxEjectionPercent: 101}}", "IST0106", "not in range 0..100"),
        ("trafficPolicy: {outlierDetection: {outlierDetectionHttpErrorCodes: [500]}}", "SEA0001", "not supported yet"),
        ("trafficPolicy: {outlierDetection: {consecutiveErrors: 1}}", "IST0002", "deprecated"),
        ("trafficPolicy: {tls: {mode: SIMPLE}}", "SEA0001", "plain text"),
        ("trafficPolicy: {tls: {mode: MUTUAL}}", "IST0106", "clientCertificate: Required value"),
        ("trafficPolicy: {tls: {mode: ISTIO_MUTUAL, privateKey: a}}", "IST0106", "cannot be set with mode ISTIO_MUTUAL"),
        ("trafficPolicy: {portLevelSettings: [{tls: {mode: DISABLE}}]}", "IST0106", "port.number: Required value"),
        ("trafficPolicy: {portLevelSettings: [{port: {number: 1}}, {port: {number: 1}}]}", "IST0106", "stand twice"),
        ("trafficPolicy: {portLevelSettings: [{port: {number: 1}, portLevelSettings: []}]}", "IST0106", "unknown field"),
        ("trafficPolicy: {tunnel: {targetHost: a, targetPort: 1}}", "SEA0001", "tunnel"),
        ("workloadSelector: {matchLabels: {a: b}}", "SEA0001", "not supported yet"),
        ("exportTo: ['*', a]", "IST0106", "cannot stand beside"),
        ("exportTo: [.]", "SEA0001", "seen everywhere"),
        ("trafficPolicy: {connectionPool: {http: {http2KeepAlive: {interval: 1s}}}}", "SEA0001", "http2KeepAlive: not supported yet"),
        ("exportTo: [a, a]", "IST0106", "duplicate entry"),
        ("trafficPolicy: {connectionPool: {http: {h2UpgradePolicy: UPGRADE, useClientProtocol: true}}}", "IST0106", "cannot be true"),
    ],
)
def test_destination_rules_are_judged(spec: str, code: str, message: str) -> None:
    found = found_in(rule(spec))
    assert any(one == code and message in told for one, told, _ in found), found


def test_an_ordinary_destination_rule_is_taken_without_remark() -> None:
    pool = "connectionPool: {tcp: {connectTimeout: 30ms}, http: {idleTimeout: 1h, maxRequestsPerConnection: 1}}"
    assert (
        found_in(rule(f"subsets: [{{name: v1, labels: {{version: v1}}}}], trafficPolicy: {{{pool}, loadBalancer: {{simple: RANDOM}}}}"))
        == []
    )


def entry(spec: str) -> str:
    return f"apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {{name: x}}\nspec: {{hosts: [a.b], {spec}}}\n"


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("resolution: STATIC, endpoints: [{address: a.b}]", "is not an IP address"),
        ("resolution: STATIC, endpoints: [{}]", "address: Required value"),
        ("resolution: DNS, endpoints: [{address: a.b, ports: {http: 1}}]", 'no port "http"'),
        ("resolution: STATIC, endpoints: [{address: 'unix:///a'}]", "Unix domain sockets"),
        ("resolution: DYNAMIC_DNS", "not supported yet"),
        ("addresses: [1.2.3.4/99]", "not an IP address"),
        ("ports: [{number: 1, name: a, protocol: HTPP}]", '"HTPP" is not a protocol'),
    ],
)
def test_service_entries_are_judged(spec: str, message: str) -> None:
    found = found_in(entry(spec))
    assert any(code == "IST0106" and message in told for code, told, _ in found), found


def kubernetes_service(spec: str) -> str:
    return f"apiVersion: v1\nkind: Service\nmetadata: {{name: x}}\nspec: {{{spec}}}\n"


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("selector: {a: b}", "ports: Required value"),
        ("ports: [{port: 1}, {port: 2}]", "name: Required value when there are several ports"),
        ("ports: [{name: a, port: 1}, {name: a, port: 2}]", "Duplicate value"),
        ("ports: [{name: a, port: 1}, {name: b, port: 1}]", "Duplicate value: 1"),
        ("ports: [{port: 70000}]", "1-65535"),
        ("ports: [{port: 1, targetPort: 0}]", "1-65535"),
        ("ports: [{port: 1, name: A_B}]", "not a port name"),
        ("ports: [{port: '1'}]", "must be a whole number"),
        ("ports: [{port: 1, protocol: HTTP}]", "is not one of TCP, UDP, SCTP"),
    ],
)
def test_services_are_judged(spec: str, message: str) -> None:
    found = found_in(kubernetes_service(spec))
    assert any(message in told for _, told, _ in found), found


def test_a_service_may_have_fields_that_do_not_matter_here() -> None:
    text = kubernetes_service(
        "sessionAffinity: None, clusterIP: None, type: ClusterIP, ports: [{port: 80, targetPort: http, nodePort: 30080}]"
    )
    assert found_in(text) == []


@pytest.mark.parametrize(
    ("spec", "problem"),
    [
        ("{}", "a gateway needs at least one server"),
        ("+{port: {number: 80, protocol: HTTP}, hosts: [a]}", "servers[0].port: name: Required value"),
        ("+{port: {number: 80, name: a, protocol: FTP}, hosts: [a]}", 'protocol: "FTP" is not a protocol'),
        ("+{port: {number: 0, name: a, protocol: HTTP}, hosts: [a]}", "port must be between 1-65535, not 0"),
        ("+{port: {number: 80, name: a, protocol: HTTP}, hosts: ['A_B/c']}", '"A_B" is not a namespace'),
        (
            "+{port: {number: 80, name: a, protocol: HTTP}, hosts: [a], bind: 1.1.1.1}",
            "bind: an address to bind to",
        ),
        (
            "+{port: {number: 443, name: a, protocol: HTTPS}, hosts: [a]}",
            "server must have TLS settings for HTTPS",
        ),
        (
            "+{port: {number: 80, name: a, protocol: HTTP}, hosts: [a], tls: {mode: SIMPLE}}",
            "server cannot have TLS settings for plain HTTP ports",
        ),
        (
            "+{port: {number: 443, name: a, protocol: HTTPS}, hosts: [a], tls: {mode: SIMPLE, credentialName: c}}",
            "mode SIMPLE is not supported yet",
        ),
        (
            "+{port: {number: 443, name: a, protocol: TLS}, hosts: [a], tls: {httpsRedirect: true}}",
            "it is for plain HTTP ports",
        ),
        ("{servers: [{port: {number: 80, name: a, protocol: HTTP}, hosts: [a]}]}", "a gateway without a selector"),
    ],
)
def test_gateways(spec: str, problem: str) -> None:
    """``+``: what follows is a gateway's only server."""
    if spec.startswith("+"):
        spec = f"{{selector: {{a: b}}, servers: [{spec[1:]}]}}"
    found = found_in(f"apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {{name: a}}\nspec: {spec}\n")
    assert any(problem in one[1] for one in found), found


def test_a_sound_gateway_is_taken() -> None:
    server = "{port: {number: 80, name: http, protocol: HTTP}, hosts: ['*', ns/a.example, ./b], tls: {httpsRedirect: true}}"
    text = f"apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {{name: a}}\nspec: {{selector: {{a: b}}, servers: [{server}]}}\n"
    assert found_in(text) == []
