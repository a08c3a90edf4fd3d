"""Which kinds are acted on, which are let pass, which are refused, and why.

Istio: pkg/config/schema/collections. Kinds are told apart by API group and kind; the versions of a group are equal, as in Istio.
"""

from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from mesh.galley.config import Resource
from mesh.galley.diagnostics import did_you_mean
from mesh.galley.models.destination_rule import DestinationRule, DestinationRuleSpec
from mesh.galley.models.gateway import Gateway, GatewaySpec
from mesh.galley.models.service import Service, ServiceSpec
from mesh.galley.models.service_entry import ServiceEntry, ServiceEntrySpec
from mesh.galley.models.types import Meta
from mesh.galley.models.virtual_service import VirtualService, VirtualServiceSpec

NETWORKING = "networking.istio.io"
ISTIO_VERSIONS = ("v1", "v1beta1", "v1alpha3")


@dataclass(frozen=True, slots=True)
class Kind:
    """``versions``: the first is how it is served. ``strict``: null is no value (Istio's schemas; Kubernetes' own types take it)."""

    group: str
    name: str
    plural: str
    versions: tuple[str, ...]
    spec: type[BaseModel]
    resource: Any
    strict: bool = True

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.versions[0]}" if self.group else self.versions[0]

    def build(self, meta: Meta, spec: BaseModel) -> Resource:
        resource: Resource = self.resource(meta, spec)
        return resource


KINDS = (
    Kind(NETWORKING, "VirtualService", "virtualservices", ISTIO_VERSIONS, VirtualServiceSpec, VirtualService),
    Kind(NETWORKING, "DestinationRule", "destinationrules", ISTIO_VERSIONS, DestinationRuleSpec, DestinationRule),
    Kind(NETWORKING, "ServiceEntry", "serviceentries", ISTIO_VERSIONS, ServiceEntrySpec, ServiceEntry),
    Kind(NETWORKING, "Gateway", "gateways", ISTIO_VERSIONS, GatewaySpec, Gateway),
    Kind("", "Service", "services", ("v1",), ServiceSpec, Service, strict=False),
)
BY_NAME = {kind.name: kind for kind in KINDS}
BY_PLURAL = {kind.plural: kind for kind in KINDS}

NOT_YET = {
    NETWORKING: ("Sidecar", "WorkloadEntry", "WorkloadGroup", "EnvoyFilter", "ProxyConfig"),
    "security.istio.io": ("PeerAuthentication", "RequestAuthentication", "AuthorizationPolicy"),
    "telemetry.istio.io": ("Telemetry",),
    "extensions.istio.io": ("WasmPlugin", "TrafficExtension"),
    "gateway.networking.k8s.io": (
        "HTTPRoute",
        "GRPCRoute",
        "TCPRoute",
        "TLSRoute",
        "UDPRoute",
        "ReferenceGrant",
        "BackendTLSPolicy",
        "ListenerSet",
        "XListenerSet",
        "XBackend",
        "XBackendTrafficPolicy",
    ),
}
"""Istio's and Gateway API's kinds that would change traffic: to let them pass would be to lie."""

WITHOUT_MEANING = {
    "gateway.networking.k8s.io": ("Gateway", "GatewayClass"),
    "": (
        "Namespace",
        "Node",
        "ServiceAccount",
        "ConfigMap",
        "Secret",
        "Pod",
        "Endpoints",
        "PersistentVolume",
        "PersistentVolumeClaim",
    ),
    "apps": ("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet"),
    "batch": ("Job", "CronJob"),
    "autoscaling": ("HorizontalPodAutoscaler",),
    "policy": ("PodDisruptionBudget",),
    "networking.k8s.io": ("Ingress", "IngressClass", "NetworkPolicy"),
    "rbac.authorization.k8s.io": ("Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding"),
}
"""Parts of ordinary files that this mesh has no use for: workloads come from the topology."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """``field`` is what is wrong: "apiVersion" or "kind". ``tolerated``: a warning, and the document is left out."""

    message: str
    hint: str
    field: str = "kind"
    tolerated: bool = False


def find(api_version: str, name: str) -> Kind | Refusal:
    group, _, version = api_version.rpartition("/")
    kind = BY_NAME.get(name)
    if kind and kind.group == group:
        if version in kind.versions:
            return kind
        return Refusal(f'{name} has no version "{version}"', f"there are {', '.join(kind.versions)}", "apiVersion")
    if name in NOT_YET.get(group, ()):
        hint = "use a VirtualService" if name in ("HTTPRoute", "GRPCRoute") else f"there are {', '.join(BY_NAME)}"
        return Refusal(f"{name} is not supported yet", hint)
    if name in WITHOUT_MEANING.get(group, ()):
        return Refusal(f"{name} has no effect in this mesh and is left out", "", tolerated=True)
    return _unknown(group, version, name)


def _unknown(group: str, version: str, name: str) -> Refusal:
    everywhere = [(kind.group, kind.name) for kind in KINDS]
    everywhere += [(one, word) for table in (NOT_YET, WITHOUT_MEANING) for one, words in table.items() for word in words]
    homes = [one for one, word in everywhere if word == name]
    if homes:
        versions = BY_NAME[name].versions if name in BY_NAME else ("v1",)
        right = version if version in versions else versions[0]
        return Refusal(
            f'there is no kind {name} in "{group or version}"', f'did you mean "{"/".join(filter(None, (homes[0], right)))}"?', "apiVersion"
        )
    return Refusal(
        f'the kind "{name}" is not known', did_you_mean(name, (word for _, word in everywhere)) or f"there are {', '.join(BY_NAME)}"
    )
