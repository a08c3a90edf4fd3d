"""Envoy's access log formats, compiled: ``%RESPONSE_CODE%``, ``%REQ(X-A?:PATH):20%`` and the like, in a text or as JSON.

Envoy: docs "Access logging", source/common/formatter/stream_info_formatter.cc. What is not there prints as ``-``, in JSON as null; in JSON
an operator by itself keeps its type and the keys are sorted.
"""

import json.encoder
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

from mesh.sidecar.filter import Request, Response, StreamInfo, flag_text
from mesh.sidecar.wall import WallClock

Value = str | int | None
Operator = Callable[[Request, StreamInfo, "Response | None"], Value]
Line = Callable[[Request, "Response | None"], str]

ENVOY_DEFAULT: Final = (
    '[%START_TIME%] "%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%" %RESPONSE_CODE% %RESPONSE_FLAGS% %BYTES_RECEIVED%'
    ' %BYTES_SENT% %DURATION% %RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% "%REQ(X-FORWARDED-FOR)%" "%REQ(USER-AGENT)%" "%REQ(X-REQUEST-ID)%"'
    ' "%REQ(:AUTHORITY)%" "%UPSTREAM_HOST%"\n'
)

_COMMAND = re.compile(r"%(?:%|([A-Z][A-Z0-9_]*)(?:\(([^)]*)\))?(?::(\d+))?%)")
_FRACTION = re.compile(r"%([1-9]?)f")


def _duration(request: Request, stream: StreamInfo, response: Response | None) -> Value:
    return int((stream.end_seconds - stream.start_seconds) * 1000)


def _request_duration(request: Request, stream: StreamInfo, response: Response | None) -> Value:
    return int((stream.request_end_seconds - stream.start_seconds) * 1000) if stream.request_end_seconds else None


def _response_duration(request: Request, stream: StreamInfo, response: Response | None) -> Value:
    return int((stream.response_seconds - stream.start_seconds) * 1000) if stream.response_seconds else None


def _response_tx_duration(request: Request, stream: StreamInfo, response: Response | None) -> Value:
    return int((stream.end_seconds - stream.response_seconds) * 1000) if stream.response_seconds else None


def _cluster(request: Request, stream: StreamInfo, response: Response | None) -> Value:
    return (stream.cluster.alt_stat_name if stream.cluster else "") or stream.upstream_cluster or None


def _host_only(address: str) -> str | None:
    return address.rpartition(":")[0] or None


_PLAIN: Final[dict[str, Operator]] = {
    "PROTOCOL": lambda r, s, a: s.protocol or None,
    "RESPONSE_CODE": lambda r, s, a: s.status,
    "RESPONSE_CODE_DETAILS": lambda r, s, a: s.details or None,
    "RESPONSE_FLAGS": lambda r, s, a: flag_text(s.flags),
    "CONNECTION_TERMINATION_DETAILS": lambda r, s, a: s.connection_termination_details or None,
    "UPSTREAM_TRANSPORT_FAILURE_REASON": lambda r, s, a: s.upstream_failure or None,
    "BYTES_RECEIVED": lambda r, s, a: s.bytes_received,
    "BYTES_SENT": lambda r, s, a: s.bytes_sent,
    "DURATION": _duration,
    "REQUEST_DURATION": _request_duration,
    "RESPONSE_DURATION": _response_duration,
    "RESPONSE_TX_DURATION": _response_tx_duration,
    "UPSTREAM_HOST": lambda r, s, a: s.upstream_host or None,
    "UPSTREAM_CLUSTER": _cluster,
    "UPSTREAM_CLUSTER_RAW": lambda r, s, a: s.upstream_cluster or None,
    "UPSTREAM_LOCAL_ADDRESS": lambda r, s, a: s.upstream_local or None,
    "UPSTREAM_REMOTE_ADDRESS": lambda r, s, a: s.upstream_host or None,
    "UPSTREAM_REQUEST_ATTEMPT_COUNT": lambda r, s, a: s.attempts,
    "DOWNSTREAM_LOCAL_ADDRESS": lambda r, s, a: s.downstream_local or None,
    "DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT": lambda r, s, a: _host_only(s.downstream_local),
    "DOWNSTREAM_REMOTE_ADDRESS": lambda r, s, a: s.downstream_remote or None,
    "DOWNSTREAM_DIRECT_REMOTE_ADDRESS": lambda r, s, a: s.downstream_remote or None,
    "DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT": lambda r, s, a: _host_only(s.downstream_remote),
    "REQUESTED_SERVER_NAME": lambda r, s, a: s.requested_server_name or None,
    "ROUTE_NAME": lambda r, s, a: (s.route.name or None) if s.route is not None else None,
    "GRPC_STATUS": lambda r, s, a: a.headers.get("grpc-status") if a is not None else None,
}

