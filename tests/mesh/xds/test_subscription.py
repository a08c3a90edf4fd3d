"""The server's side of a stream: what is sent when, and what never."""

import pytest

from mesh.xds.subscription import Packed, Response, Subscription
from mesh.xds.types import CDS, EDS, LDS, RDS


def content(**by_type: dict[str, str]) -> dict[str, dict[str, Packed]]:
    """``content(cds={"a": "1"})``: cluster a with content 1."""
    urls = {"cds": CDS, "eds": EDS, "lds": LDS, "rds": RDS}
    return {urls[kind]: {name: Packed(name, None, digest) for name, digest in found.items()} for kind, found in by_type.items()}


class Client:
    """A well-behaved Envoy: it acknowledges what it gets unless told to reject, and subscribes as Envoy does."""

    def __init__(self, subscription: Subscription) -> None:
        self.subscription = subscription
        self.log: list[Response] = []
        self.waiting: list[Response] = []

    def take(self, responses: list[Response]) -> None:
        self.log += responses
        self.waiting += responses

    def ask(self, type_url: str, *names: str, nonce: str = "") -> list[Response]:
        responses = self.subscription.on_request(type_url, nonce=nonce, names=names, error=None)
        self.take(responses)
        return responses

    def answer(self, type_url: str, *names: str, error: str | None = None) -> list[Response]:
        response = next(r for r in self.waiting if r.type_url == type_url)
        self.waiting.remove(response)
        responses = self.subscription.on_request(type_url, nonce=response.nonce, names=names, error=error)
        self.take(responses)
        return responses

    def bring_up(self) -> None:
        self.ask(CDS)
        self.ask(EDS, "a")
        self.answer(CDS)
        self.answer(EDS, "a")
        self.ask(LDS)
        self.ask(RDS, "r")
        self.answer(LDS)
        self.answer(RDS, "r")


FIRST = content(cds={"a": "1"}, eds={"a": "1"}, lds={"l": "1"}, rds={"r": "1"})


@pytest.fixture
def client() -> Client:
    subscription = Subscription()
    subscription.on_snapshot("v1", FIRST)
    return Client(subscription)


def sent(responses: list[Response]) -> list[tuple[str, list[str]]]:
    return [(response.type_url, sorted(packed.name for packed in response.resources)) for response in responses]


def test_a_first_request_gets_everything_of_its_type(client: Client) -> None:
    (response,) = client.ask(CDS)
    assert (response.version, sent([response])) == ("v1", [(CDS, ["a"])])


def test_who_has_no_listeners_is_told_so() -> None:
    """A gateway that no Gateway selects: without an answer it would wait for ever."""
    subscription = Subscription()
    subscription.on_snapshot("v1", content(cds={"a": "1"}, eds={"a": "1"}))
    client = Client(subscription)
    client.ask(CDS)
    client.ask(EDS, "a")
    client.answer(CDS)
    client.answer(EDS, "a")
    assert sent(client.ask(LDS)) == [(LDS, [])]
    client.answer(LDS)
    assert subscription.settled


def test_nothing_is_sent_before_there_is_a_snapshot() -> None:
    assert Subscription().on_request(CDS, nonce="", names=(), error=None) == []


def test_an_ack_gets_no_answer_and_settles(client: Client) -> None:
    client.bring_up()
    assert client.subscription.settled
    assert not client.waiting


def test_until_the_last_ack_it_is_not_settled(client: Client) -> None:
    client.ask(CDS)
    client.ask(EDS, "a")
    client.answer(CDS)
    client.answer(EDS, "a")
    client.ask(LDS)
    client.answer(LDS)
    assert not client.subscription.settled, "the listener's routes have not even been asked for"


def test_only_what_changed_is_pushed(client: Client) -> None:
    client.bring_up()
    client.take(client.subscription.on_snapshot("v2", FIRST | content(rds={"r": "2"})))
    assert sent(client.waiting) == [(RDS, ["r"])]


def test_an_unchanged_snapshot_pushes_nothing(client: Client) -> None:
    client.bring_up()
    assert client.subscription.on_snapshot("v2", FIRST) == []
    assert client.subscription.settled


def test_clusters_and_endpoints_are_acknowledged_before_routes_that_need_them_go_out(client: Client) -> None:
    client.bring_up()
    client.take(
        client.subscription.on_snapshot("v2", content(cds={"a": "1", "b": "1"}, eds={"a": "1", "b": "1"}, lds={"l": "1"}, rds={"r": "2"}))
    )
    assert sent(client.waiting) == [(CDS, ["a", "b"])]
    assert sent(client.answer(CDS)) == []
    before = client.log[-1]
    assert sent(client.ask(EDS, "a", "b", nonce=_last_nonce(client, EDS))) == [(EDS, ["a", "b"])], before
    assert sent(client.answer(EDS, "a", "b")) == [(RDS, ["r"])]


def _last_nonce(client: Client, type_url: str) -> str:
    return [response.nonce for response in client.log if response.type_url == type_url][-1]


