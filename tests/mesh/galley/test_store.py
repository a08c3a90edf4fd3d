"""The store: all or nothing, kept over a restart, and never lost without a word."""

import errno
import json
import os
from pathlib import Path

import pytest

from mesh.galley.load import load
from mesh.galley.store import ConfigStore, Missing, StoreUnreadable, StoreUnwritable

REVIEWS = ("VirtualService", "default", "reviews")


@pytest.fixture
def loaded(virtual_service, service):
    def documents(*texts: str):
        made, found = load("x.yaml", "---\n".join(texts or (service(), virtual_service())))
        assert not [one for one in found if one.is_error]
        return made

    return documents


def actions(change) -> list[tuple[str, str]]:
    return [(one.name, one.action) for one in change.actions]


def test_a_set_is_created_then_unchanged_then_configured(loaded, virtual_service) -> None:
    store = ConfigStore(None)
    first = store.apply(loaded())
    assert (first.version, actions(first)) == (1, [("reviews", "created"), ("reviews", "created")])
    again = store.apply(loaded())
    assert (again.version, actions(again)) == (1, [("reviews", "unchanged"), ("reviews", "unchanged")])
    changed = store.apply(loaded(virtual_service("timeout: 1s\nroute:\n- destination: {host: reviews}")))
    assert (changed.version, actions(changed)) == (2, [("reviews", "configured")])
    assert store.config.version == 2
    assert store.config.virtual_services[0].spec.http[0].timeout == 1.0
    assert store.get(REVIEWS).to_object()["metadata"]["generation"] == 2


def test_another_version_of_the_same_kind_is_the_same_object(loaded, virtual_service) -> None:
    store = ConfigStore(None)
    store.apply(loaded())
    change = store.apply(loaded(virtual_service().replace("/v1\n", "/v1beta1\n")))
    assert actions(change) == [("reviews", "unchanged")]


def test_the_order_is_that_of_creation_and_survives_changes(loaded, virtual_service) -> None:
    store = ConfigStore(None)
    store.apply(loaded(virtual_service(name="zebra")))
    store.apply(loaded(virtual_service(name="ant")))
    store.apply(loaded(virtual_service("timeout: 1s\nroute:\n- destination: {host: reviews}", name="zebra")))
    assert [one.meta.name for one in store.config.virtual_services] == ["zebra", "ant"]


def test_a_view_once_taken_never_changes(loaded) -> None:
    store = ConfigStore(None)
    store.apply(loaded())
    before = store.config
    store.delete([REVIEWS])
    assert len(before.virtual_services) == 1
    assert store.config.virtual_services == ()


def test_subscribers_are_told_of_changes_only(loaded) -> None:
    store, told = ConfigStore(None), []
    end = store.subscribe(lambda config: told.append(config.version))
    store.apply(loaded())
    store.apply(loaded())
    store.delete([REVIEWS])
    end()
    store.apply(loaded())
    assert told == [1, 2]


def test_a_preview_changes_nothing(loaded) -> None:
    store = ConfigStore(None)
    config, change = store.preview(loaded())
    assert (len(config.virtual_services), change.version, store.version) == (1, 1, 0)
    assert store.config.virtual_services == ()


def test_deleting_what_is_not_there_deletes_nothing(loaded) -> None:
    store = ConfigStore(None)
    store.apply(loaded())
    with pytest.raises(Missing, match="VirtualService default/absent does not exist"):
        store.delete([REVIEWS, ("VirtualService", "default", "absent")])
    assert store.get(REVIEWS) is not None


def test_delete_all_leaves_the_services(loaded) -> None:
    store = ConfigStore(None)
    store.apply(loaded())
    assert actions(store.delete_all()) == [("reviews", "deleted")]
    assert [one.meta.name for one in store.config.services] == ["reviews"]
    version = store.version
    assert store.delete_all().version == version


def test_lists_are_by_namespace_and_name(loaded, virtual_service) -> None:
    store = ConfigStore(None)
    other = virtual_service(name="b").replace("name: b\n", "name: b\n  namespace: other\n")
    store.apply(loaded(other, virtual_service(name="z"), virtual_service(name="a")))
    assert [one.resource.meta.name for one in store.list("VirtualService")] == ["a", "z", "b"]
    assert [one.resource.meta.name for one in store.list("VirtualService", "other")] == ["b"]


