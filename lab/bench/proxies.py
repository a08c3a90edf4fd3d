"""The four proxies and the upstream behind them, each on a loopback address of its own, each started here and stopped at the end."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from lab.until import until

UPSTREAM_PORT = 19080
PORT = 9080
HTTP = "http-bench"

SERVICE = """\
apiVersion: v1
kind: Service
metadata:
  name: bench
spec:
  selector:
    app: bench
  ports:
  - name: http
    port: 9080
"""


@dataclass(frozen=True, slots=True)
class Proxy:
    name: str
    url: str
    pid: int


def pin(core: int) -> Callable[[], None] | None:
    """For ``preexec_fn``: the proxy has a core of its own and the client and upstream the rest, where there are two to share."""
    if not hasattr(os, "sched_setaffinity") or (os.cpu_count() or 1) < 2:
        return None
    return lambda: os.sched_setaffinity(0, {core})


@contextmanager
def process(command: list[str], log: Path, env: dict[str, str] | None = None, core: int = 0) -> Iterator[int]:
    with log.open("wb") as out:
        started = subprocess.Popen(command, stdout=out, stderr=out, env={**os.environ, **(env or {})}, preexec_fn=pin(core))
    try:
        yield started.pid
    finally:
        started.terminate()
        try:
            started.wait(10)
        except subprocess.TimeoutExpired:
            started.kill()
            started.wait()


def _answers(url: str, log: Path) -> None:
    def ready() -> bool:
        try:
            return httpx.get(url, trust_env=False).status_code == 200
        except httpx.TransportError:
            return False

    try:
        until(ready, timeout_seconds=15, what=f"an answer from {url}")
    except TimeoutError as error:
        raise RuntimeError(f"{error}\n{log.read_text(errors='replace')[-2000:]}") from None


def nginx(stack: ExitStack, folder: Path, name: str, server: str, core: int) -> int:
    """One nginx worker with ``server`` as its http block's content."""
    home = folder / name
    home.mkdir()
    config = home / "nginx.conf"
    config.write_text(
        f"daemon off; worker_processes 1; pid {home}/pid; error_log {home}/error.log;\n"
        "events { worker_connections 1024; }\n"
        f"http {{ access_log off; keepalive_requests 1000000000; client_body_temp_path {home}/b; proxy_temp_path {home}/p;"
        f" fastcgi_temp_path {home}/f; uwsgi_temp_path {home}/u; scgi_temp_path {home}/s;\n{server}\n}}\n"
    )
    return stack.enter_context(process(["nginx", "-p", str(home), "-c", str(config)], home / "log", core=core))


def upstream(stack: ExitStack, folder: Path, addresses: list[str]) -> None:
    listens = " ".join(f"listen {address}:{UPSTREAM_PORT};" for address in addresses)
    answer = f'server {{ {listens} location / {{ default_type application/json; return 200 \'{{"stars": 5, "color": "black"}}\'; }} }}'
    nginx(stack, folder, "upstream", answer, core=1)
    for address in addresses:
        _answers(f"http://{address}:{UPSTREAM_PORT}/", folder / "upstream" / "error.log")


def start_nginx(stack: ExitStack, folder: Path, address: str) -> Proxy:
    server = (
        'log_format long \'$remote_addr [$time_iso8601] "$request" $status $body_bytes_sent $request_time'
        ' $upstream_addr "$http_user_agent"\';\n'
        f"upstream up {{ server {address}:{UPSTREAM_PORT}; keepalive 64; }}\n"
        f"server {{ listen {address}:{PORT}; access_log {folder}/nginx-access.log long buffer=64k flush=1s;"
        ' location / { proxy_pass http://up; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host $host; } }'
    )
    pid = nginx(stack, folder, "nginx", server, core=0)
    return _ready(Proxy("nginx", f"http://{address}:{PORT}/ratings/1", pid), folder / "nginx" / "error.log")


def start_haproxy(stack: ExitStack, folder: Path, address: str) -> Proxy:
    config = folder / "haproxy.cfg"
    config.write_text(
        f"global\n  maxconn 4096\n  nbthread 1\n  log stdout format raw local0\n"
        "defaults\n  mode http\n  log global\n  option httplog\n  timeout connect 5s\n  timeout client 60s\n  timeout server 60s\n"
        f"  http-reuse always\nfrontend front\n  bind {address}:{PORT}\n  default_backend back\n"
        f"backend back\n  server up {address}:{UPSTREAM_PORT}\n"
    )
    pid = stack.enter_context(process(["haproxy", "-db", "-f", str(config)], folder / "haproxy.log"))
    return _ready(Proxy("haproxy", f"http://{address}:{PORT}/ratings/1", pid), folder / "haproxy.log")


def control_plane(stack: ExitStack, folder: Path, address: str) -> str:
    """Returns the xDS address."""
    (folder / "services.yaml").write_text(SERVICE)
    command = [sys.executable, "-m", "mesh.control", "--host", address, "--xds-port", "15010", "--http-port", "8080"]
    command += ["--state-dir", str(folder / "state"), "--config", str(folder / "services.yaml")]
    stack.enter_context(process(command, folder / "control.log", core=1))
    _answers(f"http://{address}:8080/healthz", folder / "control.log")
    return f"{address}:15010"


def start_sidecar(stack: ExitStack, folder: Path, address: str, xds: str, dataplane: str, envoy_binary: str = "") -> Proxy:
    """Our sidecar or a real Envoy, as the lab starts them: `python -m mesh.agent` with its environment."""
    name = {"python": "sidecar", "envoy": "envoy"}[dataplane]
    inbound = {"name": "http", "listen_port": PORT, "app_port": UPSTREAM_PORT, "app_protocol": ""}
    node = {
        "ip": address,
        "name": f"bench-{name}-0",
        "namespace": "default",
        "labels": {"app": "bench", "version": name},
        "workload_name": f"bench-{name}",
        "service_account": "bench",
        "interception": "NONE",
        "bindings": {"inbound": [inbound], "http_proxy_port": 15002, "egress_ports": {"9080": 29080}},
    }
    environment = {
        "SEATRIAL_XDS_ADDRESS": xds,
        "SEATRIAL_NODE": json.dumps(node),
        "SEATRIAL_DATAPLANE": dataplane,
        "SEATRIAL_ENVOY_BINARY": envoy_binary,
        "SEATRIAL_ADMIN_ADDRESS": f"{address}:15000",
        "SEATRIAL_HEALTH_ADDRESS": f"{address}:15021",
        "SEATRIAL_PROBE": f"http://{address}:{UPSTREAM_PORT}/",
        "SEATRIAL_DRAIN_SECONDS": "1",
        "SEATRIAL_ACCESS_LOG": str(folder / f"{name}-access.log"),
    }
    log = folder / f"{name}.log"
    pid = stack.enter_context(process([sys.executable, "-m", "mesh.agent"], log, env=environment))
    _answers(f"http://{address}:15021/healthz/ready", log)
    return _ready(Proxy(name, f"http://{address}:{PORT}/ratings/1", pid), log)


def _ready(proxy: Proxy, log: Path) -> Proxy:
    _answers(proxy.url, log)
    return proxy
