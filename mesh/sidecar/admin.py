"""The admin interface: what the proxy has, does and counts, in Envoy's forms. It listens on loopback only.

Envoy: operations/admin. Pages that change something are POSTed.
"""

from collections.abc import Callable, Mapping
from typing import Any

from mesh.model.world import Clock
from mesh.sidecar.pages import Page, Query, Table, as_json
from mesh.sidecar.proxy import Proxy
from mesh.sidecar.xds_client import XdsClient
from mesh.xds import resources
from mesh.xds.node import ISTIO_VERSION, node_metadata

_DUMP = "type.googleapis.com/envoy.admin.v3."
_ENTRIES = {
    "dynamic_active_clusters": "ClustersConfigDump.DynamicCluster",
    "dynamic_listeners": "ListenersConfigDump.DynamicListener",
    "dynamic_route_configs": "RoutesConfigDump.DynamicRouteConfig",
    "dynamic_endpoint_configs": "EndpointsConfigDump.DynamicEndpointConfig",
}
PROMETHEUS = "text/plain; version=0.0.4; charset=utf-8"


class Admin:
    """``stop`` is called by POST /quitquitquit."""

    def __init__(self, proxy: Proxy, xds: XdsClient, clock: Clock, stop: Callable[[], None]) -> None:
        self._proxy, self._xds, self._clock, self._stop = proxy, xds, clock, stop
        self._started = clock()
        self.draining = False

    def table(self) -> Table:
        return {
            ("GET", "/ready"): lambda _: self._ready(),
            ("GET", "/server_info"): lambda _: as_json(self._server_info()),
            ("GET", "/config_dump"): self._config_dump,
            ("GET", "/clusters"): self._clusters,
            ("GET", "/listeners"): self._listeners,
            ("GET", "/stats"): self._stats,
            ("GET", "/stats/prometheus"): lambda _: Page(self._proxy.prometheus(), content_type=PROMETHEUS),
            ("POST", "/quitquitquit"): lambda _: self._quit(),
        }

    def _state(self) -> str:
        if self.draining:
            return "DRAINING"
        return "LIVE" if self._xds.synced.is_set() else "INITIALIZING"

    def _ready(self) -> Page:
        state = self._state()
        return Page(f"{state}\n", 200 if state == "LIVE" else 503)

    def _server_info(self) -> dict[str, Any]:
        node = self._proxy.node
        return {
            "version": f"seatrial/{ISTIO_VERSION}",
            "state": self._state(),
            "uptime_current_epoch": f"{self._clock() - self._started:.0f}s",
            "node": {"id": node.id, "cluster": node.cluster, "metadata": node_metadata(node)},
            "control_plane_connected": self._xds.connected,
            "errors": self._xds.errors,
        }

    def _quit(self) -> Page:
        self._stop()
        return Page("OK\n")

    def _config_dump(self, query: Query) -> Page:
        """``?resource=dynamic_listeners``: the entries of that one field; ``?include_eds``: with the endpoints."""
        field = query.get("resource")
        if field is None:
            return as_json({"configs": self._configs(include_endpoints="include_eds" in query)})
        if field not in _ENTRIES:
            return Page(f"{field} not found in config dump\n", 404)
        parts = self._configs(include_endpoints=True)
        return as_json({"configs": [{"@type": _DUMP + _ENTRIES[field], **entry} for part in parts for entry in part.get(field, ())]})

    def _configs(self, *, include_endpoints: bool) -> list[dict[str, Any]]:
        held, versions = self._proxy.state.resources, self._xds.versions()
        dump: list[dict[str, Any]] = [
            {
                "@type": _DUMP + "ClustersConfigDump",
                "version_info": versions["CDS"],
                "dynamic_active_clusters": [{"version_info": versions["CDS"], "cluster": _wire(c)} for c in held.clusters.values()],
            },
            {
                "@type": _DUMP + "ListenersConfigDump",
                "version_info": versions["LDS"],
                "dynamic_listeners": [
                    {"name": name, "active_state": {"version_info": versions["LDS"], "listener": _wire(listener)}}
                    for name, listener in held.listeners.items()
                ],
            },
            {
                "@type": _DUMP + "RoutesConfigDump",
                "dynamic_route_configs": [{"version_info": versions["RDS"], "route_config": _wire(r)} for r in held.routes.values()],
            },
        ]
        if include_endpoints:
            endpoints = [{"endpoint_config": _wire(assignment)} for assignment in held.load_assignments.values()]
            dump.append({"@type": _DUMP + "EndpointsConfigDump", "dynamic_endpoint_configs": endpoints})
        return dump

    def _clusters(self, query: Query) -> Page:
        hosts = self._proxy.hosts()
        if query.get("format") == "json":
            return as_json({"cluster_statuses": _statuses(hosts)})
        lines = []
        for view in hosts:
            where = f"{view.cluster}::{view.endpoint.address}:{view.endpoint.port}"
            lines += [f"{where}::{name}::{value}" for name, value in _numbers(view.stats).items()]
            lines.append(f"{where}::health_flags::{_flags(view)}")
            lines.append(f"{where}::weight::{view.endpoint.weight}")
        return Page("\n".join(lines) + "\n")

    def _listeners(self, query: Query) -> Page:
        addresses = self._proxy.listener_addresses()
        if query.get("format") == "json":
            statuses = [
                {"name": name, "local_address": {"socket_address": {"address": host, "port_value": port}}}
                for name, (host, port) in addresses.items()
            ]
            return as_json({"listener_statuses": statuses})
        return Page("".join(f"{name}::{host}:{port}\n" for name, (host, port) in addresses.items()))

    def _stats(self, query: Query) -> Page:
        if query.get("format") == "prometheus":
            return Page(self._proxy.prometheus(), content_type=PROMETHEUS)
        wanted = query.get("filter", "")
        stats = {name: value for name, value in sorted(self._proxy.stats().items()) if wanted in name}
        if query.get("format") == "json":
            return as_json({"stats": [{"name": name, "value": value} for name, value in stats.items()]})
        return Page("".join(f"{name}: {value}\n" for name, value in stats.items()))


def _wire(resource: Any) -> Mapping[str, Any]:
    return resources.to_json(resources.encode(resource))


_HEALTH_FLAGS = {"HEALTHY": "", "UNKNOWN": "", "DEGRADED": "/degraded_eds_health", "DRAINING": "/eds_status_draining"}


def _flags(view: Any) -> str:
    health = view.endpoint.health.value
    flags = ("/failed_outlier_check" if view.ejected else "") + _HEALTH_FLAGS.get(health, "/failed_eds_health")
    return flags or "healthy"


def _numbers(stats: Any) -> dict[str, int]:
    names = getattr(stats, "__slots__", None) or vars(stats)
    return {name: getattr(stats, name) for name in names if isinstance(getattr(stats, name), int)}


def _statuses(hosts: Any) -> list[dict[str, Any]]:
    by_cluster: dict[str, list[dict[str, Any]]] = {}
    for view in hosts:
        by_cluster.setdefault(view.cluster, []).append(
            {
                "address": {"socket_address": {"address": view.endpoint.address, "port_value": view.endpoint.port}},
                "stats": [{"name": name, "value": str(value)} for name, value in _numbers(view.stats).items()],
                "health_status": {
                    "eds_health_status": view.endpoint.health.value,
                    **({"failed_outlier_check": True} if view.ejected else {}),
                },
                "weight": view.endpoint.weight,
            }
        )
    return [{"name": name, "host_statuses": statuses} for name, statuses in by_cluster.items()]
