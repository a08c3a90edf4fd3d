"""Which HTTP a cluster's endpoints are spoken to: what the port declares, or a DestinationRule's h2UpgradePolicy and useClientProtocol.

Istio: pilot/pkg/networking/core/cluster_traffic_policy.go (shouldH2Upgrade, setHTTPProtocolOptions), cluster_builder.go. What a port does
not declare, and what no service explains, goes on as it came.
"""

from dataclasses import replace

from mesh.galley.models.destination_rule import ConnectionPool, HTTPSettings
from mesh.model.cluster import Cluster, HttpProtocol
from mesh.model.service import ServicePort
from mesh.pilot.translate.mesh import UNDECLARED

HTTP2_PROTOCOLS = frozenset({"HTTP2", "GRPC", "GRPC-WEB"})


def spoken(protocol: str) -> HttpProtocol:
    if protocol in HTTP2_PROTOCOLS:
        return HttpProtocol.HTTP2
    return HttpProtocol.DOWNSTREAM if protocol == UNDECLARED else HttpProtocol.HTTP1


def outbound(cluster: Cluster, port: ServicePort, pool: ConnectionPool | None) -> Cluster:
    settings = (pool and pool.http) or HTTPSettings()
    chosen = spoken(port.protocol)
    if settings.use_client_protocol:
        chosen = HttpProtocol.DOWNSTREAM
    elif settings.h2_upgrade_policy == "UPGRADE" and port.protocol == "HTTP":
        chosen = HttpProtocol.HTTP2
    streams = None if chosen is HttpProtocol.HTTP1 else settings.max_concurrent_streams or None
    return replace(cluster, http_protocol=chosen, max_concurrent_streams=streams)


def inbound(cluster: Cluster, port: ServicePort | None) -> Cluster:
    """To the app, which speaks what its service's port says."""
    return replace(cluster, http_protocol=spoken(port.protocol if port is not None else UNDECLARED))
