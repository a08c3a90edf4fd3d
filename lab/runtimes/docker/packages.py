"""The Python packages of the image, fetched here: this machine's index, proxy and certificate settings hold, the build needs none."""

import shutil
import subprocess
import sys
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement

from lab.runtimes.docker.requirements import ROOTS, subset
from lab.runtimes.runtime import LabError, Progress

LOCK = "requirements.lock"
GLIBC = ("2_28", "2_17")  # every base that is used here has a newer one


@dataclass(frozen=True, slots=True)
class Python:
    """An image's interpreter: version "3.11", machine "x86_64"."""

    version: str
    machine: str


def wanted(project: Path) -> str:
    """From the lock file; where Seatrial is installed without one, the versions that are installed beside it."""
    lock = project / LOCK
    try:
        return subset(lock.read_text(encoding="utf-8")) if lock.exists() else _installed()
    except KeyError as missing:
        raise LabError(f"{lock} does not have {missing}", how="refresh it with: make lock") from missing


def _installed() -> str:
    found: dict[str, str] = {}
    waiting = list(ROOTS)
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        try:
            package = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            continue  # an extra, or not for this platform
        found[name] = package.version
        needs = [Requirement(line) for line in package.requires or ()]
        waiting += [need.name.lower() for need in needs if need.marker is None or need.marker.evaluate({"extra": ""})]
    return "".join(f"{name}=={version}\n" for name, version in sorted(found.items()))


def install(site: Path, project: Path, python: Python, progress: Progress) -> None:
    """Into the folder ``site``, for the image's Python and not for this one."""
    progress("fetching the packages of the image (once)")
    requirements = site.parent / "requirements.txt"
    requirements.write_text(wanted(project), encoding="utf-8")
    done = subprocess.run([*_command(python), "--target", str(site), "-r", str(requirements)], capture_output=True, text=True, check=False)
    if done.returncode:
        how = "the package index of pip (or uv) on this machine is used"
        raise LabError("cannot fetch the packages of the image", why=(done.stderr or done.stdout).strip()[-2000:], how=how)


def _command(python: Python) -> list[str]:
    uv = shutil.which("uv", path=str(Path(sys.executable).parent)) or shutil.which("uv")
    if uv:
        platform = ["--python-platform", f"{python.machine}-manylinux_{GLIBC[0]}"]
        return [uv, "pip", "install", "--quiet", "--no-deps", "--only-binary", ":all:", "--python-version", python.version, *platform]
    platforms = [word for glibc in GLIBC for word in ("--platform", f"manylinux_{glibc}_{python.machine}")]
    platforms += ["--platform", f"manylinux2014_{python.machine}"]
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--only-binary=:all:", "--disable-pip-version-check"]
    return [*pip, "--implementation", "cp", "--python-version", python.version, *platforms]
