"""The calling half of echo over gRPC: one Say a call, on a channel that is kept or a new one each time."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import grpc
from google.protobuf.json_format import MessageToDict
from grpc.aio import AioRpcError, Channel, insecure_channel
from grpc.experimental import insecure_channel_credentials

from services.addresses import address_of
from services.echo.echo_pb2 import Answer, Question

if TYPE_CHECKING:
    from services.echo.forward import ForwardRequest

SAY = "/echo.v1.Echo/Say"


class GrpcCaller:
    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self._channels: dict[str, Channel] = {}

    async def close(self) -> None:
        for channel in self._channels.values():
            await channel.close(None)

    async def call(self, request: "ForwardRequest") -> dict[str, Any]:
        """``status`` is the gRPC status code, 0 for success; ``seen`` what the other end saw."""
        fresh = request.new_connection_per_request
        channel = self._open(request.url, alone=True) if fresh else self._channels.get(request.url)
        if channel is None:
            channel = self._channels[request.url] = self._open(request.url, alone=False)
        try:
            return await _say(channel, request)
        finally:
            if fresh:
                await channel.close(None)

    def _open(self, url: str, *, alone: bool) -> Channel:
        if url.startswith("xds:///"):
            credentials = grpc.xds_channel_credentials(insecure_channel_credentials())
            return grpc.aio.secure_channel(url, credentials)
        authority = url.removeprefix("grpc://").partition("/")[0]
        options = [
            ("grpc.default_authority", authority),
            ("grpc.enable_http_proxy", 0),  # a mesh without capture has an address of its own for each service
            ("grpc.use_local_subchannel_pool", int(alone)),
            ("grpc.enable_retries", 0),
        ]
        return insecure_channel(address_of(authority, self._environment), options=options)


async def _say(channel: Channel, request: "ForwardRequest") -> dict[str, Any]:
    say = channel.unary_unary(SAY, request_serializer=Question.SerializeToString, response_deserializer=Answer.FromString)
    metadata = tuple((name.lower(), value) for name, value in request.header_list())
    call = say(Question(message=request.body), metadata=metadata, timeout=request.timeout_seconds)
    try:
        answer = await call
    except AioRpcError as error:
        details = f"{error.code().name}: {error.details()}"
        return {
            "status": error.code().value[0],
            "headers": _pairs(error.trailing_metadata()),
            "body_bytes": 0,
            "seen": None,
            "error": details,
        }
    seen = MessageToDict(answer, preserving_proto_field_name=True)
    headers = _pairs(await call.initial_metadata())
    return {"status": 0, "headers": headers, "body_bytes": answer.ByteSize(), "seen": seen, "error": ""}


def _pairs(metadata: Any) -> list[list[str]]:
    return [[name, value if isinstance(value, str) else value.decode("latin-1")] for name, value in metadata or ()]
