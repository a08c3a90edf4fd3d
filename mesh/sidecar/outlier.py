"""Outlier detection at work for one cluster: counts, ejects, takes back. Decision: mesh/policy/outlier_detection.py.

Envoy: Outlier::DetectorImpl. An endpoint's record is its host's, so it outlives changes of the configuration.
"""

from collections.abc import Callable, Sequence

from mesh.model.cluster import OutlierDetection
from mesh.model.world import Clock, Dice
from mesh.policy import outlier_detection as policy
from mesh.policy.outlier_detection import Cause
from mesh.sidecar.cluster_stats import OutlierStats
from mesh.sidecar.host import Host


class Detector:
    """``changed`` is called when the set of ejected hosts is another one."""

    def __init__(
        self,
        settings: OutlierDetection,
        hosts: Sequence[Host],
        stats: OutlierStats,
        changed: Callable[[], None],
        clock: Clock,
        dice: Dice,
    ) -> None:
        self.settings = settings
        self.stats = stats
        self._hosts = hosts
        self._changed = changed
        self._clock = clock
        self._dice = dice
        self._look_at = clock() + settings.interval_seconds
        stats.ejections_active = sum(host.ejected for host in hosts)

    def answered(self, host: Host, status: int) -> None:
        record = host.record
        if status < 500 and not record.consecutive_5xx:
            record.local_failures = 0
            return
        record.local_failures = 0  # there was a connection
        self._judge(host, policy.answered(record, self.settings, status))

    def unanswered(self, host: Host, status: int, *, connected: bool = True) -> None:
        if connected:
            host.record.local_failures = 0
        self._judge(host, policy.unanswered(host.record, self.settings, status))

    def _judge(self, host: Host, causes: Sequence[Cause]) -> None:
        for cause in causes:
            if not host.ejected:
                _count(self.stats, f"ejections_detected_{cause.value}")
                self._eject(host, cause)
                policy.restart_count(host.record, cause)

    def _eject(self, host: Host, cause: Cause) -> None:
        stats = self.stats
        if not policy.room(self.settings, stats.ejections_active, len(self._hosts)):
            stats.ejections_overflow += 1
            return
        if cause is Cause.CONSECUTIVE_5XX:
            stats.ejections_total += 1  # so old that it knows no other cause
        if not policy.enforced(self.settings, cause, self._dice):
            return
        stats.ejections_active += 1
        stats.ejections_enforced_total += 1
        _count(stats, f"ejections_enforced_{cause.value}")
        policy.eject(host.record, self.settings, self._clock())
        self._changed()

    def sweep(self, now_seconds: float) -> None:
        if now_seconds < self._look_at:
            return
        self._look_at = now_seconds + self.settings.interval_seconds
        back = [host for host in self._hosts if policy.look_again(host.record, self.settings, now_seconds)]
        if back:
            self.stats.ejections_active -= len(back)
            self._changed()


def _count(stats: OutlierStats, name: str) -> None:
    setattr(stats, name, getattr(stats, name) + 1)
