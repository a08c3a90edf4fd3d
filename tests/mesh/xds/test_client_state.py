"""The client's side of a stream: the order of requests, versions and nonces."""

from mesh.xds.client_state import ClientState, Request
from mesh.xds.types import CDS, EDS, LDS, RDS


def test_a_new_stream_asks_for_all_clusters_and_listeners() -> None:
    assert ClientState().connected() == [Request(CDS), Request(LDS)]


def test_an_ack_names_the_version_and_nonce_it_answers() -> None:
    state = ClientState()
    state.connected()
    assert state.accepted(CDS, "v1", "n1") == Request(CDS, "v1", "n1")


def test_a_nack_names_the_version_in_use_and_the_reason() -> None:
    state = ClientState()
    state.connected()
    state.accepted(CDS, "v1", "n1")
    assert state.rejected(CDS, "n2", "bad") == Request(CDS, "v1", "n2", error="bad")


def test_a_subscription_is_told_once() -> None:
    state = ClientState()
    state.connected()
    assert state.want(EDS, ["b", "a"]) == Request(EDS, names=("a", "b"))
    assert state.want(EDS, ["a", "b"]) is None
    assert state.want(RDS, []) is None


def test_a_changed_subscription_carries_the_last_nonce() -> None:
    state = ClientState()
    state.connected()
    state.want(EDS, ["a"])
    state.accepted(EDS, "v1", "n1")
    assert state.want(EDS, ["a", "b"]) == Request(EDS, "v1", "n1", ("a", "b"))


def test_after_a_reconnect_versions_are_told_and_nonces_are_empty() -> None:
    state = ClientState()
    state.connected()
    state.accepted(CDS, "v1", "n1")
    state.want(EDS, ["a"])
    state.accepted(EDS, "v1", "n2")
    assert state.connected() == [Request(CDS, "v1"), Request(EDS, "v1", names=("a",)), Request(LDS)]
