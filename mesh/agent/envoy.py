"""A real Envoy as the data plane: started with a bootstrap, watched, drained and stopped; its metrics under Istio's names."""

import asyncio
import contextlib
import ctypes
import json
import logging
import random
import re
import signal
import sys
import tempfile
import urllib.request
from pathlib import Path
from typing import IO, Final

from mesh.agent import probe
from mesh.agent.bootstrap import bootstrap
from mesh.agent.health import Health
from mesh.agent.health_stream import HealthStream
from mesh.agent.settings import Settings
from mesh.sidecar.pages import Page, Pages
from mesh.xds.access_logs import STAT_PREFIX

log = logging.getLogger(__name__)

QUIET_SECONDS: Final = 0.5
POLL_SECONDS: Final = 0.05
PR_SET_PDEATHSIG: Final = 1
EXIT_ENVOY_DIED: Final = 1
FLUSH_MILLISECONDS: Final = 250  # of the access log, as often as our sidecar does; Envoy's 10 s hide what a test has just seen
_PREFIXED = re.compile(rf"\benvoy_{STAT_PREFIX}_(istio_\w+)|\benvoy_(istio_\w+)")


class EnvoyAdmin:
    """What the agent asks of Envoy's admin interface. Calls run in a thread: they are few and small."""

    def __init__(self, settings: Settings) -> None:
        self._base = f"http://{settings.admin}"
        self._open = urllib.request.build_opener(urllib.request.ProxyHandler({})).open

    async def get(self, path: str, method: str = "GET") -> str:
        """Raises OSError (also for any status but 200)."""
        return await asyncio.to_thread(self._get, path, method)

    def _get(self, path: str, method: str) -> str:
        request = urllib.request.Request(self._base + path, method=method)  # noqa: S310 - always http://
        with self._open(request, timeout=2) as response:
            text: str = response.read().decode()
            return text

    async def live(self) -> bool:
        try:
            return (await self.get("/ready")).strip() == "LIVE"
        except OSError:
            return False

    async def metrics(self) -> str:
        """Envoy's own, with Istio's metrics under the names Istio gives them."""
        raw = await self.get("/stats/prometheus")
        return _PREFIXED.sub(lambda match: match[1] or match[2], raw)

    async def requests(self) -> tuple[int, int]:
        """(in flight, begun since the start), over all listeners but admin's."""
        active = total = 0
        for line in (await self.get("/stats?filter=downstream_rq_(active|total)")).splitlines():
            name, _, value = line.partition(": ")
            if not name.startswith("http.admin.") and name.startswith("http."):
                active += int(value) if name.endswith("downstream_rq_active") else 0
                total += int(value) if name.endswith("downstream_rq_total") else 0
        return active, total


async def run_envoy(settings: Settings, stop: asyncio.Event) -> int:
    admin = EnvoyAdmin(settings)
    stream = HealthStream(str(settings.xds), settings.node, random.random)
    live = asyncio.Event()
    health = Health(lambda: None if live.is_set() else "Envoy is not live yet", stream.report)

    async def metrics() -> Page:
        try:
            return Page(await admin.metrics(), content_type="text/plain; version=0.0.4; charset=utf-8")
        except OSError as error:
            return Page(f"Envoy's admin interface: {error}\n", 503)

    table = {**health.table(lambda: ""), ("GET", "/stats/prometheus"): lambda _: metrics()}
    with tempfile.TemporaryDirectory(prefix="seatrial-envoy-") as folder, _open_log(settings.access_log) as access_log:
        config = _write_bootstrap(Path(folder), settings)
        async with Pages(settings.health.host, settings.health.port, table), asyncio.TaskGroup() as tasks:
            envoy = await _start(settings, config, access_log)
            running = [
                tasks.create_task(stream.run()),
                tasks.create_task(probe.watch(settings.probe, health.app)),
                tasks.create_task(_watch_live(admin, live)),
            ]
            died = await _until_stopped(envoy, stop)
            health.draining = True
            stream.report("draining")
            if not died:
                await _drain(admin, settings.drain_seconds)
                envoy.send_signal(signal.SIGTERM)
                await envoy.wait()
            for task in running:
                task.cancel()
    return EXIT_ENVOY_DIED if died else 0


def _write_bootstrap(folder: Path, settings: Settings) -> Path:
    path = folder / "bootstrap.json"
    path.write_text(json.dumps(bootstrap(settings)))
    return path


def _open_log(path: str) -> IO[bytes]:
    """Envoy writes its access log to its standard output, as the control plane tells every proxy."""
    return open(sys.stdout.fileno() if path == "/dev/stdout" else path, "ab", closefd=path != "/dev/stdout")


async def _start(settings: Settings, config: Path, access_log: IO[bytes]) -> asyncio.subprocess.Process:
    command = [settings.envoy_binary, "-c", str(config), "--concurrency", "1", "--disable-hot-restart", "-l", "warn"]
    command += ["--drain-time-s", str(max(1, round(settings.drain_seconds))), "--file-flush-interval-msec", str(FLUSH_MILLISECONDS)]
    return await asyncio.create_subprocess_exec(*command, stdout=access_log, stdin=asyncio.subprocess.DEVNULL, preexec_fn=_die_with_parent)


def _die_with_parent() -> None:
    """Linux: no Envoy outlives its agent, not even one that was killed."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


async def _until_stopped(envoy: asyncio.subprocess.Process, stop: asyncio.Event) -> bool:
    """Whether Envoy ended by itself."""
    async with asyncio.TaskGroup() as tasks:
        ended, stopped = tasks.create_task(envoy.wait()), tasks.create_task(stop.wait())
        await asyncio.wait((ended, stopped), return_when=asyncio.FIRST_COMPLETED)
        died = ended.done()
        ended.cancel()
        stopped.cancel()
    if died:
        log.error("Envoy ended by itself with exit code %s", envoy.returncode)
    return died


async def _watch_live(admin: EnvoyAdmin, live: asyncio.Event) -> None:
    while not await admin.live():  # noqa: ASYNC110 - the state is another process's
        await asyncio.sleep(POLL_SECONDS)
    live.set()


async def _drain(admin: EnvoyAdmin, seconds: float) -> None:
    """Tell clients to go (``connection: close``), wait until nobody asks any more or the time is over."""
    loop = asyncio.get_running_loop()
    end, quiet_since, asked = loop.time() + seconds, loop.time(), -1
    with contextlib.suppress(OSError):
        await admin.get("/drain_listeners?graceful&skip_exit", "POST")
        while (now := loop.time()) < end and now - quiet_since < QUIET_SECONDS:
            active, total = await admin.requests()
            if active or total != asked:
                asked, quiet_since = total, now
            await asyncio.sleep(POLL_SECONDS)
