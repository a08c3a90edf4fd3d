"""The real thing: a control plane, and an agent with Envoy and one with the sidecar that get everything from it."""

import contextlib
import http.client
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

from lab.until import until
from side_by_side.asking import Ask, Outcome, exchange
from side_by_side.bench import UPSTREAMS, differences
from side_by_side.envoy import free_port
from side_by_side.sidecar import LoopThread
from side_by_side.upstreams import LOCALHOST, Upstreams

HOST = "shop.test"
START_SECONDS = 30.0
COPY_SECONDS = 1.0
STOP_SECONDS = 5.0
VERSIONS = {"v1": "red", "v2": "green", "v3": "blue"}


class Plane:
    """A data plane of the mesh; ``egress`` is where it listens for calls to port 80."""

    def __init__(self, kind: str, xds_port: int, binary: Path, folder: Path) -> None:
        self.kind = kind
        self.egress = (LOCALHOST, free_port())
        self._health = free_port()
        bindings = {"inbound": [], "egress_ports": {"80": self.egress[1]}}
        node = {"ip": LOCALHOST, "name": f"client-{kind}", "interception": "NONE", "bindings": bindings, "labels": {"app": "client"}}
        settings = {
            "SEATRIAL_XDS_ADDRESS": f"{LOCALHOST}:{xds_port}",
            "SEATRIAL_NODE": json.dumps(node),
            "SEATRIAL_DATAPLANE": kind,
            "SEATRIAL_ENVOY_BINARY": str(binary),
            "SEATRIAL_ADMIN_ADDRESS": f"{LOCALHOST}:{free_port()}",
            "SEATRIAL_HEALTH_ADDRESS": f"{LOCALHOST}:{self._health}",
            "SEATRIAL_ACCESS_LOG": str(folder / f"{kind}.log"),
            "SEATRIAL_DRAIN_SECONDS": "0",
        }
        self.process = start([sys.executable, "-m", "mesh.agent"], settings, folder / f"{kind}.stderr")

    def ready(self) -> bool:
        return call(self._health, "GET", "/healthz/ready")[0] == 200


def start(command: list[str], settings: dict[str, str], errors: Path) -> subprocess.Popen[bytes]:
    with errors.open("wb") as file:
        return subprocess.Popen(command, env={**os.environ, **settings}, stdout=file, stderr=file, stdin=subprocess.DEVNULL)


def call(port: int, method: str, path: str, body: Any = None) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(LOCALHOST, port, timeout=20)
    try:
        connection.request(method, path, None if body is None else json.dumps(body), {"content-type": "application/json"})
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


class Mesh:
    def __init__(self, binary: Path, folder: Path) -> None:
        self._binary = binary
        self._folder = folder
        self._count = 0

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            thread = stack.enter_context(LoopThread())
            self.upstreams = Upstreams(UPSTREAMS)
            thread.call(self.upstreams.start())
            stack.callback(lambda: thread.loop.call_soon_threadsafe(self.upstreams.stop))
            xds_port, self._api = free_port(), free_port()
            command = [
                sys.executable,
                "-m",
                "mesh.control",
                "--host",
                LOCALHOST,
                "--xds-port",
                str(xds_port),
                "--http-port",
                str(self._api),
            ]
            control = start([*command, "--state-dir", str(self._folder / "state")], {}, self._folder / "control.stderr")
            stack.callback(stop, control)
            until(lambda: call(self._api, "GET", "/healthz")[0] == 200, START_SECONDS, "the control plane serves")
            self.apply(service_entry(self.upstreams.ports))
            self.planes = [Plane(kind, xds_port, self._binary, self._folder) for kind in ("envoy", "python")]
            for plane in self.planes:
                stack.callback(stop, plane.process)
            for plane in self.planes:
                until(plane.ready, START_SECONDS, f"{plane.kind} is ready")
            self._pool = stack.enter_context(ThreadPoolExecutor(2))
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def apply(self, text: str) -> tuple[int, dict[str, Any]]:
        """The API's status and answer; it answers when every proxy has said yes or no."""
        body = {"documents": [{"source": "test.yaml", "text": text}], "wait": True, "timeout_seconds": 10}
        status, answer = call(self._api, "POST", "/apply", body)
        return status, json.loads(answer)

    def ask(self, ask: Ask) -> list[Outcome]:
        """Envoy's, ours."""
        self._count += 1
        keys = [f"{plane.kind}-{self._count}" for plane in self.planes]
        answers = list(self._pool.map(lambda plane, key: exchange(plane.egress, ask.wire(HOST, key), ask), self.planes, keys))
        with contextlib.suppress(TimeoutError):  # copies come when they come; who waits in vain sees the difference
            until(lambda: len({self.upstreams.count(key) for key in keys}) == 1, COPY_SECONDS, "both have sent as much")
        pairs = zip(answers, keys, strict=True)
        return [Outcome(answer, seconds, self.upstreams.take(key), []) for (answer, _, seconds), key in pairs]

    def compare(self, ask: Ask) -> Outcome:
        envoy, sidecar = self.ask(ask)
        found = differences(envoy.comparable(), sidecar.comparable())
        assert not found, "\n".join([str(ask), *found])
        return envoy


def stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def service_entry(ports: dict[str, int]) -> str:
    """The upstreams as three versions of one service."""
    endpoints = "\n".join(
        f"  - {{address: {LOCALHOST}, ports: {{http: {ports[name]}}}, labels: {{version: {version}}}}}"
        for version, name in VERSIONS.items()
    )
    subsets = "\n".join(f"  - {{name: {version}, labels: {{version: {version}}}}}" for version in VERSIONS)
    return f"""
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: shop}}
spec:
  hosts: [{HOST}]
  location: MESH_INTERNAL
  resolution: STATIC
  ports:
  - {{number: 80, name: http, protocol: HTTP}}
  endpoints:
{endpoints}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{name: shop}}
spec:
  host: {HOST}
  subsets:
{subsets}
"""
