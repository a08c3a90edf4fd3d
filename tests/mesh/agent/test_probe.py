"""The probe against real servers: what counts as well, and what is reported when."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from mesh.agent import probe

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def server(answer: Callable[[], bytes]) -> AsyncIterator[int]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer())
        writer.close()

    running = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with running:
        yield running.sockets[0].getsockname()[1]


@pytest.mark.parametrize(
    ("line", "well"),
    [(b"HTTP/1.1 200 OK", True), (b"HTTP/1.1 302 Found", True), (b"HTTP/1.1 503 No", False), (b"hello", False), (b"", False)],
)
async def test_an_http_app_is_well_when_it_answers_2xx_or_3xx(line: bytes, well: bool) -> None:
    async with server(lambda: line + b"\r\n\r\n") as port:
        assert (await probe.ask(f"http://127.0.0.1:{port}/health") is None) == well


async def test_a_tcp_app_is_well_when_it_accepts() -> None:
    async with server(lambda: b"") as port:
        assert await probe.ask(f"tcp://127.0.0.1:{port}") is None
    problem = await probe.ask(f"tcp://127.0.0.1:{port}")
    assert problem is not None
    assert str(port) in problem


async def test_changes_are_reported_and_one_failure_is_forgiven() -> None:
    statuses = [b"503", b"200", b"200", b"503", b"200", b"503", b"503"]
    reports: list[str | None] = []
    done = asyncio.Event()

    def report(problem: str | None) -> None:
        reports.append(problem)
        if len(reports) == 3:
            done.set()

    def answer() -> bytes:
        status = statuses.pop(0) if len(statuses) > 1 else statuses[0]
        return b"HTTP/1.1 " + status + b" x\r\n\r\n"

    async with server(answer) as port, asyncio.TaskGroup() as tasks:
        watching = tasks.create_task(probe.watch(f"http://127.0.0.1:{port}/", report))
        await asyncio.wait_for(done.wait(), 10)
        watching.cancel()
    assert [problem is None for problem in reports] == [False, True, False]
    assert "status 503" in str(reports[2])


async def test_without_a_url_the_app_counts_as_well() -> None:
    reports: list[str | None] = []
    await probe.watch("", reports.append)
    assert reports == [None]
