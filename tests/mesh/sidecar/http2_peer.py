"""HTTP/2 peers of another make (the ``h2`` library): a client, and a server that does as it is told."""

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from h2.config import H2Configuration
from h2.connection import ConnectionState, H2Connection
from h2.errors import ErrorCodes
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    Event,
    InformationalResponseReceived,
    RequestReceived,
    ResponseReceived,
    StreamEnded,
    StreamReset,
    TrailersReceived,
    WindowUpdated,
)

GIVE_UP_SECONDS = 5.0

Pairs = list[tuple[str, str]]


@dataclass
class Message:
    """What came on a stream."""

    id: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    trailers: dict[str, str] | None = None
    interim: list[int] = field(default_factory=list)
    ended: bool = False
    reset: int | None = None

    @property
    def status(self) -> int:
        return int(self.headers.get(":status", "0"))


class Peer:
    """One connection. ``credits`` False: the peer's window is not opened again until ``credit`` is called."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, client: bool, max_streams: int = 100) -> None:
        self.reader, self.writer = reader, writer
        self.h2 = H2Connection(H2Configuration(client_side=client, header_encoding="utf-8"))
        self.h2.local_settings.max_concurrent_streams = max_streams
        self.streams: dict[int, Message] = {}
        self.goaways: list[tuple[int, int]] = []
        self.credits = True
        self.ended = False
        self._rest = b""
        self._greeted = False
        self._news = asyncio.Condition()
        self.h2.initiate_connection()
        self.flush()

    def flush(self) -> None:
        data = self.h2.data_to_send()
        if data and not self.writer.is_closing():
            self.writer.write(data)

    async def run(self, on_ended: "Callable[[Message], Awaitable[None] | None] | None" = None) -> None:
        """Read until the end; ``on_ended`` is told of each message that is whole."""
        try:
            while frames := self._frames(await self.reader.read(1 << 16)):
                for event in itertools.chain.from_iterable(map(self._receive, frames)):
                    self._take(event)
                    if isinstance(event, StreamEnded) and on_ended is not None:
                        waiting = on_ended(self.streams[event.stream_id])
                        if waiting is not None:
                            await waiting
                self.flush()
                await self._tell()
        except ConnectionError:
            pass
        finally:
            self.ended = True
            self.writer.close()
            await self._tell()

    def _frames(self, data: bytes) -> list[bytes]:
        """Cut, because the library takes nothing that comes behind a GOAWAY. Empty at the end."""
        if not data:
            return []
        data, frames = self._rest + data, [b""]
        if not self.h2.config.client_side and not self._greeted:
            self._greeted, frames, data = True, [data[:24]], data[24:]
        while len(data) >= 9 and len(data) >= (size := 9 + int.from_bytes(data[:3], "big")):
            frames.append(data[:size])
            data = data[size:]
        self._rest = data
        return frames

    def _receive(self, frame: bytes) -> list[Event]:
        events = self.h2.receive_data(frame)
        if any(isinstance(event, ConnectionTerminated) for event in events):
            self.h2.state_machine.state = ConnectionState.CLIENT_OPEN if self.h2.config.client_side else ConnectionState.SERVER_OPEN
        return events

    async def _tell(self) -> None:
        async with self._news:
            self._news.notify_all()

    def _take(self, event: Event) -> None:
        if isinstance(event, RequestReceived | ResponseReceived):
            self.stream(event.stream_id).headers = dict(event.headers)  # type: ignore[arg-type]
        elif isinstance(event, InformationalResponseReceived):
            self.stream(event.stream_id).interim.append(int(dict(event.headers)[":status"]))  # type: ignore[index]
        elif isinstance(event, DataReceived):
            self.stream(event.stream_id).body += event.data
            if self.credits and event.flow_controlled_length:
                self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, TrailersReceived):
            self.stream(event.stream_id).trailers = dict(event.headers)  # type: ignore[arg-type]
        elif isinstance(event, StreamEnded):
            self.stream(event.stream_id).ended = True
        elif isinstance(event, StreamReset):
            self.stream(event.stream_id).reset = int(event.error_code)
        elif isinstance(event, ConnectionTerminated):
            self.goaways.append((event.last_stream_id or 0, int(event.error_code)))
        elif isinstance(event, WindowUpdated):
            pass

    def stream(self, stream_id: int) -> Message:
        return self.streams.setdefault(stream_id, Message(stream_id))

    # --- as client

    def request(
        self, path: str = "/", *more: tuple[str, str], method: str = "GET", body: bytes | None = None, ends: bool = True
    ) -> Message:
        stream_id = self.h2.get_next_available_stream_id()
        pseudo = [(":method", method), (":path", path), (":scheme", "http"), (":authority", "reviews:9080")]
        self.h2.send_headers(stream_id, [*pseudo, *more], end_stream=ends and body is None)
        if body is not None:
            self.h2.send_data(stream_id, body, end_stream=ends)
        self.flush()
        return self.stream(stream_id)

    def data(self, message: Message, data: bytes, *, ends: bool = False) -> None:
        self.h2.send_data(message.id, data, end_stream=ends)
        self.flush()

    def trail(self, message: Message, *trailers: tuple[str, str]) -> None:
        self.h2.send_headers(message.id, trailers, end_stream=True)
        self.flush()

    def reset(self, message: Message, code: int = ErrorCodes.CANCEL) -> None:
        self.h2.reset_stream(message.id, code)
        self.flush()

    async def until(self, condition: Callable[[], object]) -> None:
        async with asyncio.timeout(GIVE_UP_SECONDS), self._news:
            await self._news.wait_for(lambda: condition() or self.ended)
        assert condition(), (self.streams, self.goaways)

    async def whole(self, message: Message) -> Message:
        await self.until(lambda: message.ended or message.reset is not None)
        return message

    # --- as server

    def answer(
        self,
        message: Message,
        status: int = 200,
        *fields: tuple[str, str],
        body: bytes = b"",
        trailers: Pairs | None = None,
        ends: bool = True,
    ) -> None:
        last = ends and trailers is None
        self.h2.send_headers(message.id, [(":status", str(status)), *fields], end_stream=last and not body)
        if body:
            self.h2.send_data(message.id, body, end_stream=last)
        if trailers is not None:
            self.h2.send_headers(message.id, trailers, end_stream=True)
        self.flush()
