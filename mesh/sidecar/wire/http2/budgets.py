"""What a peer may do too often before it is hung up on.

Envoy: ProtocolConstraints (frame floods) and premature resets (the runtime key
``overload.premature_reset_total_stream_count``): 250 early resets, 1,000 queued control frames. Each single frame is legal; only their
number, against the work they belong to, tells an attack (CVE-2019-9511 … 9518, CVE-2023-44487, CVE-2025-8671).
"""

from mesh.sidecar.wire.http2.handler import Clock

_WORTH = 4
"""Frames without payload that one frame of work (a head, DATA with bytes in it) pays for: its window updates, a ping that measures."""


class IdleFrames:
    """Frames that ask for work and bring none: PING, SETTINGS, PRIORITY, WINDOW_UPDATE, empty DATA, unknown ones, late ones.

    A bucket: it refills with time, and with the work that was done on the connection since.
    """

    __slots__ = ("_at_seconds", "_burst", "_clock", "_left", "_per_second", "_work")

    def __init__(self, clock: Clock, burst: int, per_second: float) -> None:
        self._clock = clock
        self._burst = burst
        self._per_second = per_second
        self._left = float(burst)
        self._at_seconds = clock()
        self._work = 0

    def spend(self, work: int) -> bool:
        """One more. ``work``: frames of work so far. False when there were too many."""
        self._left -= 1
        if self._left >= 0:
            return True
        now = self._clock()
        earned = (now - self._at_seconds) * self._per_second + (work - self._work) * _WORTH
        self._left = min(float(self._burst), earned) - 1
        self._at_seconds, self._work = now, work
        return self._left >= 0


class PrematureResets:
    """Streams that ended before their answer did: reset by the peer, or by us because the peer broke the rules on them."""

    __slots__ = ("_at_seconds", "_clock", "_forgiven_per_second", "_limit", "level")

    def __init__(self, clock: Clock, limit: int, forgiven_per_second: float) -> None:
        self._clock = clock
        self._limit = limit
        self._forgiven_per_second = forgiven_per_second
        self.level = 0.0
        self._at_seconds = clock()

    def add(self) -> bool:
        """False when there were too many."""
        now = self._clock()
        self.level = max(0.0, self.level - (now - self._at_seconds) * self._forgiven_per_second) + 1
        self._at_seconds = now
        return self.level < self._limit

    def forgive(self) -> None:
        """A stream was answered to its end."""
        self.level = max(0.0, self.level - 1)
