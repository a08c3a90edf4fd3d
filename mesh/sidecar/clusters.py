"""All clusters of a proxy, joined with their endpoints, and the hosts behind them, which outlive changes of configuration.

Envoy: Upstream::ClusterManagerImpl. ``by_name`` is replaced whole. A host is known by cluster, address and port: as long as some
configuration names it, it keeps its connections and counters.
"""

from collections.abc import Iterator, Mapping
from typing import Final

from mesh.model.cluster import Cluster, Discovery
from mesh.model.endpoint import Endpoint, LoadAssignment
from mesh.model.world import Clock, Dice
from mesh.sidecar.cluster_stats import ClusterStats, OutlierStats
from mesh.sidecar.host import Host
from mesh.sidecar.limits import Pool
from mesh.sidecar.upstream import UpstreamCluster, address_of
from mesh.sidecar.wire.heads import HeadReader

NO_ENDPOINTS: Final[tuple[Endpoint, ...]] = ()

_Key = tuple[str, str, int]


class Clusters:
    def __init__(self, reader: HeadReader, clock: Clock, dice: Dice) -> None:
        self.by_name: Mapping[str, UpstreamCluster] = {}
        self.stats: dict[str, ClusterStats] = {}
        self._pools: dict[str, Pool] = {}
        self._inputs: dict[str, tuple[Cluster, LoadAssignment | None]] = {}
        self._hosts: dict[_Key, Host] = {}
        self._originals: dict[_Key, Host] = {}  # made on demand: where clients wanted to go
        self._reader = reader
        self._clock = clock
        self._dice = dice

    def replace(self, clusters: Mapping[str, Cluster], assignments: Mapping[str, LoadAssignment]) -> None:
        """Cannot fail: what could be wrong with clusters was found when they were read."""
        by_name: dict[str, UpstreamCluster] = {}
        inputs: dict[str, tuple[Cluster, LoadAssignment | None]] = {}
        hosts: dict[_Key, Host] = {}
        for name, cluster in clusters.items():
            inputs[name] = cluster, _assignment_of(cluster, assignments)
            known = self.by_name.get(name)
            if known is None or self._inputs[name] != inputs[name]:
                known = self._build(*inputs[name])
            by_name[name] = known
            hosts.update({_key(name, host.endpoint): host for host in known.all_hosts})
        gone = [host for key, host in self._hosts.items() if hosts.get(key) is not host]
        self.by_name, self._inputs, self._hosts = by_name, inputs, hosts
        self.stats = {name: cluster.stats for name, cluster in by_name.items()}
        self._pools = {name: cluster.pool for name, cluster in by_name.items()}
        for host in gone:
            host.retire()
        for key in [key for key in self._originals if key[0] not in by_name]:
            self._originals.pop(key).retire()

    def _build(self, cluster: Cluster, assignment: LoadAssignment | None) -> UpstreamCluster:
        pool = self._pools.get(cluster.name)
        if pool is None:
            pool = self._pools[cluster.name] = Pool(self.stats.get(cluster.name) or ClusterStats())
        pool.configure(cluster)
        every = assignment.endpoints if assignment else NO_ENDPOINTS
        hosts = {address_of(endpoint): self._host(cluster, endpoint) for endpoint in every}
        built = UpstreamCluster(cluster, assignment, hosts, pool, self._clock, self._dice)
        if cluster.discovery is Discovery.ORIGINAL_DST:
            built.original_dst = self._original
        return built

    def _host(self, cluster: Cluster, endpoint: Endpoint) -> Host:
        host = self._hosts.get(_key(cluster.name, endpoint))
        if host is None:
            return Host(cluster, endpoint, self._pools[cluster.name], self._reader, self._clock)
        host.cluster, host.endpoint = cluster, endpoint
        return host

    def _original(self, cluster: Cluster, endpoint: Endpoint) -> Host:
        key = _key(cluster.name, endpoint)
        host = self._originals.get(key)
        if host is None:
            host = self._originals[key] = Host(cluster, endpoint, self._pools[cluster.name], self._reader, self._clock)
        host.cluster = cluster
        return host

    def hosts(self) -> Iterator[tuple[UpstreamCluster, Host]]:
        for cluster in self.by_name.values():
            for host in cluster.all_hosts:
                yield cluster, host
        for (name, _, _), host in self._originals.items():
            yield self.by_name[name], host

    def outlier_stats(self) -> dict[str, OutlierStats]:
        return {f"{name}.outlier_detection": one.pool.outliers for name, one in self.by_name.items() if one.detector is not None}

    def sweep(self, now_seconds: float) -> None:
        """Close what has been idle for too long, forget destinations that nobody asks for any more, take back who was ejected."""
        for cluster in self.by_name.values():
            if cluster.detector is not None:
                cluster.detector.sweep(now_seconds)
        for host in self._hosts.values():
            host.close_idle(now_seconds)
        for key, host in list(self._originals.items()):
            host.close_idle(now_seconds)
            if host.unused:
                del self._originals[key]

    def abort(self) -> None:
        for host in (*self._hosts.values(), *self._originals.values()):
            host.abort()


def _key(name: str, endpoint: Endpoint) -> _Key:
    return name, endpoint.address, endpoint.port


def _assignment_of(cluster: Cluster, assignments: Mapping[str, LoadAssignment]) -> LoadAssignment | None:
    if cluster.discovery is Discovery.EDS:
        return assignments.get(cluster.eds_service_name or cluster.name)
    return cluster.load_assignment
