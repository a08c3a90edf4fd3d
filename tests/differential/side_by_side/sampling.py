"""The same request many times over one connection: who answers how often."""

import re
import socket
from collections import Counter

from side_by_side.bench import Bench
from side_by_side.cases import Case

BATCH = 50  # sent at once
_BODY = re.compile(rb"(?:(red|green|blue) 200\n|(fault) filter abort)")


def sample(bench: Bench, case: Case, count: int, batch: int = BATCH) -> dict[str, Counter[str]]:
    """By side and first word of the answer: the upstream's name, or ``fault``. ``count`` is a multiple of the batch."""
    return {side.name: _ask(side.address(bench.listener_of(case)), case.domain, count, batch) for side in (bench.envoy, bench.sidecar)}


def _ask(address: tuple[str, int], host: str, count: int, batch: int) -> Counter[str]:
    seen: Counter[str] = Counter()
    request = f"GET / HTTP/1.1\r\nhost: {host}\r\n\r\n".encode()
    with socket.create_connection(address, timeout=5) as connection:
        for _ in range(count // batch):
            connection.sendall(request * batch)
            data, bodies = b"", []
            while len(bodies) < batch:
                piece = connection.recv(65536)
                assert piece, "the connection was closed"
                data += piece
                bodies = _BODY.findall(data)
            seen.update((name or fault).decode() for name, fault in bodies)
    return seen
