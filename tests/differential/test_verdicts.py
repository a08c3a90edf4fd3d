"""Configuration that a data plane accepts or refuses: Envoy's verdict is the sidecar's."""

import random
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from side_by_side.cases import PLAIN, answers, exact, header, prefix, regex, split, to, when
from side_by_side.envoy import bootstrap, verdict
from side_by_side.sidecar import NODE, over_the_wire

from mesh.model.cluster import Cluster, Discovery, LbPolicy
from mesh.model.endpoint import Endpoint, LoadAssignment, LocalityEndpoints
from mesh.model.listener import AccessLogFile, FilterChain, Listener, TcpProxy
from mesh.model.match import QueryMatch, StringMatch
from mesh.model.route import Route, RouteConfiguration, VirtualHost, WeightedCluster
from mesh.policy.cors import CorsPolicy
from mesh.policy.direct_response import DirectResponse
from mesh.policy.fault import Fault
from mesh.policy.headers import HeaderOperations as Headers
from mesh.policy.mirror import Mirror
from mesh.policy.redirect import Redirect
from mesh.policy.retry import RetryPolicy
from mesh.policy.rewrite import Rewrite
from mesh.policy.timeout import Timeout
from mesh.sidecar.proxy import Proxy, Refused
from mesh.xds.types import CDS, LDS, Rejected


@dataclass(frozen=True)
class Try:
    """``good`` is what the sidecar is expected to say where it differs (``known``)."""

    name: str
    listeners: tuple[Listener, ...] = ()
    clusters: tuple[Cluster, ...] = ()
    known: str = ""


def hosts(*hosts: VirtualHost, **more: Any) -> tuple[Listener, ...]:
    manager = replace(PLAIN, route_config=RouteConfiguration("routes", hosts, **more))
    return (listener(FilterChain(manager)),)


def listener(*chains: FilterChain, **more: Any) -> Listener:
    return Listener(**{"name": "l", "address": "127.0.0.1", "port": 0, "filter_chains": chains, **more})


def route(name: str, *routes: Route, known: str = "") -> Try:
    return Try(name, hosts(VirtualHost("host", ("*",), routes)), known=known)


def domains(name: str, *groups: tuple[str, ...], known: str = "") -> Try:
    return Try(name, hosts(*(VirtualHost(f"host {n}", group, (to("red"),)) for n, group in enumerate(groups))), known=known)


def manager(title: str, known: str = "", **more: Any) -> Try:
    routes = RouteConfiguration("routes", (VirtualHost("host", ("*",), (to("red"),)),))
    return Try(title, (listener(FilterChain(replace(PLAIN, route_config=routes, **more))),), known=known)


def log(name: str, text: str = "", known: str = "", **json_format: str) -> Try:
    return manager(name, known, access_logs=(AccessLogFile("/dev/null", text, tuple(json_format.items())),))


def cluster(title: str, known: str = "", **more: Any) -> Try:
    return Try(title, clusters=(Cluster(**{"name": "c", "discovery": Discovery.STATIC, **more}),), known=known)


def of(*endpoints: Endpoint, name: str = "c") -> LoadAssignment:
    return LoadAssignment(name, (LocalityEndpoints(endpoints),))


def path(match: StringMatch) -> Route:
    return to("red", match=when(match))


TCP = FilterChain(TcpProxy("tcp", "red"))

