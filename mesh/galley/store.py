"""The configuration as it is: versioned, changed all-or-nothing, kept over a restart, told to whoever subscribed.

Istio: the config store behind pilot/pkg/config, with etcd's guarantees in one file.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from mesh.galley import kinds
from mesh.galley.config import Config, Resource, config_of
from mesh.galley.load import Key, Loaded, read
from mesh.galley.parse import Document
from mesh.galley.state import State, StateFile, StoreUnreadable, StoreUnwritable

__all__ = ["Action", "Change", "ConfigStore", "Missing", "StoreUnreadable", "StoreUnwritable", "Stored"]


@dataclass(frozen=True, slots=True)
class Action:
    kind: str
    namespace: str
    name: str
    action: Literal["created", "configured", "unchanged", "deleted"]


@dataclass(frozen=True, slots=True)
class Change:
    version: int
    actions: tuple[Action, ...]


@dataclass(frozen=True, slots=True)
class Stored:
    """A resource, and what its author wrote. ``version``: the store's when it was last changed."""

    resource: Resource
    kind: kinds.Kind
    written: dict[str, Any]
    version: int
    generation: int = 1

    def to_object(self) -> dict[str, Any]:
        """As Kubernetes would show it."""
        meta = self.resource.meta
        metadata: dict[str, Any] = {"name": meta.name, "namespace": meta.namespace}
        metadata |= {key: value for key, value in (("labels", meta.labels), ("annotations", meta.annotations)) if value}
        metadata |= {"generation": self.generation, "resourceVersion": str(self.version)}
        return {"apiVersion": self.kind.api_version, "kind": self.kind.name, "metadata": metadata, "spec": self.written["spec"]}


class Missing(Exception):
    """Objects to be deleted that are not there; nothing was deleted."""

    def __init__(self, keys: Iterable[Key]) -> None:
        self.keys = tuple(keys)
        super().__init__(", ".join("{} {}/{} does not exist".format(*key) for key in self.keys))


_Objects = dict[Key, Stored]


class ConfigStore:
    """``state_dir`` None keeps nothing. ``trouble`` tells of state found broken at the start, and where it was put."""

    def __init__(self, state_dir: Path | None) -> None:
        self._file = StateFile(state_dir) if state_dir is not None else None
        self._objects: _Objects = {}
        self._version = 0
        self._created = 0
        self._subscribers: list[Callable[[Config], None]] = []
        self.trouble = ""
        self._restore()
        self._config = self._view(self._objects, self._version)

    @property
    def config(self) -> Config:
        return self._config

    @property
    def version(self) -> int:
        return self._version

    def get(self, key: Key) -> Stored | None:
        return self._objects.get(key)

    def list(self, kind: str, namespace: str | None = None) -> tuple[Stored, ...]:
        """By namespace and name."""
        return tuple(one for key, one in sorted(self._objects.items()) if key[0] == kind and namespace in (None, key[1]))

    def subscribe(self, callback: Callable[[Config], None]) -> Callable[[], None]:
        """Call back with every new configuration; the result ends that."""
        self._subscribers.append(callback)
        return lambda: self._subscribers.remove(callback)

    def preview(self, loaded: Iterable[Loaded]) -> tuple[Config, Change]:
        """How it would be with these applied."""
        objects, change, _ = self._applied(loaded)
        return self._view(objects, change.version), change

    def apply(self, loaded: Iterable[Loaded]) -> Change:
        """All of them or, with StoreUnwritable, none."""
        objects, change, created = self._applied(loaded)
        self._commit(objects, change.version, created)
        return change

    def delete(self, keys: Iterable[Key]) -> Change:
        """All of them or, with Missing or StoreUnwritable, none."""
        going = tuple(dict.fromkeys(keys))
        missing = [key for key in going if key not in self._objects]
        if missing:
            raise Missing(missing)
        version = self._version + 1 if going else self._version
        left = {key: one for key, one in self._objects.items() if key not in going}
        self._commit(left, version, self._created)
        return Change(version, tuple(Action(*key, "deleted") for key in going))

    def delete_all(self) -> Change:
        """Everything but the Services, which say what there is and not what is to happen to it."""
        return self.delete([key for key in self._objects if key[0] != "Service"])

    def _applied(self, loaded: Iterable[Loaded]) -> tuple[_Objects, Change, int]:
        objects, created, version = dict(self._objects), self._created, self._version + 1
        actions = []
        for one in loaded:
            before = objects.get(one.key)
            number = before.resource.meta.created if before else (created := created + 1)
            after = Stored(_numbered(one.resource, number), one.kind, one.document.data, version, before.generation + 1 if before else 1)
            if before and _same(before, after):
                actions.append(Action(*one.key, "unchanged"))
                continue
            objects[one.key] = after
            actions.append(Action(*one.key, "configured" if before else "created"))
        changed = any(action.action != "unchanged" for action in actions)
        return objects, Change(version if changed else self._version, tuple(actions)), created

    def _commit(self, objects: _Objects, version: int, created: int) -> None:
        if version == self._version:
            return
        if self._file is not None:
            self._file.write(State(version, created, tuple(_kept(one) for one in objects.values())))
        self._objects, self._version, self._created = objects, version, created
        self._config = self._view(objects, version)
        for callback in tuple(self._subscribers):
            callback(self._config)

    def _view(self, objects: _Objects, version: int) -> Config:
        return config_of((one.resource for one in objects.values()), version)

    def _restore(self) -> None:
        if self._file is None:
            return
        try:
            state = self._file.read()
            if state is not None:
                self._objects = dict(_restored(kept) for kept in state.objects)
                self._version, self._created = state.version, state.created
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            self._objects = {}
            aside = self._file.set_aside()
            self.trouble = f"the kept configuration is broken ({error}); it was set aside as {aside}, and the start is empty"


def _numbered(resource: Resource, created: int) -> Resource:
    return replace(resource, meta=resource.meta.model_copy(update={"created": created}))


def _same(before: Stored, after: Stored) -> bool:
    return before.resource.meta == after.resource.meta and before.written["spec"] == after.written["spec"]


def _kept(one: Stored) -> dict[str, Any]:
    return {"created": one.resource.meta.created, "version": one.version, "generation": one.generation, "object": one.to_object()}


def _restored(kept: dict[str, Any]) -> tuple[Key, Stored]:
    """Through the same door as what users write: a newer program may refuse what an older one took."""
    loaded, found = read(Document("kept", (), kept["object"]))
    if loaded is None:
        raise ValueError("; ".join(one.message for one in found if one.is_error))
    return loaded.key, Stored(_numbered(loaded.resource, kept["created"]), loaded.kind, kept["object"], kept["version"], kept["generation"])
