"""The registry as last known, on disk: after a restart it stands in for streams that are still to come back."""

import json
import logging
import os
from collections.abc import Iterable
from pathlib import Path

from mesh.pilot.registry import Workload
from mesh.xds import node as wire

log = logging.getLogger(__name__)


def load(path: Path) -> list[Workload]:
    """Empty where there is none or it cannot be read: streams will bring it back."""
    try:
        entries = json.loads(path.read_text())
        return [Workload(wire.node_from_json(entry["node"]), bool(entry["healthy"]), str(entry["message"])) for entry in entries]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, KeyError, TypeError) as error:
        log.warning("the registry in %s cannot be read and is built anew: %s", path, error)
        return []


def save(path: Path, workloads: Iterable[Workload]) -> None:
    """Written whole or not at all. A full disk costs only the memory of a restart: it is logged."""
    entries = [{"node": wire.node_to_json(w.node), "healthy": w.healthy, "message": w.health_message} for w in workloads]
    fresh = path.with_suffix(".new")
    try:
        fresh.write_text(json.dumps(entries))
        os.replace(fresh, path)
    except OSError as error:
        log.warning("the registry cannot be written to %s: %s", path, error)
