import httpx
import pytest

from services.bookshop.ratings import BadDay, create_app
from services.bookshop.ratings_store import STANDING, StoreUnavailable, open_store


@pytest.fixture
def client(serve):
    with httpx.Client(base_url=serve(create_app({})), trust_env=False) as client:
        yield client


def test_what_is_posted_is_read_back_and_replaces_what_was_there(client):
    assert client.get("/ratings/0").json()["ratings"] == STANDING
    assert client.post("/ratings/0", json={"Reviewer1": 1, "Me": 2}).json() == {"id": 0, "ratings": {"Me": 2, "Reviewer1": 1}}
    assert client.post("/ratings/0", json={"Me": 3}).status_code == 200
    assert client.get("/ratings/0").json()["ratings"] == {"Me": 3}
    assert client.get("/ratings/1").json()["ratings"] == STANDING


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"[1]", b'{"Me": "5"}', b'{"Me": 6}', b'{"Me": true}'])
def test_what_is_no_rating_is_refused(client, body):
    answer = client.post("/ratings/0", content=body)
    assert answer.status_code == 400
    assert answer.json() == {"error": "please provide valid ratings JSON"}


def test_a_book_beyond_the_database_is_an_error_not_a_crash(client):
    assert client.get(f"/ratings/{10**30}").status_code == 500
    assert client.get("/ratings/0").status_code == 200


async def test_a_file_outlives_the_process(tmp_path):
    environment = {"RATINGS_DATABASE": str(tmp_path / "ratings.db")}
    first = open_store(environment)
    await first.write(0, {"Me": 1})
    await first.close()
    second = open_store(environment)
    assert await second.read(0) == {"Me": 1}
    await second.close()


async def test_a_database_that_is_not_there_is_unavailable_and_asked_again():
    store = open_store({"DATABASE_URL": "postgresql://ratings@127.0.0.1:1/ratings"})
    for _ in range(2):
        with pytest.raises(StoreUnavailable):
            await store.read(0)


def test_a_faulty_day_fails_every_second_answer():
    rolls = iter([0.2, 0.7])
    day = BadDay("v-faulty", dice=lambda: next(rolls))
    assert [day.available(), day.available()] == [False, True]
    assert day.healthy()


def test_an_unavailable_day_goes_up_and_down_by_the_minute():
    now = iter((100.0, 159.0, 161.0, 219.0, 221.0))
    day = BadDay("v-unavailable", clock=lambda: next(now))
    assert [(day.available(), day.healthy()) for _ in range(4)] == [(True, True), (False, True), (False, True), (True, True)]


def test_an_unhealthy_day_says_so():
    now = 0.0
    day = BadDay("v-unhealthy", clock=lambda: now)
    assert day.healthy()
    now = 901.0
    assert not day.healthy()
    assert not day.available()


def test_a_delayed_day_takes_seven_seconds_every_second_time():
    rolls = iter([0.2, 0.7])
    day = BadDay("v-delayed", dice=lambda: next(rolls))
    assert [day.delay_seconds(), day.delay_seconds()] == [7.0, 0.0]


def test_an_ordinary_version_has_good_days():
    day = BadDay("v1", dice=lambda: 0.0)
    assert (day.healthy(), day.available(), day.delay_seconds()) == (True, True, 0.0)


def test_bad_days_show_on_the_wire(serve):
    unhealthy = BadDay("v-unhealthy", clock=lambda: 0.0)
    url = serve(create_app({}, day=unhealthy))
    unhealthy.started = -901.0
    assert httpx.get(f"{url}/health", trust_env=False).status_code == 500
    assert httpx.get(f"{url}/ratings/0", trust_env=False).json() == {"error": "Service unavailable"}