TRIES = [
    route("nothing wrong", to("red")),
    route("regex", path(regex("/[a-z]+"))),
    route("regex without an end", path(regex("/("))),
    route("regex with look-ahead", path(regex("/(?=a)"))),
    route("regex with a back reference", path(regex(r"/(a)\1"))),
    route("regex repeated too often", path(regex("a{2000}"))),
    route("regex of nothing", path(regex(""))),
    route("regex with a possessive quantifier", path(regex("a++"))),
    route("regex with letters", path(regex(r"\pL+"))),
    route("regex of a named group", path(regex("(?P<a>x)"))),
    route("header regex", to("red", match=when(headers=[header("a", regex("["))]))),
    route("query regex", to("red", match=when(query=[QueryMatch("a", regex("*"))]))),
    route("header match without a name", to("red", match=when(headers=[header("", exact("a"))]))),
    route("header match with an odd name", to("red", match=when(headers=[header("a b", exact("a"))]))),
    route("query match without a name", to("red", match=when(query=[QueryMatch("", exact("a"))]))),
    route("path without a slash", path(exact("x"))),
    route("prefix of nothing", path(prefix(""))),
    route("path below with a slash at the end", path(StringMatch(kind=when().path.kind.PATH_PREFIX, value="/a/"))),
    route("path below of the root", path(StringMatch(kind=when().path.kind.PATH_PREFIX, value="/"))),
    route("no routes"),
    domains("two hosts", ("a",), ("b",)),
    domains("domain twice", ("a",), ("a",)),
    domains("domain twice in one host", ("a", "a")),
    domains("domain twice but for its case", ("a",), ("A",)),
    domains("wildcard twice", ("*",), ("*",)),
    domains("suffix twice", ("*.a",), ("*.a",)),
    domains("wildcard inside", ("a*b",)),
    domains("two wildcards", ("*a*",)),
    domains("no domains", ()),
    domains("empty domain", ("",)),
    Try("host name twice", hosts(VirtualHost("h", ("a",), (to("red"),)), VirtualHost("h", ("b",), (to("red"),)))),
    Try("host without a name", hosts(VirtualHost("", ("a",), (to("red"),)))),
    Try("no hosts", hosts()),
    route("weights of nothing", split(WeightedCluster("red", 0), WeightedCluster("blue", 0))),
    route("one weight of nothing", split(WeightedCluster("red", 0), WeightedCluster("blue", 1))),
    route("weights beyond 32 bits", split(WeightedCluster("red", 2**32 - 1), WeightedCluster("blue", 2**32 - 1))),
    route("no clusters", split()),
    route("cluster without a name", to("")),
    route("header name", to("red", Headers(request_set=(("a b", "x"),))), known="the sidecar sends no odd header names"),
    route("empty header name", to("red", Headers(request_set=(("", "x"),)))),
    route("header value with a line end", to("red", Headers(request_set=(("a", "x\r\ny"),)))),
    route("header value with a nul", to("red", Headers(response_set=(("a", "x\0y"),)))),
    route("host header set", to("red", Headers(request_set=(("host", "x"),)))),
    route("authority set", to("red", Headers(request_set=((":authority", "x"),)))),
    route("path header set", to("red", Headers(request_set=((":path", "x"),)))),
    route("host header added", to("red", Headers(request_add=(("host", "x"),)))),
    route("host header removed", to("red", Headers(request_remove=("host",)))),
    route("method header removed", to("red", Headers(request_remove=(":method",)))),
    route("status removed", to("red", Headers(response_remove=(":status",)))),
    route("header with a percent sign", to("red", Headers(request_set=(("a", "50%"),)))),
    route("header with two percent signs", to("red", Headers(request_set=(("a", "50%%"),)))),
    route("header with an unknown operator", to("red", Headers(request_set=(("a", "%NONSENSE%"),)))),
    route("rewrite regex", to("red", Rewrite(regex=("(", "x")))),
    route("rewrite names a group that is not there", to("red", Rewrite(regex=("a", r"\1")))),
    route("rewrite with a bad backslash", to("red", Rewrite(regex=("a", r"\x")))),
    route("rewrite of prefix and regex", to("red", Rewrite("/x", ("a", "b")))),
    route("rewrite of authority with a line end", to("red", Rewrite(authority="a\r\nb"))),
    route("rewrite of path with a line end", to("red", Rewrite("/a\r\nb"))),
    route("redirect regex", answers(Redirect(regex=("(", "x")))),
    route("redirect path with a line end", answers(Redirect(path="/a\r\nb"))),
    route("redirect host with a line end", answers(Redirect(authority="a\r\nb"))),
    route("redirect of nothing", answers(Redirect())),
    route("direct response", answers(DirectResponse(200, b"x"))),
    route("direct response status 99", answers(DirectResponse(99))),
    route("direct response status 600", answers(DirectResponse(600))),
    Try(
        "direct response too long",
        hosts(VirtualHost("h", ("*",), (answers(DirectResponse(200, b"x" * 20)),)), max_direct_response_body_size_bytes=10),
    ),
    route("fault", to("red", Fault(1, 50, 503, 50))),
    route("fault status 99", to("red", Fault(abort_status=99, abort_percent=1))),
    route("fault status 600", to("red", Fault(abort_status=600, abort_percent=1))),
    route("fault delay of nothing", to("red", Fault(delay_seconds=0, delay_percent=1))),
    route("fault above 100 percent", to("red", Fault(abort_status=503, abort_percent=150))),
    route("cors regex", to("red", CorsPolicy((regex("("),)))),
    route("retry of nonsense", to("red", RetryPolicy(retry_on=("nonsense",)))),
    route("retry with a wide back-off", to("red", RetryPolicy(backoff_base_seconds=2, backoff_max_seconds=1))),
    route("retry of odd codes", to("red", RetryPolicy(retriable_status_codes=(5, 99)))),
    route("mirror without a cluster", to("red", Mirror(""))),
    route("mirror above 100 percent", to("red", Mirror("blue", 150))),
    route("negative time-out", to("red", Timeout(-1))),
    route("negative idle time-out", to("red", Timeout(1, -1))),
    log("log", "%RESPONSE_CODE% %REQ(A?B):3% %START_TIME(%s)%\n"),
    log("log with an unknown operator", "%NONSENSE%\n"),
    log("log with half an operator", "%RESPONSE_CODE\n"),
    log("log with a percent sign", "50%\n"),
    log("log without an argument", "%REQ%\n"),
    log("log with a needless argument", "%PROTOCOL(x)%\n"),
    log("log of length 0", "%REQ(A):0%\n"),
    log("json log with an unknown operator", a="%NONSENSE%"),
    manager("no router", filters=("envoy.filters.http.cors",)),
    manager("router twice", filters=("envoy.filters.http.router", "envoy.filters.http.router")),
    manager("router before others", filters=("envoy.filters.http.router", "envoy.filters.http.cors")),
    manager("no filters", known="without a router nothing could be answered: the sidecar says so", filters=()),
    manager("upgrade twice", upgrades=("websocket", "websocket")),
    manager("no limit of the head", max_request_headers_kb=0),
    manager("no statistics prefix", stat_prefix=""),
    Try("no chains", (listener(),)),
    Try("tcp", (listener(TCP),)),
    Try("tcp without a cluster", (listener(FilterChain(TcpProxy("tcp", ""))),)),
    Try("chains alike", (listener(TCP, TCP),)),
    Try("chains for one port", (listener(replace(TCP, destination_port=1), replace(TCP, destination_port=1)),)),
    Try("chains for two ports", (listener(replace(TCP, destination_port=1), replace(TCP, destination_port=2)),)),
    Try("chain for port 0", (listener(replace(TCP, destination_port=0)),)),
    Try("default chain", (listener(default_filter_chain=TCP),)),
    Try("address that is none", (listener(TCP, address="nonsense"),)),
    Try("port beyond", (listener(TCP, port=70000),)),
    Try("no address", (listener(TCP, address=""),)),
    cluster("static", load_assignment=of(Endpoint("127.0.0.1", 1))),
    cluster("static without endpoints"),
    cluster("static of a name", load_assignment=of(Endpoint("localhost", 1))),
    cluster("cluster without a name", name=""),
    cluster("endpoint of weight 0", load_assignment=of(Endpoint("127.0.0.1", 1, weight=0))),
    cluster("endpoint at port 0", load_assignment=of(Endpoint("127.0.0.1", 0))),
    cluster("original destination in turn", discovery=Discovery.ORIGINAL_DST, lb_policy=LbPolicy.ROUND_ROBIN),
    cluster("original destination", discovery=Discovery.ORIGINAL_DST, lb_policy=LbPolicy.CLUSTER_PROVIDED),
    cluster("static at the client's choice", lb_policy=LbPolicy.CLUSTER_PROVIDED),
    cluster("dns", discovery=Discovery.STRICT_DNS, load_assignment=of(Endpoint("localhost", 1))),
    cluster("logical dns of two", discovery=Discovery.LOGICAL_DNS, load_assignment=of(Endpoint("a", 1), Endpoint("b", 1))),
    cluster("no time to connect", connect_timeout_seconds=0),
    cluster("negative time to connect", connect_timeout_seconds=-1),
    cluster("source address that is none", bind_address="nonsense"),
    cluster("no requests per connection", max_requests_per_connection=0),
]


async def our_verdict(attempt: Try) -> str:
    async with Proxy(NODE, time.monotonic, random.random, "/dev/null") as proxy:
        try:
            listeners = [over_the_wire(LDS, one) for one in attempt.listeners]
            clusters = [over_the_wire(CDS, one) for one in attempt.clusters]
            await proxy.apply(listeners=listeners, routes=[], clusters=clusters, load_assignments=[])
        except (Rejected, Refused) as refusal:
            return str(refusal)
    return ""


def _params() -> list[Any]:
    marks = {a.name: [pytest.mark.xfail(reason=a.known, raises=AssertionError, strict=True)] if a.known else [] for a in TRIES}
    return [pytest.param(attempt, id=attempt.name, marks=marks[attempt.name]) for attempt in TRIES]


@pytest.mark.parametrize("attempt", _params())
async def test_both_say_yes_or_no_alike(envoy_path: Path, tmp_path: Path, attempt: Try) -> None:
    envoy = verdict(envoy_path, tmp_path, bootstrap(attempt.listeners, attempt.clusters))
    ours = await our_verdict(attempt)
    assert bool(ours) == bool(envoy), f"envoy: {envoy or 'accepts'}\nsidecar: {ours or 'accepts'}"
