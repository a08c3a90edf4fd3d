"""The control plane's HTTP API, from the lab's side: apply and delete configuration, read it back, see what the proxies have of it.

The control plane answers an apply when every proxy that it touches *uses* it (or says which does not); Istio: `istioctl experimental wait`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lab.client import Client, NoAnswer, Response

GROUP = "/apis/networking.istio.io/v1"
PLURALS = {"VirtualService": "virtualservices", "DestinationRule": "destinationrules", "ServiceEntry": "serviceentries"}
SLACK_SECONDS = 5.0  # how much longer than the control plane itself we wait for its answer


class ControlPlaneUnreachable(ConnectionError):
    """The control plane does not answer."""


class ApiError(Exception):
    """The control plane said no."""


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One thing wrong with a document, and where."""

    code: str = ""
    severity: str = "error"
    message: str = ""
    file: str = ""
    line: int = 0
    column: int = 0
    snippet_line: str = ""
    caret_width: int = 1
    hint: str = ""
    resource: str = ""

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Diagnostic":
        known = {name: data[name] for name in cls.__dataclass_fields__ if data.get(name) is not None}
        return cls(**known)

    def __str__(self) -> str:
        code = f"[{self.code}]" if self.code else ""
        drawn = [f"{self.severity}{code}: {self.message}"]
        if self.file:
            drawn.append(f"  --> {self.file}" + (f":{self.line}:{self.column}" if self.line else ""))
        if self.snippet_line:
            number, blank = str(self.line), " " * len(str(self.line))
            indent = "".join("\t" if c == "\t" else " " for c in self.snippet_line[: max(0, self.column - 1)])
            hint = f"  {self.hint}" if self.hint else ""
            drawn += [f"{blank} |", f"{number} | {self.snippet_line}", f"{blank} | {indent}{'^' * max(1, self.caret_width)}{hint}"]
        elif self.hint:
            drawn.append(f"  {self.hint}")
        return "\n".join(drawn)


class ConfigRefused(ApiError):
    """The configuration is wrong; nothing of it was taken, what was there stays."""

    def __init__(self, diagnostics: Sequence[Diagnostic]) -> None:
        self.diagnostics = tuple(diagnostics)
        super().__init__("\n".join(map(str, self.diagnostics)) or "error: the configuration was refused")


class DistributionTimeout(TimeoutError):
    """The configuration was taken, but these proxies have not applied it in time. ``laggards``: proxy → what is known of it."""

    def __init__(self, applied: "Applied", timeout_seconds: float) -> None:
        self.applied = applied
        self.laggards = {proxy: status for proxy, status in applied.proxies.items() if status != "SYNCED"}
        told = "".join(f"\n  {proxy}: {status}" for proxy, status in sorted(self.laggards.items()))
        super().__init__(f"not every proxy has applied the configuration within {timeout_seconds:g} s:{told}")


@dataclass(frozen=True, slots=True)
class Document:
    """A YAML text and what to call it in errors."""

    source: str
    text: str


@dataclass(frozen=True, slots=True)
class Applied:
    """What became of an apply or delete. ``touched``: proxies that the change concerns, ``seconds``: until all of them had applied it."""

    version: int = 0
    touched: int = 0
    seconds: float = 0.0
    complete: bool = True
    resources: tuple[Mapping[str, str], ...] = ()
    warnings: tuple[Diagnostic, ...] = ()
    proxies: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Applied":
        distribution = data.get("distribution") or {}
        return cls(
            version=data.get("version", 0),
            touched=distribution.get("touched", 0),
            seconds=distribution.get("seconds", 0.0),
            complete=distribution.get("complete", True),
            resources=tuple(data.get("resources", ())),
            warnings=tuple(map(Diagnostic.from_json, data.get("warnings", ()))),
            proxies=distribution.get("proxies", {}),
        )


