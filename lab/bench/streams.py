"""Messages a second through gRPC's two-way streams: `python -m lab.bench.streams address streams seconds` says how many came back.

A message goes out when the one before has come back, on each of some streams at once.
"""

import asyncio
import sys
import time

from grpc.aio import Channel, insecure_channel

MESSAGE = b"\n\x05hello"  # echo.v1.Question(message="hello")
TALK = "/echo.v1.Echo/Talk"


async def talk(channel: Channel, until_seconds: float) -> int:
    call = channel.stream_stream(TALK, request_serializer=bytes, response_deserializer=bytes)()
    count = 0
    while time.monotonic() < until_seconds:
        await call.write(MESSAGE)
        await call.read()
        count += 1
    await call.done_writing()
    return count


async def main(address: str, streams: int, seconds: float) -> int:
    async with insecure_channel(address, options=[("grpc.enable_http_proxy", 0)]) as channel:
        end = time.monotonic() + seconds
        async with asyncio.TaskGroup() as group:
            talks = [group.create_task(talk(channel, end)) for _ in range(streams)]
    return sum(one.result() for one in talks)


if __name__ == "__main__":
    print(asyncio.run(main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]))))  # noqa: T201
