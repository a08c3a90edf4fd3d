"""details: what is printed in the front of the book. Asks nobody."""

from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI
from fastapi.responses import JSONResponse

from services.serving import serve

BOOK: Mapping[str, Any] = {
    "author": "William Shakespeare",
    "year": 1595,
    "type": "paperback",
    "pages": 200,
    "publisher": "PublisherA",
    "language": "English",
    "ISBN-10": "1234567890",
    "ISBN-13": "123-1234567890",
}


def create_app() -> FastAPI:
    app = FastAPI(title="details", openapi_url=None)

    @app.get("/health")
    async def health() -> JSONResponse:
        return JSONResponse({"status": "Details is healthy"})

    @app.get("/details/{product_id}")
    async def details(product_id: str) -> JSONResponse:
        if not product_id.isdecimal():
            return JSONResponse({"error": "please provide numeric product id"}, 400)
        return JSONResponse({"id": int(product_id), **BOOK})

    return app


def main() -> None:
    serve(create_app())


if __name__ == "__main__":
    main()
