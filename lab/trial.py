"""A trial: a running lab in the hands of one scenario. It drives the lab and writes down what it does.

This is what the pytest fixture ``mesh`` gives a test: ``apply`` and ``delete`` configuration, ``get`` and ``client`` for single requests,
``load`` and ``start_load`` for many, ``wait`` for a condition.
"""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lab.client import Client, Response
from lab.lab import Lab
from lab.load.model import LoadResult, LoadSpec
from lab.load.run import Load
from lab.story import Step, record
from lab.until import until


class Trial:
    """``folder`` is where relative names of YAML files are looked up: first its ``config/``, then itself."""

    def __init__(self, lab: Lab, folder: Path) -> None:
        self.lab = lab
        self.folder = folder
        self.applied: list[str] = []

    # --- configuration -------------------------------------------------------------------------------------------

    def apply(self, *sources: str, timeout_seconds: float = 10.0) -> None:
        """Apply YAML (a file, a folder, or text with a line break in it); return when every proxy that it touches has applied it.

        Raises what ``Lab.apply`` raises: ``ConfigRefused``, ``DistributionTimeout``.
        """
        for source in sources:
            found, text = self._read(source)
            started = time.perf_counter()
            applied = self.lab.apply(found, wait=True, timeout_seconds=timeout_seconds)
            seconds = time.perf_counter() - started
            self.applied.append(text)
            detail = {"yaml": text, "touched": applied.touched, "distribution_seconds": applied.seconds}
            record(Step("apply", f"{_title(source)} → {applied.touched} proxies", seconds=seconds, detail=detail))

    def delete(self, *sources: str) -> None:
        for source in sources:
            found, text = self._read(source)
            started = time.perf_counter()
            self.lab.delete(found, wait=True)
            record(Step("delete", _title(source), seconds=time.perf_counter() - started, detail={"yaml": text}))

    def _read(self, source: str) -> tuple[str, str]:
        if "\n" in source:
            return source, source
        for candidate in (self.folder / "config" / source, self.folder / source, Path(source)):
            if candidate.is_file():
                return str(candidate), candidate.read_text(encoding="utf-8")
            if candidate.is_dir():
                return str(candidate), "---\n".join(p.read_text(encoding="utf-8") for p in sorted(candidate.glob("*.yaml")))
        raise FileNotFoundError(f"no configuration {source!r} in {self.folder / 'config'}, {self.folder} or here")

    def reset(self) -> None:
        """Remove all configuration that was applied, whoever applied it."""
        self.lab.reset()

    # --- traffic -------------------------------------------------------------------------------------------------

    def url(self, path: str = "", service: str | None = None) -> str:
        return self.lab.url(service).rstrip("/") + path

    def client(self, service: str | None = None) -> Client:
        return self.lab.client(service)

    def get(self, path: str, headers: Mapping[str, str] | None = None, service: str | None = None) -> Response:
        """One request on a connection of its own."""
        with self.client(service) as client:
            response = client.get(path, headers=headers)
        said = "".join(f" {name}: {value}" for name, value in (headers or {}).items())
        record(Step("request", f"GET {path}{said} → {response.status}", seconds=response.seconds))
        return response

    def spec(self, path: str, service: str | None = None, **options: Any) -> LoadSpec:
        headers = tuple((options.pop("headers", None) or {}).items())
        return LoadSpec(url=self.url(path, service), headers=headers, **options)

    def load(self, path: str, service: str | None = None, **options: Any) -> LoadResult:
        """A load of fixed size (``requests=`` or ``duration_seconds=``); other options are the fields of ``LoadSpec``."""
        return self._told(path, Load(self.spec(path, service, **options)).result())

    @contextmanager
    def start_load(self, path: str, service: str | None = None, **options: Any) -> Iterator["RunningLoad"]:
        """A load that goes on in the background until the block ends; ``running.result`` is set then."""
        with Load(self.spec(path, service, **options)) as load:
            running = RunningLoad(load)
            self.wait(lambda: load.requests_so_far > 0, "the load's first answers", timeout_seconds=20)
            yield running
            running.result = self._told(path, load.stop())

    def _told(self, path: str, result: LoadResult) -> LoadResult:
        title = f"{result.requests} x {path}: {result.failed} failed"
        record(Step("load", title, seconds=result.seconds, detail={"result": json.loads(result.to_json())}))
        return result

    # --- waiting -------------------------------------------------------------------------------------------------

    def wait(self, condition: Callable[[], object], what: str, timeout_seconds: float = 10.0) -> None:
        """Wait until ``condition()`` is true. Raises ``TimeoutError`` naming ``what``."""
        started = time.perf_counter()
        until(condition, timeout_seconds=timeout_seconds, what=what)
        record(Step("wait", what, seconds=time.perf_counter() - started))

    # --- evidence ------------------------------------------------------------------------------------------------

    def evidence(self) -> dict[str, str]:
        """What a failing test's report shows: the YAML applied, each proxy's status, the tail of each access log."""
        found = {"applied YAML": "---\n".join(self.applied) or "(none)"}
        try:
            found["proxy status"] = json.dumps(self.lab.status(), indent=1, default=str)
            for workload in self.lab.ps():
                if workload.get("kind", "workload") == "workload":
                    name = str(workload["name"])
                    found[f"access log of {name} (tail)"] = self.lab.logs(name, container="access", tail=20)
        except Exception as error:  # evidence must never hide the failure it is about
            found["evidence is incomplete"] = repr(error)
        return found


class RunningLoad:
    """``result`` may be read once the block of ``start_load`` has ended."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self.result = LoadResult()

    @property
    def requests_so_far(self) -> int:
        return self._load.requests_so_far


def _title(source: str) -> str:
    return "inline YAML" if "\n" in source else source
