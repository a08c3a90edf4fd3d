"""Has everyone applied it? What ``apply`` waits for, and what status and debug pages show.

Istio had ``istioctl experimental wait`` for this and lost it; its users ask for it.
Istio: /debug/syncz, /debug/registryz, /debug/endpointz.
"""

import asyncio
from typing import Any

from mesh.galley.api import Distribution
from mesh.model.world import Clock
from mesh.pilot.discovery import Connection, Discovery
from mesh.pilot.registry import Registry
from mesh.xds.types import EDS, PUSH_ORDER, SHORT


class Distributor:
    """Implements what galley's API asks for: ``wait`` and the debug pages."""

    def __init__(self, discovery: Discovery, registry: Registry, clock: Clock) -> None:
        self._discovery = discovery
        self._registry = registry
        self._clock = clock
        self._stir = asyncio.Event()
        discovery.on_progress = self._stir.set

    async def wait(self, version: int, timeout_seconds: float) -> Distribution:
        """Until every proxy has applied this configuration version, or one has rejected it, or the time is over."""
        started = self._clock()
        try:
            async with asyncio.timeout(timeout_seconds):
                while not self._decided(version):
                    self._stir.clear()
                    await self._stir.wait()
        except TimeoutError:
            pass
        return self._distribution(version, self._clock() - started)

    def _decided(self, version: int) -> bool:
        return not self._discovery.stale and all(word != "PENDING" for word in self._words(version).values())

    def _words(self, version: int) -> dict[str, str]:
        connections = [connection for connection in self._discovery.connections if connection.is_proxy]
        words = {connection.node.id: _word(connection, version) for connection in connections}
        for node_id in self._registry.missing():
            words[node_id] = "PENDING"
        return words

    def _distribution(self, version: int, seconds: float) -> Distribution:
        words = self._words(version)
        touched = sum(connection.touched == version for connection in self._discovery.connections if connection.is_proxy)
        return Distribution(
            complete=all(word == "SYNCED" for word in words.values()), proxies=dict(sorted(words.items())), seconds=seconds, touched=touched
        )

    def syncz(self) -> list[dict[str, Any]]:
        health = {workload.node.id: workload for workload in self._registry.workloads}
        rows = [_row(connection, self._discovery.stale) for connection in self._discovery.connections if connection.is_proxy]
        for row in rows:
            workload = health.get(row["proxy"])
            row["healthy"] = workload.healthy if workload else None
        rows += [
            {"proxy": node_id, "connected": False, "dataplane": health[node_id].node.dataplane, "types": {}, "healthy": None}
            for node_id in self._registry.missing()
        ]
        return sorted(rows, key=lambda row: str(row["proxy"]))

    def registryz(self) -> list[dict[str, Any]]:
        return [
            {
                "proxy": workload.node.id,
                "name": workload.node.name,
                "namespace": workload.node.namespace,
                "address": workload.node.ip,
                "labels": dict(workload.node.labels),
                "ports": [port.listen_port for port in workload.node.bindings.inbound],
                "healthy": workload.healthy,
                "health_message": "" if workload.healthy else workload.health_message,
            }
            for workload in self._registry.workloads
        ]

    def endpointz(self) -> list[dict[str, Any]]:
        """Each outbound cluster with its endpoints, as any proxy gets them."""
        for connection in self._discovery.connections:
            if connection.snapshot is not None:
                return connection.snapshot.to_json()[EDS]
        return []

    def configz(self) -> dict[str, Any]:
        return {"version": self._discovery.config_version}

    def config_dump(self, proxy: str) -> dict[str, Any]:
        """The snapshot of a proxy, named by its node id or its workload's name. Raises KeyError when there is no such proxy."""
        for connection in self._discovery.connections:
            if connection.snapshot is not None and proxy in (connection.node.id, connection.node.name):
                dumped = connection.snapshot.to_json()
                return {"version": connection.snapshot.version, **{SHORT[url]: resources for url, resources in dumped.items()}}
        raise KeyError(proxy)


def _word(connection: Connection, version: int) -> str:
    if connection.snapshot is None or connection.snapshot.config_version < version:
        return "PENDING"
    if connection.subscription.error:
        return f"NACK: {connection.subscription.error}"
    return "SYNCED" if connection.subscription.settled else "PENDING"


def _row(connection: Connection, stale: bool) -> dict[str, Any]:
    node = connection.node
    types = {}
    for type_url in PUSH_ORDER:
        sent, acked, status, error = connection.subscription.status(type_url)
        types[SHORT[type_url]] = {
            "sent": sent,
            "acked": acked,
            "status": "STALE" if stale and status == "SYNCED" else status,
            "error": error,
        }
    return {
        "proxy": node.id,
        "dataplane": node.dataplane or ("grpc" if node.generator == "grpc" else "envoy"),
        "node": {"name": node.name, "namespace": node.namespace, "ip": node.ip, "labels": dict(node.labels)},
        "connected": True,
        "synced": connection.subscription.settled and not stale,
        "types": types,
    }
