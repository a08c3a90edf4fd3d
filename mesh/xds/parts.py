"""Pieces that several resources share: durations, percentages, addresses, string matchers, header operations, Istio's metadata."""

import ipaddress
from collections.abc import Mapping
from typing import Any

from envoy.config.core.v3 import address_pb2, base_pb2, config_source_pb2
from envoy.type.matcher.v3 import regex_pb2, string_pb2
from envoy.type.v3 import percent_pb2
from google.protobuf import any_pb2, duration_pb2

from mesh.model.match import MatchKind, StringMatch
from mesh.policy.headers import HeaderOperations
from mesh.xds import constraints

NANOS = 1_000_000_000
_OPTION = base_pb2.HeaderValueOption


def duration(seconds: float) -> Any:
    nanos = round(seconds * NANOS)
    return duration_pb2.Duration(seconds=nanos // NANOS, nanos=nanos % NANOS)


def seconds(value: Any) -> float:
    return (int(value.seconds) * NANOS + int(value.nanos)) / NANOS  # rounded once: 1.269 stays 1.269


def percent(value: float) -> Any:
    """0-100 as parts of a million, as Istio sends it."""
    return percent_pb2.FractionalPercent(numerator=round(value * 10_000), denominator=percent_pb2.FractionalPercent.MILLION)


def percent_value(fraction: Any) -> float:
    whole = {0: 100, 1: 10_000, 2: 1_000_000}[fraction.denominator]
    return float(fraction.numerator) * 100 / whole


def pack(message: Any) -> Any:
    packed = any_pb2.Any()
    packed.Pack(message, deterministic=True)  # the same value gives the same bytes, or pushes would never settle
    return packed


def unpack(packed: Any, into: Any) -> Any:
    """Raises ``ValueError`` when the Any carries another type, or one against Envoy's constraints."""
    if not packed.Unpack(into):
        raise ValueError(f"{packed.type_url or 'nothing'} where {into.DESCRIPTOR.full_name} belongs")
    constraints.check(into)
    return into


def address(host: str, port: int) -> Any:
    return address_pb2.Address(socket_address=address_pb2.SocketAddress(address=host, port_value=port))


def check_ip(text: str) -> None:
    """Raises ``ValueError``, as Envoy refuses a name where nobody resolves names."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        raise ValueError(f"malformed IP address: {text}") from None


def over_ads() -> Any:
    """The resource comes on the same stream. No fetch time-out (Istio's 0 s): a late answer is waited for, never replaced by nothing."""
    return config_source_pb2.ConfigSource(
        ads=config_source_pb2.AggregatedConfigSource(),
        initial_fetch_timeout=duration(0),
        resource_api_version=config_source_pb2.ApiVersion.V3,
    )


def string_matcher(match: StringMatch) -> Any:
    if match.kind is MatchKind.REGEX:
        return string_pb2.StringMatcher(safe_regex=regex_pb2.RegexMatcher(regex=match.value))
    return string_pb2.StringMatcher(**{match.kind.value: match.value}, ignore_case=match.ignore_case)


def string_match(matcher: Any) -> StringMatch:
    kind = matcher.WhichOneof("match_pattern")
    if kind == "safe_regex":
        return StringMatch(MatchKind.REGEX, matcher.safe_regex.regex)
    try:
        return StringMatch(MatchKind(kind), getattr(matcher, kind), matcher.ignore_case)
    except (ValueError, TypeError):
        raise ValueError(f"string matcher {kind!r} is not supported") from None


def write_headers(operations: HeaderOperations | None, target: Any) -> None:
    """Fill ``request_headers_to_add`` and its three siblings of a route, virtual host, weighted cluster or route configuration."""
    if operations is None:
        return
    for side in ("request", "response"):
        options = getattr(target, f"{side}_headers_to_add")
        for pairs, action in (("set", _OPTION.OVERWRITE_IF_EXISTS_OR_ADD), ("add", _OPTION.APPEND_IF_EXISTS_OR_ADD)):
            for name, value in getattr(operations, f"{side}_{pairs}"):
                options.append(_OPTION(header=base_pb2.HeaderValue(key=name, value=value), append_action=action))
        getattr(target, f"{side}_headers_to_remove").extend(getattr(operations, f"{side}_remove"))


def read_headers(source: Any) -> HeaderOperations | None:
    fields: dict[str, tuple[Any, ...]] = {}
    for side in ("request", "response"):
        options = getattr(source, f"{side}_headers_to_add")
        for pairs, action in (("set", _OPTION.OVERWRITE_IF_EXISTS_OR_ADD), ("add", _OPTION.APPEND_IF_EXISTS_OR_ADD)):
            fields[f"{side}_{pairs}"] = tuple(
                (option.header.key, option.header.value) for option in options if option.append_action == action
            )
        fields[f"{side}_remove"] = tuple(getattr(source, f"{side}_headers_to_remove"))
    return HeaderOperations(**fields) if any(fields.values()) else None


def write_istio_metadata(values: Mapping[str, Any], target: Any) -> None:
    """``target`` is a core.v3.Metadata; the values go under the key ``istio``."""
    if values:
        target.filter_metadata["istio"].update({key: values[key] for key in sorted(values)})


def read_istio_metadata(source: Any) -> dict[str, Any]:
    """Strings as they are; lists and structs as plain Python values."""
    if "istio" not in source.filter_metadata:
        return {}
    return {key: plain(value) for key, value in source.filter_metadata["istio"].fields.items()}


def plain(value: Any) -> Any:
    kind = value.WhichOneof("kind")
    if kind == "struct_value":
        return {key: plain(field) for key, field in value.struct_value.fields.items()}
    if kind == "list_value":
        return [plain(item) for item in value.list_value.values]
    return None if kind == "null_value" else getattr(value, kind)
