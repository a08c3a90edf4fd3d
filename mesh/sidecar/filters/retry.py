"""Retries, the filter: another try where the first one failed. Lesson: scenarios/retries. Decision: mesh/policy/retry.py.

Envoy: the router's RetryState and per-try timer. A try that has begun to answer is never repeated, nor one whose body is gone.
"""

from collections.abc import Awaitable

from mesh.policy.retry import REQUEST_HEADERS, Failure, RetryPolicy, backoff_seconds, decide, decide_reset, from_request
from mesh.policy.timeout import Timeout
from mesh.sidecar.deadline import Deadline
from mesh.sidecar.filter import EMPTY, Context, Filter, Flag, Forward, Request, Reset, Response, Scope, local_reply

BODY_LIMIT_BYTES = 1024 * 1024
"""Envoy's per_connection_buffer_limit_bytes: a request with a longer body gets one try."""

FAILURES = {
    Reset.CONNECTION_FAILURE: Failure.CONNECT,
    Reset.CONNECTION_TIMEOUT: Failure.CONNECT,
    Reset.CONNECTION_TERMINATION: Failure.RESET,
    Reset.REUSED_CONNECTION: Failure.RESET,
    Reset.PROTOCOL_ERROR: Failure.RESET,
    Reset.REMOTE_RESET: Failure.RESET,
    Reset.REFUSED_STREAM: Failure.REFUSED,
    Reset.PER_TRY_TIMEOUT: Failure.RESET,
    Reset.OVERFLOW: Failure.OVERFLOW,
    Reset.NO_HEALTHY_UPSTREAM: Failure.NOWHERE,
    Reset.NO_CLUSTER: Failure.NOWHERE,
}


def build(scope: Scope, context: Context) -> Filter | None:
    policy = scope.policy(RetryPolicy)
    if policy is None or scope.cluster is None:
        return None
    if policy.backoff_max_seconds < policy.backoff_base_seconds:
        raise ValueError("retry_policy.max_interval must be greater than or equal to the base_interval")
    timeout = scope.policy(Timeout)
    return RetryFilter(policy, timeout.request_seconds if timeout else 0.0, context)


class RetryFilter:
    def __init__(self, policy: RetryPolicy, route_seconds: float, context: Context) -> None:
        self._policy = policy
        self._route_seconds = route_seconds
        self._context = context

    def __call__(self, request: Request, forward: Forward) -> Awaitable[Response]:
        policy = self._policy
        fields = request.headers.fields
        if not fields.keys().isdisjoint(REQUEST_HEADERS):
            policy = from_request(policy, request.headers.get)
            for name in REQUEST_HEADERS:
                fields.pop(name, None)
        per_try_seconds = policy.per_try_timeout_seconds
        if request.upgrade or (self._route_seconds and per_try_seconds >= self._route_seconds):
            per_try_seconds = 0.0  # the route's own limit comes first
        if not policy.retry_on and not per_try_seconds:
            return forward(request)
        return self._try(request, forward, policy, per_try_seconds)

    async def _try(self, request: Request, forward: Forward, policy: RetryPolicy, per_try_seconds: float) -> Response:
        if request.body is not EMPTY and policy.retry_on and policy.attempts:
            request.body.retain(BODY_LIMIT_BYTES)
        if policy.avoid_previous_hosts:
            request.host_selection_attempts = policy.host_selection_attempts + 1
        retry = 0
        pool = None  # the cluster's, while a retry is under way
        try:
            while True:
                response = await (self._within(per_try_seconds, request, forward) if per_try_seconds else forward(request))
                wanted = _worth_another(policy, response)
                if pool is not None:
                    pool.end_retry(success=not wanted)
                    pool = None
                if not wanted or not self._may(request, response, retry < policy.attempts):
                    return response
                pool = self._context.pool(request.cluster)
                if pool is not None and not pool.begin_retry():
                    pool = None
                    response.flags |= Flag.UO
                    return response
                retry += 1
                response.discard()
                await self._context.sleep(backoff_seconds(policy, retry, self._context.dice))
        finally:
            if pool is not None:
                pool.end_retry(success=False)

    def _may(self, request: Request, response: Response, left: bool) -> bool:
        if not left:
            response.flags |= Flag.URX
            pool = self._context.pool(request.cluster)
            if pool is not None:
                pool.stats.upstream_rq_retry_limit_exceeded += 1
            return False
        return request.body.replayable

    async def _within(self, seconds: float, request: Request, forward: Forward) -> Response:
        """One try; the limit ends with the answer's first byte."""
        deadline = Deadline(self._context, seconds)
        request.body.on_end(deadline.start)
        try:
            return await deadline.wait(forward(request))
        except TimeoutError:
            if not deadline.expired:
                raise
            pool = self._context.pool(request.cluster)
            if pool is not None:
                pool.too_late(request)
            text, details = "upstream request timeout", "upstream_per_try_timeout"
            return local_reply(504, text, details=details, flags=Flag.UT, reset=Reset.PER_TRY_TIMEOUT)
        finally:
            deadline.stop()


def _worth_another(policy: RetryPolicy, response: Response) -> bool:
    if response.reset is not None:
        return decide_reset(policy, FAILURES[response.reset])
    return not response.local and decide(policy, response.status, response.headers.get)
