"""Everything one proxy should have, at one version; it checks itself before it is sent.

go-control-plane calls the same check ``Snapshot.Consistent``: a listener without its routes or a cluster without its endpoints would
leave an Envoy warming for ever.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from mesh.model.cluster import Cluster, Discovery
from mesh.model.endpoint import LoadAssignment
from mesh.model.listener import ApiListener, HttpConnectionManager, Listener
from mesh.model.route import RouteConfiguration
from mesh.xds import resources
from mesh.xds.subscription import Packed
from mesh.xds.types import CDS, EDS, LDS, RDS


class Inconsistent(Exception):
    """A snapshot that refers to what it does not hold: a fault of translation, never of the user's."""


@dataclass(frozen=True, slots=True)
class Parts:
    """The resources of one proxy before packing."""

    listeners: tuple[Listener | ApiListener, ...]
    routes: tuple[RouteConfiguration, ...]
    clusters: tuple[Cluster, ...]
    endpoints: tuple[LoadAssignment, ...]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """``version`` is ``<configuration version>/<digest of the content>``; ``by_type`` is what a subscription serves from."""

    config_version: int
    version: str
    by_type: Mapping[str, Mapping[str, Packed]]

    def to_json(self) -> dict[str, list[Any]]:
        return {url: [resources.to_json(packed.any) for packed in by_name.values()] for url, by_name in self.by_type.items()}


def check(parts: Parts) -> None:
    """Raises ``Inconsistent`` naming the first gap."""
    routes = {route.name for route in parts.routes}
    for listener in parts.listeners:
        for name in _routes_of(listener):
            if name not in routes:
                raise Inconsistent(f"listener {listener.name} wants route configuration {name}, which is not in the snapshot")
    assignments = {assignment.cluster for assignment in parts.endpoints}
    for cluster in parts.clusters:
        if cluster.discovery is Discovery.EDS and (cluster.eds_service_name or cluster.name) not in assignments:
            raise Inconsistent(f"cluster {cluster.name} has no endpoints resource in the snapshot")


def _routes_of(listener: Listener | ApiListener) -> Iterable[str]:
    if isinstance(listener, ApiListener):
        return (listener.route_config_name,)
    chains = (*listener.filter_chains, *((listener.default_filter_chain,) if listener.default_filter_chain else ()))
    managers = (chain.network_filter for chain in chains if isinstance(chain.network_filter, HttpConnectionManager))
    return tuple(manager.route_config_name for manager in managers if manager.route_config is None)


class Packer:
    """Packs resources, and knows those it packed before by their identity: shared ones are encoded once for all proxies."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[Any, Packed]] = {}  # the value is held, so its id stays its own

    def pack(self, resource: Any, name: str) -> Packed:
        known = self._known.get(id(resource))
        if known is not None:
            return known[1]
        encoded = resources.encode(resource)
        packed = Packed(name, encoded, hashlib.blake2b(encoded.value, digest_size=8).hexdigest())
        self._known[id(resource)] = (resource, packed)
        return packed


def build(parts: Parts, config_version: int, packer: Packer) -> Snapshot:
    """Check and pack. Raises ``Inconsistent``."""
    check(parts)
    by_type = {
        CDS: {cluster.name: packer.pack(cluster, cluster.name) for cluster in parts.clusters},
        EDS: {assignment.cluster: packer.pack(assignment, assignment.cluster) for assignment in parts.endpoints},
        LDS: {listener.name: packer.pack(listener, listener.name) for listener in parts.listeners},
        RDS: {route.name: packer.pack(route, route.name) for route in parts.routes},
    }
    content = hashlib.blake2b(digest_size=6)
    for by_name in by_type.values():
        for name, packed in by_name.items():
            content.update(f"{name}={packed.digest};".encode())
    return Snapshot(config_version, f"{config_version}/{content.hexdigest()}", by_type)
