"""What an agent is told, and what it says to nonsense."""

import json

import pytest

from mesh.agent.settings import Address, BadSetting, read
from mesh.model.node import InboundPort, Interception

GOOD = {
    "SEATRIAL_XDS_ADDRESS": "127.0.0.1:15010",
    "SEATRIAL_NODE": json.dumps(
        {
            "ip": "127.64.0.10",
            "name": "reviews-v1-0",
            "labels": {"app": "reviews"},
            "interception": "NONE",
            "bindings": {"inbound": [{"name": "http", "listen_port": 9080, "app_port": 19080}], "egress_ports": {"9080": 29080}},
        }
    ),
    "SEATRIAL_PROBE": "http://127.64.0.10:19080/health",
}


def test_good_settings_are_read() -> None:
    settings = read(GOOD)
    assert (settings.xds, settings.dataplane, settings.admin) == (Address("127.0.0.1", 15010), "python", Address("127.0.0.1", 15000))
    node = settings.node
    assert (node.interception, node.reports_health, node.bindings.egress_ports) == (Interception.NONE, True, {9080: 29080})
    assert node.bindings.inbound == (InboundPort("http", 9080, 19080),)


def test_without_a_probe_nobody_reports_health() -> None:
    assert not read({**GOOD, "SEATRIAL_PROBE": ""}).node.reports_health


def test_an_empty_address_is_found_out() -> None:
    assert read({**GOOD, "SEATRIAL_NODE": '{"name": "x"}'}).node.ip == "127.0.0.1"


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("SEATRIAL_XDS_ADDRESS", "", "is not host:port"),
        ("SEATRIAL_XDS_ADDRESS", "host:99999", "is not host:port"),
        ("SEATRIAL_DATAPLANE", "nginx", "not one of python, envoy"),
        ("SEATRIAL_DATAPLANE", "envoy", "SEATRIAL_ENVOY_BINARY"),
        ("SEATRIAL_NODE", "not json", "cannot be read as a node"),
        ("SEATRIAL_NODE", "[]", "cannot be read as a node"),
        ("SEATRIAL_NODE", '{"namespace": "x"}', "cannot be read as a node"),
        ("SEATRIAL_NODE", '{"name": "x", "interception": "MAYBE"}', "cannot be read as a node"),
        ("SEATRIAL_PROBE", "ftp://x", "neither http://"),
        ("SEATRIAL_ADMIN_ADDRESS", "0.0.0.0:15000", "is not on loopback"),
        ("SEATRIAL_ADMIN_ADDRESS", "10.1.2.3:15000", "is not on loopback"),
        ("SEATRIAL_ADMIN_ADDRESS", "example:15000", "is not on loopback"),
        ("SEATRIAL_DRAIN_SECONDS", "soon", "is not a number"),
        ("SEATRIAL_DRAIN_SECONDS", "-1", "is negative"),
    ],
)
def test_nonsense_is_refused_naming_the_variable(variable: str, value: str, said: str) -> None:
    with pytest.raises(BadSetting, match=said) as refused:
        read({**GOOD, variable: value})
    assert "SEATRIAL_" in str(refused.value)
