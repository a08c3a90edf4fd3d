"""The control plane's HTTP API: apply, delete, get in Kubernetes' shapes, and what istiod shows under /debug.

Istio: istiod's port 8080 (pilot/pkg/xds/debug.go) and the Kubernetes API server's paths. ``apply`` and ``delete`` wait for the proxies: a
verb that istioctl had (``x wait --for=distribution``) and dropped.
"""

import asyncio
import importlib.metadata
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from typing import Annotated, Any, Protocol, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from mesh.galley import kinds
from mesh.galley.analyze import analyze
from mesh.galley.diagnostics import INVALID, Diagnostic, to_json
from mesh.galley.load import Key, keys_of, load_all
from mesh.galley.store import Change, ConfigStore, Missing, StoreUnwritable

MAX_BODY_BYTES = 8 << 20


@dataclass(frozen=True, slots=True)
class Distribution:
    """How far a version has come. ``proxies``: node id to SYNCED, PENDING or "NACK: reason"; ``touched``: how many it concerned."""

    complete: bool
    proxies: Mapping[str, str]
    seconds: float
    touched: int


class Distributes(Protocol):
    async def wait(self, version: int, timeout_seconds: float) -> Distribution:
        """Return when every touched proxy has applied ``version`` or refused it, or when the time is over."""
        ...


class Debug(Protocol):
    """Answers that JSON can carry."""

    def syncz(self) -> Any: ...
    def registryz(self) -> Any: ...
    def endpointz(self) -> Any: ...
    def configz(self) -> Any: ...
    def config_dump(self, proxy: str) -> Any:
        """KeyError when there is no such proxy."""
        ...


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Source(_Body):
    source: str = "-"
    text: str


class _Target(_Body):
    kind: str
    name: str
    namespace: str = "default"


class _Waiting(_Body):
    wait: bool = True
    timeout_seconds: Annotated[float, Field(ge=0, le=600)] = 10.0


class _Apply(_Waiting):
    documents: tuple[_Source, ...]
    dry_run: bool = False


class _Delete(_Waiting):
    documents: tuple[_Source, ...] = ()
    resources: tuple[_Target, ...] = ()
    all: bool = False


B = TypeVar("B", bound=_Body)
Handler = Callable[[Request], Awaitable[Response]]


def create_app(store: ConfigStore, distribution: Distributes, debug: Debug) -> Starlette:
    api = _Api(store, distribution)
    return Starlette(
        routes=[
            Route("/healthz", _health),
            Route("/version", _version),
            Route("/apply", api.apply, methods=["POST"]),
            Route("/delete", api.delete, methods=["POST"]),
            *_object_routes(store),
            *_debug_routes(debug),
        ],
        exception_handlers={HTTPException: _refused},
    )


def _object_routes(store: ConfigStore) -> list[Route]:
    base = f"/apis/{kinds.NETWORKING}/{{version}}"
    istio, core = partial(_objects, store, kinds.NETWORKING), partial(_objects, store, "")
    return [
        Route(f"{base}/{{plural}}", istio),
        Route(f"{base}/namespaces/{{namespace}}/{{plural}}", istio),
        Route(f"{base}/namespaces/{{namespace}}/{{plural}}/{{name}}", istio),
        Route("/api/{version}/{plural}", core),
        Route("/api/{version}/namespaces/{namespace}/{plural}", core),
        Route("/api/{version}/namespaces/{namespace}/{plural}/{name}", core),
    ]


def _debug_routes(debug: Debug) -> list[Route]:
    async def show(answer: Callable[[], Any], _request: Request) -> Response:
        return JSONResponse(answer())

    async def config_dump(request: Request) -> Response:
        proxy = request.query_params.get("proxy", "")
        if not proxy:
            raise HTTPException(400, "config_dump needs ?proxy=<node id>")
        try:
            return JSONResponse(debug.config_dump(proxy))
        except KeyError:
            raise HTTPException(404, f'there is no proxy "{proxy}"') from None

    shown = {"syncz": debug.syncz, "registryz": debug.registryz, "endpointz": debug.endpointz, "configz": debug.configz}
    routes = [Route(f"/debug/{name}", partial(show, answer)) for name, answer in shown.items()]
    return [*routes, Route("/debug/config_dump", config_dump)]


