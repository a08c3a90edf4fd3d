"""The kinds of configuration as people type them, and what a table shows of each. kubectl: `api-resources`, printer columns."""

from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from lab.cli.choose import did_you_mean
from lab.cli.exits import USAGE, fail
from lab.cli.output import Column

NETWORKING = "networking.istio.io"
ALL = "all"
ALIASES = {
    "VirtualService": ("virtualservice", "virtualservices", "vs"),
    "DestinationRule": ("destinationrule", "destinationrules", "dr"),
    "ServiceEntry": ("serviceentry", "serviceentries", "se"),
    "Service": ("service", "services", "svc"),
}
NAME, NAMESPACE = Column("NAME", "name"), Column("NAMESPACE", "namespace", wide=True)
COLUMNS = {
    "VirtualService": (NAME, NAMESPACE, Column("HOSTS", "hosts"), Column("ROUTES", "routes"), Column("GATEWAYS", "gateways", wide=True)),
    "DestinationRule": (NAME, NAMESPACE, Column("HOST", "host"), Column("SUBSETS", "subsets")),
    "ServiceEntry": (NAME, NAMESPACE, Column("HOSTS", "hosts"), Column("LOCATION", "location"), Column("RESOLUTION", "resolution")),
    "Service": (NAME, NAMESPACE, Column("PORTS", "ports"), Column("SELECTOR", "selector", wide=True)),
}


def kinds_of(said: str) -> list[str]:
    """The kinds that a word names: ``vs`` is one, ``all`` is all of them. Exits for a word that names none."""
    word = said.lower().removesuffix(f".{NETWORKING}")
    if word == ALL:
        return list(ALIASES)
    found = [kind for kind, aliases in ALIASES.items() if word in aliases]
    if not found:
        _unknown(said, word)
    return found


def _unknown(said: str, word: str) -> NoReturn:
    known = [alias for aliases in ALIASES.values() for alias in aliases]
    fail(f'there is no kind "{said}"', USAGE, did_you_mean(word, [*known, ALL]) or f"kinds: {', '.join(ALIASES)}, or {ALL}")


def line_of(resource: Mapping[str, str], what: str = "") -> str:
    """As kubectl says it: virtualservice.networking.istio.io/reviews created."""
    group = "" if resource["kind"] == "Service" else f".{NETWORKING}"
    named = f"{resource['kind'].lower()}{group}/{resource['name']}"
    return f"{named} {what}".rstrip()


def row_of(resource: Mapping[str, Any]) -> dict[str, Any]:
    metadata, spec = resource.get("metadata", {}), resource.get("spec", {})
    row = {"name": metadata.get("name"), "namespace": metadata.get("namespace"), "kind": resource.get("kind")}
    for key in ("hosts", "host", "gateways", "location", "resolution", "selector"):
        row[key] = spec.get(key)
    row["subsets"] = [subset.get("name") for subset in spec.get("subsets") or ()]
    row["routes"] = "; ".join(_route(rule) for rule in spec.get("http") or ())
    row["ports"] = [f"{port.get('port') or port.get('number')}/{port.get('name') or 'tcp'}" for port in spec.get("ports") or ()]
    return row


def _route(rule: Mapping[str, Any]) -> str:
    """One HTTP rule in a few characters: reviews:v1 90, reviews:v3 10."""
    destinations: Sequence[Mapping[str, Any]] = rule.get("route") or ()
    if not destinations:
        return "redirect" if "redirect" in rule else "direct response" if "directResponse" in rule else "-"
    targets = ", ".join(_target(each) for each in destinations)
    return f"{targets} (if matched)" if rule.get("match") else targets


def _target(weighted: Mapping[str, Any]) -> str:
    destination = weighted.get("destination", {})
    subset = f":{destination['subset']}" if destination.get("subset") else ""
    weight = f" {weighted['weight']}" if "weight" in weighted else ""
    return f"{destination.get('host', '?')}{subset}{weight}"
