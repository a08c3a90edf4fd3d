"""The chain of a connection: the most specific at each criterion, and no way back."""

import pytest

from mesh.model.listener import FilterChain, TcpProxy
from mesh.policy.filter_chain_match import Arrival, decide

NOWHERE = TcpProxy("t", "c")


def chain(name, **match):
    return FilterChain(NOWHERE, name, **match)


@pytest.mark.parametrize(
    ("arrival", "taken"),
    [
        (Arrival(port=1), "port"),
        (Arrival(port=2), "any"),
        (Arrival(port=2, address="10.1.2.3"), "host"),
        (Arrival(port=2, address="10.9.9.9"), "range"),
        (Arrival(port=2, address="fd00::1"), "any"),
    ],
)
def test_port_before_address_before_nothing(arrival, taken):
    chains = (
        chain("any"),
        chain("range", destination_prefixes=("10.0.0.0/8",)),
        chain("host", destination_prefixes=("192.168.0.0/16", "10.1.2.3/32")),
        chain("port", destination_port=1),
    )
    assert decide(chains, arrival).name == taken


@pytest.mark.parametrize(
    ("name", "taken"),
    [("a.test", "exact"), ("A.TEST", "exact"), ("b.test", "wild"), ("x.deep.test", "deep"), ("test", "any"), ("", "any"), ("atest", "any")],
)
def test_the_longest_server_name(name, taken):
    chains = (
        chain("any"),
        chain("wild", server_names=("*.test",)),
        chain("deep", server_names=("*.deep.test",)),
        chain("exact", server_names=("a.test",)),
    )
    assert decide(chains, Arrival(server_name=name)).name == taken


def test_there_is_no_way_back():
    """As in Envoy: the chain for raw bytes is better than the one for anything, even if its application protocol does not fit then."""
    chains = (chain("any"), chain("http", transport_protocol="raw_buffer", application_protocols=("http/1.1",)))
    assert decide(chains, Arrival(application_protocols=("http/1.1",))).name == "http"
    assert decide(chains, Arrival()) is None
    assert decide(chains, Arrival(transport_protocol="tls")).name == "any"
