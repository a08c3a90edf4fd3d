"""A trial: a running lab in the hands of one scenario. It drives the lab and writes down what it does.

This is what the pytest fixture ``mesh`` gives a test: ``apply`` and ``delete`` configuration, ``get`` and ``client`` for single requests,
``load`` and ``start_load`` for many, ``wait`` for a condition.
"""

import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from lab.client import Client, Response
from lab.documents import read_documents
from lab.lab import Lab
from lab.load.model import LoadResult, LoadSpec
from lab.load.run import Load
from lab.story import Kind, Step, record
from lab.until import until

FLUSHED_AFTER_SECONDS = 0.5  # proxies write their access logs four times a second


class Trial:
    """``folder`` is where relative names of YAML files are looked up: first its ``config/``, then itself."""

    def __init__(self, lab: Lab, folder: Path) -> None:
        self.lab = lab
        self.folder = folder
        self.applied: list[str] = []

    # --- configuration -------------------------------------------------------------------------------------------

    def apply(self, *sources: str | Path, timeout_seconds: float = 10.0) -> None:
        """Apply YAML (a file, a folder, or text with a line break in it); return when every proxy that it touches has applied it.

        Raises what ``Lab.apply`` raises: ``ConfigRefused``, ``DistributionTimeout``.
        """
        for source in sources:
            found, text = self._read(source)
            with _judged("apply", _title(source), yaml=text) as step:
                applied = self.lab.apply(found, wait=True, timeout_seconds=timeout_seconds)
                step["title"] = f"{_title(source)} → {applied.touched} proxies"
                step["detail"] |= {"touched": applied.touched, "distribution_seconds": applied.seconds}
            self.applied.append(text)

    def delete(self, *sources: str | Path) -> None:
        for source in sources:
            found, text = self._read(source)
            with _judged("delete", _title(source), yaml=text):
                self.lab.delete(found, wait=True)

    def _read(self, source: str | Path) -> tuple[str, str]:
        if isinstance(source, str) and "\n" in source:
            return source, source
        for candidate in (self.folder / "config" / source, self.folder / source, Path(source)):
            if candidate.exists():
                return str(candidate), "---\n".join(document.text for document in read_documents([candidate]))
        raise FileNotFoundError(f"no configuration {str(source)!r} in {self.folder / 'config'}, {self.folder} or here")

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
        with _judged("wait", what):
            until(condition, timeout_seconds=timeout_seconds, what=what)

    # --- evidence ------------------------------------------------------------------------------------------------

    def evidence(self) -> dict[str, str]:
        """What a failing test's report shows: the YAML applied, each proxy's status, the tail of each access log."""
        found = {"applied YAML": "---\n".join(self.applied) or "(none)"}
        try:
            found["proxy status"] = "\n".join(status_lines(self.lab.status()))
            found |= {f"access log of {name} (tail)": tail for name, tail in self._quiet_access_logs().items()}
        except Exception as error:  # evidence must never hide the failure it is about
            found["evidence is incomplete"] = repr(error)
        return found

    def _quiet_access_logs(self) -> dict[str, str]:
        """The end of each access log, once nothing has come for longer than proxies keep lines back; under load, as it is."""
        names = [str(workload["name"]) for workload in self.lab.ps() if workload.get("kind", "workload") == "workload"]
        tails: dict[str, str] = {}
        changed = time.monotonic()

        def quiet() -> bool:
            nonlocal tails, changed
            before, tails = tails, {name: self.lab.logs(name, container="access", tail=20) for name in names}
            if tails != before:
                changed = time.monotonic()
            return time.monotonic() - changed > FLUSHED_AFTER_SECONDS

        with suppress(TimeoutError):
            until(quiet, timeout_seconds=4 * FLUSHED_AFTER_SECONDS, what="quiet access logs")
        return tails


class RunningLoad:
    """``result`` may be read once the block of ``start_load`` has ended."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self.result = LoadResult()

    @property
    def requests_so_far(self) -> int:
        return self._load.requests_so_far


def status_lines(proxies: Iterable[Mapping[str, Any]]) -> list[str]:
    """A line for each proxy: which types it uses as they were sent to it, what it refused and why, and how its app is."""
    return [line for proxy in proxies for line in _lines_of(proxy)]


def _lines_of(proxy: Mapping[str, Any]) -> list[str]:
    types = {kind: state for kind, state in proxy["types"].items() if state["sent"] or state["error"]}
    said = "  ".join(f"{kind} {state['status']} {state['acked'] or '-'}" for kind, state in types.items()) or "nothing was sent"
    where = "" if proxy["connected"] else "  not connected"
    errors = [f"  {kind} {line}" for kind, state in types.items() for line in str(state["error"]).splitlines()]
    return [f"{proxy['node']['name']} ({proxy['dataplane']}, {'healthy' if proxy['healthy'] else 'unhealthy'}{where})  {said}", *errors]


@contextmanager
def _judged(kind: Kind, title: str, **detail: Any) -> Iterator[dict[str, Any]]:
    """Record a step when the block ends; one that fails is recorded too, as such. What is yielded may be filled in on the way."""
    step: dict[str, Any] = {"title": title, "detail": detail}
    started = time.perf_counter()
    try:
        yield step
    except Exception:
        record(Step(kind, title, ok=False, seconds=time.perf_counter() - started, detail=step["detail"]))
        raise
    record(Step(kind, step["title"], seconds=time.perf_counter() - started, detail=step["detail"]))


def _title(source: str | Path) -> str:
    return "inline YAML" if isinstance(source, str) and "\n" in source else str(source)
