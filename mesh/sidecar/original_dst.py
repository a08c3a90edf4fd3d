"""Where a client wanted to go before the kernel redirected it to us. Envoy: filters.listener.original_dst. Linux: SO_ORIGINAL_DST."""

import socket
import struct
from typing import Any, Final

SO_ORIGINAL_DST: Final = 80
_SOL_IP: Final = 0
_SOL_IPV6: Final = 41


def original_dst(sock: Any) -> tuple[str, int] | None:
    """Address and port; None for a connection that came here on its own. ``sock`` is the transport's socket, asyncio's or uvloop's.

    Without a redirect the kernel answers with an error, or with our own address: taking that for a destination would be a loop.
    """
    try:
        if sock.family == socket.AF_INET6:
            raw = sock.getsockopt(_SOL_IPV6, SO_ORIGINAL_DST, 28)
            (port,) = struct.unpack_from("!H", raw, 2)
            destination = socket.inet_ntop(socket.AF_INET6, raw[8:24]), port
        else:
            raw = sock.getsockopt(_SOL_IP, SO_ORIGINAL_DST, 16)
            (port,) = struct.unpack_from("!H", raw, 2)
            destination = socket.inet_ntop(socket.AF_INET, raw[4:8]), port
    except OSError:
        return None
    return None if destination == sock.getsockname()[:2] else destination
