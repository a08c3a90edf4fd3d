"""Circuit breaking: how much may be on its way to a cluster at once. Envoy: cluster.v3 CircuitBreakers. Istio: connectionPool.

Envoy: source/common/upstream/resource_manager_impl.h, common/conn_pool/conn_pool_base.cc. A request that finds no room is answered 503
at once (``UO``, ``x-envoy-overloaded``): better than a queue that grows until everybody has given up. Lesson: scenarios/circuit_breaking.
"""

from dataclasses import dataclass
from typing import Final

from mesh.model.cluster import CircuitBreakers

DEFAULT: Final = 1024
DEFAULT_RETRIES: Final = 3
UNLIMITED: Final = 2**32 - 1


@dataclass(frozen=True, slots=True)
class Limits:
    connections: int = DEFAULT
    pending: int = DEFAULT
    requests: int = DEFAULT
    retries: int = DEFAULT_RETRIES


def limits(breakers: CircuitBreakers) -> Limits:
    """With Envoy's defaults for what is not given."""

    def given(value: int | None, default: int) -> int:
        return default if value is None else value

    return Limits(
        given(breakers.max_connections, DEFAULT),
        given(breakers.max_pending_requests, DEFAULT),
        given(breakers.max_requests, DEFAULT),
        given(breakers.max_retries, DEFAULT_RETRIES),
    )


def may_connect(limits: Limits, connections: int, own: int) -> bool:
    """``connections`` of the cluster, ``own`` of this host: one without any always gets its first, or nobody could ever be served there."""
    return connections < limits.connections or not own


def may_wait(limits: Limits, pending: int) -> bool:
    """Whether one more request may wait for a connection; also one whose own connection is only being made."""
    return pending < limits.pending


def may_send(limits: Limits, active: int) -> bool:
    return active < limits.requests


def may_retry(limits: Limits, retrying: int) -> bool:
    """``retrying``: requests whose second or later try is under way. A struggling upstream must not be given three times the work."""
    return retrying < limits.retries
