"""What of a request is its hash key, on the wire. Envoy: RouteAction.HashPolicy."""

from collections.abc import Iterable, Iterator
from typing import Any

from mesh.policy.consistent_hash import HashPolicy, Source
from mesh.xds import parts


def write(policies: Iterable[HashPolicy], message: Any) -> None:
    for policy in policies:
        wire = message.hash_policy.add()
        if policy.source is Source.HEADER:
            wire.header.header_name = policy.name
        elif policy.source is Source.SOURCE_IP:
            wire.connection_properties.source_ip = True
        elif policy.source is Source.QUERY:
            wire.query_parameter.name = policy.name
        else:
            wire.cookie.name, wire.cookie.path = policy.name, policy.path
            if policy.ttl_seconds is not None:
                wire.cookie.ttl.CopyFrom(parts.duration(policy.ttl_seconds))


def read(message: Any) -> Iterator[HashPolicy]:
    for wire in message.hash_policy:
        kind = wire.WhichOneof("policy_specifier")
        if wire.terminal:
            raise ValueError("hash policies that end the list (terminal) are not supported")
        if kind == "header" and not wire.header.HasField("regex_rewrite"):
            yield HashPolicy(Source.HEADER, wire.header.header_name.lower())
        elif kind == "connection_properties" and wire.connection_properties.source_ip:
            yield HashPolicy(Source.SOURCE_IP)
        elif kind == "query_parameter":
            yield HashPolicy(Source.QUERY, wire.query_parameter.name)
        elif kind == "cookie" and not wire.cookie.attributes:
            ttl = parts.seconds(wire.cookie.ttl) if wire.cookie.HasField("ttl") else None
            yield HashPolicy(Source.COOKIE, wire.cookie.name, wire.cookie.path, ttl)
        else:
            raise ValueError(f"hash policy {kind or 'none'} is not supported in this form")
