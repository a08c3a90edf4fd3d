"""Where a service is dialled, for protocols that no HTTP proxy carries.

After Kubernetes' convention, but by number: RATINGS_SERVICE_HOST and RATINGS_SERVICE_PORT_9081 say where port 9081 of ``ratings`` is from
here. Where they are not set, its name and port are the address.
"""

from collections.abc import Mapping


def address_of(authority: str, environment: Mapping[str, str]) -> str:
    """``ratings:9081`` -> ``127.64.3.11:29081``, or as it is.

    >>> address_of("ratings.default:9081", {"RATINGS_SERVICE_HOST": "10.0.0.1", "RATINGS_SERVICE_PORT_9081": "29081"})
    '10.0.0.1:29081'
    """
    host, _, port = authority.partition(":")
    service = host.partition(".")[0].upper().replace("-", "_")
    there = environment.get(f"{service}_SERVICE_HOST", "")
    return f"{there}:{environment.get(f'{service}_SERVICE_PORT_{port}', port)}" if there else authority
