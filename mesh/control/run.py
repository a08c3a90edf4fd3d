"""The control plane from start to end: load, then serve streams and the API until SIGTERM."""

import argparse
import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import uvicorn
from grpc import aio

from mesh.control import registry_file
from mesh.galley.api import create_app
from mesh.galley.diagnostics import render
from mesh.galley.load import load_all
from mesh.galley.store import ConfigStore, StoreUnreadable, StoreUnwritable
from mesh.pilot.ads import Service
from mesh.pilot.discovery import Discovery
from mesh.pilot.distribution import Distributor
from mesh.pilot.registry import Registry
from mesh.pilot.translate.listeners import ACCESS_LOG_ENCODINGS
from mesh.xds import ads

log = logging.getLogger(__name__)

DEBOUNCE_SECONDS = 0.02  # registry changes come in bursts; Istio waits 100 ms
EXPIRY_SECONDS = 1.0
STOP_SECONDS = 1.0
EXIT_REFUSED = 2
EXIT_FAILED = 1


@dataclass(frozen=True, slots=True)
class Options:
    host: str
    xds_port: int
    http_port: int
    state_dir: Path
    config: tuple[Path, ...]
    access_log_encoding: str


class _Http(uvicorn.Server):
    """Without uvicorn's own signal handlers: this process has its own."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def main(argv: Sequence[str]) -> int:
    """Blocks until SIGTERM or SIGINT; the process's exit code."""
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s %(message)s", force=True)
    options = _parse(argv)
    try:
        store = _load(options)
    except (StoreUnwritable, StoreUnreadable, OSError) as error:
        log.error("%s", error)
        return EXIT_FAILED
    if store is None:
        return EXIT_REFUSED
    return asyncio.run(_serve(options, store))


def _parse(argv: Sequence[str]) -> Options:
    parser = argparse.ArgumentParser(prog="python -m mesh.control", description="Seatrial's control plane")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--xds-port", type=int, default=15010)
    parser.add_argument("--http-port", type=int, default=8080)
    parser.add_argument("--state-dir", type=Path, required=True, help="applied configuration and the last known registry are kept here")
    parser.add_argument("--config", type=Path, action="append", default=[], help="a file or folder to load first; may be repeated")
    parser.add_argument(
        "--access-log-encoding",
        type=str.upper,
        default=os.environ.get("SEATRIAL_ACCESS_LOG_ENCODING") or "TEXT",
        help="TEXT or JSON, for every proxy; $SEATRIAL_ACCESS_LOG_ENCODING",
    )
    given = parser.parse_args(argv)
    if given.access_log_encoding not in ACCESS_LOG_ENCODINGS:
        parser.error(f"access log encoding {given.access_log_encoding!r} is not one of {', '.join(ACCESS_LOG_ENCODINGS)}")
    return Options(given.host, given.xds_port, given.http_port, given.state_dir, tuple(given.config), given.access_log_encoding)


def _load(options: Options) -> ConfigStore | None:
    """The store with what was applied before and what --config names on top; None, and the errors told, where that is refused."""
    options.state_dir.mkdir(parents=True, exist_ok=True)
    store = ConfigStore(options.state_dir)
    if store.trouble:
        log.warning("%s", store.trouble)
    loaded, found = load_all((str(file), file.read_text()) for given in options.config for file in _files(given))
    for diagnostic in found:
        sys.stderr.write(render(diagnostic, color=False) + "\n")
    if any(diagnostic.is_error for diagnostic in found):
        return None
    if loaded:
        store.apply(loaded)
    return store


def _files(given: Path) -> list[Path]:
    return sorted(f for f in given.rglob("*") if f.suffix in (".yaml", ".yml")) if given.is_dir() else [given]


async def _serve(options: Options, store: ConfigStore) -> int:
    stop, ready, registry_changed = asyncio.Event(), asyncio.Event(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    registry = Registry(time.monotonic)
    remembered = options.state_dir / "registry.json"
    registry.remember(registry_file.load(remembered))
    discovery = Discovery(registry, store.config, options.access_log_encoding)

    def on_change() -> None:
        discovery.registry_changed()
        registry_changed.set()

    registry.on_change = on_change
    store.subscribe(discovery.configure)
    distributor = Distributor(discovery, registry, time.monotonic)

    grpc_server = aio.server(options=(("grpc.so_reuseport", 0),))
    ads.add_AggregatedDiscoveryServiceServicer_to_server(Service(discovery, registry, ready), grpc_server)
    try:
        xds_port = grpc_server.add_insecure_port(f"{options.host}:{options.xds_port}")
    except RuntimeError as error:
        log.error("the xDS port cannot be had: %s", error)
        return EXIT_FAILED
    try:
        http_socket = socket.create_server((options.host, options.http_port))  # it listens from here on: "ready" is true when it is said
    except OSError as error:
        log.error("the API's port %s:%d cannot be had: %s", options.host, options.http_port, error)
        return EXIT_FAILED
    app = create_app(store, distributor, distributor)
    http = _Http(uvicorn.Config(app, log_level="warning", lifespan="off", access_log=False))
    ready.set()
    await grpc_server.start()
    async with asyncio.TaskGroup() as tasks:
        serving = tasks.create_task(http.serve(sockets=[http_socket]))
        others = [
            tasks.create_task(_follow_registry(registry_changed, discovery, registry, remembered)),
            tasks.create_task(_expire(registry)),
        ]
        http_port = http_socket.getsockname()[1]
        sys.stdout.write(f"seatrial control plane ready xds={options.host}:{xds_port} http={options.host}:{http_port}\n")
        sys.stdout.flush()
        await stop.wait()
        http.should_exit = True
        await grpc_server.stop(0)
        for task in others:
            task.cancel()
        await asyncio.wait((serving,), timeout=STOP_SECONDS)
        serving.cancel()
    return 0


async def _follow_registry(changed: asyncio.Event, discovery: Discovery, registry: Registry, remembered: Path) -> None:
    while True:
        await changed.wait()
        await asyncio.sleep(DEBOUNCE_SECONDS)
        changed.clear()
        discovery.refresh()
        registry_file.save(remembered, registry.workloads)


async def _expire(registry: Registry) -> None:
    while True:
        await asyncio.sleep(EXPIRY_SECONDS)
        registry.expire()
