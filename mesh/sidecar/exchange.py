"""The serving of one request, whatever protocol it came by: through the chain, and the answer back to who asked.

Envoy: ConnectionManagerImpl::ActiveStream. A codec is a subclass: it makes the ``Request``, and writes what the abstract methods are
called with. A request that meets no filter which has to wait goes straight to an upstream connection and its answer straight back
(``Attempt.then``); for the others a coroutine waits (``_serve``). Nothing here outlives the request but what the codec keeps.
"""

import asyncio
import logging
from abc import abstractmethod
from collections.abc import Awaitable
from typing import Final

from mesh.sidecar.attempt import Attempt
from mesh.sidecar.body import Body
from mesh.sidecar.connection_manager import ENDED_AT_A_TIME, ConnectionManager, Worker
from mesh.sidecar.filter import Flag, Forward, Request, Response, StreamInfo, local_reply
from mesh.sidecar.grpc_reply import as_grpc, asks_for_grpc
from mesh.sidecar.strand import Strand

NEVER: Final = float("inf")

_log = logging.getLogger(__name__)


class Exchange:
    """A request being served, or several one after the other. The defaults stand on the class: one pays only for what happens to it."""

    _worker: Worker
    _current: ConnectionManager  # a request keeps the one it began with, whatever configuration comes meanwhile
    _forward: Forward
    deadline_seconds = NEVER
    _request: Request | None = None  # being served
    _response: Response | None = None  # being written
    _strand: Strand | None = None
    _attempt: Attempt | None = None  # what is waited for where no coroutine does
    _out: Body | None = None  # the answer's body, while it streams
    _out_bytes = 0
    _answer_begun = False
    _all_written = False  # but not read by the client: only that is waited for
    _given_up = False
    _writing_paused = False
    _dispatching = False  # a request with a body is being handed over: who answers at once has not read the body

    # --- the codec's part

    @abstractmethod
    def _answer(self, request: Request, response: Response) -> None:
        """Write an answer that is all here."""

    @abstractmethod
    def _begin_answer(self, request: Request, response: Response) -> None:
        """Write the head of an answer whose body will come by ``body_data``."""

    @abstractmethod
    def body_data(self, data: bytes) -> None: ...

    @abstractmethod
    def body_end(self) -> None:
        """Write the end of the answer; ``_written`` when both sides are done."""

    @abstractmethod
    def _broken_off(self) -> None:
        """The answer has begun, and the rest of it will not come: the client must see a broken message, not a short one."""

    @abstractmethod
    def _next(self) -> None:
        """The answer is out, the observers will be told."""

    @property
    @abstractmethod
    def _request_comes(self) -> bool:
        """Its last byte is not here yet."""

    # --- the way up, and back

    def _dispatch(self, request: Request) -> None:
        try:
            coming = self._forward(request)
        except Exception:
            coming = _always(_broken_filter(request))
        if coming.__class__ is Attempt and not coming.is_set:
            self._attempt = coming
            coming.then(self._answered)
        else:
            self._strand = Strand(self._serve(request, coming), self._worker.loop, self._ended)
            self._strand.start()

    async def _serve(self, request: Request, coming: Awaitable[Response]) -> None:
        """The long way: some filter waits, or a connection has to be made first."""
        try:
            response = await coming
        except Exception:
            response = _broken_filter(request)
        if self._request is request and not self._given_up:
            self._strand = None
            self._answered(response)
        else:
            response.discard()

    def _answered(self, response: Response) -> None:
        request = self._request
        assert request is not None
        self._attempt = None
        if response.local or request.upgrade:
            response = self._own(request, response)
        body = response.body
        if body.complete and response.status != 101:
            self._answer(request, response)
            if self._writing_paused:
                self._response, self._all_written = response, True  # the next request waits until the client reads
            else:
                self._finish(request, response)
                self._next()
            return
        self._response = response
        self._begin_answer(request, response)
        self._out = body
        if self._writing_paused:
            body.pause()
        body.attach(self)

    def _own(self, request: Request, response: Response) -> Response:
        """An answer of ours, or one to a client that wanted to leave HTTP."""
        if request.upgrade and response.status != 101 and not response.local:
            response.discard()
            response = local_reply(response.status, details="websocket_handshake_unsuccessful")
        if response.local and response.details != "cors_response" and asks_for_grpc(request.headers.fields):
            response = as_grpc(response)
        return response

    def _written(self) -> None:
        """All of an answer that streamed has been handed to the transport."""
        request, response = self._request, self._response
        self._out = self._response = None
        self._all_written = False
        if request is not None:
            self._finish(request, response)
            self._next()

    def body_failed(self, reason: str) -> None:
        self._broken_off()
        request, response = self._request, self._response
        self._out = self._response = None
        if request is not None:
            self._finish(request, response)
            self._next()

    def pause_writing(self) -> None:
        self._writing_paused = True
        if self._out is not None:
            self._out.pause()

    def resume_writing(self) -> None:
        self._writing_paused = False
        if self._out is not None:
            self._out.resume()
        elif self._all_written:
            self._written()

    # --- the end

    def _lost(self, details: str) -> None:
        """Who asked has gone."""
        request, response = self._request, self._response
        if request is None:
            return
        if not request.stream.details:
            request.stream.flags |= Flag.DC
            request.stream.details = details
        request.body.fail("downstream disconnect")
        self._out = self._response = None
        self._all_written = False
        if response is not None:
            response.discard()
        self._let_go()
        self._finish(request, response)

    def _let_go(self) -> None:
        """Stop waiting for an answer."""
        attempt, self._attempt = self._attempt, None
        strand, self._strand = self._strand, None
        if attempt is not None:
            attempt.abandon()
        if strand is not None:
            strand.cancel()

    def _give_up(self, response: Response) -> None:
        """Break off the request being served; the client gets this answer if none has begun."""
        request = self._request
        if request is None:
            return
        if self._answer_begun:
            request.stream.flags |= response.flags
            request.stream.details = response.details
            self._broken_off()
            self._lost(response.details)
            return
        self._given_up = True
        self._let_go()
        self._answered(response)

    def _finish(self, request: Request, response: Response | None) -> None:
        stream = request.stream
        stream.end_seconds = self._worker.clock()
        stream.bytes_received = 0 if self._dispatching else request.body.received_bytes
        if response is not None and response.body.failed == "response timeout":
            stream.details = "response_timeout"
        if response is not None and self._answer_begun:
            stream.status = response.status
            stream.flags |= response.flags
            stream.details = stream.details or response.details
            stream.bytes_sent = self._out_bytes
        self._request = None
        ended = self._worker.ended
        ended.append((self._current, request, response))
        if len(ended) >= ENDED_AT_A_TIME:
            self._worker.settle()

    def _ended(self, error: BaseException | None) -> None:
        if error is not None and not isinstance(error, asyncio.CancelledError):
            _log.error("a request failed", exc_info=error)
            self._broken_off()
            self._lost("filter_failed")

    # --- time-outs

    def _touch(self, now: float) -> None:
        """Something moved: the stream may be idle from here on. While the request comes, its own limit counts, too."""
        seconds = self._current.idle_seconds
        self.deadline_seconds = now + seconds if seconds else NEVER
        whole_seconds = self._current.request_seconds
        if whole_seconds and self._request is not None and self._request_comes:
            self.deadline_seconds = min(self.deadline_seconds, self._request.stream.start_seconds + whole_seconds)

    def _time_is_over(self, stream: StreamInfo, now: float) -> Response:
        whole_seconds = self._current.request_seconds
        if self._request_comes and whole_seconds and now >= stream.start_seconds + whole_seconds:
            return local_reply(408, "request timeout", details="request_overall_timeout")
        status = 408 if self._request_comes else 504
        return local_reply(status, "stream timeout", details="stream_idle_timeout", flags=Flag.SI)


async def _always(response: Response) -> Response:
    return response


def answer_with(response: Response) -> Forward:
    """In place of a chain: the request was refused before it came to one."""
    return lambda request: _always(response)


def _broken_filter(request: Request) -> Response:
    """Called while the filter's exception is being handled."""
    _log.exception("a filter failed on %s %s", request.method, request.path)
    return local_reply(500, "internal error", details="filter_failed")


def address_text(name: object) -> str:
    """A socket's name as it is logged."""
    if not isinstance(name, tuple) or len(name) < 2:
        return ""
    return f"[{name[0]}]:{name[1]}" if ":" in str(name[0]) else f"{name[0]}:{name[1]}"
