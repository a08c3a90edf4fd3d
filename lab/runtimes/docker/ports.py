"""Ports of this machine to publish at, chosen here: those that the engine chooses change with every start."""

import random
import socket

from lab.runtimes.runtime import LabError

FIRST, LAST = 18000, 31999  # below what Linux gives to outgoing connections, so that none of them takes one away
ATTEMPTS = 500


def free_port(dice: random.Random | None = None) -> int:
    """Free now on 127.0.0.1."""
    dice = dice or random.Random()  # noqa: S311  # spreads, guards nothing
    for _ in range(ATTEMPTS):
        port = dice.randint(FIRST, LAST)
        with socket.socket() as candidate:
            candidate.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                candidate.bind(("127.0.0.1", port))
                candidate.listen(1)
            except OSError:
                continue
            return port
    raise LabError(f"no port from {FIRST} to {LAST} of 127.0.0.1 is free")
