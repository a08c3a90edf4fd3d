"""Fault injection, the filter: wait, answer with an error, or both. Lesson: scenarios/fault_delay. Decision: mesh/policy/fault.py.

Envoy: filters.http.fault. It stands before the router, so neither a retry nor the route's time-out sees what it does.
"""

from mesh.policy.fault import Fault, decide
from mesh.sidecar.filter import Context, Filter, Flag, Forward, Request, Response, Scope, local_reply


def build(scope: Scope, context: Context) -> Filter | None:
    fault = scope.policy(Fault)
    return None if fault is None else FaultFilter(fault, context)


class FaultFilter:
    def __init__(self, fault: Fault, context: Context) -> None:
        self._fault = fault
        self._context = context

    async def __call__(self, request: Request, forward: Forward) -> Response:
        verdict = decide(self._fault, self._context.dice)
        if verdict.delay_seconds:
            request.stream.flags |= Flag.DI
            await self._context.sleep(verdict.delay_seconds)
            request.stream.held_until_seconds = self._context.clock()
        if verdict.abort_status is not None:
            return local_reply(verdict.abort_status, "fault filter abort", details="fault_filter_abort", flags=Flag.FI)
        return await forward(request)
