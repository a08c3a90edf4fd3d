"""Any resource, to the wire and back: picks the codec by type."""

from typing import Any

from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.endpoint.v3 import endpoint_pb2
from envoy.config.listener.v3 import listener_pb2
from envoy.config.route.v3 import route_pb2
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import DecodeError

from mesh.model.cluster import Cluster
from mesh.model.endpoint import LoadAssignment
from mesh.model.listener import ApiListener, Listener
from mesh.model.route import RouteConfiguration
from mesh.xds import clusters, endpoints, listeners, parts, routes
from mesh.xds.types import CDS, EDS, LDS, RDS, Rejected

Resource = Listener | ApiListener | RouteConfiguration | Cluster | LoadAssignment

_MESSAGES: dict[str, Any] = {
    CDS: cluster_pb2.Cluster,
    EDS: endpoint_pb2.ClusterLoadAssignment,
    LDS: listener_pb2.Listener,
    RDS: route_pb2.RouteConfiguration,
}
_DECODERS: dict[str, Any] = {CDS: clusters.decode, EDS: endpoints.decode, LDS: listeners.decode, RDS: routes.decode}
_ENCODERS: dict[type, Any] = {
    Cluster: clusters.encode,
    LoadAssignment: endpoints.encode,
    Listener: listeners.encode,
    ApiListener: listeners.encode_api,
    RouteConfiguration: routes.encode,
}


def message(resource: Resource) -> Any:
    return _ENCODERS[type(resource)](resource)


def encode(resource: Resource) -> Any:
    """The resource as an Any; the same value gives the same bytes."""
    return parts.pack(message(resource))


def decode(type_url: str, packed: Any) -> Listener | RouteConfiguration | Cluster | LoadAssignment:
    """Raises ``Rejected``: bytes that are no such resource, or one that this data plane cannot use."""
    target = _MESSAGES[type_url]()
    try:
        parts.unpack(packed, target)
    except (ValueError, DecodeError) as error:
        name = target.cluster_name if type_url == EDS else target.name
        raise Rejected(name or "?", str(error)) from None
    decoded: Listener | RouteConfiguration | Cluster | LoadAssignment = _DECODERS[type_url](target)
    return decoded


def to_json(packed: Any) -> dict[str, Any]:
    """Envoy's own JSON of a packed resource, for dumps."""
    target = _MESSAGES[packed.type_url]()
    packed.Unpack(target)
    values: dict[str, Any] = MessageToDict(target, preserving_proto_field_name=True)
    return {"@type": packed.type_url, **values}
