"""Endpoints: one address each, grouped by cluster. Envoy: config.endpoint.v3.ClusterLoadAssignment."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum


class Health(Enum):
    UNKNOWN = "UNKNOWN"  # treated as healthy, as Envoy does
    HEALTHY = "HEALTHY"
    UNHEALTHY = "UNHEALTHY"
    DRAINING = "DRAINING"
    DEGRADED = "DEGRADED"  # asked only for what the healthy cannot carry


@dataclass(frozen=True, slots=True)
class Locality:
    region: str = ""
    zone: str = ""
    sub_zone: str = ""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """``metadata`` goes under the filter metadata key ``istio``; ``workload`` there is ``name;namespace;canonical;revision;cluster``."""

    address: str
    port: int
    health: Health = Health.HEALTHY
    weight: int = 1
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class LocalityEndpoints:
    endpoints: tuple[Endpoint, ...]
    locality: Locality = Locality()
    priority: int = 0
    weight: int = 1


@dataclass(frozen=True, slots=True)
class LoadAssignment:
    cluster: str
    localities: tuple[LocalityEndpoints, ...] = ()

    @property
    def endpoints(self) -> tuple[Endpoint, ...]:
        return tuple(e for group in self.localities for e in group.endpoints)
