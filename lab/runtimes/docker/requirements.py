"""`python requirements.py requirements.lock`: what of the lock file a container needs. Plain stdlib: the image's build runs it too."""

import re
import sys
from collections.abc import Iterable
from pathlib import Path

# what mesh/ and services/ import; the lock file knows what these need in turn
ROOTS = (
    "aiohttp",
    "fastapi",
    "google-re2",
    "grpcio",
    "hpack",
    "httptools",
    "prometheus-client",
    "protobuf",
    "psycopg",
    "psycopg-binary",
    "pydantic",
    "pyyaml",
    "uvicorn",
    "uvloop",
    "xds-protos",
)
_PIN = re.compile(r"([A-Za-z0-9._-]+)(\[[^]]*\])?==")
_VIA = re.compile(r"\s+#(?:\s+via)?\s+([A-Za-z0-9._-]+)")


def subset(lock: str, roots: Iterable[str] = ROOTS) -> str:
    """The entries of these packages and of all that they need, hashes and markers as they are. Raises ``KeyError`` for one not there."""
    entries, needed_by = _read(lock)
    wanted = set(roots)
    for root in sorted(wanted):
        if root not in entries:
            raise KeyError(root)
    while more := {name for name, parents in needed_by.items() if parents & wanted} - wanted:
        wanted |= more
    return "".join(text for name, text in entries.items() if name in wanted)


def _read(lock: str) -> tuple[dict[str, str], dict[str, set[str]]]:
    entries: dict[str, str] = {}
    needed_by: dict[str, set[str]] = {}
    name = ""
    for line in lock.splitlines(keepends=True):
        pin = _PIN.match(line)
        if pin:
            name = pin[1].lower()
            entries[name], needed_by[name] = "", set()
        if name and not line.startswith("#"):
            entries[name] += line
            via = _VIA.match(line)
            if via:
                needed_by[name].add(via[1].lower())
    return entries, needed_by


if __name__ == "__main__":
    sys.stdout.write(subset(Path(sys.argv[1]).read_text(encoding="utf-8")))
