"""Service: a name, its ports, and the labels of the workloads behind it. Kubernetes: core/v1 Service."""

from dataclasses import dataclass
from typing import Literal

from pydantic import ConfigDict, Field
from pydantic.alias_generators import to_camel

from mesh.galley.models.types import Int32, Labels, Meta, Model


class Tolerant(Model):
    """Kubernetes has many more fields than matter here; they are let pass."""

    model_config = ConfigDict(extra="ignore", frozen=True, alias_generator=to_camel, populate_by_name=True)


class ServicePort(Tolerant):
    port: Int32
    name: str = ""
    protocol: Literal["TCP", "UDP", "SCTP"] = "TCP"
    app_protocol: str = ""
    target_port: Int32 | str | None = None


class ServiceSpec(Tolerant):
    """``cluster_ip`` "None" makes it headless."""

    ports: tuple[ServicePort, ...] = ()
    selector: Labels = Field(default_factory=dict)
    type: Literal["ClusterIP", "NodePort", "LoadBalancer", "ExternalName"] = "ClusterIP"
    cluster_ip: str = Field(default="", alias="clusterIP")
    external_name: str = ""


@dataclass(frozen=True, slots=True)
class Service:
    meta: Meta
    spec: ServiceSpec
