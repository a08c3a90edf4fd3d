"""Requests of one key come to one endpoint, and to the same one through either data plane."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
from side_by_side.bench import Bench, one_of
from side_by_side.cases import case, get, to

from mesh.model.cluster import Cluster, LbPolicy
from mesh.policy.consistent_hash import HashPolicy, Source
from mesh.policy.retry import RetryPolicy

USER = HashPolicy(Source.HEADER, "user")
QUERY = HashPolicy(Source.QUERY, "user")
COOKIE = HashPolicy(Source.COOKIE, "user", "/shop", 60.0)
SESSION = HashPolicy(Source.COOKIE, "user", "", 0.0)
PASSIVE = HashPolicy(Source.COOKIE, "user")
RETRY = RetryPolicy(2, ("5xx",), backoff_base_seconds=0.001, backoff_max_seconds=0.01, host_selection_attempts=5)


def clusters(ports: dict[str, int]) -> Sequence[Cluster]:
    three = one_of("ring", *ports.values())
    assignment = three.load_assignment
    assert assignment is not None
    group = assignment.localities[0]
    heavy = tuple(replace(endpoint, weight=weight) for endpoint, weight in zip(group.endpoints, (1, 2, 5), strict=True))
    weighted = replace(assignment, localities=(replace(group, endpoints=heavy),))
    return [
        replace(three, lb_policy=LbPolicy.RING_HASH),
        replace(three, name="small ring", lb_policy=LbPolicy.RING_HASH, table_size=7),
        replace(three, name="weighted ring", lb_policy=LbPolicy.RING_HASH, load_assignment=weighted),
        replace(three, name="maglev", lb_policy=LbPolicy.MAGLEV),
        replace(three, name="small maglev", lb_policy=LbPolicy.MAGLEV, table_size=251),
        replace(three, name="weighted maglev", lb_policy=LbPolicy.MAGLEV, load_assignment=weighted),
    ]


TABLES = ("ring", "small ring", "weighted ring", "maglev", "small maglev", "weighted maglev")
USERS = [get("/", user=name) for name in ("jason", "anna", "bob", "carol", "dave", "eve", "frank", "a" * 40)]
CASES = [
    *(case(name, to(name, USER), *USERS) for name in TABLES),
    case("by query", to("ring", QUERY), get("/?user=a"), get("/?x=1&user=b"), get("/?user=c"), get("/?user="), get("/?user=a&user=b")),
    case("by cookie", to("maglev", COOKIE), get("/", cookie="user=a"), get("/", cookie='x=y; user="b"'), get("/", cookie="user=c; z=1")),
    case("by cookie without making one", to("ring", PASSIVE), get("/", cookie="user=a"), get("/", cookie="user=b")),
    case("by source", to("ring", HashPolicy(Source.SOURCE_IP)), get(), get("/a")),
    case("by two", to("ring", USER, QUERY), get("/?user=a", user="b"), get("/?user=a"), get(user="b"), get("/?user=x", user="y")),
    *(
        case(f"retried in the {name}", to(name, USER, RETRY), *[get("/", "503,503,200", user=user) for user in ("jason", "anna", "bob")])
        for name in ("ring", "maglev")
    ),
    case("makes a cookie", to("maglev", COOKIE)),
    case("makes a cookie of the session", to("ring", SESSION)),
]


@pytest.mark.parametrize("name", [case.name for case in CASES if not case.name.startswith("makes")])
def test_both_choose_the_same_endpoint(bench: Bench, name: str) -> None:
    bench.compare(next(case for case in CASES if case.name == name))


@pytest.mark.parametrize("name", ["makes a cookie", "makes a cookie of the session"])
def test_both_make_a_cookie_that_leads_to_the_same_endpoint_again(bench: Bench, name: str) -> None:
    case = next(case for case in CASES if case.name == name)
    made = []
    for outcome in bench.ask(case, get()):
        cookie = outcome.answer.header("set-cookie") or ""
        value = cookie.partition('"')[2].partition('"')[0]
        assert len(value) in (15, 16), cookie
        made.append((cookie.replace(value, "…"), value, outcome.answer.body))
    assert made[0][0] == made[1][0]
    for _, value, body in made:
        for outcome in bench.ask(case, get("/", cookie=f"user={value}")):
            assert (outcome.answer.body, outcome.answer.header("set-cookie")) == (body, None)
