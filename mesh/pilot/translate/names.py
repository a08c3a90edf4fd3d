"""The names Istio gives its resources, and how short host names are completed. Istio: pkg/config/host, pilot/pkg/model/service.go."""

from collections.abc import Iterable

from mesh.model.service import DEFAULT_DOMAIN

PASSTHROUGH = "PassthroughCluster"
BLACK_HOLE = "BlackHoleCluster"
INBOUND_PASSTHROUGH = "InboundPassthroughCluster"
HTTP_PROXY = "http_proxy"


def outbound(port: int, subset: str, hostname: str) -> str:
    return f"outbound|{port}|{subset}|{hostname}"


def inbound(port: int) -> str:
    return f"inbound|{port}||"


def full(host: str, namespace: str) -> str:
    """A host as a rule in this namespace means it: ``reviews`` is ``reviews.<namespace>.svc.cluster.local``."""
    if "." in host or host == "*":
        return host
    return f"{host}.{namespace}.svc.{DEFAULT_DOMAIN}"


def covers(pattern: str, hostname: str) -> bool:
    """Whether a rule's host, wildcard or not, names this host."""
    if pattern == hostname:
        return True
    return pattern.startswith("*") and hostname.endswith(pattern[1:]) and hostname != pattern[1:]


def most_specific(patterns: Iterable[str], hostname: str) -> str | None:
    """The pattern with the longest match: an exact name, then the longest wildcard."""
    fitting = [pattern for pattern in patterns if covers(pattern, hostname)]
    return max(fitting, key=lambda pattern: (not pattern.startswith("*"), len(pattern)), default=None)


def domains(hostname: str, name: str, namespace: str, from_namespace: str, *, external: bool) -> tuple[str, ...]:
    """All the ways a client in ``from_namespace`` may name a service, the full name first."""
    if external or not name:
        return (hostname,)
    svc = f"{name}.{namespace}.svc"
    short = (name,) if namespace == from_namespace else ()
    return (hostname, *short, f"{name}.{namespace}", svc)
