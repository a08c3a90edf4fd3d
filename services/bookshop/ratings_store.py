"""Where ratings are kept: SQLite in a file or in memory, PostgreSQL for version v2.

DATABASE_URL=postgresql://… means PostgreSQL; else RATINGS_DATABASE names SQLite's file; else the ratings live as long as the process.
A book nobody has rated yet has the shop's two standing ratings, as in Bookinfo.
"""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from psycopg import AsyncConnection

STANDING = {"Reviewer1": 5, "Reviewer2": 4}
CONNECT_TIMEOUT_SECONDS = 3

SCHEMA = """CREATE TABLE IF NOT EXISTS ratings
  (product_id BIGINT NOT NULL, reviewer TEXT NOT NULL, stars INTEGER NOT NULL, PRIMARY KEY (product_id, reviewer))"""


class StoreUnavailable(Exception):
    """The database does not answer."""


class RatingsStore(Protocol):
    async def read(self, product_id: int) -> dict[str, int]: ...
    async def write(self, product_id: int, ratings: Mapping[str, int]) -> None: ...
    async def close(self) -> None: ...


def open_store(environment: Mapping[str, str]) -> RatingsStore:
    url = environment.get("DATABASE_URL", "")
    if url.startswith(("postgresql://", "postgres://")):
        return PostgresStore(url)
    return SqliteStore(environment.get("RATINGS_DATABASE", ":memory:"))


class SqliteStore:
    """Calls take microseconds, so they run right on the event loop."""

    def __init__(self, file: str) -> None:
        self._connection = sqlite3.connect(
            file, isolation_level=None, check_same_thread=False
        )  # one event loop uses it, whichever thread that runs in
        if file != ":memory:":
            self._connection.execute("PRAGMA journal_mode=WAL")
        self._connection.execute(SCHEMA)

    async def read(self, product_id: int) -> dict[str, int]:
        try:
            rows = self._connection.execute("SELECT reviewer, stars FROM ratings WHERE product_id = ?", (product_id,)).fetchall()
        except (sqlite3.Error, OverflowError) as error:
            raise StoreUnavailable(str(error)) from error
        return dict(rows) or dict(STANDING)

    async def write(self, product_id: int, ratings: Mapping[str, int]) -> None:
        rows = [(product_id, reviewer, stars) for reviewer, stars in ratings.items()]
        try:
            with self._connection:
                self._connection.execute("BEGIN IMMEDIATE")
                self._connection.execute("DELETE FROM ratings WHERE product_id = ?", (product_id,))
                self._connection.executemany("INSERT INTO ratings VALUES (?, ?, ?)", rows)
        except (sqlite3.Error, OverflowError) as error:
            raise StoreUnavailable(str(error)) from error

    async def close(self) -> None:
        self._connection.close()


class PostgresStore:
    """One connection, opened at the first use and again after it broke: a database that starts later than the shop is no error."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._connection: AsyncConnection[Any] | None = None
        self._turn = asyncio.Lock()  # one connection speaks for one request at a time

    async def read(self, product_id: int) -> dict[str, int]:
        async with self._connected() as connection:
            cursor = await connection.execute("SELECT reviewer, stars FROM ratings WHERE product_id = %s", (product_id,))
            return dict(await cursor.fetchall()) or dict(STANDING)

    async def write(self, product_id: int, ratings: Mapping[str, int]) -> None:
        async with self._connected() as connection, connection.transaction():
            await connection.execute("DELETE FROM ratings WHERE product_id = %s", (product_id,))
            for reviewer, stars in ratings.items():
                await connection.execute("INSERT INTO ratings VALUES (%s, %s, %s)", (product_id, reviewer, stars))

    async def close(self) -> None:
        if self._connection is not None:
            await self._connection.close()

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator["AsyncConnection[Any]"]:
        import psycopg  # only version v2 pays for it

        async with self._turn:
            try:
                if self._connection is None:
                    self._connection = await psycopg.AsyncConnection.connect(
                        self._url, autocommit=True, connect_timeout=CONNECT_TIMEOUT_SECONDS
                    )
                    await self._connection.execute(SCHEMA)
                yield self._connection
            except psycopg.Error as error:
                broken, self._connection = self._connection, None
                if broken is not None:
                    await broken.close()
                raise StoreUnavailable(str(error)) from error
