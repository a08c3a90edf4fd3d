"""An agent from start to end: settings, capture, data plane, health, and a drained stop on SIGTERM."""

import asyncio
import gc
import logging
import random
import signal
import sys
import time
from collections.abc import Mapping

from mesh.agent import capture, probe
from mesh.agent.envoy import run_envoy
from mesh.agent.health import Health
from mesh.agent.settings import BadSetting, Settings, read
from mesh.sidecar.admin import Admin
from mesh.sidecar.loop import new_event_loop
from mesh.sidecar.pages import Pages
from mesh.sidecar.proxy import Proxy
from mesh.sidecar.xds_client import XdsClient

log = logging.getLogger(__name__)

EXIT_BAD_SETTING = 2
EXIT_FAILED = 1


def main(environment: Mapping[str, str]) -> int:
    """Blocks until SIGTERM or SIGINT; the process's exit code."""
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s %(message)s", force=True)
    try:
        settings = read(environment)
        if settings.capture:
            capture.apply_and_drop_privileges()
    except BadSetting as error:
        log.error("%s", error)
        return EXIT_BAD_SETTING
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        return runner.run(_run(settings))


async def _run(settings: Settings) -> int:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    code = EXIT_FAILED
    try:
        code = await (run_envoy(settings, stop) if settings.dataplane == "envoy" else _run_sidecar(settings, stop))
    except* OSError as errors:
        for error in errors.exceptions:
            log.error("cannot serve: %s", error)
    return code


async def _freeze(synced: asyncio.Event) -> None:
    """What the first configuration made lives long: the collector need not walk it again and again."""
    await synced.wait()
    gc.collect()
    gc.freeze()


async def _run_sidecar(settings: Settings, stop: asyncio.Event) -> int:
    clock, dice = time.monotonic, random.random
    async with Proxy(settings.node, clock, dice, settings.access_log) as proxy:
        xds = XdsClient(str(settings.xds), settings.node, proxy, dice)
        admin = Admin(proxy, xds, clock, stop.set)
        health = Health(lambda: None if xds.synced.is_set() else "no configuration yet", xds.report_health)
        async with (
            Pages(settings.admin.host, settings.admin.port, admin.table()),
            Pages(settings.health.host, settings.health.port, health.table(proxy.prometheus)),
            asyncio.TaskGroup() as tasks,
        ):
            running = [
                tasks.create_task(xds.run()),
                tasks.create_task(probe.watch(settings.probe, health.app)),
                tasks.create_task(_freeze(xds.synced)),
            ]
            await stop.wait()
            admin.draining = health.draining = True
            xds.report_health("draining")
            await proxy.drain(settings.drain_seconds)
            for task in running:
                task.cancel()
    return 0