def test_a_restart_brings_everything_back(loaded, tmp_path: Path) -> None:
    store = ConfigStore(tmp_path / "state")
    store.apply(loaded())
    store.delete([REVIEWS])
    store.apply(loaded())
    again = ConfigStore(tmp_path / "state")
    assert again.config == store.config
    assert again.trouble == ""
    assert again.get(REVIEWS).to_object() == store.get(REVIEWS).to_object()
    assert actions(again.apply(loaded())) == [("reviews", "unchanged"), ("reviews", "unchanged")]
    assert os.listdir(tmp_path / "state") == ["config.json"]


def fails_with(number: int):
    def fail(*_arguments: object) -> None:
        raise OSError(number, os.strerror(number))

    return fail


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EACCES, errno.EROFS, errno.EIO])
@pytest.mark.parametrize("call", ["replace", "fsync"])
def test_what_cannot_be_kept_is_not_taken(loaded, virtual_service, tmp_path: Path, monkeypatch, call: str, number: int) -> None:
    store, told = ConfigStore(tmp_path), []
    store.apply(loaded())
    kept = (tmp_path / "config.json").read_bytes()
    store.subscribe(told.append)
    monkeypatch.setattr(os, call, fails_with(number))
    with pytest.raises(StoreUnwritable, match=f"{os.strerror(number)}.*nothing was changed"):
        store.apply(loaded(virtual_service(name="more")))
    with pytest.raises(StoreUnwritable):
        store.delete([REVIEWS])
    monkeypatch.undo()
    assert (store.version, told) == (1, [])
    assert store.get(REVIEWS) is not None
    assert (tmp_path / "config.json").read_bytes() == kept
    assert os.listdir(tmp_path) == ["config.json"]
    assert store.apply(loaded(virtual_service(name="more"))).version == 2


def test_a_folder_that_cannot_be_made_is_told(loaded, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises((StoreUnwritable, StoreUnreadable), match="file"):
        ConfigStore(tmp_path / "file" / "state").apply(loaded())


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permission_is_told(loaded, tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(StoreUnwritable, match="Permission denied"):
        ConfigStore(tmp_path).apply(loaded())


def broken(good: dict) -> dict[str, str]:
    stranger = json.loads(json.dumps(good))
    stranger["objects"][0]["object"]["spec"]["surprise"] = 1
    stranger["objects"][0]["object"]["kind"] = "VirtualService"
    stranger["objects"][0]["object"]["apiVersion"] = "networking.istio.io/v1"
    return {
        "empty": "",
        "cut off": json.dumps(good)[:-20],
        "not an object": "[]",
        "of another format": json.dumps(good | {"format": 99}),
        "without a version": json.dumps({key: value for key, value in good.items() if key != "version"}),
        "with an object that is none": json.dumps(good | {"objects": [7]}),
        "with an object that is refused": json.dumps(stranger),
        "not text": "\udcff\udcfe",
    }


@pytest.mark.parametrize("how", broken({"objects": [{"object": {"spec": {}}}]}))
def test_broken_state_is_set_aside_and_told(loaded, tmp_path: Path, how: str) -> None:
    ConfigStore(tmp_path).apply(loaded())
    good = json.loads((tmp_path / "config.json").read_text())
    content = broken(good)[how].encode("utf-8", "surrogateescape")
    (tmp_path / "config.json").write_bytes(content)
    (tmp_path / "config.json.broken-1").write_text("an older one")
    store = ConfigStore(tmp_path)
    assert store.config.virtual_services == ()
    assert "set aside as" in store.trouble
    assert (tmp_path / "config.json.broken-2").read_bytes() == content
    assert (tmp_path / "config.json.broken-1").read_text() == "an older one"
    store.apply(loaded())
    assert ConfigStore(tmp_path).trouble == ""


def test_state_that_may_not_be_read_stops_the_start(tmp_path: Path) -> None:
    (tmp_path / "config.json").mkdir()
    with pytest.raises(StoreUnreadable, match="cannot be read"):
        ConfigStore(tmp_path)
