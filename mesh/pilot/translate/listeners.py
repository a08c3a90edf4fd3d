"""Listeners of a proxy: with capture Istio's virtual ones, without (interceptionMode NONE) one a port.

Istio: pilot/pkg/networking/core/listener*.go.
"""

from collections.abc import Iterator
from dataclasses import replace

from mesh.model.listener import AccessLogFile, ApiListener, Direction, FilterChain, HttpConnectionManager, Listener, TcpProxy
from mesh.model.node import InboundPort, Interception, Node
from mesh.model.service import Service, ServicePort
from mesh.pilot.translate import endpoints, names, peers, routes, tcp_routes
from mesh.pilot.translate.mesh import Mesh, is_http, is_tcp, served_by

OUTBOUND_PORT = 15001
INBOUND_PORT = 15006
ANY_ADDRESS = "0.0.0.0"
INSPECTION_SECONDS = 5.0  # protocolDetectionTimeout, where there is something to detect

ACCESS_LOG_FORMAT = (
    '[%START_TIME%] "%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%" %RESPONSE_CODE% %RESPONSE_FLAGS% '
    '%RESPONSE_CODE_DETAILS% %CONNECTION_TERMINATION_DETAILS% "%UPSTREAM_TRANSPORT_FAILURE_REASON%" %BYTES_RECEIVED% %BYTES_SENT% '
    '%DURATION% %RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% "%REQ(X-FORWARDED-FOR)%" "%REQ(USER-AGENT)%" "%REQ(X-REQUEST-ID)%" '
    '"%REQ(:AUTHORITY)%" "%UPSTREAM_HOST%" %UPSTREAM_CLUSTER_RAW% %UPSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_LOCAL_ADDRESS% '
    "%DOWNSTREAM_REMOTE_ADDRESS% %REQUESTED_SERVER_NAME% %ROUTE_NAME%\n"
)
"""Istio's default (pilot/pkg/model/telemetry_logging.go EnvoyTextLogFormat)."""
ACCESS_LOG_FIELDS = {
    "start_time": "%START_TIME%",
    "method": "%REQ(:METHOD)%",
    "path": "%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%",
    "protocol": "%PROTOCOL%",
    "response_code": "%RESPONSE_CODE%",
    "response_flags": "%RESPONSE_FLAGS%",
    "response_code_details": "%RESPONSE_CODE_DETAILS%",
    "connection_termination_details": "%CONNECTION_TERMINATION_DETAILS%",
    "upstream_transport_failure_reason": "%UPSTREAM_TRANSPORT_FAILURE_REASON%",
    "bytes_received": "%BYTES_RECEIVED%",
    "bytes_sent": "%BYTES_SENT%",
    "duration": "%DURATION%",
    "upstream_service_time": "%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)%",
    "x_forwarded_for": "%REQ(X-FORWARDED-FOR)%",
    "user_agent": "%REQ(USER-AGENT)%",
    "request_id": "%REQ(X-REQUEST-ID)%",
    "authority": "%REQ(:AUTHORITY)%",
    "upstream_host": "%UPSTREAM_HOST%",
    "upstream_cluster": "%UPSTREAM_CLUSTER_RAW%",
    "upstream_local_address": "%UPSTREAM_LOCAL_ADDRESS%",
    "downstream_local_address": "%DOWNSTREAM_LOCAL_ADDRESS%",
    "downstream_remote_address": "%DOWNSTREAM_REMOTE_ADDRESS%",
    "requested_server_name": "%REQUESTED_SERVER_NAME%",
    "route_name": "%ROUTE_NAME%",
}
"""The same as JSON (EnvoyJSONLogFormatIstio)."""
_LOGS = {
    "TEXT": (AccessLogFile(text_format=ACCESS_LOG_FORMAT),),
    "JSON": (AccessLogFile(json_format=tuple(sorted(ACCESS_LOG_FIELDS.items()))),),
}
ACCESS_LOG_ENCODINGS = tuple(_LOGS)


def build(mesh: Mesh, node: Node) -> tuple[Listener, ...]:
    if node.interception is Interception.NONE:
        return tuple(_explicit(mesh, node))
    return tuple(_captured(mesh, node))


def outbound_ports(mesh: Mesh, node: Node) -> tuple[int, ...]:
    """The service ports that this proxy has a listener for, and so a route configuration."""
    if node.interception is Interception.NONE:
        return tuple(sorted(node.bindings.egress_ports))
    return tuple(sorted({port.number for service in mesh.services for port in service.ports if is_http(port)}))


def _explicit(mesh: Mesh, node: Node) -> Iterator[Listener]:
    for inbound in node.bindings.inbound:
        chain = FilterChain(_inbound(mesh, node, inbound))
        yield Listener(f"{node.ip}_{inbound.listen_port}", node.ip, inbound.listen_port, (chain,), direction=Direction.INBOUND)
    for service, service_port, local in _tcp_bindings(mesh, node):
        yield _with_inspectors(f"{node.ip}_{local}", node.ip, local, tcp_routes.outbound(mesh, node, service, service_port, _logs(mesh)))
    ports = [(port, str(service_port)) for service_port, port in sorted(node.bindings.egress_ports.items())]
    if node.bindings.http_proxy_port:
        ports.append((node.bindings.http_proxy_port, names.HTTP_PROXY))
    for port, route_name in ports:
        chain = FilterChain(_outbound(mesh, node, route_name))
        yield Listener(f"{node.ip}_{port}", node.ip, port, (chain,), direction=Direction.OUTBOUND)