_PARTS: Final[dict[str, Operator]] = {
    ":method": lambda r, s, a: r.method or None,
    ":path": lambda r, s, a: r.path or None,
    ":authority": lambda r, s, a: r.authority or None,
    "host": lambda r, s, a: r.authority or None,
    ":scheme": lambda r, s, a: (r.scheme or None) if r.method else None,
}


def _request_header(name: str) -> Operator:
    def value(request: Request, stream: StreamInfo, response: Response | None) -> Value:
        found = request.headers.fields.get(name)
        return None if found is None else found[0]

    return _PARTS.get(name) or value


def _response_header(name: str) -> Operator:
    def value(request: Request, stream: StreamInfo, response: Response | None) -> Value:
        found = response.headers.fields.get(name) if response is not None else None
        return None if found is None else found[0]

    return value


def _first_of(of_name: Callable[[str], Operator], names: str) -> Operator:
    first, _, second = names.lower().partition("?")
    one = of_name(first)
    if not second:
        return one
    other = of_name(second)

    def value(request: Request, stream: StreamInfo, response: Response | None) -> Value:
        found = one(request, stream, response)
        return other(request, stream, response) if found is None else found

    return value


def _metadata(kind: str, path: str) -> Operator:
    """``istio:key`` of the endpoint's or the cluster's metadata."""
    key = path.removeprefix("istio:")
    if kind == "UPSTREAM_METADATA":
        return lambda r, s, a: s.endpoint.metadata.get(key) if s.endpoint is not None else None
    return lambda r, s, a: s.cluster.metadata.get(key) if s.cluster is not None else None


def _start_time(form: str, wall: WallClock) -> Operator:
    if not form:
        return lambda r, s, a: wall.stamp(s.start_time)

    def value(request: Request, stream: StreamInfo, response: Response | None) -> Value:
        fraction = f"{stream.start_time % 1:.9f}"[2:]
        filled = _FRACTION.sub(lambda match: fraction[: int(match[1] or 9)], form).replace("%s", str(int(stream.start_time)))
        return datetime.fromtimestamp(stream.start_time, UTC).strftime(filled)

    return value


def _operator(name: str, argument: str | None, wall: WallClock) -> Operator:
    if name == "START_TIME":
        return _start_time(argument or "", wall)
    if argument is None:
        if name in _PLAIN:
            return _PLAIN[name]
    elif name == "REQ":
        return _first_of(_request_header, argument)
    elif name == "RESP":
        return _first_of(_response_header, argument)
    elif name in ("UPSTREAM_METADATA", "CLUSTER_METADATA"):
        return _metadata(name, argument)
    raise ValueError(f"Not supported field in StreamInfo: {name}")


def _shortened(operator: Operator, length: int) -> Operator:
    def value(request: Request, stream: StreamInfo, response: Response | None) -> Value:
        found = operator(request, stream, response)
        return found if found is None else str(found)[:length]

    return value


def _parse(form: str, wall: WallClock) -> tuple[str, tuple[Operator, ...]]:
    """A template for ``%``, and what fills it."""
    template, operators, position = [], [], 0
    for match in _COMMAND.finditer(form):
        template.append(_literal(form[position : match.start()]))
        position = match.end()
        if match[1] is None:
            template.append("%%")
            continue
        operator = _operator(match[1], match[2], wall)
        operators.append(_shortened(operator, int(match[3])) if match[3] else operator)
        template.append("%s")
    template.append(_literal(form[position:]))
    return "".join(template), tuple(operators)


def _literal(text: str) -> str:
    if "%" in text:
        raise ValueError(f"Incorrect configuration: {text}. Couldn't find valid command at position {text.index('%')}")
    return text


def compile_text(form: str, wall: WallClock) -> Line:
    """ValueError: an operator that there is not. The line comes with whatever line end the format has."""
    template, operators = _parse(form or ENVOY_DEFAULT, wall)

    def line(request: Request, response: Response | None) -> str:
        stream = request.stream
        values = [operator(request, stream, response) for operator in operators]
        return template % tuple(["-" if value is None else value for value in values])

    return line


def compile_json(pairs: tuple[tuple[str, str], ...], wall: WallClock) -> Line:
    quote = json.encoder.encode_basestring
    members = [f"{quote(key)}:%s".replace("%", "%%").replace("%%s", "%s") for key, _ in sorted(pairs)]
    template = "{" + ",".join(members) + "}\n"
    operators = [_member(form, wall) for _, form in sorted(pairs)]

    def line(request: Request, response: Response | None) -> str:
        stream = request.stream
        values = [operator(request, stream, response) for operator in operators]
        return template % tuple(["null" if v is None else quote(v) if isinstance(v, str) else v for v in values])

    return line


def _member(form: str, wall: WallClock) -> Operator:
    template, operators = _parse(form, wall)
    if template == "%s":
        return operators[0]
    text = compile_text(form, wall) if form else lambda r, a: ""
    return lambda r, s, a: text(r, a)
