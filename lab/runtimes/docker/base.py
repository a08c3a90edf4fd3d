"""What the images stand on: the first that there is of a named image, one on this engine, a registry's, one made from a Debian mirror.

The last needs no registry: mmdebstrap or debootstrap on this machine makes a root file system with Python and the packet filter's tools.
"""

import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import docker
import requests
from docker.errors import APIError, DockerException, ImageNotFound

from lab.runtimes.docker.engine import connect, explained, said
from lab.runtimes.docker.packages import Python
from lab.runtimes.runtime import LabError, Progress

REGISTRY_IMAGES = ("python:3.11-slim",)
OWN = "seatrial-base:bookworm-1"
SUITE = "bookworm"
INCLUDED = ("python3", "nftables", "iptables", "ca-certificates")
REGISTRY_SECONDS = 6.0
NAMED_BY = "SEATRIAL_BASE_IMAGE"
MIRRORS = ("/etc/apt/sources.list", "/etc/apt/sources.list.d/debian.sources")
UNNEEDED = ("/usr/share/doc/*", "/usr/share/man/*", "/usr/share/locale/*", "/usr/share/info/*")


def named() -> str:
    """What the user chose; empty for none."""
    return os.environ.get(NAMED_BY, "")


def resolve(client: docker.DockerClient, progress: Progress, candidates: tuple[str, ...] = REGISTRY_IMAGES) -> str:
    """Raises ``LabError`` that tells what was tried."""
    chosen = named()
    if chosen:
        if _here(client, chosen) or pulled(client, chosen, progress):
            return chosen
        raise LabError(f"{NAMED_BY} names {chosen}, which is not on this engine and which no registry has")
    for candidate in (*candidates, OWN):
        if _here(client, candidate):
            return candidate
    for candidate in candidates:
        if pulled(client, candidate, progress):
            return candidate
    return _make(client, progress)


def pulled(client: docker.DockerClient, name: str, progress: Progress) -> bool:
    """Whether a registry had it. One that does not answer soon counts as none."""
    quick = connect(REGISTRY_SECONDS)
    try:
        quick.api.inspect_distribution(name)  # type: ignore[no-untyped-call]
    except (DockerException, requests.RequestException):
        return False
    finally:
        quick.close()
    progress(f"pulling {name} (once)")
    with explained(f"cannot pull {name}"):
        client.images.pull(name)
    return True


def python_of(client: docker.DockerClient, image: str) -> Python:
    program = "import json, platform, sys; print(json.dumps(['%d.%d' % sys.version_info[:2], platform.machine()]))"
    try:
        answer = client.containers.run(image, ["python3", "-c", program], remove=True, network_mode="none", entrypoint="")
    except DockerException as error:
        why = said(error) if isinstance(error, APIError) else str(error)
        raise LabError(f"the base image {image} has no working python3", why=why) from error
    version, machine = json.loads(answer)
    return Python(version, machine)


def _here(client: docker.DockerClient, name: str) -> bool:
    with explained(f"cannot look for the image {name}"):
        try:
            client.images.get(name)
        except ImageNotFound:
            return False
        return True


def _make(client: docker.DockerClient, progress: Progress) -> str:
    progress("no registry answers: making a base image from a Debian mirror (once, about a minute)")
    tried = []
    with tempfile.TemporaryDirectory(prefix="seatrial-base-") as folder:
        for tool, make in (("mmdebstrap", _mmdebstrap), ("debootstrap", _debootstrap)):
            path = shutil.which(tool) or shutil.which(tool, path="/usr/sbin:/sbin")
            if path is None:
                tried.append(f"{tool} is not installed")
                continue
            try:
                tar = make(path, Path(folder))
            except subprocess.CalledProcessError as error:
                tried.append(f"{tool}: {str(error.stderr).strip()[-600:]}")
                continue
            repository, _, tag = OWN.partition(":")
            with explained(f"cannot load {OWN}"):
                client.api.import_image_from_file(str(tar), repository=repository, tag=tag)
            return OWN
    how = f"apt install mmdebstrap, or load an image with Python 3.11 and name it in {NAMED_BY}, or use --runtime local"
    raise LabError("there is no base image: no registry answers, and none could be made here", why="\n".join(tried), how=how)


def _mmdebstrap(tool: str, folder: Path) -> Path:
    tar = folder / "base.tar"
    excludes = [f"--dpkgopt=path-exclude={pattern}" for pattern in UNNEEDED]
    mirrors = [path for path in MIRRORS if Path(path).is_file() and SUITE in Path(path).read_text(encoding="utf-8")]
    _run([tool, "--quiet", "--variant=minbase", f"--include={','.join(INCLUDED)}", *excludes, SUITE, str(tar), *mirrors])
    return tar


def _debootstrap(tool: str, folder: Path) -> Path:
    root, tar = folder / "root", folder / "base.tar"
    _run([tool, "--variant=minbase", f"--include={','.join(INCLUDED)}", SUITE, str(root)])
    _run(["tar", "-C", str(root), "-cf", str(tar), "--one-file-system", "."])
    return tar


def _run(command: list[str]) -> None:
    subprocess.run(command, check=True, capture_output=True, text=True)
