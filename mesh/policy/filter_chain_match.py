"""Which filter chain takes a connection. Envoy: config.listener.v3.FilterChainMatch, FilterChainManagerImpl.

The criteria are looked at one after the other: destination port, destination address, server name, transport protocol, application
protocol. At each the most specific value that fits wins, and there is no way back: a chain that fits worse there is out, even if no other
is left at the next.
"""

import ipaddress
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from mesh.model.listener import FilterChain

RAW, TLS = "raw_buffer", "tls"


@dataclass(frozen=True, slots=True)
class Arrival:
    """What is known of a connection. ``port`` and ``address`` are of the original destination, where there is one."""

    port: int = 0
    address: str = ""
    server_name: str = ""
    transport_protocol: str = RAW
    application_protocols: tuple[str, ...] = ()


def decide(chains: Sequence[FilterChain], arrival: Arrival) -> FilterChain | None:
    """None: no chain takes it (the listener's default may)."""
    left: Sequence[FilterChain] = chains
    for fitness in (_port, _address, _server_name, _transport_protocol, _application_protocol):
        left = _best(left, lambda chain, fitness=fitness: fitness(chain, arrival))  # type: ignore[misc]
    return left[0] if left else None


def _best(chains: Iterable[FilterChain], fitness: Callable[[FilterChain], int]) -> list[FilterChain]:
    """Those that fit best. Fitness: -1 not at all, 0 because it does not care, more the more specific."""
    rated = [(fitness(chain), chain) for chain in chains]
    best = max((rating for rating, _ in rated), default=-1)
    return [chain for rating, chain in rated if rating == best] if best >= 0 else []


def _port(chain: FilterChain, arrival: Arrival) -> int:
    if chain.destination_port is None:
        return 0
    return 1 if chain.destination_port == arrival.port else -1


def _address(chain: FilterChain, arrival: Arrival) -> int:
    if not chain.destination_prefixes:
        return 0
    address = ipaddress.ip_address(arrival.address) if arrival.address else None
    networks = (ipaddress.ip_network(prefix, strict=False) for prefix in chain.destination_prefixes)
    return max((1 + network.prefixlen for network in networks if address is not None and address in network), default=-1)


def _server_name(chain: FilterChain, arrival: Arrival) -> int:
    if not chain.server_names:
        return 0
    name = arrival.server_name.lower()
    return max((_name_fitness(pattern.lower(), name) for pattern in chain.server_names), default=-1) if name else -1


def _name_fitness(pattern: str, name: str) -> int:
    if pattern == name:
        return 1024
    return len(pattern) if pattern.startswith("*.") and name.endswith(pattern[1:]) else -1


def _transport_protocol(chain: FilterChain, arrival: Arrival) -> int:
    if not chain.transport_protocol:
        return 0
    return 1 if chain.transport_protocol == arrival.transport_protocol else -1


def _application_protocol(chain: FilterChain, arrival: Arrival) -> int:
    if not chain.application_protocols:
        return 0
    return 1 if set(chain.application_protocols) & set(arrival.application_protocols) else -1
