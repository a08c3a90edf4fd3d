"""Which processes were ended on demand: the engine only knows that they have ended."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from lab.state import explained, write_whole


@dataclass(frozen=True, slots=True)
class Wanted:
    """Kept in the lab's folder: name of a process → "stopped" or "killed"."""

    folder: Path

    def read(self) -> dict[str, str]:
        try:
            found: dict[str, str] = json.loads(self._file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return found

    def note(self, names: Iterable[str], status: str) -> None:
        self._write(self.read() | dict.fromkeys(names, status))

    def forget(self, names: Iterable[str]) -> None:
        gone = set(names)
        self._write({name: status for name, status in self.read().items() if name not in gone})

    @property
    def _file(self) -> Path:
        return self.folder / "wanted.json"

    def _write(self, wanted: dict[str, str]) -> None:
        with explained(self.folder):
            write_whole(self._file, json.dumps(wanted))
