"""What a lab made and has not removed yet, written down before it is made: whoever comes after a crash can finish the removal.

An append-only file of JSON lines. ``intend`` is on disk before the thing exists, ``made`` adds how to recognise it, ``gone`` closes it.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lab.state import explained


@dataclass(frozen=True, slots=True)
class Entry:
    """Something that may exist. ``detail`` is empty if the maker died before it could tell."""

    number: int
    kind: str
    name: str
    detail: Mapping[str, Any] = field(default_factory=dict)


class Journal:
    """Several processes may append to one journal; each line is one write."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._next = 1 + max((int(line["n"]) for line in _lines(path)), default=0)

    def intend(self, kind: str, name: str, **detail: Any) -> int:
        """Say what is about to be made; on disk when this returns. Raises ``StateError``."""
        number, self._next = self._next, self._next + 1
        self._append({"n": number, "do": "intend", "kind": kind, "name": name, "detail": detail}, sync=True)
        return number

    def made(self, number: int, **detail: Any) -> None:
        self._append({"n": number, "do": "made", "detail": detail})

    def gone(self, number: int) -> None:
        self._append({"n": number, "do": "gone"})

    def open_entries(self) -> list[Entry]:
        """What was intended and is not known to be gone, latest first: the order to remove it in."""
        found: dict[int, Entry] = {}
        for line in _lines(self.path):
            number = int(line["n"])
            if line["do"] == "intend":
                found[number] = Entry(number, line["kind"], line["name"], line["detail"])
            elif line["do"] == "made" and number in found:
                old = found[number]
                found[number] = Entry(number, old.kind, old.name, {**old.detail, **line["detail"]})
            elif line["do"] == "gone":
                found.pop(number, None)
        return sorted(found.values(), key=lambda entry: entry.number, reverse=True)

    def _append(self, line: Mapping[str, Any], sync: bool = False) -> None:
        with explained(self.path.parent):
            file = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            try:
                os.write(file, b"\n" + json.dumps(line).encode() + b"\n")  # a line that a crash tore ends here
                if sync:
                    os.fdatasync(file) if hasattr(os, "fdatasync") else os.fsync(file)
            finally:
                os.close(file)


def _lines(path: Path) -> list[dict[str, Any]]:
    """A line that a crash tore is as if it were never written: nothing was made after it."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return []
    lines = []
    for line in text.splitlines():
        try:
            lines.append(json.loads(line))
        except ValueError:
            continue
    return lines
