"""Echo's gRPC port, by a real client; and echo as a client of it."""

import grpc
import httpx
import pytest

from services.echo.echo_pb2 import Answer, Question

CODEC = {"request_serializer": Question.SerializeToString, "response_deserializer": Answer.FromString}


@pytest.fixture
def port(free_port):
    return free_port()


@pytest.fixture
def url(start, port):
    return start("services.echo", PORT_GRPC=str(port), SERVICE_NAME="b", SERVICE_VERSION="v2", POD_NAME="b-v2-0").url


@pytest.fixture
def channel(url, port):
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield channel


def test_a_question_is_answered_with_what_arrived(channel):
    answer = channel.unary_unary("/echo.v1.Echo/Say", **CODEC)(Question(message="hello", size_bytes=3), metadata=[("x-a", "1")])
    assert (answer.message, answer.service, answer.version, answer.pod, answer.number) == ("hello", "b", "v2", "b-v2-0", 1)
    assert ("x-a", "1") in [(header.name, header.value) for header in answer.headers]
    assert answer.filler == b"xxx"


def test_a_status_that_is_asked_for_is_answered(channel):
    with pytest.raises(grpc.RpcError) as error:
        channel.unary_unary("/echo.v1.Echo/Say", **CODEC)(Question(status=14, message="gone"))
    assert (error.value.code(), error.value.details()) == (grpc.StatusCode.UNAVAILABLE, "gone")


def test_streams_of_each_kind(channel):
    counted = channel.unary_stream("/echo.v1.Echo/Count", **CODEC)(Question(times=3))
    assert [answer.number for answer in counted] == [1, 2, 3]
    questions = [Question(message=text) for text in "abc"]
    collected = channel.stream_unary("/echo.v1.Echo/Collect", **CODEC)(iter(questions))
    assert (collected.number, collected.message) == (3, "c")
    talked = channel.stream_stream("/echo.v1.Echo/Talk", **CODEC)(iter(questions))
    assert [(answer.number, answer.message) for answer in talked] == [(1, "a"), (2, "b"), (3, "c")]


@pytest.mark.parametrize("fresh", [True, False])
def test_echo_calls_another_echo(url, port, fresh):
    asked = {"url": f"grpc://127.0.0.1:{port}", "count": 5, "concurrency": 2, "headers": {"X-A": "1"}, "body": "hi"}
    calls = httpx.post(f"{url}/forward", json={**asked, "new_connection_per_request": fresh}, trust_env=False).json()["calls"]
    assert [call["status"] for call in calls] == [0] * 5
    assert {call["seen"]["message"] for call in calls} == {"hi"}
    assert {"name": "x-a", "value": "1"} in calls[0]["seen"]["headers"]
    assert len({call["seen"]["remote_address"] for call in calls}) == (5 if fresh else 1)


def test_who_does_not_answer_is_unavailable(url, free_port):
    asked = {"url": f"grpc://127.0.0.1:{free_port()}", "timeout_seconds": 5}
    [call] = httpx.post(f"{url}/forward", json=asked, trust_env=False, timeout=20).json()["calls"]
    assert (call["status"], call["error"].partition(":")[0]) == (14, "UNAVAILABLE")