def _tcp_bindings(mesh: Mesh, node: Node) -> Iterator[tuple[Service, ServicePort, int]]:
    for service in mesh.services:
        for port in service.ports:
            local = node.bindings.tcp_ports.get(f"{service.name or service.hostname}:{port.number}")
            if local and is_tcp(port):
                yield service, port, local


def _with_inspectors(name: str, address: str, port: int, chains: tuple[FilterChain, ...], *, bind: bool = True) -> Listener:
    """An outbound listener that looks at a connection's beginning only where a chain depends on it."""
    by_name = any(chain.server_names or chain.transport_protocol for chain in chains)
    return Listener(
        name,
        address,
        port,
        chains,
        direction=Direction.OUTBOUND,
        bind_to_port=bind,
        tls_inspector=by_name,
        inspection_timeout_seconds=INSPECTION_SECONDS,
        continue_after_inspection_timeout=by_name,
    )


def _logs(mesh: Mesh) -> tuple[AccessLogFile, ...]:
    return _LOGS[mesh.access_log_encoding]


def _captured(mesh: Mesh, node: Node) -> Iterator[Listener]:
    """A connection straight to a capturing port has no original destination: it is closed, or it would be passed to itself."""
    logs = _LOGS[mesh.access_log_encoding]
    black_hole = TcpProxy(names.BLACK_HOLE, names.BLACK_HOLE)
    yield Listener(
        "virtualOutbound",
        ANY_ADDRESS,
        OUTBOUND_PORT,
        (FilterChain(black_hole, "virtualOutbound-blackhole", OUTBOUND_PORT),),
        FilterChain(TcpProxy(names.PASSTHROUGH, names.PASSTHROUGH, logs), "virtualOutbound-catchall-tcp"),
        Direction.OUTBOUND,
        use_original_dst=True,
    )
    chains = [
        FilterChain(_inbound(mesh, node, inbound), f"{ANY_ADDRESS}_{inbound.listen_port}", inbound.listen_port)
        for inbound in node.bindings.inbound
    ]
    yield Listener(
        "virtualInbound",
        ANY_ADDRESS,
        INBOUND_PORT,
        (FilterChain(black_hole, "virtualInbound-blackhole", INBOUND_PORT), *chains),
        FilterChain(TcpProxy(names.INBOUND_PASSTHROUGH, names.INBOUND_PASSTHROUGH, logs), "virtualInbound-catchall-tcp"),
        Direction.INBOUND,
        original_dst_filter=True,
    )
    http, tcp = outbound_ports(mesh, node), _tcp_services(mesh)
    for port in sorted({*http, *tcp}):
        chains = [*_captured_tcp(mesh, node, tcp.get(port, []), alone=port not in http)]
        if port in http:
            chains.append(FilterChain(_outbound(mesh, node, str(port))))
        yield _with_inspectors(f"{ANY_ADDRESS}_{port}", ANY_ADDRESS, port, tuple(chains), bind=False)


def _tcp_services(mesh: Mesh) -> dict[int, list[tuple[Service, ServicePort]]]:
    found: dict[int, list[tuple[Service, ServicePort]]] = {}
    for service in mesh.services:
        for port in filter(is_tcp, service.ports):
            found.setdefault(port.number, []).append((service, port))
    return found


def _captured_tcp(mesh: Mesh, node: Node, services: list[tuple[Service, ServicePort]], *, alone: bool) -> Iterator[FilterChain]:
    """A port with one TCP service is that service's; else each is known by the addresses it resolves to, as Istio does without a VIP."""
    for service, port in services:
        chains = tcp_routes.outbound(mesh, node, service, port, _logs(mesh))
        if alone and len(services) == 1:
            yield from chains
            continue
        where = tuple(sorted({f"{address}/32" for address in (*service.addresses, *endpoints.addresses(mesh, service))}))
        if where:
            yield from (chain if chain.destination_prefixes else replace(chain, destination_prefixes=where) for chain in chains)


def _inbound(mesh: Mesh, node: Node, inbound: InboundPort) -> HttpConnectionManager | TcpProxy:
    served = served_by(mesh, node, inbound)
    number = served[1].number if served else inbound.listen_port
    if served and is_tcp(served[1]):
        return tcp_routes.inbound(node, number, _logs(mesh))
    return HttpConnectionManager(
        stat_prefix=f"inbound_{ANY_ADDRESS}_{inbound.listen_port}",
        route_config=routes.inbound(number),
        access_logs=_LOGS[mesh.access_log_encoding],
        metrics=peers.metrics(node, "destination"),
        server_name="istio-envoy",
        pass_through_server_header=True,
    )


def _outbound(mesh: Mesh, node: Node, route_name: str) -> HttpConnectionManager:
    return HttpConnectionManager(
        stat_prefix=f"outbound_{ANY_ADDRESS}_{route_name}",
        route_config_name=route_name,
        access_logs=_LOGS[mesh.access_log_encoding],
        metrics=peers.metrics(node, "source"),
    )


def for_grpc(mesh: Mesh) -> tuple[ApiListener, ...]:
    """One a target a gRPC client may name: ``xds:///reviews.default.svc.cluster.local:9080``."""
    return tuple(
        ApiListener(f"{service.hostname}:{port.number}", names.outbound(port.number, "", service.hostname))
        for service in mesh.services
        for port in service.ports
        if is_http(port)
    )
