"""Type URLs of the resources this mesh speaks, and the order in which a change is pushed.

Envoy: xds_protocol.rst, "Eventual consistency considerations": make before break means CDS, EDS, LDS, RDS.
"""

_ENVOY = "type.googleapis.com/envoy.config."
CDS = _ENVOY + "cluster.v3.Cluster"
EDS = _ENVOY + "endpoint.v3.ClusterLoadAssignment"
LDS = _ENVOY + "listener.v3.Listener"
RDS = _ENVOY + "route.v3.RouteConfiguration"

PUSH_ORDER = (CDS, EDS, LDS, RDS)
WILDCARD = frozenset({CDS, LDS})  # asked for without names, they mean "all that is mine"
SHORT = {CDS: "CDS", EDS: "EDS", LDS: "LDS", RDS: "RDS"}

HEALTH = "type.googleapis.com/istio.v1.HealthInformation"
"""Not a resource: a request of this type reports the app's health. Istio: pkg/istio-agent/health."""


class Rejected(Exception):
    """A resource that this data plane cannot use: the NACK's text is ``str(error)``."""

    def __init__(self, resource: str, message: str) -> None:
        super().__init__(f"{resource}: {message}")
        self.resource = resource
        self.message = message
