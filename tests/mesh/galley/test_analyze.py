"""References to what is not there: told, never refused."""

import pytest

from mesh.galley.analyze import analyze, full_host
from mesh.galley.load import load
from mesh.galley.store import ConfigStore

RULE = (
    "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: reviews}\n"
    "spec: {host: reviews, subsets: [{name: v1, labels: {version: v1}}]}\n"
)


@pytest.fixture
def remarks(service, virtual_service):
    def on(*texts: str) -> list[tuple[str, int, str, str]]:
        store = ConfigStore(None)
        store.apply(load("base.yaml", service() + "---\n" + RULE)[0])
        loaded, _ = load("x.yaml", "---\n".join(texts))
        return [(one.code, one.line, one.message, one.hint) for one in analyze(loaded, store.preview(loaded)[0])]

    return on


@pytest.mark.parametrize("host", ["reviews", "reviews.default.svc.cluster.local"])
def test_a_host_and_subset_that_are_there_are_no_matter(remarks, virtual_service, host: str) -> None:
    assert remarks(virtual_service(f"route:\n- destination: {{host: {host}, subset: v1}}\nmirror: {{host: {host}}}")) == []


def test_an_unknown_host_is_told_with_the_nearest(remarks, virtual_service) -> None:
    (found,) = remarks(virtual_service("route:\n- destination: {host: review}"))
    assert found == ("IST0101", 9, 'there is no host "review"', 'did you mean "reviews"?')


@pytest.mark.parametrize("host", ["reviews.default", "reviews.default.svc"])
def test_a_half_written_host_is_unknown_as_in_istio(remarks, virtual_service, host: str) -> None:
    (found,) = remarks(virtual_service(f"route:\n- destination: {{host: {host}}}"))
    assert found == ("IST0101", 9, f'there is no host "{host}"', 'write it in full: "reviews.default.svc.cluster.local"')


def test_an_unknown_subset_is_told_with_the_nearest(remarks, virtual_service) -> None:
    (found,) = remarks(virtual_service("route:\n- destination: {host: reviews, subset: v11}"))
    assert found == ("IST0101", 9, 'the host "reviews" has no subset "v11"', 'did you mean "v1"?')


def test_mirrors_are_looked_at_too(remarks, virtual_service) -> None:
    found = remarks(virtual_service("route:\n- destination: {host: reviews}\nmirrors:\n- destination: {host: nowhere}"))
    assert [(code, line) for code, line, _, _ in found] == [("IST0101", 11)]


def test_what_comes_in_the_same_set_counts(remarks, virtual_service, service) -> None:
    assert remarks(virtual_service("route:\n- destination: {host: fresh}"), service("fresh")) == []


def test_hosts_of_service_entries_count_with_their_wildcards(remarks, virtual_service) -> None:
    entry = "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: x}\nspec: {hosts: ['*.example.com']}\n"
    assert remarks(virtual_service("route:\n- destination: {host: api.example.com}"), entry) == []


def test_a_rule_for_an_unknown_host_is_told(remarks) -> None:
    found = remarks(RULE.replace("host: reviews", "host: rewiews").replace("name: reviews", "name: other"))
    assert [(code, hint) for code, _, _, hint in found] == [("IST0174", 'did you mean "reviews"?')]


def test_two_virtual_services_for_one_host_are_told(remarks, virtual_service) -> None:
    found = remarks(virtual_service(name="one"), virtual_service(name="two", hosts="[reviews.default.svc.cluster.local]"))
    assert [code for code, _, _, _ in found] == ["IST0109", "IST0109"]


@pytest.mark.parametrize(
    ("host", "full"),
    [("a", "a.shop.svc.cluster.local"), ("a.b", "a.b"), ("*", "*"), ("*.b", "*.b"), ("www.example.com", "www.example.com")],
)
def test_short_hosts_are_completed_as_istio_does(host: str, full: str) -> None:
    assert full_host(host, "shop") == full
