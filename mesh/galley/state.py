"""The file that keeps the configuration over a restart: written whole or not at all, and read with suspicion.

etcd does this for Istio. Lesson of etcd and SQLite: write beside, fsync, rename, fsync the folder.
"""

import errno
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FORMAT = 1


class StoreUnwritable(Exception):
    """The state could not be kept; what was kept before still is."""


class StoreUnreadable(Exception):
    """There is state, and it may not be read: to start without it would be to lose it."""


@dataclass(frozen=True, slots=True)
class State:
    """``objects`` as Kubernetes objects. ``created`` is the last number given to an object."""

    version: int
    created: int
    objects: tuple[dict[str, Any], ...]


class StateFile:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path = folder / "config.json"

    def write(self, state: State) -> None:
        content = {"format": FORMAT, "version": state.version, "created": state.created, "objects": state.objects}
        beside = self._path.with_name(f".config.json.{os.getpid()}")
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            try:
                _write_through(beside, json.dumps(content, indent=1).encode())
                os.replace(beside, self._path)
            finally:
                beside.unlink(missing_ok=True)
            _sync_folder(self._folder)
        except OSError as error:
            raise StoreUnwritable(f"{_reason(error)}: the state folder {self._folder} cannot be written; nothing was changed") from error

    def read(self) -> State | None:
        """None when there is none yet. ValueError when there is something else in the file."""
        try:
            text = self._path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StoreUnreadable(f"{_reason(error)}: {self._path} cannot be read") from error
        content = json.loads(text)
        if not isinstance(content, dict) or content.get("format") != FORMAT:
            raise ValueError(f"its format is not {FORMAT}")
        version, created, objects = content.get("version"), content.get("created"), content.get("objects")
        if not (isinstance(version, int) and isinstance(created, int) and isinstance(objects, list)):
            raise ValueError("version, created or objects are missing")
        if not all(isinstance(one, dict) for one in objects):
            raise ValueError("an object is not an object")
        return State(version, created, tuple(objects))

    def set_aside(self) -> Path:
        """Move what cannot be understood out of the way, beside the others that were; nothing is overwritten."""
        number = 1
        while (aside := self._path.with_name(f"config.json.broken-{number}")).exists():
            number += 1
        try:
            os.replace(self._path, aside)
        except OSError as error:
            raise StoreUnwritable(f"{_reason(error)}: {self._path} is broken and cannot be set aside") from error
        return aside


def _write_through(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # some file systems cannot sync a folder
            raise
    finally:
        os.close(descriptor)


def _reason(error: OSError) -> str:
    return error.strerror or str(error)
