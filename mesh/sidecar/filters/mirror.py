"""Mirroring, the filter: copies of requests to other clusters, their answers dropped. Lesson: scenarios/mirroring.

Decision: mesh/policy/mirror.py. Envoy: ShadowWriter. The caller's request does not wait for a copy, nor fails with it: a copy leaves
when the request's body is entirely here, runs beside it under a time limit, and is left out where too many are under way already or
the body is too long to keep.
"""

import asyncio
from collections.abc import Awaitable, Sequence

from mesh.policy.mirror import Mirror, decide, shadow_authority
from mesh.policy.retry import REQUEST_HEADERS
from mesh.policy.timeout import REQUEST_HEADER, Timeout
from mesh.sidecar.deadline import Deadline, expected_time
from mesh.sidecar.filter import EMPTY, Body, Context, Filter, Forward, Request, Response, Scope, field

MAX_UNDER_WAY = 128
BODY_LIMIT_BYTES = 1024 * 1024
DEFAULT_SECONDS = 15.0


def build(scope: Scope, context: Context) -> Filter | None:
    """The route's own mirrors, or else those of its virtual host or configuration."""
    own = tuple(policy for policy in scope.route.policies if isinstance(policy, Mirror))
    mirrors = own or scope.policies(Mirror)
    timeout = scope.policy(Timeout)
    if not mirrors or scope.cluster is None:
        return None
    if any(not mirror.cluster for mirror in mirrors):
        raise ValueError("Exactly one of cluster or cluster_header in request mirror policy can be specified")
    seconds = (timeout.request_seconds if timeout else 0.0) or DEFAULT_SECONDS
    return MirrorFilter(mirrors, seconds, context, scope)


class MirrorFilter:
    def __init__(self, mirrors: Sequence[Mirror], seconds: float, context: Context, scope: Scope) -> None:
        self._counts_attempts = scope.virtual_host.include_request_attempt_count
        timeout = scope.policy(Timeout)
        limit = round(timeout.request_seconds * 1000) if timeout else 0  # a copy has the route's time, whatever a try has
        self._expected = field("x-envoy-expected-rq-timeout-ms", str(limit)) if limit else expected_time(scope)
        self._mirrors = mirrors
        self._seconds = seconds
        self._context = context
        self._under_way = 0

    def __call__(self, request: Request, forward: Forward) -> Awaitable[Response]:
        clusters = decide(self._mirrors, self._context.dice)
        if clusters and not request.upgrade:
            copy = request.copy()
            copy.authority = shadow_authority(request.authority)
            for name in (*REQUEST_HEADERS, REQUEST_HEADER):
                copy.headers.remove(name)
            copy.headers.set("x-envoy-internal", "true")
            copy.headers.set("x-forwarded-for", self._forwarded_for(copy.headers.get("x-forwarded-for")))
            if self._expected is not None:
                copy.headers.fields["x-envoy-expected-rq-timeout-ms"] = self._expected
            if self._counts_attempts:
                copy.headers.set("x-envoy-attempt-count", "1")
            if not request.body.complete:
                request.body.retain(BODY_LIMIT_BYTES)
            request.body.on_end(lambda: self._send(clusters, copy, request.body))
        return forward(request)

    def _forwarded_for(self, before: str | None) -> str:
        return f"{before},{self._context.own_address}" if before else self._context.own_address

    def _send(self, clusters: Sequence[str], copy: Request, body: Body) -> None:
        data = body.retained()
        if data is None:  # broken off, or longer than we keep
            return
        for cluster in clusters:
            if self._under_way < MAX_UNDER_WAY:
                self._under_way += 1
                self._context.background(self._shadow(cluster, copy.copy(Body.of(data) if data else EMPTY)))

    async def _shadow(self, cluster: str, copy: Request) -> None:
        deadline = Deadline(self._context, self._seconds)
        deadline.start()
        try:
            await deadline.wait(self._send_and_drop(cluster, copy))
        except TimeoutError:
            if not deadline.expired:
                raise
        finally:
            deadline.stop()
            self._under_way -= 1

    async def _send_and_drop(self, cluster: str, copy: Request) -> None:
        """To the answer's last byte: who answers a copy must not see it hung up on."""
        response = await self._context.send(cluster, copy)
        try:
            await response.body.drain()
        except asyncio.CancelledError:
            response.discard()
            raise
