"""gRPC's generated side of the aggregated discovery service, handed on so that no other room imports it."""

from envoy.service.discovery.v3.ads_pb2_grpc import (
    AggregatedDiscoveryServiceServicer,
    AggregatedDiscoveryServiceStub,
    add_AggregatedDiscoveryServiceServicer_to_server,
)
from envoy.service.discovery.v3.discovery_pb2 import DiscoveryRequest, DiscoveryResponse

__all__ = [
    "AggregatedDiscoveryServiceServicer",
    "AggregatedDiscoveryServiceStub",
    "DiscoveryRequest",
    "DiscoveryResponse",
    "add_AggregatedDiscoveryServiceServicer_to_server",
]
