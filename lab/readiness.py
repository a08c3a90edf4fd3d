"""Whether a lab is ready: each workload's health endpoint says so, and the control plane says that each proxy is in sync."""

from collections.abc import Mapping
from typing import Any

from lab.api import Api, ApiError, ControlPlaneUnreachable
from lab.client import Client, NoAnswer
from lab.runtimes.runtime import Layout, Place

HEALTH = "/healthz/ready"
ASK_SECONDS = 1.0
IN_SYNC = frozenset({"SYNCED", "NOT SENT"})


class Readiness:
    """Asks until all is well; who was ready once is not asked again by ``missing``."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._ready: set[str] = set()
        self.said: dict[str, str] = {}  # workload → what its health endpoint said last

    def missing(self) -> list[str]:
        """What keeps the lab from being ready, in words; empty when nothing does."""
        waiting = [place for place in self.unready() if not self.is_ready(place)]
        return [f"{place.name} is not ready: {self.said[place.name]}" for place in waiting] or self._out_of_sync()

    def is_ready(self, place: Place) -> bool:
        try:
            with Client(f"http://{place.health}", ASK_SECONDS) as client:
                answer = client.get(HEALTH)
        except (NoAnswer, TimeoutError) as error:
            self.said[place.name] = f"its sidecar does not answer ({error})"
            return False
        if answer.status == 200:
            self._ready.add(place.name)
            return True
        self.said[place.name] = answer.text.strip() or f"its sidecar says {answer.status}"
        return False

    def unready(self) -> list[Place]:
        return [place for place in self._layout.places if place.name not in self._ready]

    def _out_of_sync(self) -> list[str]:
        api = Api(self._layout.control)
        try:
            registered = {workload["name"]: workload for workload in api.registryz()}
            proxies = api.syncz()  # after the registry: who is in sync now has been told of it
        except (ControlPlaneUnreachable, ApiError) as error:
            return [f"the control plane: {error}"]
        unknown = [place.name for place in self._layout.places if not registered.get(place.name, {}).get("healthy")]
        if unknown:
            why = registered.get(unknown[0], {}).get("health_message") or "it has not registered"
            return [f"{unknown[0]} is not healthy to the control plane: {why}"]
        connected = [proxy for proxy in proxies if proxy.get("connected", True)]
        behind = [f"{proxy['proxy']} is not in sync: {_types(proxy)}" for proxy in connected if not _in_sync(proxy)]
        if not behind and len(connected) < len(self._layout.places):
            return [f"{len(connected)} of {len(self._layout.places)} proxies are connected to the control plane"]
        return behind


def _in_sync(proxy: Mapping[str, Any]) -> bool:
    states = [state.get("status") for state in proxy.get("types", {}).values()]
    return bool(states) and all(state in IN_SYNC for state in states) and "SYNCED" in states


def _types(proxy: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {state.get('status')} {state.get('error', '')}".strip() for name, state in proxy.get("types", {}).items())
