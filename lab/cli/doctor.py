"""doctor: what a lab needs from this machine, checked one by one, each with what to do about it. Linkerd: `check`."""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Annotated

import typer

from lab.cli.exits import FAILED
from lab.cli.output import Column, Output, put, say, show

OK, WARNING, BROKEN = "ok", "warning", "failed"
COLUMNS = (Column("CHECK", "check"), Column("STATUS", "status"), Column("FOUND", "found"), Column("HOW TO FIX", "fix", wide=True))
WANTED_PORTS = {15010: "xDS", 15021: "health", 15000: "proxy admin", 15002: "HTTP proxy", 8080: "control plane API", 9080: "bookshop"}
OLDEST_PYTHON = (3, 11)
SMALL_MEMORY_MB = 700
DOCKER_SECONDS = 5


@dataclass(frozen=True, slots=True)
class Finding:
    """``warning``: something works only in part, or in another way; ``failed``: no lab can come up."""

    check: str
    status: str
    found: str
    fix: str = ""


def doctor(output: Annotated[Output, typer.Option("--output", "-o", help="How to print it.")] = Output.TABLE) -> None:
    """Check what labs need from this machine.

    Says how to fix what is missing; exits with 1 when no lab can come up.
    """
    findings = [check() for check in CHECKS]
    show([asdict(finding) for finding in findings], COLUMNS, output)
    if output is Output.TABLE:
        for finding in findings:
            if finding.status != OK:
                put(f"\n{finding.check}: {finding.found}\n  {finding.fix}")
    if any(finding.status == BROKEN for finding in findings):
        raise typer.Exit(FAILED)
    say("\na local lab can come up here: seatrial up", "green")


def python() -> Finding:
    version = ".".join(map(str, sys.version_info[:3]))
    if tuple(sys.version_info) < OLDEST_PYTHON:
        return Finding("Python", BROKEN, version, "install Python 3.11 or newer and run: make setup PYTHON=/path/to/python3.11")
    return Finding("Python", OK, f"{version} in {sys.prefix}")


def state_folder() -> Finding:
    from lab import state

    home = state.home()
    fix = f"make {home} writable, or point SEATRIAL_HOME to another folder"
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=home) as probe:
            probe.write(b"x" * 4096)
        free = shutil.disk_usage(home).free >> 20
    except OSError as error:
        return Finding("state folder", BROKEN, f"{home}: {error.strerror}", fix)
    return Finding(
        "state folder", OK if free > 100 else WARNING, f"{home} ({free} MB free)", "" if free > 100 else f"free some space; or {fix}"
    )


def loopback() -> Finding:
    """Each workload of a local lab listens on a loopback address of its own."""
    try:
        with socket.socket() as probe:
            probe.bind(("127.65.43.21", 0))
    except OSError as error:
        found = f"no 127.x.y.z beside 127.0.0.1 ({error.strerror})"
        return Finding("loopback addresses", WARNING, found, "nothing to do: local labs use free ports of 127.0.0.1 here")
    return Finding("loopback addresses", OK, "127.0.0.0/8 works: an address for each workload")


def ports() -> Finding:
    """Somebody who listens on 0.0.0.0 has the port on every loopback address too."""
    taken = [f"{port} ({what})" for port, what in WANTED_PORTS.items() if _taken_everywhere(port)]
    if not taken:
        return Finding("ports", OK, "Istio's ports are free")
    return Finding("ports", WARNING, f"taken on all addresses: {', '.join(taken)}", "local labs take other ports instead; see: seatrial ps")


def _taken_everywhere(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.65.43.21", port))
        except OSError as error:
            import errno

            return error.errno == errno.EADDRINUSE
    return False


def memory() -> Finding:
    import psutil

    free = psutil.virtual_memory().available >> 20
    found = f"{free} MB free, {os.cpu_count()} CPUs"
    if free >= SMALL_MEMORY_MB:
        return Finding("memory", OK, found)
    return Finding("memory", WARNING, found, f"the bookshop takes up to {SMALL_MEMORY_MB} MB: close something, or run fewer workloads")


def docker_engine() -> Finding:
    """Only for --runtime docker."""
    fix = "only --runtime docker needs it: install Docker (or Podman and set DOCKER_HOST), start it, and be in its group"
    try:
        import docker

        client = docker.from_env(timeout=DOCKER_SECONDS)
        version = client.version()
    except Exception as error:  # the SDK lets through whatever its HTTP library raises
        return Finding("Docker engine", WARNING, f"does not answer: {str(error)[:120]}", fix)
    return Finding("Docker engine", OK, f"{version.get('Version')}, API {version.get('ApiVersion')}")


def envoy_binary() -> Finding:
    """Only for --dataplane envoy."""
    from lab.envoy_binary import find

    fix = "only --dataplane envoy needs it: it is installed on first use, or set SEATRIAL_ENVOY to an Envoy 1.40 binary"
    found = find()
    if found is None:
        return Finding("Envoy binary", WARNING, "none here", fix)
    try:
        said = subprocess.run([str(found), "--version"], capture_output=True, text=True, timeout=10, check=True).stdout
    except (OSError, subprocess.SubprocessError) as error:
        return Finding("Envoy binary", WARNING, f"{found} does not run: {error}", fix)
    version = said.split("version:")[-1].strip().split("/")
    return Finding("Envoy binary", OK, f"{version[1] if len(version) > 1 else said.strip()}: {found}")


def labs() -> Finding:
    from lab import state
    from lab.lab import Lab
    from lab.runtimes.runtime import LabError

    names, dead = state.names(), []
    for name in names:
        try:
            Lab.attach(name).ps()
        except LabError:
            dead.append(name)
    if dead:
        return Finding("labs", WARNING, f"remains of {', '.join(dead)}", f"remove them with: seatrial down {dead[0]}")
    return Finding("labs", OK, f"up: {', '.join(names)}" if names else "none is up")


CHECKS: tuple[Callable[[], Finding], ...] = (python, state_folder, loopback, ports, memory, docker_engine, envoy_binary, labs)
