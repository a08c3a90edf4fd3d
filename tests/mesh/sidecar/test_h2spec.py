"""h2spec, an outside conformance suite for HTTP/2 servers, against a listener of the proxy.

``go install github.com/summerwind/h2spec/cmd/h2spec@latest`` builds it; it is looked for on the PATH, or where SEATRIAL_H2SPEC says.
"""

import asyncio
import os
import re
import shutil
from typing import Any

import pytest

from mesh.model.listener import Codec

H2SPEC = os.environ.get("SEATRIAL_H2SPEC") or shutil.which("h2spec")
AT_LEAST = 145  # so many it has

pytestmark = pytest.mark.skipif(H2SPEC is None, reason="no h2spec: neither on the PATH nor in SEATRIAL_H2SPEC")


@pytest.mark.parametrize(
    ("codec", "known"),
    [
        (Codec.HTTP2, []),
        (Codec.AUTO, ["Sends invalid connection preface"]),  # there it is HTTP/1.1, and answered so
    ],
)
async def test_h2spec_finds_nothing_else(bench: Any, codec: Codec, known: list[str]) -> None:
    assert H2SPEC is not None
    upstream = await bench.upstream(b"HTTP/1.1 200 OK\r\ncontent-length: 26\r\n\r\nabcdefghijklmnopqrstuvwxyz")
    await bench.forward_to(upstream.port, codec=codec)
    host, port = bench.proxy.listener_addresses()["in"]
    command = [H2SPEC, "--host", host, "--port", str(port), "--timeout", "2"]
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT)
    output = (await asyncio.wait_for(process.communicate(), 120))[0].decode()
    summary = re.search(r"(\d+) tests, (\d+) passed, (\d+) skipped, (\d+) failed", output)
    assert summary, output
    total, passed, _, failed = (int(number) for number in summary.groups())
    failures = output.partition("Failures:")[2]
    assert re.findall("\u00d7 (?:\\d+: )?(.*)", failures) == known, failures
    assert (total >= AT_LEAST, passed, failed) == (True, total - len(known), len(known))
