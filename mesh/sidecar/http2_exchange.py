"""One stream of a client's HTTP/2 connection: the request that came on it, and the answer into frames.

Envoy: Http2::ConnectionImpl::ServerStreamImpl. Bytes of the request are credited to the client as the upstream takes them, so that its
flow-control window is the whole way's.
"""

from typing import TYPE_CHECKING, Final

from mesh.sidecar.body import EMPTY, Body
from mesh.sidecar.exchange import Exchange, answer_with
from mesh.sidecar.filter import Flag, Request, Response, StreamInfo, local_reply
from mesh.sidecar.headers import Field
from mesh.sidecar.wire.heads import CHUNKED, SPECIAL, MalformedMessage
from mesh.sidecar.wire.http2 import ErrorCode, RequestHead
from mesh.sidecar.wire.writing import reason

if TYPE_CHECKING:
    from mesh.sidecar.http2_downstream import Http2Downstream

_WITHOUT_BODY: Final = (204, 304)


class Http2Exchange(Exchange):
    """``take`` makes the request, ``begin`` sends it down the chain once its connection's bytes have all been looked at."""

    _incoming: Body | None = None  # the request's body, while it comes
    _held_bytes = 0  # of it, not yet credited to the client
    _held = False

    def __init__(self, connection: "Http2Downstream", stream_id: int) -> None:
        self.id = stream_id
        self._connection = connection
        self._codec = connection.codec
        self._worker = connection.worker
        self._current = connection.manager

    # --- the request

    def take(self, head: RequestHead, end_stream: bool) -> None:
        connection, manager = self._connection, self._current
        now = self._worker.clock()
        method, path, authority, scheme, protocol, fields, length, special = head
        stream = StreamInfo(now, self._worker.wall.epoch(now))
        stream.protocol = "HTTP/2"
        stream.downstream_local = connection.local_address
        stream.downstream_remote = connection.remote_address
        request = self._request = Request.of(method, path, authority, fields, stream)
        request.original_dst = connection.original_dst
        if scheme == "https":
            request.scheme = scheme
        refusal = manager.extended_connect(request, protocol) if protocol else None
        if special:
            refusal = self._sanitize(request, end_stream) or refusal
        refusal = refusal or manager.prepare(request)
        self._forward = manager.forward if refusal is None else answer_with(refusal)
        manager.stats.downstream_rq_total += 1
        manager.stats.downstream_rq_http2_total += 1
        if end_stream:
            stream.request_end_seconds = now
        else:
            self._incoming = request.body = Body(self)
            request.chunked = length == CHUNKED and not protocol
        if manager.idle_seconds or manager.request_seconds:
            self._touch(now)

    def _sanitize(self, request: Request, end_stream: bool) -> Response | None:
        fields = request.headers.fields
        trailers = fields.pop("te", None)  # each gRPC call has this one, and mostly no other
        try:
            if not SPECIAL.isdisjoint(fields) and self._current.sanitize(request, 1)[1] and not end_stream:
                self._codec.send_response(self.id, 100, {}, end_stream=False)
        except MalformedMessage as error:
            return local_reply(error.status, reason(error.status), details=error.details)
        if trailers is not None:
            fields["te"] = trailers
        return None

    def begin(self) -> None:
        request = self._request
        if request is not None:
            body = request.body
            if self._incoming is None and not body.received_bytes and body.trailers is None and not request.upgrade:
                request.body = EMPTY
            self._dispatching = request.body is not EMPTY
            self._dispatch(request)
            self._dispatching = False

    def refuse(self, status: int, details: str) -> None:
        """What came is no request."""
        now = self._worker.clock()
        request = self._request = Request("", "", "")
        stream = request.stream
        stream.start_seconds, stream.start_time, stream.protocol = now, self._worker.wall.epoch(now), "HTTP/2"
        stream.downstream_local, stream.downstream_remote = self._connection.local_address, self._connection.remote_address
        self._answered(local_reply(status, reason(status), details=details, flags=Flag.DPE))

    def data(self, data: bytes, end_stream: bool) -> None:
        body = self._incoming
        size = len(data)
        if body is None:
            self._codec.consume(self.id, size)
            return
        if size:
            body.feed(data)
            if self._held:
                self._held_bytes += size
            else:
                self._codec.consume(self.id, size)
        if end_stream:
            self._all_here(body)
        elif self.deadline_seconds is not Exchange.deadline_seconds:
            self._touch(self._worker.clock())

    def trailers(self, fields: dict[str, Field]) -> None:
        body = self._incoming
        if body is not None:
            body.trailers = fields
            self._all_here(body)

    def _all_here(self, body: Body) -> None:
        self._incoming = None
        request = self._request
        if request is not None:
            request.stream.request_end_seconds = self._worker.clock()
        body.finish()
        if request is not None and request.upgrade:
            self._tunnel_ended()

    @property
    def _request_comes(self) -> bool:
        return self._incoming is not None

    def pause_body(self) -> None:
        self._held = True

    def resume_body(self) -> None:
        self._held = False
        size, self._held_bytes = self._held_bytes, 0
        if size:
            self._codec.consume(self.id, size)
            self._connection.wants_to_write()

    def cancel_body(self) -> None:
        """Nobody wants the rest of the request: the stream is reset when it has its answer."""
        self.resume_body()

    # --- the answer

    def _head(self, response: Response, end_stream: bool) -> None:
        self._answer_begun = True
        fields = response.headers.fields
        self._current.complete_fields(fields, self._worker.clock(), self._worker.wall)
        status = 200 if response.status == 101 else response.status
        self._codec.send_response(self.id, status, fields, end_stream)
        self._connection.wants_to_write()

    def _answer(self, request: Request, response: Response) -> None:
        data, trailers = response.body.take(), response.body.trailers
        self._out_bytes = len(data)
        if request.method == "HEAD" or response.status in _WITHOUT_BODY:
            data = b""
            self._out_bytes = 0 if request.method == "HEAD" else self._out_bytes
        elif response.local and not data:
            response.headers.fields.pop("content-length", None)  # the end of the stream says so
        self._head(response, end_stream=not data and not trailers)
        if data and self._codec.send_data(self.id, data, end_stream=not trailers):
            self._writing_paused = True
        if trailers:
            self._codec.send_trailers(self.id, trailers)

    def _begin_answer(self, request: Request, response: Response) -> None:
        data = response.body.take()
        self._head(response, end_stream=False)
        if data:
            self.body_data(data)

    def body_data(self, data: bytes) -> None:
        self._out_bytes += len(data)
        if self._codec.send_data(self.id, data, end_stream=False):
            self.pause_writing()
        self._connection.wants_to_write()
        if self._current.idle_seconds:
            self._touch(self._worker.clock())

    def body_end(self) -> None:
        trailers = self._out.trailers if self._out is not None else None
        if trailers:
            self._codec.send_trailers(self.id, trailers)
        else:
            self._codec.send_data(self.id, b"", end_stream=True)
        self._connection.wants_to_write()
        self._out = None
        if self._request is not None and self._request.upgrade and self._incoming is not None:
            return  # the other direction goes on
        self._last_written()

    def _last_written(self) -> None:
        if self._codec.buffered(self.id):
            self._all_written = self._writing_paused = True
        else:
            self._written()

    def _tunnel_ended(self) -> None:
        if self._out is None and self._response is not None:
            self._last_written()

    def _broken_off(self) -> None:
        self._current.stats.downstream_rq_tx_reset += 1
        self._incoming = None
        self._connection.reset(self.id, ErrorCode.INTERNAL_ERROR)
        self._connection.ended(self.id)

    def _next(self) -> None:
        if self._incoming is not None:
            self._incoming = None
            self._connection.reset(self.id, ErrorCode.NO_ERROR)  # the answer has overtaken its request: RFC 9113 §8.1
        self._connection.ended(self.id)

    # --- the end

    def gone(self, details: str) -> None:
        """The client has reset the stream, or is not there any more."""
        self._incoming = None
        self._lost(details)

    def _touch(self, now: float) -> None:
        super()._touch(now)
        self._connection.due(self.deadline_seconds)

    def check_deadline(self, now: float) -> None:
        self.deadline_seconds = float("inf")
        if self._request is not None:
            self._give_up(self._time_is_over(self._request.stream, now))
