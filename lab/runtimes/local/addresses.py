"""Loopback addresses and ports of a lab: a /24 of 127/8 of its own, or, where that does not work, free ports of 127.0.0.1.

The network belongs to whoever holds the listening socket on its first address, port 15099; the kernel frees it with the holder.
"""

import errno
import os
import random
import socket

from lab.runtimes.runtime import LabError

OWNER_PORT = 15099
FIRST_WORKLOAD, LAST_WORKLOAD = 10, 254
ATTEMPTS = 200


class Addresses:
    """``own`` must stay open in the process that owns the lab; None where addresses are shared. ``close`` frees what else is held."""

    def __init__(self, prefix: str, own: socket.socket | None) -> None:
        self.prefix = prefix  # "127.70.3.", or empty: everything on 127.0.0.1
        self.own = own
        self._held: list[socket.socket] = []

    @property
    def control(self) -> str:
        return f"{self.prefix}1" if self.prefix else "127.0.0.1"

    def workload(self, index: int) -> str:
        if not self.prefix:
            return "127.0.0.1"
        if index > LAST_WORKLOAD - FIRST_WORKLOAD:
            raise LabError(f"the local runtime runs up to {LAST_WORKLOAD - FIRST_WORKLOAD + 1} workloads", how="take the docker runtime")
        return f"{self.prefix}{FIRST_WORKLOAD + index}"

    def port(self, address: str, preferred: int) -> int:
        """``preferred`` if it is free on this address (someone may hold it on all addresses), else any that is.

        Kept busy until ``close``, so that no port is given out twice.
        """
        if self.prefix and preferred < 1 << 16:
            bound = _bound(address, preferred)
            if bound is not None:
                self._held.append(bound)
                return preferred
        bound = _bound(address, 0)
        if bound is None:
            raise LabError(f"no port of {address} is free")
        self._held.append(bound)
        return int(bound.getsockname()[1])

    def close(self) -> None:
        for held in self._held:
            held.close()
        self._held.clear()


def claim(dice: random.Random | None = None) -> Addresses:
    """A network that is nobody else's."""
    dice = dice or random.Random()  # noqa: S311  # spreads labs, guards nothing
    if os.environ.get("SEATRIAL_LOCAL_ADDRESSING") == "ports":
        return Addresses("", None)
    for _ in range(ATTEMPTS):
        prefix = f"127.{dice.randrange(64, 127)}.{dice.randrange(256)}."
        own = socket.socket()
        try:
            own.bind((f"{prefix}1", OWNER_PORT))
            own.listen(1)
            return Addresses(prefix, own)
        except OSError as error:
            own.close()
            if error.errno == errno.EADDRNOTAVAIL:
                break
    return Addresses("", None)


def _bound(address: str, port: int) -> socket.socket | None:
    """Bound as a server binds, so that it fails where a server would."""
    candidate = socket.socket()
    candidate.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        candidate.bind((address, port))
        candidate.listen(1)
    except OSError:
        candidate.close()
        return None
    return candidate
