"""One request on an upstream HTTP/2 connection: into frames, and its answer back.

Envoy: Http2::ConnectionImpl::ClientStreamImpl. To ``Attempt`` it is what a whole connection is for HTTP/1.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from mesh.sidecar.body import EMPTY, Body
from mesh.sidecar.filter import Headers, Request, Reset, Response, field
from mesh.sidecar.headers import Field
from mesh.sidecar.upstream_connection import mark_cut
from mesh.sidecar.wire.http2 import ErrorCode

if TYPE_CHECKING:
    from mesh.sidecar.http2_upstream import Http2Upstream

_UPGRADE: Final = field("connection", "upgrade")


class UpstreamStream:
    """The defaults stand on the class: a stream pays only for what happens to it."""

    id = 0
    _request: Request | None = None
    _sending: Body | None = None  # the request's body, while it is not all sent
    _response: Response | None = None  # not handed on yet
    _body: Body | None = None  # of the answer, while it comes
    _came: Callable[[Response | Reset], None] | None = None  # until the answer has come
    _held = False
    _held_bytes = 0

    def __init__(self, connection: "Http2Upstream") -> None:
        self._connection = connection
        self._codec = connection.codec

    @property
    def local_address(self) -> str:
        return self._connection.local_address

    def give_back(self) -> None:
        """Not used after all: nothing was opened."""

    # --- the request

    def start(self, request: Request, came: Callable[[Response | Reset], None]) -> None:
        """Send a request; ``came`` is called with the answer, once, perhaps at once. Who gives up waiting for it must ``abandon``."""
        self._request, self._came = request, came
        body = request.body
        whole = body.complete and not request.upgrade
        data, trailers = (body.take(), body.trailers) if whole else (b"", None)
        stream_id = self._open(request, ends=whole and not data and not trailers)
        if stream_id is None:
            self._request = self._came = None
            came(Reset.REFUSED_STREAM)
            return
        self.id = stream_id
        self._connection.began(self)
        if not whole:
            self._sending = body
            body.attach(self)
            return
        if data:
            self._codec.send_data(stream_id, data, end_stream=not trailers)
        if trailers:
            self._codec.send_trailers(stream_id, trailers)

    def _open(self, request: Request, *, ends: bool) -> int | None:
        fields = request.headers.fields
        if not request.upgrade:
            return self._codec.send_request(request.method, request.path, request.authority, fields, ends, request.scheme)
        if not self._codec.peer_allows_connect_protocol:
            return None
        return self._codec.send_request("CONNECT", request.path, request.authority, fields, False, request.scheme, request.upgrade)

    def body_data(self, data: bytes) -> None:
        if self._codec.send_data(self.id, data, end_stream=False) and self._sending is not None:
            self._sending.pause()
        self._connection.wants_to_write()

    def body_end(self) -> None:
        body, self._sending = self._sending, None
        if body is not None and body.trailers:
            self._codec.send_trailers(self.id, body.trailers)
        else:
            self._codec.send_data(self.id, b"", end_stream=True)
        self._connection.wants_to_write()

    def body_failed(self, reason: str) -> None:
        self._sending = None
        self._drop(ErrorCode.CANCEL)

    def writable(self) -> None:
        if self._sending is not None:
            self._sending.resume()

    # --- the answer

    def response(self, status: int, fields: dict[str, Field], end_stream: bool) -> None:
        request = self._request
        if request is not None and request.upgrade and status == 200:
            status = 101
            fields["connection"], fields["upgrade"] = _UPGRADE, field("upgrade", request.upgrade)
        if end_stream:
            self._response = Response(status, Headers.of(fields), EMPTY)
            self._ended()
        else:
            self._body = body = Body(self)
            self._response = Response(status, Headers.of(fields), body)
        self._connection.answers(self)

    def begin(self) -> None:
        """Hand the answer on."""
        response, came = self._response, self._came
        self._response = self._came = None
        if response is not None and came is not None:
            came(response)

    def data(self, data: bytes, end_stream: bool) -> None:
        size, body = len(data), self._body
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
            self._body = None
            self._ended()
            body.finish()

    def trailers(self, fields: dict[str, Field]) -> None:
        body, self._body = self._body, None
        if body is not None:
            body.trailers = fields
            self._ended()
            body.finish()

    def _ended(self) -> None:
        """The whole answer is here; whatever of the request is not sent yet is not wanted any more. Envoy: Filter::onUpstreamComplete."""
        if self._sending is not None:
            self._detach()
            self._codec.reset(self.id, ErrorCode.NO_ERROR)
        self._connection.ended(self.id)

    def pause_body(self) -> None:
        self._held = True

    def resume_body(self) -> None:
        self._held = False
        size, self._held_bytes = self._held_bytes, 0
        if size:
            self._codec.consume(self.id, size)
            self._connection.wants_to_write()

    def cancel_body(self) -> None:
        """Nobody wants the rest of the answer."""
        self._body = None
        self._drop(ErrorCode.CANCEL)

    # --- the end

    def abandon(self, request: Request) -> None:
        """Nobody waits for this answer any more."""
        self._drop(ErrorCode.CANCEL)

    def _drop(self, code: ErrorCode) -> None:
        self._came = self._response = self._body = None
        self._detach()
        self._connection.reset(self.id, code)

    def _detach(self) -> None:
        if self._sending is not None:
            self._sending.detach()
            self._sending = None

    def failed(self, reset: Reset) -> None:
        """Whoever waits for the head or the rest of the body learns that it will not come."""
        came, body, request = self._came, self._body, self._request
        self._came = self._body = self._response = None
        self._detach()
        if came is not None:
            came(reset)
        elif body is not None:
            if request is not None:
                mark_cut(request, reset)
            body.fail(reset.value)
