"""What is known about one request and its answer, for the access log, the metrics and the admin interface. Envoy: StreamInfo.

The connection fills in both ends, the filters what they decide; observers (``filter.Observer``) read it when the stream has ended.
"""

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from mesh.model.cluster import Cluster
    from mesh.model.endpoint import Endpoint
    from mesh.model.route import Route


class Flag:
    """Envoy's response flags, one bit each; ``flag_text`` prints them in this order, which is the order in which Envoy sets them."""

    NONE: Final = 0
    DI: Final = 1 << 0  # delay injected
    FI: Final = 1 << 1  # fault (abort) injected
    URX: Final = 1 << 2  # retry limit exceeded
    LH: Final = 1 << 3  # failed local health check
    UH: Final = 1 << 4  # no healthy upstream
    UT: Final = 1 << 5  # upstream request time-out
    LR: Final = 1 << 6  # local reset
    UR: Final = 1 << 7  # upstream remote reset
    UF: Final = 1 << 8  # upstream connection failure
    URX_TCP: Final = 1 << 24  # connect attempts exceeded: TCP's URX, which Envoy sets after UF
    UC: Final = 1 << 9  # upstream connection termination
    UO: Final = 1 << 10  # upstream overflow (circuit breaking)
    NR: Final = 1 << 11  # no route
    RL: Final = 1 << 12  # rate limited
    UAEX: Final = 1 << 13  # denied by external authorization
    DC: Final = 1 << 14  # downstream connection termination
    SI: Final = 1 << 15  # stream idle time-out
    IH: Final = 1 << 16  # invalid value of a strictly checked header
    DPE: Final = 1 << 17  # downstream protocol error
    UMSDR: Final = 1 << 18  # upstream max stream duration reached
    NC: Final = 1 << 19  # no cluster
    DT: Final = 1 << 20  # duration time-out
    UPE: Final = 1 << 21  # upstream protocol error
    OM: Final = 1 << 22  # overload manager
    DF: Final = 1 << 23  # DNS resolution failure


_NAMES = {value: name.partition("_")[0] for name, value in vars(Flag).items() if name[:2].isupper() and name != "NONE"}
_TEXTS: dict[int, str] = {0: "-"}


def flag_text(flags: int) -> str:
    """``-``, ``UH``, ``UF,URX``."""
    text = _TEXTS.get(flags)
    if text is None:
        text = _TEXTS[flags] = ",".join(name for bit, name in _NAMES.items() if flags & bit)
    return text


class Peer:
    """The workload at the other end, as its sidecar introduces it (``x-envoy-peer-metadata``) or its endpoint's metadata says."""

    __slots__ = ("app", "canonical_revision", "canonical_service", "cluster", "name", "namespace", "principal", "version", "workload")

    def __init__(
        self,
        *,
        name: str = "unknown",
        namespace: str = "unknown",
        workload: str = "unknown",
        app: str = "unknown",
        version: str = "unknown",
        canonical_service: str = "unknown",
        canonical_revision: str = "unknown",
        cluster: str = "unknown",
        principal: str = "unknown",
    ) -> None:
        self.name = name
        self.namespace = namespace
        self.workload = workload
        self.app = app
        self.version = version
        self.canonical_service = canonical_service
        self.canonical_revision = canonical_revision
        self.cluster = cluster
        self.principal = principal


UNKNOWN_PEER = Peer()


class StreamInfo:
    """One stream. Times are of the monotonic clock passed in, but ``start_time`` is the wall clock (seconds since the epoch).

    The defaults stand on the class: a stream pays only for what happened to it.
    """

    request_end_seconds = 0.0  # the last byte of the request was here
    held_until_seconds = 0.0  # by a fault; the upstream's time begins after it
    response_seconds = 0.0  # the first byte of the answer was here
    end_seconds = 0.0
    protocol = "HTTP/1.1"
    status = 0  # 0: nothing was answered
    flags = 0
    details = ""  # Envoy's response code details: via_upstream, route_not_found, …
    connection_termination_details = ""
    upstream_failure = ""  # Envoy's upstream transport failure reason
    bytes_received = 0  # of bodies
    bytes_sent = 0
    attempts = 0  # how often the request was sent to an upstream
    tried: "tuple[Endpoint, ...]" = ()
    route: "Route | None" = None
    cluster: "Cluster | None" = None
    upstream_cluster = ""  # its name, set also when there is no such cluster
    endpoint: "Endpoint | None" = None
    upstream_host = ""  # 127.0.0.1:9080
    upstream_local = ""
    downstream_local = ""
    downstream_remote = ""
    original_path = ""  # before a rewrite
    requested_server_name = ""
    peer: Peer | None = None  # the downstream workload (inbound side)
    peer_header = ""  # x-envoy-peer-metadata as it came

    def __init__(self, start_seconds: float = 0.0, start_time: float = 0.0) -> None:
        self.start_seconds = start_seconds
        self.start_time = start_time
