"""Listeners on the wire. Envoy: config.listener.v3.Listener. What an HTTP chain carries is in ``http_connection_managers``."""

from typing import Any

from envoy.config.core.v3 import base_pb2
from envoy.config.listener.v3 import api_listener_pb2, listener_components_pb2, listener_pb2
from envoy.extensions.filters.listener.original_dst.v3 import original_dst_pb2
from envoy.extensions.filters.network.tcp_proxy.v3 import tcp_proxy_pb2
from google.protobuf import wrappers_pb2

from mesh.model.listener import ApiListener, Direction, FilterChain, HttpConnectionManager, Listener, TcpProxy
from mesh.xds import access_logs, http_connection_managers, parts
from mesh.xds.types import Rejected

HCM = "envoy.filters.network.http_connection_manager"
TCP_PROXY = "envoy.filters.network.tcp_proxy"
ORIGINAL_DST = "envoy.filters.listener.original_dst"


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
    if listener.original_dst_filter:
        message.listener_filters.add(name=ORIGINAL_DST, typed_config=parts.pack(original_dst_pb2.OriginalDst()))
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
    what = chain.network_filter
    if isinstance(what, HttpConnectionManager):
        message.filters.add(name=HCM, typed_config=parts.pack(http_connection_managers.encode(what)))
    else:
        proxy = tcp_proxy_pb2.TcpProxy(
            stat_prefix=what.stat_prefix, cluster=what.cluster, access_log=[access_logs.encode_file(log) for log in what.access_logs]
        )
        message.filters.add(name=TCP_PROXY, typed_config=parts.pack(proxy))
    return message


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
            original_dst_filter=_original_dst_filter(message),
        )
    except ValueError as error:
        raise Rejected(message.name, str(error)) from None


def _original_dst_filter(message: Any) -> bool:
    for listener_filter in message.listener_filters:
        if listener_filter.name != ORIGINAL_DST:
            raise ValueError(f"Didn't find a registered implementation for '{listener_filter.name}'")
    return bool(message.listener_filters)


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
    )


def _decode_network_filter(message: Any) -> HttpConnectionManager | TcpProxy:
    if message.name == HCM:
        return http_connection_managers.decode(message.typed_config)
    if message.name != TCP_PROXY:
        raise ValueError(f"Didn't find a registered implementation for '{message.name}'")
    proxy = parts.unpack(message.typed_config, tcp_proxy_pb2.TcpProxy())
    if proxy.WhichOneof("cluster_specifier") != "cluster":
        raise ValueError("weighted clusters of a TCP proxy are not supported yet")
    files, _ = access_logs.decode(proxy.access_log)
    return TcpProxy(proxy.stat_prefix, proxy.cluster, files)
