"""Services as Kubernetes has them: a name, ports, and the labels that pick the workloads."""

from collections.abc import Mapping
from dataclasses import dataclass, field

DEFAULT_DOMAIN = "cluster.local"


@dataclass(frozen=True, slots=True)
class ServicePort:
    number: int
    name: str = "http"
    protocol: str = "HTTP"  # HTTP, HTTP2, GRPC, TCP, TLS, HTTPS: by appProtocol, else by the name's prefix
    target_port: int | str | None = None  # None: the same number


@dataclass(frozen=True, slots=True)
class ExternalEndpoint:
    """An address that a ServiceEntry names itself. ``ports`` maps a port's name to the number there."""

    address: str
    ports: Mapping[str, int] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    weight: int = 1


@dataclass(frozen=True, slots=True)
class Service:
    """``external``: from a ServiceEntry. ``hostname`` is the full name: reviews.default.svc.cluster.local.

    ``resolution`` is a ServiceEntry's: NONE, STATIC, DNS …; empty for a service whose workloads register.
    """

    hostname: str
    ports: tuple[ServicePort, ...]
    selector: Mapping[str, str] = field(default_factory=dict)
    name: str = ""
    namespace: str = "default"
    external: bool = False
    addresses: tuple[str, ...] = ()
    resolution: str = ""
    endpoints: tuple[ExternalEndpoint, ...] = ()
