"""Listeners on the wire. Envoy: config.listener.v3.Listener. What an HTTP chain carries is in ``http_connection_managers``."""

import ipaddress
from typing import Any

from envoy.config.core.v3 import address_pb2, base_pb2
from envoy.config.listener.v3 import api_listener_pb2, listener_components_pb2, listener_pb2
from envoy.extensions.filters.listener.http_inspector.v3 import http_inspector_pb2
from envoy.extensions.filters.listener.original_dst.v3 import original_dst_pb2
from envoy.extensions.filters.listener.tls_inspector.v3 import tls_inspector_pb2
from envoy.type.v3 import range_pb2
from google.protobuf import wrappers_pb2

from mesh.model.listener import ApiListener, Direction, FilterChain, HttpConnectionManager, Listener, TcpProxy
from mesh.xds import http_connection_managers, parts, tcp_proxies
from mesh.xds.types import Rejected

HCM = "envoy.filters.network.http_connection_manager"
TCP_PROXY = "envoy.filters.network.tcp_proxy"
ORIGINAL_DST = "envoy.filters.listener.original_dst"
TLS_INSPECTOR = "envoy.filters.listener.tls_inspector"
HTTP_INSPECTOR = "envoy.filters.listener.http_inspector"
_LISTENER_FILTERS = {
    ORIGINAL_DST: original_dst_pb2.OriginalDst,
    TLS_INSPECTOR: tls_inspector_pb2.TlsInspector,
    HTTP_INSPECTOR: http_inspector_pb2.HttpInspector,
}
DEFAULT_INSPECTION_SECONDS = 15.0


def encode(listener: Listener) -> Any:
    message = listener_pb2.Listener(
        name=listener.name,
        address=parts.address(listener.address, listener.port),
        filter_chains=[_encode_chain(chain) for chain in listener.filter_chains],
        traffic_direction=base_pb2.TrafficDirection.Value(listener.direction.value),
    )
    if listener.default_filter_chain is not None:
        message.default_filter_chain.CopyFrom(_encode_chain(listener.default_filter_chain))
    if not listener.bind_to_port:
        message.bind_to_port.CopyFrom(wrappers_pb2.BoolValue(value=False))
    if listener.use_original_dst:
        message.use_original_dst.value = True
    wanted = (
        (ORIGINAL_DST, listener.original_dst_filter),
        (TLS_INSPECTOR, listener.tls_inspector),
        (HTTP_INSPECTOR, listener.http_inspector),
    )
    for name, there in wanted:
        if there:
            added = message.listener_filters.add(name=name, typed_config=parts.pack(_LISTENER_FILTERS[name]()))
            if name != ORIGINAL_DST and listener.not_inspected_ports:
                added.filter_disabled.CopyFrom(_encode_ports(listener.not_inspected_ports))
    if listener.inspection_timeout_seconds != DEFAULT_INSPECTION_SECONDS:
        message.listener_filters_timeout.CopyFrom(parts.duration(listener.inspection_timeout_seconds))
    message.continue_on_listener_filters_timeout = listener.continue_after_inspection_timeout
    return message


def encode_api(listener: ApiListener) -> Any:
    """For proxyless gRPC. gRFC A27: the resource's name is the target, the route comes by RDS, the router filter is the last."""
    manager = HttpConnectionManager(
        stat_prefix=listener.name,
        route_config_name=listener.route_config_name,
        filters=("envoy.filters.http.fault", "envoy.filters.http.router"),
    )
    wrapped = parts.pack(http_connection_managers.encode(manager))
    return listener_pb2.Listener(name=listener.name, api_listener=api_listener_pb2.ApiListener(api_listener=wrapped))


def _encode_chain(chain: FilterChain) -> Any:
    message = listener_components_pb2.FilterChain(name=chain.name)
    if chain.destination_port is not None:
        message.filter_chain_match.destination_port.value = chain.destination_port
    match = message.filter_chain_match
    match.prefix_ranges.extend(_encode_prefix(prefix) for prefix in chain.destination_prefixes)
    match.server_names.extend(chain.server_names)
    match.transport_protocol = chain.transport_protocol
    match.application_protocols.extend(chain.application_protocols)
    what = chain.network_filter
    if isinstance(what, HttpConnectionManager):
        message.filters.add(name=HCM, typed_config=parts.pack(http_connection_managers.encode(what)))
    else:
        message.filters.add(name=TCP_PROXY, typed_config=parts.pack(tcp_proxies.encode(what)))
    return message


