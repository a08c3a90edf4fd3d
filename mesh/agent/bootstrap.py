"""The bootstrap of a real Envoy: who it is, where its control plane is, where its admin listens. Everything else comes by ADS.

Envoy: config.bootstrap.v3.Bootstrap; Istio: tools/packaging/common/envoy_bootstrap.json.
"""

from typing import Any

from mesh.agent.settings import Settings
from mesh.xds.node import node_metadata

XDS_CLUSTER = "xds-grpc"


def bootstrap(settings: Settings) -> dict[str, Any]:
    """As JSON-able values."""
    node = settings.node
    return {
        "node": {"id": node.id, "cluster": node.cluster, "metadata": node_metadata(node)},
        "admin": {"address": _address(settings.admin.host, settings.admin.port)},
        "dynamic_resources": {
            "ads_config": {
                "api_type": "GRPC",
                "transport_api_version": "V3",
                "set_node_on_first_message_only": True,
                "grpc_services": [{"envoy_grpc": {"cluster_name": XDS_CLUSTER}}],
            },
            "cds_config": _OVER_ADS,
            "lds_config": _OVER_ADS,
        },
        "static_resources": {"clusters": [_xds_cluster(settings)]},
        "layered_runtime": {"layers": [{"name": "static", "static_layer": {"overload.global_downstream_max_connections": 50_000}}]},
    }


_OVER_ADS = {"ads": {}, "initial_fetch_timeout": "0s", "resource_api_version": "V3"}


def _address(host: str, port: int) -> dict[str, Any]:
    return {"socket_address": {"address": host, "port_value": port}}


def _xds_cluster(settings: Settings) -> dict[str, Any]:
    options = {
        "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
        "explicit_http_config": {"http2_protocol_options": {"connection_keepalive": {"interval": "30s", "timeout": "10s"}}},
    }
    return {
        "name": XDS_CLUSTER,
        "type": "STRICT_DNS",
        "dns_lookup_family": "V4_ONLY",
        "dns_refresh_rate": "1s",
        "connect_timeout": "1s",
        "typed_extension_protocol_options": {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": options},
        "load_assignment": {
            "cluster_name": XDS_CLUSTER,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": _address(settings.xds.host, settings.xds.port)}}]}],
        },
    }
