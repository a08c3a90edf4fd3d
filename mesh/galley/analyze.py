"""What is valid and yet probably not meant: references to hosts and subsets that are not there, two rules for one host.

Istio: pkg/config/analysis/analyzers (destinationhost, virtualservice/conflictingmeshgatewayhosts, destinationrule). Always warnings: order
of application is free, and what is missing may come later. Until then a route to it answers 503.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from mesh.galley import diagnostics
from mesh.galley.config import Config
from mesh.galley.diagnostics import Diagnostic, did_you_mean
from mesh.galley.load import Loaded
from mesh.galley.models.destination_rule import DestinationRule
from mesh.galley.models.types import Meta
from mesh.galley.models.virtual_service import Destination, HTTPRoute, VirtualService
from mesh.galley.parse import Path
from mesh.galley.schema import Problem

DOMAIN = "svc.cluster.local"


def full_host(host: str, namespace: str) -> str:
    """Istio's ResolveShortnameToFQDN: a name without dots is a service of the same namespace, any other is taken as it is."""
    return host if "." in host or host == "*" else f"{host}.{namespace}.{DOMAIN}"


@dataclass(frozen=True, slots=True)
class _Known:
    """Hosts that are there, the subsets that rules give them, and which VirtualServices are for them, oldest first."""

    hosts: frozenset[str]
    wildcards: tuple[str, ...]
    subsets: dict[str, set[str]]
    claims: dict[str, list[Meta]]

    def has(self, host: str) -> bool:
        return host in self.hosts or any(host.endswith(known[1:]) for known in self.wildcards)


def analyze(loaded: Iterable[Loaded], config: Config) -> list[Diagnostic]:
    """Remarks on ``loaded``; ``config`` is how all would be with them in it."""
    known = _known(config)
    remarks: list[Diagnostic] = []
    for one in loaded:
        match one.resource:
            case VirtualService():
                problems = [*_routes(one.resource, known), *_conflicts(one.resource, known)]
            case DestinationRule():
                problems = list(_rule_host(one.resource, known))
            case _:
                problems = []
        remarks += [one.remark(problem) for problem in problems]
    return remarks


def _known(config: Config) -> _Known:
    hosts = {f"{service.meta.name}.{service.meta.namespace}.{DOMAIN}" for service in config.services}
    for entry in config.service_entries:
        hosts.update(full_host(host, entry.meta.namespace) for host in entry.spec.hosts)
    subsets: dict[str, set[str]] = {}
    for rule in config.destination_rules:
        subsets.setdefault(full_host(rule.spec.host, rule.meta.namespace), set()).update(subset.name for subset in rule.spec.subsets)
    claims: dict[str, list[Meta]] = {}
    for service in config.virtual_services:
        for host in service.spec.hosts if service.spec.in_mesh else ():
            claims.setdefault(full_host(host, service.meta.namespace), []).append(service.meta)
    return _Known(frozenset(hosts), tuple(host for host in hosts if host.startswith("*")), subsets, claims)


def _routes(service: VirtualService, known: _Known) -> Iterator[Problem]:
    for index, route in enumerate(service.spec.http):
        for path, destination in _destinations(route, ("spec", "http", index)):
            yield from _reference(destination, path, service.meta, known)


def _destinations(route: HTTPRoute, path: Path) -> Iterator[tuple[Path, Destination]]:
    for index, one in enumerate(route.route):
        yield (*path, "route", index, "destination"), one.destination
    if route.mirror is not None:
        yield (*path, "mirror"), route.mirror
    for index, mirror in enumerate(route.mirrors):
        yield (*path, "mirrors", index, "destination"), mirror.destination


def _reference(destination: Destination, path: Path, meta: Meta, known: _Known) -> Iterator[Problem]:
    host = full_host(destination.host, meta.namespace)
    if not known.has(host):
        hint = _nearest(destination.host, known, meta.namespace)
        yield Problem((*path, "host"), f'there is no host "{destination.host}"', hint, code=diagnostics.REFERENCE)
        return
    subsets = known.subsets.get(host, set())
    if destination.subset and destination.subset not in subsets:
        hint = did_you_mean(destination.subset, subsets) or "a DestinationRule gives a host its subsets"
        message = f'the host "{destination.host}" has no subset "{destination.subset}"'
        yield Problem((*path, "subset"), message, hint, code=diagnostics.REFERENCE)


def _nearest(host: str, known: _Known, namespace: str) -> str:
    """``reviews.default`` and ``reviews.default.svc`` are names to DNS, but not to Istio's rules."""
    whole = f"{host.removesuffix('.').removesuffix('.svc')}.{DOMAIN}"
    if whole in known.hosts:
        return f'write it in full: "{whole}"'
    return did_you_mean(host, [one.removesuffix(f".{namespace}.{DOMAIN}") for one in sorted(known.hosts)])


def _rule_host(rule: DestinationRule, known: _Known) -> Iterator[Problem]:
    host = full_host(rule.spec.host, rule.meta.namespace)
    if not host.startswith("*") and not known.has(host):
        hint = _nearest(rule.spec.host, known, rule.meta.namespace)
        yield Problem(("spec", "host"), f'there is no host "{rule.spec.host}"', hint, code="IST0174")


def _conflicts(service: VirtualService, known: _Known) -> Iterator[Problem]:
    """Two VirtualServices for one host of the mesh: the older is followed, the other is not."""
    own = (service.meta.namespace, service.meta.name)
    for index, host in enumerate(service.spec.hosts if service.spec.in_mesh else ()):
        claims = [meta for meta in known.claims[full_host(host, own[0])] if (meta.namespace, meta.name) != own]
        if claims:
            other = f"{claims[0].namespace}/{claims[0].name}"
            message = f'VirtualService {other} is for the host "{host}" too'
            yield Problem(("spec", "hosts", index), message, "the older one is followed", code="IST0109")
