"""ServiceEntry: a service that no workload of the mesh announces. Istio: networking.v1 ServiceEntry."""

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from mesh.galley.models.types import Labels, Meta, Model, Resolution, Uint32, Words, WorkloadSelector


class ServiceEntryPort(Model):
    number: Uint32
    name: Annotated[str, Field(max_length=256)]
    protocol: Annotated[str, Field(max_length=256)] = ""
    target_port: Uint32 | None = None


class WorkloadEntry(Model):
    address: Annotated[str, Field(max_length=256)] = ""
    ports: dict[str, Uint32] = Field(default_factory=dict)
    labels: Labels = Field(default_factory=dict)
    network: str = ""
    locality: str = ""
    weight: Uint32 = 0
    service_account: str = ""


class ServiceEntrySpec(Model):
    hosts: Annotated[Words, Field(min_length=1, max_length=256)]
    addresses: Annotated[Words, Field(max_length=256)] = ()
    ports: Annotated[tuple[ServiceEntryPort, ...], Field(max_length=256)] = ()
    location: Literal["MESH_EXTERNAL", "MESH_INTERNAL"] = "MESH_EXTERNAL"
    resolution: Resolution = "NONE"
    endpoints: Annotated[tuple[WorkloadEntry, ...], Field(max_length=4096)] = ()
    workload_selector: WorkloadSelector | None = None
    export_to: Words = ()
    subject_alt_names: Words = ()


@dataclass(frozen=True, slots=True)
class ServiceEntry:
    meta: Meta
    spec: ServiceEntrySpec
