"""The images of a lab, built when their sources change: the tag is a hash of what goes in.

``seatrial-python`` has the packages, ``seatrial-envoy`` an Envoy on top of them, ``seatrial`` the project on top of either,
``seatrial-postgres`` a database. `python -m lab.runtimes.docker.images` builds what the compose file uses.
"""

import hashlib
import io
import sys
import tarfile
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import docker
from docker.errors import APIError, BuildError, ImageNotFound

from lab.runtimes.docker import base, packages
from lab.runtimes.docker.engine import connect, explained
from lab.runtimes.docker.plan import ENVOY
from lab.runtimes.runtime import LabError, Progress

HERE = Path(__file__).parent
PROJECT = HERE.parents[2]
DIVIDER = "# --- the project itself\n"
POSTGRES = "postgres:16-alpine"
LABEL = "seatrial.image"
LATEST, LATEST_POSTGRES = "seatrial:latest", "seatrial-postgres:latest"
KEPT = 6
Content = Mapping[str, bytes | Path]


@dataclass(frozen=True, slots=True)
class Images:
    """Makes sure that an image is there and says how it is called. Raises ``LabError``."""

    client: docker.DockerClient
    progress: Progress

    def mesh(self, envoy: Path | None = None) -> str:
        """Apps, sidecars and the control plane; with an Envoy in it where one is given."""
        first, second = (HERE / "Dockerfile").read_text(encoding="utf-8").split(DIVIDER)
        under: Content = {"Dockerfile": first.encode(), "requirements": packages.wanted(PROJECT).encode(), "base": base.named().encode()}
        python = f"seatrial-python:{_digest(under)}"
        below = _envoy_name(python, envoy) if envoy else python
        content: dict[str, bytes | Path] = {**_tree(PROJECT, "mesh"), **_tree(PROJECT, "services")}
        content["Dockerfile"] = f"FROM {below}\n{second}".encode()
        name = f"seatrial:{_digest(content)}"
        if not self._has(name):
            if not self._has(python):
                self._build_python(python, first)
            if envoy and not self._has(below):
                self._build(below, {"Dockerfile": f"FROM {python}\nCOPY envoy {ENVOY}\n".encode(), "envoy": envoy})
            self._build(name, content)
            self._forget_old()
        return name if envoy else self._tagged(name, LATEST)

    def postgres(self) -> str:
        """The registry's, else one from Debian's packages."""
        content: dict[str, bytes | Path] = {"Dockerfile": HERE / "postgres.Dockerfile", "postgres-start": HERE / "postgres-start"}
        name = f"seatrial-postgres:{_digest(content)}"
        if self._has(POSTGRES) or (not self._has(name) and base.pulled(self.client, POSTGRES, self.progress)):
            return self._tagged(POSTGRES, LATEST_POSTGRES)
        if not self._has(name):
            self._build(name, content, {"BASE": base.resolve(self.client, self.progress, ("debian:bookworm-slim",))})
        return self._tagged(name, LATEST_POSTGRES)

    def foreign(self, name: str) -> str:
        """Somebody else's image, pulled where it is not here yet."""
        if not self._has(name) and not base.pulled(self.client, name, self.progress):
            how = "build or load it first, or check its name and the registry"
            raise LabError(f"there is no image {name}", why="it is not on this engine, and no registry has it", how=how)
        return name

    def _build_python(self, name: str, dockerfile: str) -> None:
        found = base.resolve(self.client, self.progress)
        with tempfile.TemporaryDirectory(prefix="seatrial-image-") as folder:
            site = Path(folder) / "site"
            packages.install(site, PROJECT, base.python_of(self.client, found), self.progress)
            content: dict[str, bytes | Path] = {
                "Dockerfile": dockerfile.encode(),
                "requirements.lock": b"",
                "lab/runtimes/docker/requirements.py": HERE / "requirements.py",
                **_tree(Path(folder), "site"),
            }
            self._build(name, content, {"BASE": found})

    def _tagged(self, name: str, tag: str) -> str:
        """The compose file knows it by this tag."""
        self.client.images.get(name).tag(tag)
        return name

    def _forget_old(self) -> None:
        """Every change of the sources makes an image; those that nobody uses go after a while."""
        found = self.client.images.list(filters={"label": f"{LABEL}=seatrial"})
        by_age = sorted(found, key=lambda image: str(image.attrs["Created"]), reverse=True)
        for image in by_age[KEPT:]:
            with suppress(APIError):  # in use
                for tag in image.tags:
                    self.client.images.remove(tag)

    def _has(self, name: str) -> bool:
        with explained(f"cannot look for the image {name}"):
            try:
                self.client.images.get(name)
            except ImageNotFound:
                return False
            return True

    def _build(self, name: str, content: Content, arguments: Mapping[str, str] | None = None) -> None:
        self.progress(f"building the image {name}")
        try:
            with explained(f"cannot build the image {name}"), tempfile.TemporaryFile() as context:
                _write_context(content, context)
                self.client.images.build(
                    fileobj=context,
                    custom_context=True,
                    tag=name,
                    buildargs=dict(arguments or {}),
                    labels={LABEL: name.partition(":")[0]},
                    network_mode="host",  # the way out that the machine itself has
                    rm=True,
                    forcerm=True,
                )
        except BuildError as error:
            lines = [str(step.get("stream") or step.get("error") or "").rstrip() for step in error.build_log]
            raise LabError(f"cannot build the image {name}", why="\n".join(list(filter(None, lines))[-15:])) from error


def _envoy_name(python: str, binary: Path) -> str:
    """Without reading its hundred megabytes each time."""
    about = binary.stat()
    return f"seatrial-envoy:{_digest({'under': python.encode(), 'size and time': f'{about.st_size} {about.st_mtime_ns}'.encode()})}"


def _tree(root: Path, folder: str) -> dict[str, bytes | Path]:
    files = sorted((root / folder).rglob("*"))
    return {str(file.relative_to(root)): file for file in files if file.is_file() and "__pycache__" not in file.parts}


def _digest(content: Content) -> str:
    total = hashlib.sha256()
    for name in sorted(content):
        source = content[name]
        total.update(f"{name}\0".encode() + hashlib.sha256(source if isinstance(source, bytes) else source.read_bytes()).digest())
    return total.hexdigest()[:12]


def _write_context(content: Content, to: IO[bytes]) -> None:
    """A tar of it; readable for everybody whatever the umask was here."""
    with tarfile.open(fileobj=to, mode="w") as tar:
        for name, source in content.items():
            entry = tarfile.TarInfo(name)
            if isinstance(source, bytes):
                entry.size, entry.mode = len(source), 0o644
                tar.addfile(entry, io.BytesIO(source))
                continue
            about = source.stat()
            entry.size, entry.mtime, entry.mode = about.st_size, int(about.st_mtime), 0o755 if about.st_mode & 0o100 else 0o644
            with source.open("rb") as opened:
                tar.addfile(entry, opened)
    to.seek(0)


if __name__ == "__main__":
    images = Images(connect(), lambda said: print(said, file=sys.stderr))  # noqa: T201
    images.mesh()
    images.postgres()
