"""Where a real Envoy is looked for, and in which order."""

from pathlib import Path

import pytest

from lab import envoy_binary
from lab.runtimes.runtime import LabError


def executable(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


@pytest.fixture(autouse=True)
def nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without Envoy, as far as one can be made of this one."""
    monkeypatch.delenv("SEATRIAL_ENVOY", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("SEATRIAL_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(envoy_binary, "__file__", str(tmp_path / "checkout" / "lab" / "envoy_binary.py"))


def test_the_places_in_their_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert envoy_binary.find() is None
    inside = Path("lib/python3.11/site-packages/envoy/_bin/envoy")
    for place in (
        tmp_path / "checkout/.venv-envoy" / inside,
        tmp_path / "home/envoy-venv" / inside,
        tmp_path / "bin/envoy",
        tmp_path / "mine",
    ):
        executable(place)
        if place.name == "mine":
            monkeypatch.setenv("SEATRIAL_ENVOY", str(place))
        assert envoy_binary.find() == place
        assert envoy_binary.ensure() == place


def test_what_cannot_be_executed_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine").write_text("")
    monkeypatch.setenv("SEATRIAL_ENVOY", str(tmp_path / "mine"))
    assert envoy_binary.find() is None


def test_an_install_that_fails_says_what_was_said_and_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    failing = executable(tmp_path / "bin/uv")
    failing.write_text("#!/bin/sh\necho no such thing as $5 >&2\nexit 1\n")
    executable(tmp_path / "home/envoy-venv/bin/python")
    said: list[str] = []
    with pytest.raises(LabError, match=r"no such thing as .*/python(.|\n)*SEATRIAL_ENVOY"):
        envoy_binary.ensure(said.append)
    assert said == [f"installing {envoy_binary.REQUIREMENT} (once)"]
