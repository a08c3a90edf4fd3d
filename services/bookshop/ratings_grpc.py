"""Ratings over gRPC, on the same store: it listens where PORT_GRPC says, beside the HTTP port."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any, TypeAlias

import grpc
from grpc.aio import Server, ServicerContext, server

from services.bookshop.ratings_pb2 import Product, ProductRatings
from services.bookshop.ratings_store import RatingsStore, StoreUnavailable

Context: TypeAlias = "ServicerContext[Any, Any]"
SERVICE = "bookshop.v1.Ratings"
WATCH_SECONDS = 0.2
MOST_STARS = 5


class RatingsService:
    def __init__(self, store: RatingsStore) -> None:
        self._store = store

    async def get(self, product: Product, context: Context) -> ProductRatings:
        return ProductRatings(id=product.id, stars=await self._read(product.id, context))

    async def rate(self, ratings: ProductRatings, context: Context) -> ProductRatings:
        if not all(0 <= stars <= MOST_STARS for stars in ratings.stars.values()):
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"stars are 0 to {MOST_STARS}")
        try:
            await self._store.write(ratings.id, dict(ratings.stars))
        except StoreUnavailable as error:
            await context.abort(grpc.StatusCode.UNAVAILABLE, f"could not connect to ratings database: {error}")
        return ProductRatings(id=ratings.id, stars=await self._read(ratings.id, context))

    async def watch(self, product: Product, context: Context) -> AsyncIterator[ProductRatings]:
        told: dict[str, int] | None = None
        while True:
            stars = await self._read(product.id, context)
            if stars != told:
                yield ProductRatings(id=product.id, stars=stars)
                told = stars
            await asyncio.sleep(WATCH_SECONDS)  # neither database tells us of changes

    async def _read(self, product_id: int, context: Context) -> dict[str, int]:
        try:
            return await self._store.read(product_id)
        except StoreUnavailable as error:
            await context.abort(grpc.StatusCode.UNAVAILABLE, f"could not connect to ratings database: {error}")
            raise  # abort does not return


async def start(environment: Mapping[str, str], store: RatingsStore) -> Server | None:
    """The running server, or None where no port is given. RuntimeError: the port cannot be had."""
    if "PORT_GRPC" not in environment:
        return None
    service, answer = RatingsService(store), ProductRatings.SerializeToString
    methods: dict[str, grpc.RpcMethodHandler[Any, Any]] = {
        "Get": grpc.unary_unary_rpc_method_handler(service.get, Product.FromString, answer),
        "Rate": grpc.unary_unary_rpc_method_handler(service.rate, ProductRatings.FromString, answer),
        "Watch": grpc.unary_stream_rpc_method_handler(service.watch, Product.FromString, answer),
    }
    running = server(options=[("grpc.so_reuseport", 0)])
    running.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, methods),))
    running.add_insecure_port(f"{environment.get('HOST', '0.0.0.0')}:{environment['PORT_GRPC']}")
    await running.start()
    return running
