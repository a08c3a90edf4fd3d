"""Time-outs, the filter: 504 when the whole answer takes too long. Lesson: scenarios/timeouts. Decision: mesh/policy/timeout.py.

Envoy: the router's response timer: it starts when the request has been received entirely, spans all retries, and ends with the
answer's last byte; an answer that has begun is cut off. An upgraded connection has no end of request, so no time-out. A caller's own
wish (x-envoy-upstream-rq-timeout-ms) counts where the connection manager lets it through: from internal addresses only.
"""

from collections.abc import Awaitable

from mesh.policy.timeout import REQUEST_HEADER, Timeout, decide
from mesh.sidecar.deadline import Deadline
from mesh.sidecar.filter import Context, Filter, Flag, Forward, Request, Response, Scope, local_reply


def build(scope: Scope, context: Context) -> Filter | None:
    timeout = scope.policy(Timeout)
    return None if timeout is None or scope.cluster is None else TimeoutFilter(timeout.request_seconds, context)


class TimeoutFilter:
    def __init__(self, seconds: float, context: Context) -> None:
        self._seconds = seconds
        self._context = context

    def __call__(self, request: Request, forward: Forward) -> Awaitable[Response]:
        wish = request.headers.fields.pop(REQUEST_HEADER, None)
        seconds = self._seconds if wish is None else decide(self._seconds, wish[0])
        if not seconds or request.upgrade:
            return forward(request)
        return self._limited(request, forward, seconds)

    async def _limited(self, request: Request, forward: Forward, seconds: float) -> Response:
        deadline = Deadline(self._context, seconds)
        request.time_left = deadline.left
        request.body.on_end(deadline.start)
        try:
            response = await deadline.wait(forward(request))
        except TimeoutError:
            if not deadline.expired:
                raise
            pool = self._context.pool(request.cluster)
            if pool is not None:
                pool.too_late(request)
            return local_reply(504, "upstream request timeout", details="response_timeout", flags=Flag.UT)
        except BaseException:
            deadline.stop()
            raise
        response.body.on_end(deadline.stop)
        deadline.then(lambda: _cut(request, response))
        return response


def _cut(request: Request, response: Response) -> None:
    request.stream.flags |= Flag.UT
    response.flags |= Flag.UT
    response.body.fail("response timeout")
