"""Listeners of a proxy: with capture Istio's virtual ones, without (interceptionMode NONE) one a port.

Istio: pilot/pkg/networking/core/listener*.go.
"""

from collections.abc import Iterator
from dataclasses import replace

from mesh.model.listener import AccessLogFile, ApiListener, Direction, FilterChain, HttpConnectionManager, Listener, TcpProxy
from mesh.model.node import InboundPort, Interception, Node
from mesh.model.service import Service, ServicePort
from mesh.pilot.translate import endpoints, names, peers, routes, tcp_routes
from mesh.pilot.translate.mesh import Mesh, is_http, is_tcp, is_undeclared, served_by
from mesh.policy.filter_chain_match import RAW, TLS

OUTBOUND_PORT = 15001
INBOUND_PORT = 15006
ANY_ADDRESS = "0.0.0.0"
HTTP_AS_SNIFFED = ("http/1.0", "http/1.1", "h2c")
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
        chains = _inbound_chains(mesh, node, inbound)
        listener = Listener(f"{node.ip}_{inbound.listen_port}", node.ip, inbound.listen_port, chains, direction=Direction.INBOUND)
        yield _inspecting(listener)
    for service, service_port, local in _tcp_bindings(mesh, node):
        yield _outbound_listener(f"{node.ip}_{local}", node.ip, local, tcp_routes.outbound(mesh, node, service, service_port, logs(mesh)))
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


def _inspecting(listener: Listener) -> Listener:
    """It looks at a connection's beginning only where a chain depends on it; a client that says nothing gets the chain for the rest."""
    chains = listener.filter_chains
    tls = any(chain.server_names or chain.transport_protocol for chain in chains)
    http = any(chain.application_protocols for chain in chains)
    if not (tls or http):
        return listener
    served_at_once = {chain.destination_port for chain in chains if chain.destination_port and not chain.transport_protocol}
    return replace(
        listener,
        not_inspected_ports=tuple(sorted(served_at_once)),
        tls_inspector=tls,
        http_inspector=http,
        inspection_timeout_seconds=INSPECTION_SECONDS,
        continue_after_inspection_timeout=True,
    )


def _outbound_listener(name: str, address: str, port: int, chains: tuple[FilterChain, ...], *, bind: bool = True) -> Listener:
    return _inspecting(Listener(name, address, port, chains, direction=Direction.OUTBOUND, bind_to_port=bind))


def _sniffed(http: HttpConnectionManager, tcp: tuple[FilterChain, ...]) -> tuple[FilterChain, ...]:
    """HTTP to ``http``; everything else, encrypted or not, to ``tcp``."""
    sniffed = FilterChain(http, transport_protocol=RAW, application_protocols=HTTP_AS_SNIFFED)
    raw = (replace(chain, transport_protocol=RAW) for chain in tcp)
    return (sniffed, *raw, *(replace(chain, transport_protocol=TLS) for chain in tcp))


def logs(mesh: Mesh) -> tuple[AccessLogFile, ...]:
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
        replace(chain, name=_numbered(f"{ANY_ADDRESS}_{inbound.listen_port}", number), destination_port=inbound.listen_port)
        for inbound in node.bindings.inbound
        for number, chain in enumerate(_inbound_chains(mesh, node, inbound))
    ]
    inbound_listener = Listener(
        "virtualInbound",
        ANY_ADDRESS,
        INBOUND_PORT,
        (FilterChain(black_hole, "virtualInbound-blackhole", INBOUND_PORT), *chains),
        FilterChain(TcpProxy(names.INBOUND_PASSTHROUGH, names.INBOUND_PASSTHROUGH, logs), "virtualInbound-catchall-tcp"),
        Direction.INBOUND,
        original_dst_filter=True,
    )
    yield _inspecting(inbound_listener)
    http, tcp = outbound_ports(mesh, node), _tcp_services(mesh)
    for port in sorted({*http, *tcp}):
        undeclared = _undeclared_services(mesh, port) if port in http and port not in tcp else []
        if undeclared:
            raw = tuple(_captured_tcp(mesh, node, undeclared, alone=True))
            yield _outbound_listener(
                f"{ANY_ADDRESS}_{port}", ANY_ADDRESS, port, _sniffed(_outbound(mesh, node, str(port)), raw), bind=False
            )
            continue
        chains = [*_captured_tcp(mesh, node, tcp.get(port, []), alone=port not in http)]
        if port in http:
            chains.append(FilterChain(_outbound(mesh, node, str(port))))
        yield _outbound_listener(f"{ANY_ADDRESS}_{port}", ANY_ADDRESS, port, tuple(chains), bind=False)


def _tcp_services(mesh: Mesh) -> dict[int, list[tuple[Service, ServicePort]]]:
    found: dict[int, list[tuple[Service, ServicePort]]] = {}
    for service in mesh.services:
        for port in filter(is_tcp, service.ports):
            found.setdefault(port.number, []).append((service, port))
    return found


def _undeclared_services(mesh: Mesh, number: int) -> list[tuple[Service, ServicePort]]:
    """Those on this port, if nobody on it has declared what it speaks: one declared HTTP service makes the port HTTP."""
    found = [(service, port) for service in mesh.services for port in service.ports if port.number == number]
    return found if all(is_undeclared(port) for _, port in found) else []


def _numbered(name: str, number: int) -> str:
    return f"{name}-{number}" if number else name


def _captured_tcp(mesh: Mesh, node: Node, services: list[tuple[Service, ServicePort]], *, alone: bool) -> Iterator[FilterChain]:
    """A port with one TCP service is that service's; else each is known by the addresses it resolves to, as Istio does without a VIP."""
    for service, port in services:
        chains = tcp_routes.outbound(mesh, node, service, port, logs(mesh))
        if alone and len(services) == 1:
            yield from chains
            continue
        where = tuple(sorted({f"{address}/32" for address in (*service.addresses, *endpoints.addresses(mesh, service))}))
        if where:
            yield from (chain if chain.destination_prefixes else replace(chain, destination_prefixes=where) for chain in chains)


def _inbound_chains(mesh: Mesh, node: Node, inbound: InboundPort) -> tuple[FilterChain, ...]:
    served = served_by(mesh, node, inbound)
    number = served[1].number if served else inbound.listen_port
    tcp = FilterChain(tcp_routes.inbound(node, number, logs(mesh)))
    if served and is_tcp(served[1]):
        return (tcp,)
    http = _inbound(mesh, node, inbound, number)
    return _sniffed(http, (tcp,)) if served and is_undeclared(served[1]) else (FilterChain(http),)


def _inbound(mesh: Mesh, node: Node, inbound: InboundPort, number: int) -> HttpConnectionManager:
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
