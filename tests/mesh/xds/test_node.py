"""A proxy's introduction, as Istio writes it, there and back."""

import pytest

from mesh.model.node import Bindings, InboundPort, Interception, Node
from mesh.xds.node import node_from_json, node_from_proto, node_metadata, node_to_json, node_to_proto

NODE = Node(
    ip="127.64.0.10",
    name="reviews-v1-0",
    labels={"app": "reviews", "version": "v1"},
    workload_name="reviews-v1",
    service_account="bookinfo-reviews",
    interception=Interception.NONE,
    bindings=Bindings((InboundPort("http", 9080, 19080),), 15002, {9080: 29080}),
    dataplane="python",
    reports_health=True,
)


def known(node: Node) -> Node:
    """Without the raw metadata, which only the receiver has."""
    from dataclasses import replace

    return replace(node, metadata={})


def test_the_id_is_istios() -> None:
    assert NODE.id == "sidecar~127.64.0.10~reviews-v1-0.default~default.svc.cluster.local"


def test_a_node_survives_the_wire() -> None:
    assert known(node_from_proto(node_to_proto(NODE))) == NODE


def test_a_node_survives_json() -> None:
    assert known(node_from_json(node_to_json(NODE))) == NODE


def test_metadata_has_istios_keys() -> None:
    metadata = node_metadata(NODE)
    assert metadata["INTERCEPTION_MODE"] == "NONE"
    assert metadata["LABELS"] == {"app": "reviews", "version": "v1"}
    assert metadata["INSTANCE_IPS"] == "127.64.0.10"


def test_an_id_of_another_form_names_itself() -> None:
    message = node_to_proto(NODE)
    message.id = "my-grpc-client"
    message.metadata.Clear()
    node = node_from_proto(message)
    assert (node.name, node.ip, node.reports_health) == ("my-grpc-client", "", False)


def test_bindings_that_cannot_be_read_are_refused_with_the_nodes_name() -> None:
    message = node_to_proto(NODE)
    message.metadata["SEATRIAL_BINDINGS"] = '{"inbound": [{"nonsense": 1}]}'
    with pytest.raises(ValueError, match=r"reviews-v1-0.*SEATRIAL_BINDINGS"):
        node_from_proto(message)