def test_a_cluster_that_goes_is_kept_until_no_route_can_need_it(client: Client) -> None:
    client.bring_up()
    client.take(client.subscription.on_snapshot("v2", content(cds={"b": "1"}, eds={"b": "1"}, lds={"l": "1"}, rds={"r": "2"})))
    assert sent(client.waiting) == [(CDS, ["a", "b"])]
    client.answer(CDS)
    client.ask(EDS, "a", "b", nonce=_last_nonce(client, EDS))
    client.answer(EDS, "a", "b")
    assert sent(client.answer(RDS, "r")) == [(CDS, ["b"])]
    client.answer(CDS)
    assert client.subscription.settled


def test_a_changed_cluster_gets_its_endpoints_again_though_they_are_the_same(client: Client) -> None:
    client.bring_up()
    client.take(client.subscription.on_snapshot("v2", FIRST | content(cds={"a": "2"})))
    assert sent(client.waiting) == [(CDS, ["a"]), (EDS, ["a"])]


def test_a_rejection_is_kept_with_its_reason_and_not_sent_again(client: Client) -> None:
    client.bring_up()
    client.take(client.subscription.on_snapshot("v2", FIRST | content(rds={"r": "bad"})))
    assert client.answer(RDS, "r", error="missing ): ((") == []
    assert client.subscription.error == "missing ): (("
    assert client.subscription.status(RDS) == ("v2", "v1", "NACK", "missing ): ((")
    assert not client.subscription.settled
    assert client.subscription.on_snapshot("v3", FIRST | content(rds={"r": "bad"})) == []


def test_what_follows_a_rejection_is_sent(client: Client) -> None:
    client.bring_up()
    client.take(client.subscription.on_snapshot("v2", FIRST | content(rds={"r": "bad"})))
    client.answer(RDS, "r", error="no")
    client.take(client.subscription.on_snapshot("v3", FIRST | content(rds={"r": "3"})))
    client.answer(RDS, "r")
    assert client.subscription.settled


def test_going_back_to_what_is_in_use_clears_a_rejection_without_a_push(client: Client) -> None:
    client.bring_up()
    client.take(client.subscription.on_snapshot("v2", FIRST | content(rds={"r": "bad"})))
    client.answer(RDS, "r", error="no")
    assert client.subscription.on_snapshot("v3", FIRST) == []
    assert client.subscription.settled


def test_what_comes_while_a_response_is_in_flight_waits_for_its_answer(client: Client) -> None:
    client.bring_up()
    client.take(client.subscription.on_snapshot("v2", FIRST | content(rds={"r": "2"})))
    assert client.subscription.on_snapshot("v3", FIRST | content(rds={"r": "3"})) == []
    (response,) = client.answer(RDS, "r")
    assert (response.version, sent([response])) == ("v3", [(RDS, ["r"])])


def test_a_stale_nonce_is_passed_over(client: Client) -> None:
    client.bring_up()
    old = _last_nonce(client, RDS)
    client.take(client.subscription.on_snapshot("v2", FIRST | content(rds={"r": "2"})))
    assert client.subscription.on_request(RDS, nonce=old, names=("r",), error="late and wrong") == []
    assert client.subscription.error == ""


def test_a_name_that_is_added_is_answered_and_one_that_is_dropped_is_forgotten(client: Client) -> None:
    client.bring_up()
    client.subscription.on_snapshot("v2", FIRST | content(rds={"r": "1", "s": "1"}))
    assert sent(client.ask(RDS, "r", "s", nonce=_last_nonce(client, RDS))) == [(RDS, ["r", "s"])]
    client.answer(RDS, "s")
    assert sent(client.ask(RDS, "r", "s", nonce=_last_nonce(client, RDS))) == [(RDS, ["r", "s"])]


def test_a_reconnected_proxy_gets_everything_on_its_new_stream(client: Client) -> None:
    client.bring_up()
    subscription = Subscription()
    subscription.on_snapshot("v1", FIRST)
    assert sent(Client(subscription).ask(CDS)) == [(CDS, ["a"])]
    assert not subscription.settled


def test_a_name_that_does_not_exist_is_answered_when_it_does() -> None:
    subscription = Subscription(narrow=True)
    subscription.on_snapshot("v1", content(lds={}, rds={}))
    client = Client(subscription)
    assert client.ask(RDS, "r") == []
    client.take(subscription.on_snapshot("v2", content(rds={"r": "1"})))
    assert sent(client.waiting) == [(RDS, ["r"])]


def test_a_narrow_client_owes_only_what_it_asked_for() -> None:
    subscription = Subscription(narrow=True)
    subscription.on_snapshot("v1", content(lds={"l": "1", "m": "1"}, rds={"r": "1"}, cds={"a": "1", "b": "1"}, eds={"a": "1"}))
    client = Client(subscription)
    assert sent(client.ask(LDS, "l")) == [(LDS, ["l"])]
    client.answer(LDS, "l")
    client.ask(RDS, "r")
    client.answer(RDS, "r")
    assert sent(client.ask(CDS, "a")) == [(CDS, ["a"])]
    client.answer(CDS, "a")
    client.ask(EDS, "a")
    client.answer(EDS, "a")
    assert subscription.settled
