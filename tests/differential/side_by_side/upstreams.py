"""Recording upstreams, which behave as a request's ``x-script`` says."""

import asyncio
import contextlib
import threading
from collections.abc import Sequence

from side_by_side.asking import Seen

LOCALHOST = "127.0.0.1"


class Upstreams:
    """One server a name. A script has a step for each try, separated by commas, the last one for all further tries:

    ``503`` a status · ``0.5:200`` wait before it · ``close`` hang up instead · ``cut`` hang up amid the body · ``garbage`` no HTTP ·
    ``slow:0.5`` a body in two pieces with a pause between · ``chunked`` · ``unframed`` a body that ends with the connection ·
    ``200+name=value`` with a header · ``bare`` as 200, but without anything else · ``hints`` a 103 first · ``ws`` switch protocols and
    echo four bytes. A shadow is answered 200, or as its ``x-shadow-script`` says.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self.ports: dict[str, int] = {}
        self._names = names
        self._seen: dict[str, list[Seen]] = {}
        self._lock = threading.Lock()
        self._servers: list[asyncio.Server] = []

    async def start(self) -> None:
        for name in self._names:
            server = await asyncio.start_server(_Server(name, self).serve, LOCALHOST, 0)
            self.ports[name] = server.sockets[0].getsockname()[1]
            self._servers.append(server)

    def stop(self) -> None:
        for server in self._servers:
            server.close()

    def record(self, key: str, seen: Seen) -> int:
        """How many tries came before this one; a request without a key leaves no trace."""
        if not key:
            return 0
        with self._lock:
            history = self._seen.setdefault(key, [])
            history.append(seen)
            return sum(not other.shadow for other in history) - 1

    def take(self, key: str) -> list[Seen]:
        with self._lock:
            return self._seen.pop(key, [])

    def count(self, key: str) -> int:
        with self._lock:
            return len(self._seen.get(key, []))


class _Server:
    def __init__(self, name: str, upstreams: Upstreams) -> None:
        self._name = name
        self._upstreams = upstreams

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            while await self._one(reader, writer):
                pass
        writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("utf-8", "surrogateescape")
        line, *fields = head[:-4].split("\r\n")
        method, path, _ = line.split(" ")
        headers = [(name, value.strip()) for name, _, value in (field.partition(":") for field in fields)]
        values = {name.lower(): value for name, value in headers}
        seen = Seen(self._name, method, path, headers)
        seen.body = await _body(values, reader)
        before = self._upstreams.record(values.get("x-key", ""), seen)
        steps = [values.get("x-shadow-script", "200")] if seen.shadow else values.get("x-script", "200").split(",")
        step = steps[min(before, len(steps) - 1)]
        if not step.startswith("slow"):
            delay, _, step = step.rpartition(":")
            await asyncio.sleep(float(delay or 0))  # an upstream that takes its time is the point
        return await self._answer(step, seen, reader, writer)

    async def _answer(self, step: str, seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        step, *extra = step.split("+")
        if step == "ws":
            writer.write(b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n")
            writer.write(await reader.readexactly(4))
            await writer.drain()
            return False
        if step in ("close", "cut", "garbage", "unframed"):
            writer.write(_BROKEN[step])
            await writer.drain()
            return False
        if step.startswith("slow:"):
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nabc")
            await asyncio.sleep(float(step[5:]))
            seen.left_early = reader.at_eof()
            writer.write(b"def")
            return True
        writer.write(self._whole(step, seen.method, "".join(f"{item.replace('=', ': ', 1)}\r\n" for item in extra)))
        return True

    def _whole(self, step: str, method: str, lines: str) -> bytes:
        if step == "hints":
            return b"HTTP/1.1 103 Early Hints\r\nlink: </a.css>\r\n\r\n" + self._whole("200", method, lines)
        if step == "chunked":
            body = b"" if method == "HEAD" else b"3\r\nabc\r\n3\r\ndef\r\n0\r\n\r\n"
            return f"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n{lines}\r\n".encode() + body
        status = int(step)
        if status in (204, 304):
            return f"HTTP/1.1 {status} Whatever\r\n{lines}\r\n".encode()
        body = f"{self._name} {status}\n".encode()
        head = f"HTTP/1.1 {status} Whatever\r\ncontent-length: {len(body)}\r\n{lines}\r\n".encode("utf-8", "surrogateescape")
        return head + (b"" if method == "HEAD" else body)


_BROKEN = {
    "close": b"",
    "cut": b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc",
    "garbage": b"this is no HTTP\r\n\r\n",
    "unframed": b"HTTP/1.1 200 OK\r\n\r\nuntil the end",
}


async def _body(values: dict[str, str], reader: asyncio.StreamReader) -> bytes:
    if "chunked" not in values.get("transfer-encoding", "") or "upgrade" in values:
        return await reader.readexactly(int(values.get("content-length", "0")))
    body = b""
    while size := int((await reader.readuntil(b"\r\n")).split(b";")[0], 16):
        body += (await reader.readexactly(size + 2))[:-2]
    await reader.readuntil(b"\r\n")
    return body
