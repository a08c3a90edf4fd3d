"""What is configured: one immutable view of all objects, as the control plane translates it.

Istio: pilot/pkg/model PushContext; its order rule is sortConfigByCreationTime: oldest first, then by name and namespace.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from mesh.galley.models.destination_rule import DestinationRule
from mesh.galley.models.gateway import Gateway
from mesh.galley.models.service import Service
from mesh.galley.models.service_entry import ServiceEntry
from mesh.galley.models.virtual_service import VirtualService

Resource = VirtualService | DestinationRule | ServiceEntry | Service | Gateway


@dataclass(frozen=True, slots=True)
class Config:
    """Every tuple is sorted oldest first: of two rules for one host the older wins, as in Istio."""

    virtual_services: tuple[VirtualService, ...] = ()
    destination_rules: tuple[DestinationRule, ...] = ()
    service_entries: tuple[ServiceEntry, ...] = ()
    services: tuple[Service, ...] = ()
    version: int = 0
    gateways: tuple[Gateway, ...] = ()


def config_of(resources: Iterable[Resource], version: int = 0) -> Config:
    ordered = sorted(resources, key=lambda r: (r.meta.created, r.meta.name, r.meta.namespace))
    return Config(
        tuple(r for r in ordered if isinstance(r, VirtualService)),
        tuple(r for r in ordered if isinstance(r, DestinationRule)),
        tuple(r for r in ordered if isinstance(r, ServiceEntry)),
        tuple(r for r in ordered if isinstance(r, Service)),
        version,
        tuple(r for r in ordered if isinstance(r, Gateway)),
    )
