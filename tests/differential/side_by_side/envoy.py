"""A real Envoy with a static configuration: run, or only asked whether it would."""

import json
import socket
import subprocess
import urllib.request
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Self

from envoy.config.bootstrap.v3 import bootstrap_pb2

from lab.until import until
from mesh.model.cluster import Cluster
from mesh.model.listener import Listener
from mesh.xds import parts, resources

START_SECONDS = 20.0


def bootstrap(listeners: Iterable[Listener], clusters: Iterable[Cluster]) -> bytes:
    return with_messages([resources.message(one) for one in listeners], [resources.message(one) for one in clusters])


def with_messages(listeners: Iterable[Any], clusters: Iterable[Any]) -> bytes:
    message = bootstrap_pb2.Bootstrap()
    message.node.id, message.node.cluster = "side-by-side", "test"
    message.admin.address.CopyFrom(parts.address("127.0.0.1", 0))
    message.static_resources.listeners.extend(listeners)
    message.static_resources.clusters.extend(clusters)
    # It warns where nothing limits the connections.
    layer = message.layered_runtime.layers.add(name="static")
    layer.static_layer.update({"overload.global_downstream_max_connections": 10_000})
    return bytes(message.SerializeToString())


def verdict(binary: Path, folder: Path, configuration: bytes) -> str:
    """Why Envoy would refuse it; empty: it would not."""
    path = folder / "validate.pb"
    path.write_bytes(configuration)
    command = [str(binary), "--mode", "validate", "-c", str(path), "-l", "error"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=START_SECONDS, check=False)
    return "" if done.returncode == 0 else (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]


class Envoy:
    def __init__(self, binary: Path, folder: Path, configuration: bytes) -> None:
        self._binary = binary
        self._folder = folder
        (folder / "envoy.pb").write_bytes(configuration)
        self._open = urllib.request.build_opener(urllib.request.ProxyHandler({})).open

    def __enter__(self) -> Self:
        folder = self._folder
        command = [str(self._binary), "-c", str(folder / "envoy.pb"), "--concurrency", "1", "--disable-hot-restart", "-l", "error"]
        command += ["--file-flush-interval-msec", "5", "--admin-address-path", str(folder / "admin")]
        with (folder / "envoy.stderr").open("wb") as errors:
            self._process = subprocess.Popen(command, stdout=errors, stderr=errors, stdin=subprocess.DEVNULL)
        try:
            until(lambda: self._process.poll() is not None or "LIVE" in self._get("/ready"), START_SECONDS, "Envoy is ready")
            if self._process.poll() is not None:
                raise RuntimeError(f"Envoy ended by itself:\n{(self._folder / 'envoy.stderr').read_text()[-3000:]}")
            statuses = json.loads(self._get("/listeners?format=json"))["listener_statuses"]
        except BaseException:
            self._stop()
            raise
        self.listeners: dict[str, tuple[str, int]] = {}
        for status in statuses:
            where = status["local_address"]["socket_address"]
            self.listeners[status["name"]] = (where["address"], where["port_value"])
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()

    def stats(self) -> dict[str, int]:
        lines = (line.rpartition(": ") for line in self._get("/stats?filter=^cluster").splitlines())
        return {name: int(value) for name, _, value in lines if value.isdigit()}

    def _get(self, path: str) -> str:
        address = (self._folder / "admin").read_text().strip()
        with self._open(f"http://{address}{path}", timeout=5) as response:
            return str(response.read().decode())

    def _stop(self) -> None:
        self._process.kill()
        self._process.wait()


def free_port() -> int:
    """A port that nobody listened on a moment ago, for upstreams that refuse."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])
