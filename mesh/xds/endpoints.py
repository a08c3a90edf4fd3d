"""Load assignments on the wire. Envoy: config.endpoint.v3.ClusterLoadAssignment."""

from typing import Any

from envoy.config.core.v3 import base_pb2, health_check_pb2
from envoy.config.endpoint.v3 import endpoint_components_pb2, endpoint_pb2
from google.protobuf import wrappers_pb2

from mesh.model.endpoint import Endpoint, Health, LoadAssignment, Locality, LocalityEndpoints
from mesh.xds import parts


def encode(assignment: LoadAssignment) -> Any:
    message = endpoint_pb2.ClusterLoadAssignment(cluster_name=assignment.cluster)
    for group in assignment.localities:
        place = group.locality
        message.endpoints.append(
            endpoint_components_pb2.LocalityLbEndpoints(
                locality=base_pb2.Locality(region=place.region, zone=place.zone, sub_zone=place.sub_zone),
                lb_endpoints=[_encode_endpoint(endpoint) for endpoint in group.endpoints],
                load_balancing_weight=wrappers_pb2.UInt32Value(value=group.weight),
                priority=group.priority,
            )
        )
    return message


def _encode_endpoint(endpoint: Endpoint) -> Any:
    message = endpoint_components_pb2.LbEndpoint(
        endpoint=endpoint_components_pb2.Endpoint(address=parts.address(endpoint.address, endpoint.port)),
        health_status=health_check_pb2.HealthStatus.Value(endpoint.health.value),
        load_balancing_weight=wrappers_pb2.UInt32Value(value=endpoint.weight),
    )
    parts.write_istio_metadata(endpoint.metadata, message.metadata)
    return message


def decode(message: Any) -> LoadAssignment:
    return LoadAssignment(message.cluster_name, tuple(_decode_locality(group) for group in message.endpoints))


def _decode_locality(group: Any) -> LocalityEndpoints:
    return LocalityEndpoints(
        endpoints=tuple(_decode_endpoint(endpoint) for endpoint in group.lb_endpoints),
        locality=Locality(group.locality.region, group.locality.zone, group.locality.sub_zone),
        priority=group.priority,
        weight=group.load_balancing_weight.value or 1,
    )


def _decode_endpoint(message: Any) -> Endpoint:
    where = message.endpoint.address.socket_address
    status = health_check_pb2.HealthStatus.Name(message.health_status)
    return Endpoint(
        address=where.address,
        port=where.port_value,
        health=Health(status) if status in Health.__members__ else Health.UNHEALTHY,
        weight=message.load_balancing_weight.value or 1,
        metadata=parts.read_istio_metadata(message.metadata),
    )
