"""Echo over gRPC: the four kinds of call, each answered with what arrived. It listens where PORT_GRPC says, beside the HTTP port.

PORT_TCP_GRPC is the same once more, for a port that does not tell the mesh what it speaks.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any, TypeAlias

import grpc
from grpc.aio import Server, ServicerContext, server

from services.echo.echo_pb2 import Answer, Header, Question

Context: TypeAlias = "ServicerContext[Any, Any]"
SERVICE = "echo.v1.Echo"
GRACE_SECONDS = 1.0
LARGEST_MESSAGE_BYTES = 64 * 1024 * 1024


class EchoService:
    def __init__(self, environment: Mapping[str, str]) -> None:
        self._self = {
            "service": environment.get("SERVICE_NAME", ""),
            "version": environment.get("SERVICE_VERSION", ""),
            "pod": environment.get("POD_NAME", ""),
        }

    async def say(self, question: Question, context: Context) -> Answer:
        return await self._answer(question, context, 1)

    async def count(self, question: Question, context: Context) -> AsyncIterator[Answer]:
        for number in range(1, (question.times or 1) + 1):
            yield await self._answer(question, context, number)

    async def collect(self, questions: AsyncIterator[Question], context: Context) -> Answer:
        heard = [question async for question in questions]
        return await self._answer(heard[-1] if heard else Question(), context, len(heard))

    async def talk(self, questions: AsyncIterator[Question], context: Context) -> AsyncIterator[Answer]:
        number = 0
        async for question in questions:
            number += 1
            yield await self._answer(question, context, number)

    async def _answer(self, question: Question, context: Context, number: int) -> Answer:
        if question.pause_seconds:
            await asyncio.sleep(question.pause_seconds)
        if question.status:
            await context.abort(_status(question.status), question.message or "as asked")
        return Answer(
            message=question.message,
            headers=[Header(name=name, value=_text(value)) for name, value in context.invocation_metadata() or ()],
            remote_address=context.peer(),
            number=number,
            filler=b"x" * question.size_bytes,
            **self._self,
        )


def _text(value: str | bytes) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else value


def _status(code: int) -> grpc.StatusCode:
    return next((status for status in grpc.StatusCode if status.value[0] == code), grpc.StatusCode.UNKNOWN)


def handlers(service: EchoService) -> grpc.GenericRpcHandler:
    question, answer = Question.FromString, Answer.SerializeToString
    return grpc.method_handlers_generic_handler(
        SERVICE,
        {
            "Say": grpc.unary_unary_rpc_method_handler(service.say, question, answer),
            "Count": grpc.unary_stream_rpc_method_handler(service.count, question, answer),
            "Collect": grpc.stream_unary_rpc_method_handler(service.collect, question, answer),
            "Talk": grpc.stream_stream_rpc_method_handler(service.talk, question, answer),
        },
    )


async def start(environment: Mapping[str, str]) -> Server | None:
    """The running server, or None where no port is given. RuntimeError: the port cannot be had."""
    ports = [environment[name] for name in ("PORT_GRPC", "PORT_TCP_GRPC") if name in environment]
    if not ports:
        return None
    sizes = [("grpc.max_receive_message_length", LARGEST_MESSAGE_BYTES), ("grpc.so_reuseport", 0)]
    running = server(options=sizes)
    running.add_generic_rpc_handlers((handlers(EchoService(environment)),))
    for port in ports:
        running.add_insecure_port(f"{environment.get('HOST', '0.0.0.0')}:{port}")
    await running.start()
    return running
