"""A proxy as it introduces itself to the control plane: Istio's node id and metadata.

Istio: pkg/model/proxy.go. The id is ``sidecar~<ip>~<pod>.<ns>~<ns>.svc.cluster.local``.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum


class Interception(Enum):
    REDIRECT = "REDIRECT"  # captured: 15001 and 15006
    NONE = "NONE"  # explicit listeners


@dataclass(frozen=True, slots=True)
class InboundPort:
    """A service port of a workload. ``service_port`` is what others call; the proxy listens on ``listen_port``; the app on ``app_port``.

    Under capture all three addresses share the workload's IP and ``listen_port`` is the container's own port.
    """

    name: str  # as in Kubernetes: http, http-web, grpc, tcp-…
    listen_port: int
    app_port: int
    app_protocol: str = ""


@dataclass(frozen=True, slots=True)
class Bindings:
    """Where a proxy without capture listens, all on its one address.

    ``http_proxy_port`` is Istio's ``proxyHttpPort`` listener (route name ``http_proxy``): apps reach it by the usual HTTP_PROXY.
    ``egress_ports`` maps a service port to the local port of its egress listener (route name = the service port); HTTP services share
    it, told apart by Host. ``tcp_ports`` maps ``service:port`` to a local port of its own, for what no header tells apart.
    ``gateway_ports``: of a gateway, the port of a Gateway's server to the local one.
    """

    inbound: tuple[InboundPort, ...] = ()
    http_proxy_port: int | None = None
    egress_ports: Mapping[int, int] = field(default_factory=dict)
    tcp_ports: Mapping[str, int] = field(default_factory=dict)
    gateway_ports: Mapping[int, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Node:
    ip: str
    name: str  # the workload instance ("pod"): reviews-v1-0
    namespace: str = "default"
    kind: str = "sidecar"
    labels: Mapping[str, str] = field(default_factory=dict)
    workload_name: str = ""  # the deployment: reviews-v1
    service_account: str = ""
    interception: Interception = Interception.REDIRECT
    bindings: Bindings = Bindings()
    generator: str = ""  # "grpc" for proxyless
    dataplane: str = ""  # "envoy" or "python", for status only
    reports_health: bool = False  # an agent will send istio.v1.HealthInformation; not healthy until it says so
    metadata: Mapping[str, object] = field(default_factory=dict)  # all of it, as sent

    @property
    def id(self) -> str:
        return f"{self.kind}~{self.ip}~{self.name}.{self.namespace}~{self.namespace}.svc.cluster.local"

    @property
    def cluster(self) -> str:
        return f"{self.labels.get('app', self.name)}.{self.namespace}"
