"""Header operations on the way up and down. Envoy: request_headers_to_add/remove. Istio: Headers.HeaderOperations."""

from dataclasses import dataclass

Pairs = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class HeaderOperations:
    """Names are lower-case. ``set`` overwrites, ``add`` appends; removal comes first, as in Envoy.

    A set ``host`` or ``:authority`` rewrites the authority.
    """

    request_set: Pairs = ()
    request_add: Pairs = ()
    request_remove: tuple[str, ...] = ()
    response_set: Pairs = ()
    response_add: Pairs = ()
    response_remove: tuple[str, ...] = ()
