"""A message body: a stream with back-pressure that is already whole for most messages.

Envoy: Http::RequestDecoder and RequestEncoder joined by a watermark buffer. One ``source`` (a connection being read) feeds it, one
``sink`` (a connection being written) takes it. No task stands between the two: bytes are handed on in the call that brought them.

    source ──feed, finish, fail──▶ Body ──body_data, body_end, body_failed──▶ sink
    source ◀──pause_body, resume_body, cancel_body── Body ◀──pause, resume, close── sink
"""

import asyncio
from collections.abc import Callable
from typing import Protocol

from mesh.sidecar.headers import Field

HIGH_WATER_BYTES = 64 * 1024
"""A body nobody takes yet holds this much before its source is paused."""


class Sink(Protocol):
    """Who takes a body. The calls come in order: data …, then one of end and failed."""

    def body_data(self, data: bytes) -> None: ...

    def body_end(self) -> None: ...

    def body_failed(self, reason: str) -> None: ...


class Source(Protocol):
    """Who brings a body: the connection it is read from."""

    def pause_body(self) -> None: ...

    def resume_body(self) -> None: ...

    def cancel_body(self) -> None: ...


class BodyBroken(Exception):
    """The source went away before the body was whole."""


class BodyTooLarge(Exception):
    """The body passed the limit under which it was to be read whole."""


