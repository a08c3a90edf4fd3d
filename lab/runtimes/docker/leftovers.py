"""What labs left on the engine that are no more: of this lab's folder, and of folders that somebody deleted."""

from contextlib import suppress
from pathlib import Path
from typing import Any

import docker

from lab.runtimes.docker.containers import FOLDER, OWNER, owner, remove_labelled
from lab.runtimes.docker.engine import explained


def remove(client: docker.DockerClient, folder: Path) -> None:
    """Only this user's of this machine: nobody knows of others' folders."""
    mine = {"label": f"{OWNER}={owner()}"}
    with explained("cannot look for what earlier labs left"):
        found: list[dict[str, Any]] = [*client.api.containers(all=True, filters=mine), *client.api.networks(filters=mine)]
        for left in sorted({one["Labels"][FOLDER] for one in found}):
            if left == str(folder) or not Path(left).is_dir():
                with suppress(TimeoutError):  # in nobody's way
                    remove_labelled(client, {FOLDER: left, OWNER: owner()})