class _Api:
    """The verbs that change something."""

    def __init__(self, store: ConfigStore, distribution: Distributes) -> None:
        self._store = store
        self._distribution = distribution

    async def apply(self, request: Request) -> Response:
        asked = await _read(request, _Apply)
        # in a thread: a megabyte of YAML must not hold up the proxies' streams
        loaded, found = await asyncio.to_thread(load_all, [(one.source, one.text) for one in asked.documents])
        if not loaded and not found:
            found = [Diagnostic(INVALID, "error", "there is nothing to apply")]
        if any(one.is_error for one in found):
            return _errors(422, found)
        config, change = self._store.preview(loaded)
        warnings = found + analyze(loaded, config)
        if asked.dry_run:
            return JSONResponse({**_changed(change, warnings), "version": self._store.version, "dry_run": True})
        try:
            change = self._store.apply(loaded)
        except StoreUnwritable as error:
            return _error(507, str(error))
        return await self._distributed(change, warnings, asked)

    async def delete(self, request: Request) -> Response:
        asked = await _read(request, _Delete)
        if asked.all and (asked.documents or asked.resources):
            return _error(400, "all stands alone")
        keys, found = keys_of((one.source, one.text) for one in asked.documents)
        keys += [_key(one) for one in asked.resources]
        if not (keys or found or asked.all):
            found = [Diagnostic(INVALID, "error", "there is nothing to delete")]
        if any(one.is_error for one in found):
            return _errors(422, found)
        try:
            change = self._store.delete_all() if asked.all else self._store.delete(keys)
        except Missing as missing:
            return _error(404, str(missing))
        except StoreUnwritable as error:
            return _error(507, str(error))
        return await self._distributed(change, found, asked)

    async def _distributed(self, change: Change, warnings: list[Diagnostic], asked: _Waiting) -> Response:
        answer = _changed(change, warnings)
        if not asked.wait:
            return JSONResponse(answer)
        reached = await self._distribution.wait(change.version, asked.timeout_seconds)
        answer["distribution"] = {
            "complete": reached.complete,
            "proxies": dict(reached.proxies),
            "seconds": reached.seconds,
            "touched": reached.touched if any(action.action != "unchanged" for action in change.actions) else 0,
        }
        return JSONResponse(answer, 200 if reached.complete else 504)


def _changed(change: Change, warnings: list[Diagnostic]) -> dict[str, Any]:
    """``distribution`` stays null when nobody waits for it."""
    return {
        "version": change.version,
        "resources": [asdict(action) for action in change.actions],
        "warnings": [to_json(one) for one in warnings],
        "distribution": None,
    }


def _key(target: _Target) -> Key:
    """By kind or, as on command lines, by plural: virtualservices."""
    kind = kinds.BY_NAME.get(target.kind) or kinds.BY_PLURAL.get(target.kind.lower())
    return (kind.name if kind else target.kind, target.namespace, target.name)


async def _read(request: Request, model: type[B]) -> B:
    body = bytearray()
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > MAX_BODY_BYTES:
                raise HTTPException(413, f"the request is larger than {MAX_BODY_BYTES} bytes")
    except ClientDisconnect:
        raise HTTPException(400, "the request ended early") from None
    try:
        return model.model_validate(json.loads(body))
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise HTTPException(400, f"the request is not JSON: {error}") from None
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, one['loc'])) or 'body'}: {one['msg']}" for one in error.errors(include_url=False))
        raise HTTPException(400, wrong) from None


async def _health(_request: Request) -> Response:
    return JSONResponse({"status": "ok"})


async def _version(_request: Request) -> Response:
    try:
        return JSONResponse({"version": importlib.metadata.version("seatrial")})
    except importlib.metadata.PackageNotFoundError:
        return JSONResponse({"version": "unknown"})


async def _objects(store: ConfigStore, group: str, request: Request) -> Response:
    asked = request.path_params
    kind = kinds.BY_PLURAL.get(asked["plural"])
    if kind is None or kind.group != group or asked["version"] not in kind.versions:
        raise HTTPException(404, f"there is no resource {asked['plural']} here")
    if "name" in asked:
        one = store.get((kind.name, asked["namespace"], asked["name"]))
        if one is None:
            raise HTTPException(404, f'{kind.plural} "{asked["namespace"]}/{asked["name"]}" not found')
        return JSONResponse(one.to_object())
    items = [one.to_object() for one in store.list(kind.name, asked.get("namespace"))]
    metadata = {"resourceVersion": str(store.version)}
    return JSONResponse({"apiVersion": kind.api_version, "kind": f"{kind.name}List", "metadata": metadata, "items": items})


async def _refused(_request: Request, error: Exception) -> Response:
    status, detail = (error.status_code, error.detail) if isinstance(error, HTTPException) else (500, str(error))
    return _error(status, detail)


def _error(status: int, message: str) -> Response:
    return _errors(status, [Diagnostic("", "error", message)])


def _errors(status: int, found: list[Diagnostic]) -> Response:
    """One shape for every refusal, so that a client needs one way to show it."""
    errors = [to_json(one) for one in found if one.is_error]
    warnings = [to_json(one) for one in found if not one.is_error]
    return JSONResponse({"errors": errors, "warnings": warnings}, status)
