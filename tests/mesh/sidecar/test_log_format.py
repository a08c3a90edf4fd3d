"""Access log formats: every operator, as Envoy prints it."""

import json
from typing import Any

import pytest

from mesh.model.cluster import Cluster, Discovery
from mesh.model.endpoint import Endpoint
from mesh.model.match import MatchKind, RouteMatch, StringMatch
from mesh.model.route import Route
from mesh.sidecar.filter import Flag, Headers, Request, Response, StreamInfo
from mesh.sidecar.log_format import ENVOY_DEFAULT, compile_json, compile_text
from mesh.sidecar.wall import WallClock

WALL = WallClock(lambda: 100.0, lambda: 1795420800.25)

ISTIO_DEFAULT = (
    '[%START_TIME%] "%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%" %RESPONSE_CODE% %RESPONSE_FLAGS% '
    '%RESPONSE_CODE_DETAILS% %CONNECTION_TERMINATION_DETAILS% "%UPSTREAM_TRANSPORT_FAILURE_REASON%" %BYTES_RECEIVED% %BYTES_SENT% '
    '%DURATION% %RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% "%REQ(X-FORWARDED-FOR)%" "%REQ(USER-AGENT)%" "%REQ(X-REQUEST-ID)%" '
    '"%REQ(:AUTHORITY)%" "%UPSTREAM_HOST%" %UPSTREAM_CLUSTER_RAW% %UPSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_LOCAL_ADDRESS% '
    "%DOWNSTREAM_REMOTE_ADDRESS% %REQUESTED_SERVER_NAME% %ROUTE_NAME%\n"
)


def stream() -> tuple[Request, Response]:
    info = StreamInfo(100.0, WALL.epoch(100.0))
    info.request_end_seconds, info.response_seconds, info.end_seconds = 100.001, 100.0105, 100.0125
    info.status, info.details, info.bytes_sent, info.bytes_received, info.attempts = 200, "via_upstream", 178, 3, 2
    info.cluster = Cluster("outbound|9080||reviews", Discovery.EDS, alt_stat_name="reviews_stat", metadata={"subset": "v1"})
    info.upstream_cluster = "outbound|9080||reviews"
    info.endpoint = Endpoint("10.0.0.2", 9080, metadata={"workload": "reviews-v1"})
    info.upstream_host, info.upstream_local = "10.0.0.2:9080", "10.0.0.1:40000"
    info.downstream_local, info.downstream_remote = "10.0.0.1:15001", "10.0.0.1:50000"
    info.route = Route(RouteMatch(StringMatch(MatchKind.PREFIX, "/")), name="default")
    request = Request("GET", "/reviews/1", "reviews:9080", Headers([("user-agent", 'curl/8 "x"'), ("x-request-id", "id-1")]), stream=info)
    return request, Response(200, Headers([("x-envoy-upstream-service-time", "9")]))


def test_istios_default_format() -> None:
    assert compile_text(ISTIO_DEFAULT, WALL)(*stream()) == (
        '[2026-11-23T08:00:00.250Z] "GET /reviews/1 HTTP/1.1" 200 - via_upstream - "-" 3 178 12 9 "-" "curl/8 "x"" "id-1" "reviews:9080"'
        ' "10.0.0.2:9080" outbound|9080||reviews 10.0.0.1:40000 10.0.0.1:15001 10.0.0.1:50000 - default\n'
    )


def test_envoys_default_format_stands_in_for_none() -> None:
    assert compile_text("", WALL)(*stream()) == compile_text(ENVOY_DEFAULT, WALL)(*stream())


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ("%UPSTREAM_CLUSTER%", "reviews_stat"),
        ("%UPSTREAM_REQUEST_ATTEMPT_COUNT%", "2"),
        ("%REQUEST_DURATION% %RESPONSE_DURATION% %RESPONSE_TX_DURATION%", "1 10 2"),
        ("%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%", "10.0.0.1"),
        ("%REQ(X-NONE?USER-AGENT):4%", "curl"),
        ("%REQ(X-NONE)%", "-"),
        ("%RESP(x-envoy-upstream-service-time)%", "9"),
        ("%UPSTREAM_METADATA(istio:workload)% %CLUSTER_METADATA(istio:subset)%", "reviews-v1 v1"),
        ("%START_TIME(%Y/%m/%d %H:%M:%S.%3f)%", "2026/11/23 08:00:00.250"),
        ("%START_TIME(%s)%", "1795420800"),
        ("100%%", "100%"),
    ],
)
def test_operators(form: str, expected: str) -> None:
    assert compile_text(form, WALL)(*stream()) == expected


def test_the_path_before_a_rewrite_is_printed() -> None:
    request, response = stream()
    request.headers.set("x-envoy-original-path", "/old")
    assert compile_text("%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%", WALL)(request, response) == "/old"


def test_flags_are_printed_in_the_order_in_which_envoy_sets_them() -> None:
    request, response = stream()
    request.stream.flags = Flag.UT | Flag.URX | Flag.DI | Flag.FI
    assert compile_text("%RESPONSE_FLAGS%", WALL)(request, response) == "DI,FI,URX,UT"


def test_json_keeps_types_sorts_keys_and_escapes() -> None:
    pairs = (
        ("z", "%RESPONSE_CODE%"),
        ("agent", "%REQ(USER-AGENT)%"),
        ("none", "%REQ(X-NONE)%"),
        ("mixed %", "%PROTOCOL% %RESPONSE_CODE%"),
        ("plain", "yes"),
    )
    line = compile_json(pairs, WALL)(*stream())
    assert line.endswith("}\n")
    found: dict[str, Any] = json.loads(line)
    assert found == {"agent": 'curl/8 "x"', "mixed %": "HTTP/1.1 200", "none": None, "plain": "yes", "z": 200}
    assert list(found) == sorted(found)


@pytest.mark.parametrize("form", ["%NONSENSE%", "%REQ%", "%PROTOCOL(x)%", "50%", "%RESPONSE_CODE"])
def test_what_is_no_operator_is_refused(form: str) -> None:
    with pytest.raises(ValueError, match=r"Not supported|Couldn't find"):
        compile_text(form, WALL)
