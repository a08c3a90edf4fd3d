"""The mesh as translation sees it: services with their ports, workloads with their labels, rules by host.

Istio: pilot/pkg/model PushContext, pilot/pkg/serviceregistry.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from mesh.galley.config import Config
from mesh.galley.models.destination_rule import DestinationRule
from mesh.galley.models.gateway import Gateway
from mesh.galley.models.service import Service as KubernetesService
from mesh.galley.models.service_entry import ServiceEntry
from mesh.galley.models.virtual_service import VirtualService
from mesh.model.node import InboundPort, Node
from mesh.model.service import ExternalEndpoint, Service, ServicePort
from mesh.pilot.registry import Workload
from mesh.pilot.translate import names

UNDECLARED = "UNSUPPORTED"  # Istio's word: HTTP where the first bytes say so, else TCP
HTTP_PROTOCOLS = frozenset({"HTTP", "HTTP2", "GRPC", "GRPC-WEB", UNDECLARED})
TLS_PROTOCOLS = frozenset({"HTTPS", "TLS"})
_KNOWN = HTTP_PROTOCOLS - {UNDECLARED} | {"HTTPS", "TLS", "TCP", "UDP", "MONGO", "MYSQL", "REDIS"}
_APP_PROTOCOLS = {"kubernetes.io/h2c": "HTTP2", "kubernetes.io/ws": "HTTP", "kubernetes.io/wss": "HTTPS"}


@dataclass(frozen=True, slots=True)
class Mesh:
    services: tuple[Service, ...]
    workloads: tuple[Workload, ...]
    virtual_services: tuple[VirtualService, ...]
    destination_rules: tuple[DestinationRule, ...]
    version: int = 0
    gateways: tuple[Gateway, ...] = ()
    access_log_encoding: str = "TEXT"  # or JSON: Istio's meshConfig.accessLogEncoding

    def service(self, hostname: str) -> Service | None:
        return next((service for service in self.services if service.hostname == hostname), None)

    def destination_rule(self, hostname: str) -> DestinationRule | None:
        """The rule with the most specific host; of two with the same the older."""
        by_host: dict[str, DestinationRule] = {}
        for rule in self.destination_rules:
            by_host.setdefault(names.full(rule.spec.host, rule.meta.namespace), rule)
        best = names.most_specific(by_host, hostname)
        return by_host[best] if best is not None else None

    def virtual_service(self, hostname: str) -> VirtualService | None:
        """The rule for sidecars with the most specific host; of two with the same the older."""
        by_host: dict[str, VirtualService] = {}
        for rule in self.virtual_services:
            if rule.spec.in_mesh:
                for host in rule.spec.hosts:
                    by_host.setdefault(names.full(host, rule.meta.namespace), rule)
        best = names.most_specific(by_host, hostname)
        return by_host[best] if best is not None else None


def view(config: Config, workloads: tuple[Workload, ...], access_log_encoding: str = "TEXT") -> Mesh:
    services = [*map(_from_kubernetes, config.services)]
    for entry in config.service_entries:
        services.extend(_from_entry(entry))
    first: dict[str, Service] = {}
    for service in services:
        first.setdefault(service.hostname, service)
    ordered = tuple(sorted(first.values(), key=lambda service: service.hostname))
    return Mesh(ordered, workloads, config.virtual_services, config.destination_rules, config.version, config.gateways, access_log_encoding)


def _from_kubernetes(service: KubernetesService) -> Service:
    meta, spec = service.meta, service.spec
    ports = tuple(
        ServicePort(p.port, p.name or f"port-{p.port}", protocol(p.name, p.app_protocol, p.protocol), p.target_port) for p in spec.ports
    )
    return Service(names.full(meta.name, meta.namespace), ports, spec.selector, meta.name, meta.namespace)


def _from_entry(entry: ServiceEntry) -> Iterable[Service]:
    spec = entry.spec
    ports = tuple(ServicePort(p.number, p.name, p.protocol.upper() or protocol(p.name), p.target_port) for p in spec.ports)
    endpoints = tuple(ExternalEndpoint(e.address, e.ports, e.labels, e.weight or 1) for e in spec.endpoints)
    selector = spec.workload_selector.labels if spec.workload_selector else {}
    for host in spec.hosts:
        yield Service(
            hostname=host,
            ports=ports,
            selector=selector,
            namespace=entry.meta.namespace,
            external=True,
            addresses=spec.addresses,
            resolution=spec.resolution,
            endpoints=endpoints,
        )


def protocol(name: str, app_protocol: str = "", transport: str = "TCP") -> str:
    """By appProtocol, else by the port name's prefix. What neither declares is found out from each connection's first bytes."""
    if transport != "TCP":
        return transport
    declared = _APP_PROTOCOLS.get(app_protocol) or app_protocol.upper()
    if declared in _KNOWN:
        return declared
    upper = name.upper()
    if upper.startswith("GRPC-WEB"):
        return "GRPC-WEB"
    prefix = upper.split("-")[0]
    return prefix if prefix in _KNOWN else UNDECLARED


def is_http(port: ServicePort) -> bool:
    return port.protocol in HTTP_PROTOCOLS


def is_undeclared(port: ServicePort) -> bool:
    return port.protocol == UNDECLARED


def is_tls(port: ServicePort) -> bool:
    """Encrypted by the app itself: passed on unread, told apart by server name."""
    return port.protocol in TLS_PROTOCOLS


def is_tcp(port: ServicePort) -> bool:
    return not is_http(port) and port.protocol != "UDP"


def selects(selector: Mapping[str, str], labels: Mapping[str, str]) -> bool:
    """An empty selector picks nothing: such a service has endpoints of its own."""
    return bool(selector) and all(labels.get(key) == value for key, value in selector.items())


def binding(node: Node, port: ServicePort) -> InboundPort | None:
    """Where a workload serves a service's port: by the target's name or number, else by the port's own name."""
    target = port.target_port if port.target_port is not None else port.number
    for inbound in node.bindings.inbound:
        if target == inbound.name or (inbound.listen_port == target and not isinstance(target, str)):
            return inbound
    if isinstance(target, str):
        return None
    return next((inbound for inbound in node.bindings.inbound if inbound.name == port.name), None)


def served_by(mesh: Mesh, node: Node, inbound: InboundPort) -> tuple[Service, ServicePort] | None:
    """The service whose port this is, the first by name if there are several."""
    for service in mesh.services:
        if service.namespace == node.namespace and selects(service.selector, node.labels):
            for port in service.ports:
                if binding(node, port) == inbound:
                    return service, port
    return None