class Api:
    """Each call is a request of its own, so an ``Api`` may be kept for long and used from anywhere."""

    def __init__(self, url: str) -> None:
        self.url = url

    def apply(self, documents: Sequence[Document], *, wait: bool = True, timeout_seconds: float = 10.0, dry_run: bool = False) -> Applied:
        """Raises ``ConfigRefused``, ``DistributionTimeout``, ``ControlPlaneUnreachable``."""
        body = {"documents": [{"source": d.source, "text": d.text} for d in documents], "dry_run": dry_run}
        return self._change("/apply", body, wait, timeout_seconds)

    def delete(
        self,
        documents: Sequence[Document] = (),
        resources: Sequence[Mapping[str, str]] = (),
        *,
        wait: bool = True,
        timeout_seconds: float = 10.0,
    ) -> Applied:
        """By documents (only kind and name count) or by kind, namespace and name. Raises as ``apply`` does; ``ApiError`` if not there."""
        body: dict[str, Any] = {"documents": [{"source": d.source, "text": d.text} for d in documents]} if documents else {}
        if resources:
            body["resources"] = [dict(resource) for resource in resources]
        return self._change("/delete", body, wait, timeout_seconds)

    def _change(self, path: str, body: dict[str, Any], wait: bool, timeout_seconds: float) -> Applied:
        answer = self.request("POST", path, {**body, "wait": wait, "timeout_seconds": timeout_seconds}, timeout_seconds + SLACK_SECONDS)
        if answer.status == 422:
            raise ConfigRefused([Diagnostic.from_json(each) for each in answer.json().get("errors", ())])
        if answer.status not in (200, 504):
            raise ApiError(_said(answer))
        applied = Applied.from_json(answer.json())
        if wait and (answer.status == 504 or not applied.complete):
            raise DistributionTimeout(applied, timeout_seconds)
        return applied

    def get(self, kind: str, name: str = "", namespace: str = "") -> list[dict[str, Any]]:
        """Resources of a kind ("VirtualService", "Service"), Kubernetes-shaped; one if ``name`` is given. Raises ``ApiError``."""
        root = "/api/v1" if kind == "Service" else GROUP
        plural = "services" if kind == "Service" else PLURALS.get(kind, f"{kind.lower()}s")
        within = f"/namespaces/{namespace or 'default'}" if namespace or name or kind == "Service" else ""
        answer = self._read(f"{root}{within}/{plural}" + (f"/{name}" if name else ""))
        return [answer] if name else list(answer.get("items", ()))

    def syncz(self) -> list[dict[str, Any]]:
        """What each connected proxy was sent and has acknowledged."""
        return list(self._read("/debug/syncz"))

    def registryz(self) -> list[dict[str, Any]]:
        """The workloads that the control plane knows, and whether it takes them for healthy."""
        return list(self._read("/debug/registryz"))

    def healthy(self) -> bool:
        try:
            return self.request("GET", "/healthz", timeout_seconds=1.0).status == 200
        except ControlPlaneUnreachable:
            return False

    def _read(self, path: str) -> Any:
        answer = self.request("GET", path)
        if answer.status != 200:
            raise ApiError(_said(answer))
        return answer.json()

    def request(self, method: str, path: str, body: Any = None, timeout_seconds: float = 10.0) -> Response:
        """Any request; the status is the caller's to judge. Raises ``ControlPlaneUnreachable``."""
        try:
            with Client(self.url, timeout_seconds) as client:
                return client.request(method, path, json=body)
        except (NoAnswer, TimeoutError) as error:
            raise ControlPlaneUnreachable(f"the control plane does not answer: {error}\n  see its log: seatrial logs control") from error


def _said(answer: Response) -> str:
    """The control plane's own words, however it put them."""
    try:
        data = answer.json()
    except ValueError:
        return f"the control plane answered {answer.status}: {answer.text[:500]}"
    if isinstance(data, dict):
        errors = data.get("errors")
        if errors:
            return "\n".join(str(Diagnostic.from_json(each)) if isinstance(each, dict) else str(each) for each in errors)
        for key in ("error", "message", "detail"):
            if data.get(key):
                return f"the control plane answered {answer.status}: {data[key]}"
    return f"the control plane answered {answer.status}: {answer.text[:500]}"
