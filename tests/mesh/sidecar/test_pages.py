"""The little server behind admin and health pages, over a socket."""

import asyncio
import http.client
from collections.abc import AsyncIterator

import pytest

from mesh.sidecar.pages import Page, Pages, Query


@pytest.fixture
async def pages() -> AsyncIterator[Pages]:
    async def slow(query: Query) -> Page:
        await asyncio.sleep(0)
        return Page(f"hello {query.get('name', 'nobody')}\n")

    table = {("GET", "/hello"): slow, ("POST", "/quit"): lambda _: Page("bye\n")}
    async with Pages("127.0.0.1", 0, table) as running:
        yield running


async def ask(pages: Pages, method: str, path: str) -> tuple[int, str]:
    def exchange() -> tuple[int, str]:
        connection = http.client.HTTPConnection("127.0.0.1", pages.port, timeout=5)
        connection.request(method, path)
        response = connection.getresponse()
        return response.status, response.read().decode()

    return await asyncio.to_thread(exchange)


async def test_a_page_is_served_with_its_query(pages: Pages) -> None:
    assert await ask(pages, "GET", "/hello?name=jason") == (200, "hello jason\n")


async def test_head_has_no_body(pages: Pages) -> None:
    assert await ask(pages, "HEAD", "/hello") == (200, "")


async def test_what_changes_something_must_be_posted(pages: Pages) -> None:
    assert await ask(pages, "GET", "/quit") == (405, "Method GET not allowed, POST required.\n")
    assert await ask(pages, "POST", "/quit") == (200, "bye\n")


async def test_a_path_that_is_not_there_lists_those_that_are(pages: Pages) -> None:
    status, body = await ask(pages, "GET", "/nope")
    assert status == 404
    assert "GET /hello" in body


@pytest.mark.parametrize(
    ("raw", "status"), [(b"nonsense\r\n\r\n", 400), (b"GET / HTTP/1.1\r\nhost: a\r\nx: " + b"y" * 20_000 + b"\r\n\r\n", 431)]
)
async def test_what_is_no_request_is_refused(pages: Pages, raw: bytes, status: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", pages.port)
    writer.write(raw)
    line = await reader.readline()
    writer.close()
    assert line.split()[1] == str(status).encode()
