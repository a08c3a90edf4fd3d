"""Route configurations on the wire. Envoy: config.route.v3.RouteConfiguration.

Header operations and per-filter settings hang on four levels alike (route configuration, virtual host, route, weighted cluster); what
belongs to the route's action is in ``route_actions``.
"""

from typing import Any

from envoy.config.route.v3 import route_components_pb2 as components
from envoy.config.route.v3 import route_pb2
from envoy.type.matcher.v3 import regex_pb2
from google.protobuf import wrappers_pb2

from mesh.model.match import HeaderMatch, MatchKind, QueryMatch, RouteMatch, StringMatch
from mesh.model.route import Route, RouteConfiguration, VirtualHost, find_policy
from mesh.policy.headers import HeaderOperations
from mesh.xds import filter_settings, parts, route_actions
from mesh.xds.types import Rejected

_PATHS = {"prefix": MatchKind.PREFIX, "path": MatchKind.EXACT, "path_separated_prefix": MatchKind.PATH_PREFIX}
_FIELDS = {kind: name for name, kind in _PATHS.items()}
_DEFAULT_DIRECT_RESPONSE_BYTES = 4096


def encode(configuration: RouteConfiguration) -> Any:
    message = route_pb2.RouteConfiguration(
        name=configuration.name,
        virtual_hosts=[_encode_virtual_host(host) for host in configuration.virtual_hosts],
        validate_clusters=wrappers_pb2.BoolValue(value=False),
        ignore_port_in_host_matching=configuration.ignore_port_in_host_matching,
        max_direct_response_body_size_bytes=wrappers_pb2.UInt32Value(value=configuration.max_direct_response_body_size_bytes),
    )
    _write_policies(configuration.policies, message)
    return message


def _encode_virtual_host(host: VirtualHost) -> Any:
    message = components.VirtualHost(
        name=host.name,
        domains=host.domains,
        routes=[_encode_route(route) for route in host.routes],
        include_request_attempt_count=host.include_request_attempt_count,
    )
    _write_policies(host.policies, message)
    return message


def _encode_route(route: Route) -> Any:
    message = components.Route(name=route.name, match=_encode_match(route.match))
    route_actions.write(route, message)
    if route.operation:
        message.decorator.operation = route.operation
    parts.write_istio_metadata(route.metadata, message.metadata)
    _write_policies(route.policies, message)
    return message


def _encode_match(match: RouteMatch) -> Any:
    message = components.RouteMatch(
        headers=[_encode_header(header) for header in match.headers],
        query_parameters=[_encode_query(query) for query in match.query],
    )
    if match.path.kind is MatchKind.REGEX:
        message.safe_regex.CopyFrom(regex_pb2.RegexMatcher(regex=match.path.value))
    else:
        setattr(message, _FIELDS[match.path.kind], match.path.value)
    if match.path.ignore_case:
        message.case_sensitive.value = False
    return message


def _encode_header(header: HeaderMatch) -> Any:
    message = components.HeaderMatcher(
        name=header.name, invert_match=header.invert, treat_missing_header_as_empty=header.treat_missing_as_empty
    )
    if header.match.kind is MatchKind.PRESENT:
        message.present_match = True
    else:
        message.string_match.CopyFrom(parts.string_matcher(header.match))
    return message


def _encode_query(query: QueryMatch) -> Any:
    if query.match.kind is MatchKind.PRESENT:
        return components.QueryParameterMatcher(name=query.name, present_match=True)
    return components.QueryParameterMatcher(name=query.name, string_match=parts.string_matcher(query.match))


def _write_policies(policies: tuple[object, ...], message: Any) -> None:
    parts.write_headers(find_policy(policies, HeaderOperations), message)
    filter_settings.write(policies, message.typed_per_filter_config)


def decode(message: Any) -> RouteConfiguration:
    """Raises ``Rejected`` with the route configuration's name and the place."""
    try:
        limit = message.max_direct_response_body_size_bytes
        return RouteConfiguration(
            name=message.name,
            virtual_hosts=tuple(_decode_virtual_host(host) for host in message.virtual_hosts),
            policies=_read_policies(message),
            ignore_port_in_host_matching=message.ignore_port_in_host_matching,
            max_direct_response_body_size_bytes=limit.value
            if message.HasField("max_direct_response_body_size_bytes")
            else _DEFAULT_DIRECT_RESPONSE_BYTES,
        )
    except ValueError as error:
        raise Rejected(message.name, str(error)) from None


def _decode_virtual_host(message: Any) -> VirtualHost:
    try:
        return VirtualHost(
            name=message.name,
            domains=tuple(message.domains),
            routes=tuple(_decode_route(route) for route in message.routes),
            policies=_read_policies(message),
            include_request_attempt_count=message.include_request_attempt_count,
        )
    except ValueError as error:
        raise ValueError(f"virtual host {message.name}: {error}") from None


def _decode_route(message: Any) -> Route:
    clusters, policies = route_actions.read(message)
    return Route(
        match=_decode_match(message.match),
        clusters=clusters,
        policies=policies + _read_policies(message),
        name=message.name,
        operation=message.decorator.operation,
        metadata=parts.read_istio_metadata(message.metadata),
    )


def _decode_match(message: Any) -> RouteMatch:
    kind = message.WhichOneof("path_specifier")
    ignore_case = message.HasField("case_sensitive") and not message.case_sensitive.value
    if kind == "safe_regex":
        path = StringMatch(MatchKind.REGEX, message.safe_regex.regex)
    elif kind in _PATHS:
        path = StringMatch(_PATHS[kind], getattr(message, kind), ignore_case)
    else:
        raise ValueError(f"route match by {kind or 'nothing'} is not supported")
    return RouteMatch(
        path=path,
        headers=tuple(_decode_header(header) for header in message.headers),
        query=tuple(_decode_query(query) for query in message.query_parameters),
    )


def _decode_header(message: Any) -> HeaderMatch:
    kind = message.WhichOneof("header_match_specifier")
    if kind == "string_match":
        match = parts.string_match(message.string_match)
    elif kind is None or (kind == "present_match" and message.present_match):
        match = StringMatch(MatchKind.PRESENT)
    else:
        raise ValueError(f"header match {kind} is not supported")
    return HeaderMatch(message.name.lower(), match, message.invert_match, message.treat_missing_header_as_empty)


def _decode_query(message: Any) -> QueryMatch:
    if message.WhichOneof("query_parameter_match_specifier") == "string_match":
        return QueryMatch(message.name, parts.string_match(message.string_match))
    return QueryMatch(message.name, StringMatch(MatchKind.PRESENT))


def _read_policies(message: Any) -> tuple[object, ...]:
    headers = parts.read_headers(message)
    return (*((headers,) if headers else ()), *filter_settings.read(message.typed_per_filter_config))
