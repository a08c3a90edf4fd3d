"""A cluster at work: pick a host, take or open a connection, send, and say in Envoy's words how it went.

Envoy: source/common/router/router.cc and upstream/cluster_manager_impl.cc. What can go wrong above is not raised but answered: a
``Response`` with ``reset`` set, which the retry filter may give another chance.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from mesh.model.cluster import Cluster, Discovery, HttpProtocol, OutlierDetection
from mesh.model.endpoint import Endpoint, LoadAssignment
from mesh.model.world import Clock, Dice
from mesh.policy.circuit_breaker import UNLIMITED, may_send
from mesh.policy.locality import shares
from mesh.policy.outlier_detection import GRPC_TO_HTTP, Record
from mesh.sidecar.attempt import Attempt, Carrier
from mesh.sidecar.balancer import Choose, chooser, divided
from mesh.sidecar.cluster_stats import ClusterStats
from mesh.sidecar.filter import Field, Flag, Request, Reset, Response, local_reply
from mesh.sidecar.filter import field as header_field
from mesh.sidecar.host import ConnectFailure, Host
from mesh.sidecar.limits import Pool
from mesh.sidecar.outlier import Detector

HTTP2: Final = "HTTP/2"  # as StreamInfo says
_ANSWERS: Final[Mapping[Reset, tuple[int, int, str]]] = {
    Reset.CONNECTION_FAILURE: (503, Flag.UF, "remote_connection_failure"),
    Reset.CONNECTION_TIMEOUT: (503, Flag.UF, "connection_timeout"),
    Reset.CONNECTION_TERMINATION: (503, Flag.UC, "connection_termination"),
    Reset.REUSED_CONNECTION: (503, Flag.UC, "connection_termination"),
    Reset.PROTOCOL_ERROR: (502, Flag.UPE, "protocol_error"),
    Reset.REMOTE_RESET: (503, Flag.UR, "remote_reset"),
    Reset.REFUSED_STREAM: (503, Flag.UR, "remote_refused_stream_reset"),
    Reset.OVERFLOW: (503, Flag.UO, "overflow"),
}

Address = tuple[str, int]


def address_of(endpoint: Endpoint) -> Address:
    return endpoint.address, endpoint.port


_OVERLOADED: Final = header_field("x-envoy-overloaded", "true")
_SERVICE_TIMES: dict[int, Field] = {}


def _service_time(milliseconds: int) -> Field:
    known = _SERVICE_TIMES.get(milliseconds)
    if known is None:
        known = header_field("x-envoy-upstream-service-time", str(milliseconds))
        if len(_SERVICE_TIMES) < 4096:
            _SERVICE_TIMES[milliseconds] = known
    return known


class UpstreamCluster:
    """A cluster as one configuration has it. The hosts outlive it; ``original_dst`` makes hosts on demand where the client chooses them."""

    def __init__(
        self, cluster: Cluster, assignment: LoadAssignment | None, hosts: Mapping[Address, Host], pool: Pool, clock: Clock, dice: Dice
    ) -> None:
        self.cluster = cluster
        self.pool = pool
        self.name = cluster.name
        self.hosts: tuple[Host, ...] = ()  # to choose from
        self.all_hosts = tuple(hosts.values())  # with those that are not healthy
        self.stats: ClusterStats = pool.stats
        self._http1 = cluster.http_protocol is HttpProtocol.HTTP1
        self._follows = cluster.http_protocol is HttpProtocol.DOWNSTREAM
        self.original_dst: Callable[[Cluster, Endpoint], Host] | None = None
        self.detector: Detector | None = None
        self._counts_requests = pool.limits.requests < UNLIMITED
        self._assignment = assignment
        self._by_address = hosts
        self._clock = clock
        self._dice = dice
        self._only: Host | None = None
        self._choose: Choose | None = None
        pool.too_late = self._too_late
        self._detect(cluster.outlier_detection)
        self.refresh()

    def _detect(self, settings: OutlierDetection | None) -> None:
        if settings is not None and self.all_hosts:
            self.detector = Detector(settings, self.all_hosts, self.pool.outliers, self.refresh, self._clock, self._dice)
            return
        for host in self.all_hosts:
            host.record = Record()

    def refresh(self) -> None:
        """Hosts were ejected, or have come back, or weigh something else."""
        cluster, dice = self.cluster, self._dice
        groups: list[tuple[float, Choose]] = []
        hosts: dict[Host, None] = {}
        for share in shares(self._assignment, self._is_ejected, cluster.panic_percent, by_locality=cluster.locality_weighted):
            members = {address_of(endpoint): endpoint.weight for endpoint in share.endpoints}
            chosen = [self._by_address[address] for address in members]
            choose = chooser(cluster, chosen, list(members.values()), dice, self.stats.upstream_rq_total)
            groups.append((share.weight, choose))
            hosts.update(dict.fromkeys(chosen))
        self.hosts = tuple(hosts)
        self._only = self.hosts[0] if len(hosts) == 1 else None
        self._choose = divided(groups, dice) if groups else None

    def _is_ejected(self, endpoint: Endpoint) -> bool:
        return self._by_address[address_of(endpoint)].ejected

    def pick(self, request: Request) -> Host | None:
        """A host for this request; one that was not tried yet, within the number of attempts that the request grants."""
        if self._only is not None:
            return self._only
        choose = self._choose
        if choose is None:
            return self._pick_original(request) if self.cluster.discovery is Discovery.ORIGINAL_DST else None
        host = choose(request, 0)
        tried = request.stream.tried
        if tried:
            for attempt in range(1, request.host_selection_attempts):
                if host.endpoint not in tried:
                    break
                host = choose(request, attempt)
        return host

    def _pick_original(self, request: Request) -> Host | None:
        if request.original_dst is None or self.original_dst is None:
            return None
        return self.original_dst(self.cluster, Endpoint(*request.original_dst))

    def send(self, request: Request) -> Awaitable[Response]:
        """One attempt. Cancelling who awaits it resets the upstream connection."""
        stream = request.stream
        stream.cluster = self.cluster
        stream.attempts += 1
        host = self._only or self.pick(request)
        if host is None:
            self.stats.upstream_cx_none_healthy += 1
            return _nowhere()
        endpoint = stream.endpoint = host.endpoint
        stream.upstream_host = host.address
        if stream.tried:
            stream.upstream_failure = ""
        stream.tried = (*stream.tried, endpoint)
        connection: Carrier | None
        if self._http1 or (self._follows and stream.protocol != HTTP2):
            connection = host.take_idle(wary=stream.attempts > 1)
        else:
            connection = host.streams().take()
        return self._connect_and_send(request, host) if connection is None else self._start(request, host, connection)

    def _start(self, request: Request, host: Host, connection: Carrier) -> Awaitable[Response]:
        if self._counts_requests and not may_send(self.pool.limits, self.stats.upstream_rq_active):
            self.stats.upstream_rq_active_overflow += 1
            connection.give_back()
            return _answer(self._overflow(request))
        host_stats = host.stats
        host_stats.rq_total += 1
        host_stats.rq_active += 1
        stats = self.stats
        stats.upstream_rq_total += 1
        stats.upstream_rq_active += 1
        return Attempt(self, host, connection, request)

    async def _connect_and_send(self, request: Request, host: Host) -> Response:
        if not self.pool.begin_wait():
            request.stream.upstream_host = ""  # it never came to one
            return self._overflow(request)
        try:
            http1 = self._http1 or (self._follows and request.stream.protocol != HTTP2)
            connection = await (host.acquire() if http1 else host.streams().acquire())
        finally:
            self.pool.end_wait()
        if isinstance(connection, ConnectFailure):
            host.stats.rq_error += 1
            if self.detector is not None:
                self.detector.unanswered(host, 503, connected=False)
            return self._connect_failed(request, connection)
        return await self._start(request, host, connection)

    def _overflow(self, request: Request) -> Response:
        self.stats.upstream_rq_completed += 1
        self.stats.upstream_rq_5xx += 1
        response = _reply(Reset.OVERFLOW, "", request.stream.attempts)
        response.headers.fields["x-envoy-overloaded"] = _OVERLOADED
        return response

    def judge(self, request: Request, host: Host, outcome: Response | Reset) -> Response:
        """Count how an attempt ended, and make it an answer."""
        detector = self.detector
        if isinstance(outcome, Reset):
            host.stats.rq_error += 1
            if detector is not None:
                detector.unanswered(host, 503)
            return self._reset(request, outcome)
        self._count(host, outcome.status)
        if detector is not None:
            detector.answered(host, _status_of(outcome))
        stream = request.stream
        now = stream.response_seconds = self._clock()
        if outcome.status == 101:
            return outcome
        began = max(stream.request_end_seconds or now, stream.held_until_seconds)
        outcome.headers.fields["x-envoy-upstream-service-time"] = _service_time(int((now - began) * 1000))
        return outcome

    def _count(self, host: Host, status: int) -> None:
        stats = self.stats
        stats.upstream_rq_completed += 1
        if status < 300:
            stats.upstream_rq_2xx += 1
            host.stats.rq_success += 1
        elif status < 400:
            stats.upstream_rq_3xx += 1
            host.stats.rq_success += 1
        elif status < 500:
            stats.upstream_rq_4xx += 1
            host.stats.rq_success += 1
        else:
            stats.upstream_rq_5xx += 1
            host.stats.rq_error += 1

    def _too_late(self, request: Request) -> None:
        """A time-out of the request's route or try has given up its attempt."""
        endpoint = request.stream.endpoint
        host = self._by_address.get(address_of(endpoint)) if endpoint is not None else None
        if host is None:
            return
        host.stats.rq_timeout += 1
        host.stats.rq_error += 1
        if self.detector is not None:
            self.detector.unanswered(host, 504)

    def _connect_failed(self, request: Request, failure: ConnectFailure) -> Response:
        if failure.reset is Reset.CONNECTION_TIMEOUT:
            self.stats.upstream_cx_connect_timeout += 1
        self.stats.upstream_cx_connect_fail += 1
        if failure.reason:
            request.stream.upstream_failure = f"delayed_connect_error:_{failure.reason.replace(' ', '_')}"
        return _reply(failure.reset, f"delayed connect error: {failure.reason}" if failure.reason else "", request.stream.attempts)

    def _reset(self, request: Request, reset: Reset) -> Response:
        if reset is Reset.PROTOCOL_ERROR:
            self.stats.upstream_cx_protocol_error += 1
        else:
            self.stats.upstream_cx_destroy_remote_with_active_rq += 1
        return _reply(reset, "", request.stream.attempts)


def _status_of(response: Response) -> int:
    """For gRPC the status that its own says in HTTP's words, where the head tells it already."""
    grpc_status = response.headers.get("grpc-status")
    return response.status if grpc_status is None else GRPC_TO_HTTP.get(grpc_status, 500)


async def _answer(response: Response) -> Response:
    return response


async def _nowhere() -> Response:
    return local_reply(503, "no healthy upstream", details="no_healthy_upstream", flags=Flag.UH, reset=Reset.NO_HEALTHY_UPSTREAM)


def _reply(reset: Reset, transport_failure: str, attempts: int) -> Response:
    status, flags, word = _ANSWERS[reset]
    again = "retried and the latest " if attempts > 1 else ""
    text = f"upstream connect error or disconnect/reset before headers. {again}reset reason: {word.replace('_', ' ')}"
    details = f"upstream_reset_before_response_started{{{word}}}"
    if transport_failure:
        details = details[:-1] + f"|{transport_failure.replace(' ', '_')}}}"
    return local_reply(status, text, details=details, flags=flags, reset=reset)
