"""Envoy's access log formats, compiled: ``%RESPONSE_CODE%``, ``%REQ(X-A?:PATH):20%`` and the like, in a text or as JSON.

Envoy: docs "Access logging", source/common/formatter/stream_info_formatter.cc. What is not there prints as ``-``, in JSON as null; in JSON
an operator by itself keeps its type and the keys are sorted.

Every request is logged, so a format becomes one Python function, as ``collections.namedtuple`` makes one: each operator is an expression
of this table, and whatever comes from configuration (names, literals) goes in by name, never as code.
"""

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from json.encoder import encode_basestring
from typing import Any, Final, cast

from mesh.sidecar import grpc_status
from mesh.sidecar.filter import Request, Response, flag_text
from mesh.sidecar.wall import WallClock

Line = Callable[[Request, "Response | None"], str]

ENVOY_DEFAULT: Final = (
    '[%START_TIME%] "%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%" %RESPONSE_CODE% %RESPONSE_FLAGS% %BYTES_RECEIVED%'
    ' %BYTES_SENT% %DURATION% %RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% "%REQ(X-FORWARDED-FOR)%" "%REQ(USER-AGENT)%" "%REQ(X-REQUEST-ID)%"'
    ' "%REQ(:AUTHORITY)%" "%UPSTREAM_HOST%"\n'
)

_COMMAND = re.compile(r"%(?:%|([A-Z][A-Z0-9_]*)(?:\(([^)]*)\))?(?::(\d+))?%)")
_FRACTION = re.compile(r"%([1-9]?)f")

# r: the request, s: its stream info, q: its header fields, p: the response's. NONE: what stands for a value that is not there.
# No quotes and no backslashes: these stand in an f-string.
_PLAIN: Final = {
    "PROTOCOL": "s.protocol or NONE",
    "RESPONSE_CODE": "s.status",
    "RESPONSE_CODE_DETAILS": "s.details or NONE",
    "RESPONSE_FLAGS": "flag_text(s.flags) if s.flags else DASH",
    "CONNECTION_TERMINATION_DETAILS": "s.connection_termination_details or NONE",
    "UPSTREAM_TRANSPORT_FAILURE_REASON": "s.upstream_failure or NONE",
    "BYTES_RECEIVED": "s.bytes_received",
    "BYTES_SENT": "s.bytes_sent",
    "DURATION": "int((s.end_seconds - s.start_seconds) * 1000)",
    "REQUEST_DURATION": "int((s.request_end_seconds - s.start_seconds) * 1000) if s.request_end_seconds else NONE",
    "RESPONSE_DURATION": "int((s.response_seconds - s.start_seconds) * 1000) if s.response_seconds else NONE",
    "RESPONSE_TX_DURATION": "int((s.end_seconds - s.response_seconds) * 1000) if s.response_seconds else NONE",
    "UPSTREAM_HOST": "s.upstream_host or NONE",
    "UPSTREAM_REMOTE_ADDRESS": "s.upstream_host or NONE",
    "UPSTREAM_CLUSTER": "(s.cluster.alt_stat_name if s.cluster else None) or s.upstream_cluster or NONE",
    "UPSTREAM_CLUSTER_RAW": "s.upstream_cluster or NONE",
    "UPSTREAM_LOCAL_ADDRESS": "s.upstream_local or NONE",
    "UPSTREAM_REQUEST_ATTEMPT_COUNT": "s.attempts",
    "DOWNSTREAM_LOCAL_ADDRESS": "s.downstream_local or NONE",
    "DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT": "s.downstream_local.rpartition(COLON)[0] or NONE",
    "DOWNSTREAM_REMOTE_ADDRESS": "s.downstream_remote or NONE",
    "DOWNSTREAM_DIRECT_REMOTE_ADDRESS": "s.downstream_remote or NONE",
    "DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT": "s.downstream_remote.rpartition(COLON)[0] or NONE",
    "REQUESTED_SERVER_NAME": "s.requested_server_name or NONE",
    "ROUTE_NAME": "(s.route.name if s.route is not None else None) or NONE",
    "START_TIME": "stamp(s.start_time)",
    "GRPC_STATUS": "t if (t := grpc_name(r, a)) is not None else NONE",
    "GRPC_STATUS_NUMBER": "t if (t := grpc_number(r, a)) is not None else NONE",
}
_PARTS: Final = {
    ":method": "r.method or NONE",
    ":path": "r.path or NONE",
    ":authority": "r.authority or NONE",
    "host": "r.authority or NONE",
    ":scheme": "r.scheme if r.method else NONE",
}
_METADATA: Final = {"UPSTREAM_METADATA": "s.endpoint", "CLUSTER_METADATA": "s.cluster"}
_NOTHING: Final[dict[str, Any]] = {}


