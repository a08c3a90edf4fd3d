"""The PostgreSQL image, Debian's or a registry's, as a side container of a test; ratings speaks with it."""

import asyncio
from collections.abc import Iterator

import pytest
from testcontainers.community.postgres import PostgresContainer

from lab.runtimes.docker.images import Images
from services.bookshop.ratings_store import PostgresStore, StoreUnavailable

pytestmark = [pytest.mark.docker, pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def postgres(images: Images) -> Iterator[PostgresContainer]:
    with PostgresContainer(
        images.postgres(), username="shop", password="word", dbname="ratings", driver=None, docker_client_kw={"timeout": 180}
    ) as container:
        yield container


def url(postgres: PostgresContainer, password: str = "word") -> str:
    return f"postgresql://shop:{password}@127.0.0.1:{postgres.get_exposed_port(5432)}/ratings"


async def test_ratings_last_longer_than_the_connection_that_wrote_them(postgres: PostgresContainer) -> None:
    writer = PostgresStore(url(postgres))
    await writer.write(5, {"Reviewer1": 2})
    await writer.close()
    reader = PostgresStore(url(postgres))
    try:
        assert await reader.read(5) == {"Reviewer1": 2}
        assert await reader.read(6) == {"Reviewer1": 5, "Reviewer2": 4}
    finally:
        await reader.close()


async def test_a_wrong_password_is_refused(postgres: PostgresContainer) -> None:
    store = PostgresStore(url(postgres, "guess"))
    with pytest.raises(StoreUnavailable, match="password"):
        await asyncio.wait_for(store.read(1), 10)
    await store.close()
