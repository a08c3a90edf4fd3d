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

HTTP, GRPC, TCP, STREAMS = 9080, 9081, 9082, 9083
PORTS = {"http": HTTP, "grpc": GRPC, "tcp": TCP, "grpc-streams": STREAMS}
OFFSET = 10000  # from a proxy's port to its upstream's
EGRESS = 29080
BIG_BYTES = 2**20

SERVICE = """\
apiVersion: v1
kind: Service
metadata: {{name: {name}}}
spec:
  selector: {{app: {name}}}
  ports: [{ports}]
---
"""


@dataclass(frozen=True, slots=True)
class Proxy:
    """``caller`` is where the proxy of a client of ``service`` listens, the first of two hops; ``more_pids`` holds its process."""

    name: str
    address: str
    pid: int
    service: str = ""
    caller: str = ""
    more_pids: tuple[int, ...] = ()


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


def upstreams(stack: ExitStack, folder: Path, addresses: list[str]) -> None:
    """Behind every proxy's address: HTTP/1.1, gRPC, iperf3 and an echo of gRPC streams."""
    (folder / "big").write_bytes(b"x" * BIG_BYTES)
    folder.chmod(0o755)  # nginx's worker is somebody else
    http, grpc = (
        " ".join(f"listen {address}:{port + OFFSET}{more};" for address in addresses) for port, more in ((HTTP, ""), (GRPC, " http2"))
    )
    answer = 'default_type application/json; return 200 \'{"stars": 5, "color": "black"}\';'
    trailers = "default_type application/grpc; add_trailer grpc-status 0 always; return 200 xxxxx;"
    servers = f"server {{ {http} location / {{ {answer} }} location /big {{ alias {folder}/big; }} }}\n"
    servers += f"server {{ {grpc} location / {{ {trailers} }} }}"
    nginx(stack, folder, "upstream", servers, core=1)
    for address in addresses:
        _answers(f"http://{address}:{HTTP + OFFSET}/", folder / "upstream" / "error.log")


def streaming_upstreams(stack: ExitStack, folder: Path, addresses: list[str]) -> None:
    for address in addresses:
        stack.enter_context(process(["iperf3", "-s", "-B", address, "-p", str(TCP + OFFSET)], folder / f"iperf3-{address}.log", core=1))
        environment = {"HOST": address, "PORT": "18080", "PORT_GRPC": str(STREAMS + OFFSET)}
        stack.enter_context(process([sys.executable, "-m", "services.echo"], folder / f"echo-{address}.log", environment, core=1))
        _answers(f"http://{address}:18080/health", folder / f"echo-{address}.log")


def start_nginx(stack: ExitStack, folder: Path, address: str) -> Proxy:
    server = (
        'log_format long \'$remote_addr [$time_iso8601] "$request" $status $body_bytes_sent $request_time'
        ' $upstream_addr "$http_user_agent"\';\n'
        f"upstream up {{ server {address}:{HTTP + OFFSET}; keepalive 64; }}\n"
        f"server {{ listen {address}:{HTTP}; access_log {folder}/nginx-access.log long buffer=64k flush=1s;"
        ' location / { proxy_pass http://up; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host $host; } }'
    )
    pid = nginx(stack, folder, "nginx", server, core=0)
    return _ready(Proxy("nginx", address, pid), folder / "nginx" / "error.log")


def start_haproxy(stack: ExitStack, folder: Path, address: str) -> Proxy:
    config = folder / "haproxy.cfg"
    config.write_text(
        f"global\n  maxconn 4096\n  nbthread 1\n  log stdout format raw local0\n"
        "defaults\n  mode http\n  log global\n  option httplog\n  timeout connect 5s\n  timeout client 60s\n  timeout server 60s\n"
        f"  http-reuse always\nfrontend front\n  bind {address}:{HTTP}\n  default_backend back\n"
        f"backend back\n  server up {address}:{HTTP + OFFSET}\n"
    )
    pid = stack.enter_context(process(["haproxy", "-db", "-f", str(config)], folder / "haproxy.log"))
    return _ready(Proxy("haproxy", address, pid), folder / "haproxy.log")


def control_plane(stack: ExitStack, folder: Path, address: str, services: list[str]) -> str:
    """Returns the xDS address."""
    ports = ", ".join(f"{{name: {name}, port: {port}}}" for name, port in PORTS.items())
    (folder / "services.yaml").write_text("".join(SERVICE.format(name=name, ports=ports) for name in services))
    command = [sys.executable, "-m", "mesh.control", "--host", address, "--xds-port", "15010", "--http-port", "8080"]
    command += ["--state-dir", str(folder / "state"), "--config", str(folder / "services.yaml")]
    stack.enter_context(process(command, folder / "control.log", core=1))
    _answers(f"http://{address}:8080/healthz", folder / "control.log")
    return f"{address}:15010"


def start_sidecar(stack: ExitStack, folder: Path, address: str, caller: str, xds: str, dataplane: str, binary: str = "") -> Proxy:
    """Our sidecar or a real Envoy before the upstreams at ``address``, and one for their client at the address ``caller``."""
    name = {"python": "sidecar", "envoy": "envoy"}[dataplane]
    inbound = [{"name": n, "listen_port": port, "app_port": port + OFFSET, "app_protocol": ""} for n, port in PORTS.items()]
    probe = f"http://{address}:{HTTP + OFFSET}/"
    settings = {"SEATRIAL_XDS_ADDRESS": xds, "SEATRIAL_DATAPLANE": dataplane, "SEATRIAL_ENVOY_BINARY": binary}
    pid = _agent(stack, folder, address, name, settings, {"inbound": inbound, "http_proxy_port": 15002, "egress_ports": {}}, probe)
    egress = {"inbound": [], "http_proxy_port": 15002, "egress_ports": {str(HTTP): EGRESS}}
    second = _agent(stack, folder, caller, f"{name}-caller", settings, egress, "")
    return _ready(Proxy(name, address, pid, service_name(name), f"{caller}:{EGRESS}", (second,)), folder / f"{name}.log")


def service_name(proxy: str) -> str:
    return f"bench-{proxy}"


def _agent(
    stack: ExitStack, folder: Path, address: str, name: str, settings: dict[str, str], bindings: dict[str, object], probe: str
) -> int:
    """As the lab starts them: `python -m mesh.agent` with its environment."""
    app = service_name(name)
    node = {
        "ip": address,
        "name": f"{app}-0",
        "namespace": "default",
        "labels": {"app": app, "version": "v1"},
        "workload_name": app,
        "service_account": "bench",
        "interception": "NONE",
        "bindings": bindings,
    }
    environment = {
        **settings,
        "SEATRIAL_NODE": json.dumps(node),
        "SEATRIAL_ADMIN_ADDRESS": f"{address}:15000",
        "SEATRIAL_HEALTH_ADDRESS": f"{address}:15021",
        "SEATRIAL_PROBE": probe,
        "SEATRIAL_DRAIN_SECONDS": "1",
        "SEATRIAL_ACCESS_LOG": str(folder / f"{name}-access.log"),
    }
    log = folder / f"{name}.log"
    pid = stack.enter_context(process([sys.executable, "-m", "mesh.agent"], log, env=environment))
    _answers(f"http://{address}:15021/healthz/ready", log)
    return pid


def _ready(proxy: Proxy, log: Path) -> Proxy:
    _answers(f"http://{proxy.address}:{HTTP}/ratings/1", log)
    return proxy