class Body:
    """``complete``: the last byte is here. ``failed``: why it never will be. ``received_bytes`` counts what the source brought.

    ``trailers`` are what followed the last byte; they are there once it is complete.

    The defaults stand on the class: a body pays only for what happens to it.
    """

    _source: Source | None = None
    _sink: Sink | None = None
    _buffered_bytes = 0
    _retain_bytes = 0
    _paused = False
    _watchers: list[Callable[[], None]] | None = None
    complete = False
    failed = ""
    overflowed = False
    received_bytes = 0
    trailers: dict[str, Field] | None = None

    def __init__(self, source: Source | None = None) -> None:
        self._chunks: list[bytes] = []
        if source is not None:
            self._source = source

    @classmethod
    def of(cls, data: bytes) -> "Body":
        """A body that is all here."""
        body = cls.__new__(cls)
        if data:
            body._chunks = [data]
            body._buffered_bytes = body.received_bytes = len(data)
        else:
            body._chunks = []
        body.complete = True
        return body

    # --- the consumer's side ---

    def retain(self, limit_bytes: int) -> None:
        """Keep what passes through, up to a limit, so that ``attach`` can hand the whole body out once more (a retry).

        To be called before the first ``attach``. Above the limit the copy is dropped and ``replayable`` turns False.
        """
        self._retain_bytes = limit_bytes
        if self._buffered_bytes > limit_bytes:
            self._stop_retaining()

    @property
    def replayable(self) -> bool:
        """Whether the next ``attach`` would see the body from its first byte."""
        return not self.failed and self._buffered_bytes == self.received_bytes

    def retained(self) -> bytes | None:
        """The whole body as bytes, if it is complete and still here; else None."""
        return b"".join(self._chunks) if self.complete and self.replayable else None

    def attach(self, sink: Sink) -> None:
        """Hand over what is here, now, and the rest as it comes."""
        chunks = self._chunks
        was_paused, self._paused = self._paused, False
        self._sink = None if self.complete else sink  # the shared EMPTY must not keep anybody alive
        if self._retain_bytes:
            chunks = chunks.copy()
        else:
            self._chunks = []
            self._buffered_bytes = 0
        for chunk in chunks:
            sink.body_data(chunk)
        if self.complete:
            sink.body_end()
        elif self.failed:
            sink.body_failed(self.failed)
        elif was_paused and not self._paused and self._source is not None:
            self._source.resume_body()

    def detach(self) -> None:
        """Stop feeding the sink; what comes is held again, up to the high-water mark."""
        self._sink = None
        if self._paused:
            self.resume()

    def take(self) -> bytes:
        """What is here, as one piece; for a body that is ``complete`` this is all of it. A retained body keeps its copy."""
        chunks = self._chunks
        data = chunks[0] if len(chunks) == 1 else b"".join(chunks)
        if not self._retain_bytes and chunks:
            self._chunks = []
            self._buffered_bytes = 0
        return data

    def pause(self) -> None:
        """The sink is full: hold the source."""
        if not self._paused:
            self._paused = True
            if self._source is not None and not self.complete:
                self._source.pause_body()

    def resume(self) -> None:
        if self._paused:
            self._paused = False
            if self._source is not None and not self.complete:
                self._source.resume_body()

    def close(self) -> None:
        """Nobody wants the rest: a source that is not at its end is cancelled (for an upstream connection: closed)."""
        if self.complete or self.failed:
            self._sink = None
            return
        source, self._source, self._sink = self._source, None, None
        self.fail("closed")
        if source is not None:
            source.cancel_body()

    def on_end(self, callback: Callable[[], None]) -> None:
        """Call back once the body is complete, failed or closed; at once if it is."""
        if self.complete or self.failed:
            callback()
        elif self._watchers is None:
            self._watchers = [callback]
        else:
            self._watchers.append(callback)

    async def read(self, limit_bytes: int = 1024 * 1024) -> bytes:
        """The whole body as bytes, for who must have it so. Raises BodyTooLarge above the limit, BodyBroken when it breaks off."""
        reader = _Reader(limit_bytes)
        self.attach(reader)
        if not (self.complete or self.failed):
            await reader.wait()
        if reader.size_bytes > limit_bytes:
            self.close()
            raise BodyTooLarge(f"more than {limit_bytes} bytes")
        if self.failed:
            raise BodyBroken(self.failed)
        return b"".join(reader.chunks)

    async def drain(self) -> None:
        """Take the rest and drop it, so that the connection it comes on can be used again. A body that breaks off is no error here."""
        nowhere = _Nowhere()
        self.attach(nowhere)
        if not (self.complete or self.failed):
            await nowhere.ended

    # --- the source's side ---

    def feed(self, data: bytes) -> None:
        size = len(data)
        self.received_bytes += size
        sink = self._sink
        if sink is None or self._retain_bytes:
            self._chunks.append(data)
            self._buffered_bytes += size
            if sink is None:
                if self._buffered_bytes > HIGH_WATER_BYTES:
                    self.pause()
                return
            if self._buffered_bytes > self._retain_bytes:
                self._stop_retaining()
        sink.body_data(data)

    def finish(self) -> None:
        self.complete = True
        if self._sink is not None:
            self._sink.body_end()
        self._ended()

    def fail(self, reason: str) -> None:
        """The rest will not come. What was not taken yet is dropped: a cut body must not look whole."""
        if self.complete or self.failed:
            return
        self.failed = reason
        self._chunks.clear()
        if self._sink is not None:
            self._sink.body_failed(reason)
        self._ended()

    def _ended(self) -> None:
        watchers, self._watchers = self._watchers, None
        for callback in watchers or ():
            callback()

    def _stop_retaining(self) -> None:
        self._retain_bytes = 0
        self.overflowed = True
        if self._sink is not None:
            self._chunks = []
            self._buffered_bytes = 0


class _Reader:
    """The sink behind ``Body.read``."""

    def __init__(self, limit_bytes: int) -> None:
        self.chunks: list[bytes] = []
        self.size_bytes = 0
        self._limit_bytes = limit_bytes
        self._done: asyncio.Future[None] | None = None

    async def wait(self) -> None:
        self._done = asyncio.get_running_loop().create_future()
        if self.size_bytes <= self._limit_bytes:
            await self._done

    def body_data(self, data: bytes) -> None:
        self.size_bytes += len(data)
        if self.size_bytes <= self._limit_bytes:
            self.chunks.append(data)
        else:
            self._wake()

    def body_end(self) -> None:
        self._wake()

    def body_failed(self, reason: str) -> None:
        self._wake()

    def _wake(self) -> None:
        if self._done is not None and not self._done.done():
            self._done.set_result(None)


class _Nowhere:
    """The sink behind ``Body.drain``."""

    def __init__(self) -> None:
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def body_data(self, data: bytes) -> None:
        """Dropped."""

    def body_end(self) -> None:
        if not self.ended.done():
            self.ended.set_result(None)

    def body_failed(self, reason: str) -> None:
        self.body_end()


EMPTY = Body.of(b"")
"""The body of a message that has none: complete, and shared by all."""