def _encode_ports(ports: tuple[int, ...]) -> Any:
    rules = [
        listener_components_pb2.ListenerFilterChainMatchPredicate(
            destination_port_range=range_pb2.Int32Range(start=port, end=port + 1)  # the end is not in it
        )
        for port in ports
    ]
    if len(rules) == 1:
        return rules[0]
    predicate = listener_components_pb2.ListenerFilterChainMatchPredicate()
    predicate.or_match.rules.extend(rules)
    return predicate


def _decode_ports(predicate: Any) -> tuple[int, ...]:
    rules = predicate.or_match.rules if predicate.WhichOneof("rule") == "or_match" else (predicate,)
    ports: list[int] = []
    for rule in rules:
        if rule.WhichOneof("rule") != "destination_port_range":
            raise ValueError("filter_disabled is supported for ranges of destination ports only")
        ports += range(rule.destination_port_range.start, rule.destination_port_range.end)
    return tuple(ports)


def _encode_prefix(prefix: str) -> Any:
    network = ipaddress.ip_network(prefix, strict=False)
    range_ = address_pb2.CidrRange(address_prefix=str(network.network_address))
    range_.prefix_len.value = network.prefixlen
    return range_


def decode(message: Any) -> Listener:
    """Raises ``Rejected``."""
    try:
        has = message.HasField
        where = message.address.socket_address
        parts.check_ip(where.address)
        if not message.filter_chains and not has("default_filter_chain"):
            raise ValueError(f"error adding listener '{where.address}:{where.port_value}': no filter chains specified")
        return Listener(
            name=message.name,
            address=where.address,
            port=where.port_value,
            filter_chains=tuple(_decode_chain(chain) for chain in message.filter_chains),
            default_filter_chain=_decode_chain(message.default_filter_chain) if has("default_filter_chain") else None,
            direction=Direction(base_pb2.TrafficDirection.Name(message.traffic_direction)),
            bind_to_port=message.bind_to_port.value if has("bind_to_port") else True,
            use_original_dst=message.use_original_dst.value,
            **_decode_listener_filters(message),
        )
    except ValueError as error:
        raise Rejected(message.name, str(error)) from None


def _decode_listener_filters(message: Any) -> dict[str, Any]:
    for listener_filter in message.listener_filters:
        if listener_filter.name not in _LISTENER_FILTERS:
            raise ValueError(f"Didn't find a registered implementation for '{listener_filter.name}'")
    disabled = [one.filter_disabled for one in message.listener_filters if one.HasField("filter_disabled")]
    names = {listener_filter.name for listener_filter in message.listener_filters}
    timeout = parts.seconds(message.listener_filters_timeout) if message.HasField("listener_filters_timeout") else None
    return {
        "original_dst_filter": ORIGINAL_DST in names,
        "tls_inspector": TLS_INSPECTOR in names,
        "http_inspector": HTTP_INSPECTOR in names,
        "inspection_timeout_seconds": DEFAULT_INSPECTION_SECONDS if timeout is None else timeout,
        "not_inspected_ports": _decode_ports(disabled[0]) if disabled else (),
        "continue_after_inspection_timeout": message.continue_on_listener_filters_timeout,
    }


def _decode_chain(message: Any) -> FilterChain:
    if message.HasField("transport_socket"):
        raise ValueError("transport sockets (TLS) are not supported yet")
    if len(message.filters) != 1:
        raise ValueError(f"a filter chain needs exactly one network filter, this one has {len(message.filters)}")
    (network_filter,) = message.filters
    match = message.filter_chain_match
    return FilterChain(
        network_filter=_decode_network_filter(network_filter),
        name=message.name,
        destination_port=match.destination_port.value if match.HasField("destination_port") else None,
        destination_prefixes=tuple(f"{range_.address_prefix}/{range_.prefix_len.value}" for range_ in match.prefix_ranges),
        server_names=tuple(match.server_names),
        transport_protocol=match.transport_protocol,
        application_protocols=tuple(match.application_protocols),
    )


def _decode_network_filter(message: Any) -> HttpConnectionManager | TcpProxy:
    if message.name == HCM:
        return http_connection_managers.decode(message.typed_config)
    if message.name != TCP_PROXY:
        raise ValueError(f"Didn't find a registered implementation for '{message.name}'")
    return tcp_proxies.decode(message.typed_config)
