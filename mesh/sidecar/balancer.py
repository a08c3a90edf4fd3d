"""A load balancer at work: hosts in groups (by priority, locality, health), and one policy to choose within a group.

Envoy: Upstream::LoadBalancer. Built anew when hosts come, go, are ejected or return; choosing is all that is done per request.
"""

from bisect import bisect_right
from collections.abc import Callable, Sequence
from itertools import accumulate

from mesh.model.cluster import Cluster, LbPolicy
from mesh.model.world import Dice
from mesh.policy.consistent_hash import MAGLEV_SIZE, MIN_RING_SIZE, Maglev, Ring, random_key
from mesh.policy.load_balancing import pick_least_request, pick_random, pick_round_robin, running_sums, schedule
from mesh.sidecar.filter import Request
from mesh.sidecar.host import Host

Choose = Callable[[Request, int], Host]
"""For a request; the number tells one choice for it from the next, where the first is not to be taken."""


def chooser(cluster: Cluster, hosts: Sequence[Host], weights: Sequence[int], dice: Dice, start: int = 0) -> Choose:
    """``start`` is where round robin goes on."""
    policy = cluster.lb_policy
    if len(hosts) == 1:
        only = hosts[0]
        return lambda _, __: only
    if policy in (LbPolicy.RING_HASH, LbPolicy.MAGLEV):
        return _hashing(cluster, hosts, weights, dice)
    sums = running_sums(weights)
    if policy is LbPolicy.ROUND_ROBIN:
        return _RoundRobin(hosts, weights, start)
    if policy is LbPolicy.RANDOM:
        return lambda _, __: hosts[pick_random(sums, dice)]
    return lambda _, __: hosts[pick_least_request(sums, [host.stats.rq_active for host in hosts], dice)]


def _hashing(cluster: Cluster, hosts: Sequence[Host], weights: Sequence[int], dice: Dice) -> Choose:
    names = [host.address for host in hosts]
    table: Ring | Maglev
    if cluster.lb_policy is LbPolicy.RING_HASH:
        table = Ring(names, weights, cluster.table_size or MIN_RING_SIZE)
    else:
        table = Maglev(names, weights, cluster.table_size or MAGLEV_SIZE)

    def choose(request: Request, attempt: int) -> Host:
        key = request.hash_key
        return hosts[table.pick(random_key(dice) if key is None else key, attempt)]

    return choose


class _RoundRobin:
    def __init__(self, hosts: Sequence[Host], weights: Sequence[int], start: int) -> None:
        self._hosts = hosts
        self._turns = schedule(weights)
        self._turn = start

    def __call__(self, _: Request, __: int) -> Host:
        self._turn += 1
        return self._hosts[pick_round_robin(self._turns, self._turn - 1)]


def divided(groups: Sequence[tuple[float, Choose]], dice: Dice) -> Choose:
    """The dice choose the group."""
    if len(groups) == 1:
        return groups[0][1]
    sums = tuple(accumulate(weight for weight, _ in groups))
    last = len(sums) - 1
    choosers = [choose for _, choose in groups]
    return lambda request, attempt: choosers[min(bisect_right(sums, dice() * sums[-1]), last)](request, attempt)