class _Source:
    """Collects the names that a function under construction needs."""

    def __init__(self, wall: WallClock) -> None:
        self.names: dict[str, Any] = {"flag_text": flag_text, "stamp": wall.stamp, "COLON": ":", "DASH": "-", "NOTHING": _NOTHING}
        self.names |= {"grpc_name": grpc_status.name, "grpc_number": grpc_status.number}
        self.names |= {"as_json": _as_json, "text": str, "int": int, "__builtins__": {}}

    def name(self, value: Any) -> str:
        name = f"n{len(self.names)}"
        self.names[name] = value
        return name

    def expression(self, command: str, argument: str | None, length: str | None) -> str:
        """ValueError: there is no such operator."""
        found = self._operator(command, argument)
        return f"(NONE if (t := ({_or_none(found)})) is None else text(t)[:{int(length)}])" if length else found

    def _operator(self, command: str, argument: str | None) -> str:
        if argument is None and command in _PLAIN:
            return _PLAIN[command]
        if argument and command == "START_TIME":
            return f"{self.name(_time_format(argument))}(s.start_time)"
        if argument and command in ("REQ", "RESP"):
            first, _, second = argument.lower().partition("?")
            found = self._header(command, first)
            return f"h if (h := ({_or_none(found)})) is not None else ({self._header(command, second)})" if second else found
        if argument and command in _METADATA:
            of = _METADATA[command]
            return f"{of}.metadata.get({self.name(argument.removeprefix('istio:'))}, NONE) if {of} is not None else NONE"
        raise ValueError(f"Not supported field in StreamInfo: {command}")

    def _header(self, command: str, name: str) -> str:
        if command == "REQ" and name in _PARTS:
            return _PARTS[name]
        fields = "q" if command == "REQ" else "p"
        return f"f[0] if (f := {fields}.get({self.name(name)})) is not None else NONE"

    def template(self, form: str) -> str:
        """The inside of an f-string."""
        pieces, position = [], 0
        for match in _COMMAND.finditer(form):
            pieces.append(_literal(form[position : match.start()]))
            position = match.end()
            pieces.append("{(" + self.expression(*match.groups()).replace("NONE", "MISSING") + ")}" if match[1] else "%")
        pieces.append(_literal(form[position:]))
        return "".join(pieces)

    def function(self, template: str) -> Line:
        lines = ["def line(r, a):", "s = r.stream", "q = r.headers.fields", "p = NOTHING if a is None else a.headers.fields"]
        exec("\n ".join([*lines, f'return f"{template}"']), self.names)  # noqa: S102 - our own expressions only, see above
        return cast(Line, self.names["line"])


def _or_none(expression: str) -> str:
    return expression.replace("NONE", "None")


def _literal(text: str) -> str:
    if "%" in text:
        raise ValueError(f"Incorrect configuration: {text}. Couldn't find valid command at position {text.index('%')}")
    return _quoted(text)


def _quoted(text: str) -> str:
    """As it stands inside of an f-string between double quotes."""
    return json.dumps(text)[1:-1].replace("{", "{{").replace("}", "}}")


def _as_json(value: str | int | None) -> str:
    if value is None:
        return "null"
    return encode_basestring(value) if isinstance(value, str) else str(value)


def _time_format(form: str) -> Callable[[float], str]:
    def text(epoch_seconds: float) -> str:
        fraction = f"{epoch_seconds % 1:.9f}"[2:]
        filled = _FRACTION.sub(lambda match: fraction[: int(match[1] or 9)], form).replace("%s", str(int(epoch_seconds)))
        return datetime.fromtimestamp(epoch_seconds, UTC).strftime(filled)

    return text


def compile_text(form: str, wall: WallClock, missing: str = "-") -> Line:
    """ValueError: an operator that there is not. The line comes with whatever line end the format has."""
    source = _Source(wall)
    source.names["MISSING"] = missing
    return source.function(source.template(form or ENVOY_DEFAULT))


def compile_json(pairs: tuple[tuple[str, str], ...], wall: WallClock) -> Line:
    source, members = _Source(wall), []
    for key, form in sorted(pairs):
        alone = _COMMAND.fullmatch(form)
        if alone is not None and alone[1]:
            value = "{as_json(" + _or_none(source.expression(*alone.groups())) + ")}"
        else:
            inner = source.name(compile_text(form, wall) if form else lambda r, a: "")
            value = "{as_json(" + inner + "(r, a))}"
        members.append(_quoted(encode_basestring(key) + ":") + value)
    return source.function("{{" + ",".join(members) + "}}\\n")
