"""A load balancer at work: hosts in groups (by priority, locality, health), and one policy to choose within a group.

Envoy: Upstream::LoadBalancer. Built anew when hosts come, go, are ejected or return; choosing is all that is done per request.
"""

from bisect import bisect_right
from collections.abc import Callable, Sequence
from itertools import accumulate

from mesh.model.cluster import LbPolicy
from mesh.model.world import Dice
from mesh.policy.load_balancing import pick_least_request, pick_random, pick_round_robin, running_sums, schedule
from mesh.sidecar.filter import Request
from mesh.sidecar.host import Host

Choose = Callable[[Request], Host]


def chooser(policy: LbPolicy, hosts: Sequence[Host], weights: Sequence[int], dice: Dice, start: int = 0) -> Choose:
    """``start`` is where round robin goes on."""
    if len(hosts) == 1:
        only = hosts[0]
        return lambda _: only
    sums = running_sums(weights)
    if policy is LbPolicy.ROUND_ROBIN:
        return _RoundRobin(hosts, weights, start)
    if policy is LbPolicy.RANDOM:
        return lambda _: hosts[pick_random(sums, dice)]
    return lambda _: hosts[pick_least_request(sums, [host.stats.rq_active for host in hosts], dice)]


class _RoundRobin:
    def __init__(self, hosts: Sequence[Host], weights: Sequence[int], start: int) -> None:
        self._hosts = hosts
        self._turns = schedule(weights)
        self._turn = start

    def __call__(self, _: Request) -> Host:
        self._turn += 1
        return self._hosts[pick_round_robin(self._turns, self._turn - 1)]


def divided(groups: Sequence[tuple[float, Choose]], dice: Dice) -> Choose:
    """The dice choose the group."""
    if len(groups) == 1:
        return groups[0][1]
    sums = tuple(accumulate(weight for weight, _ in groups))
    last = len(sums) - 1
    choosers = [choose for _, choose in groups]
    return lambda request: choosers[min(bisect_right(sums, dice() * sums[-1]), last)](request)
