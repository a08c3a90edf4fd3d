"""gRPC: a real client and a real server, with Envoy and with the sidecar between them."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import grpc
import pytest
from side_by_side.bench import Bench, one_of
from side_by_side.cases import PLAIN, Case, case, to
from side_by_side.envoy import free_port

from mesh.model.cluster import Cluster, HttpProtocol
from mesh.policy.retry import RetryPolicy
from mesh.policy.timeout import Timeout

CALLS = replace(PLAIN, stat_prefix="grpc")
ANY = ("*",)


def _alone(name: str, *policies: object, cluster: str = "calls") -> Case:
    """On a listener of its own: the authority is the proxy's address."""
    return case(name, to(cluster, *policies), domains=ANY, manager=replace(CALLS, stat_prefix=name.replace(" ", "_")))


CASES = [
    _alone("calls"),
    _alone("refused", cluster="nobody"),
    _alone("empty", cluster="empty"),
    _alone("timed out", Timeout(0.1)),
    _alone("tried again", RetryPolicy(attempts=2, retry_on=("unavailable",), backoff_base_seconds=0.001, backoff_max_seconds=0.01)),
]

_server: list[Any] = []


class Service(grpc.GenericRpcHandler):
    """Bytes in, bytes out. The first byte string says what to do: ``status 5``, ``fail once <key>``, ``sleep``; else it is echoed."""

    def __init__(self) -> None:
        self.failed: set[bytes] = set()
        self.cancelled = threading.Event()

    def service(self, details: Any) -> Any:
        kind = details.method.rpartition("/")[2]
        return {
            "unary": grpc.unary_unary_rpc_method_handler(self.unary),
            "down": grpc.unary_stream_rpc_method_handler(self.down),
            "up": grpc.stream_unary_rpc_method_handler(self.up),
            "both": grpc.stream_stream_rpc_method_handler(self.both),
        }.get(kind)

    def unary(self, data: bytes, context: Any) -> bytes:
        word, _, rest = data.partition(b" ")
        if word == b"status":
            context.set_trailing_metadata((("x-more", "1"),))
            context.abort(next(code for code in grpc.StatusCode if code.value[0] == int(rest)), "as asked: 100%")
        if word == b"once" and rest not in self.failed:
            self.failed.add(rest)
            context.abort(grpc.StatusCode.UNAVAILABLE, "not yet")
        if word == b"once":
            return b"at last"
        if word == b"sleep":
            context.add_callback(self.cancelled.set)
            threading.Event().wait(float(rest))
        return data

    def down(self, data: bytes, context: Any) -> Iterator[bytes]:
        for number in range(int(data)):
            yield b"%d" % number

    def up(self, datas: Iterator[bytes], context: Any) -> bytes:
        return b"+".join(datas)

    def both(self, datas: Iterator[bytes], context: Any) -> Iterator[bytes]:
        for data in datas:
            yield data.upper()


def clusters(ports: dict[str, int]) -> list[Cluster]:
    server = grpc.server(ThreadPoolExecutor(16))
    server.add_generic_rpc_handlers((Service(),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    _server.append(server)
    made = [one_of("calls", port), one_of("nobody", free_port())]
    return [replace(cluster, http_protocol=HttpProtocol.HTTP2) for cluster in made]


@pytest.fixture(scope="module", autouse=True)
def stop() -> Iterator[None]:
    yield
    for server in _server:
        server.stop(0)


class Client:
    def __init__(self, address: tuple[str, int]) -> None:
        self.channel = grpc.insecure_channel("{}:{}".format(*address), options=[("grpc.enable_retries", 0), ("grpc.enable_http_proxy", 0)])

    def outcome(self, kind: str, data: Any, **options: Any) -> tuple[Any, ...]:
        """What the caller learns: the answer, or status and text."""
        make = {
            "unary": self.channel.unary_unary,
            "down": self.channel.unary_stream,
            "up": self.channel.stream_unary,
            "both": self.channel.stream_stream,
        }
        options.setdefault("timeout", 10)
        call = make[kind](f"/test.Service/{kind}")
        try:
            answer = call(data, **options)
            return ("ok", answer if isinstance(answer, bytes) else list(answer))
        except grpc.RpcError as error:
            trailing = sorted((key, value) for key, value in error.trailing_metadata() or () if key.startswith("x-more"))
            return (error.code().name, error.details(), *trailing)


@pytest.fixture
def both(bench: Bench) -> Iterator[Any]:
    channels: list[Client] = []

    def ask(name: str, kind: str, data: Any, **options: Any) -> tuple[Any, ...]:
        found = []
        for side in (bench.envoy, bench.sidecar):
            client = Client(side.address(next(bench.listener_of(one) for one in CASES if one.name == name)))
            channels.append(client)
            given = data(side.name) if callable(data) else iter(data) if isinstance(data, list) else data
            found.append(client.outcome(kind, given, **options))
        assert found[0] == found[1]
        return tuple(found[1])

    yield ask
    for client in channels:
        client.channel.close()


@pytest.mark.parametrize(
    ("kind", "data", "expected"),
    [
        ("unary", b"hello", b"hello"),
        ("unary", b"", b""),
        ("unary", bytes(3_000_000), bytes(3_000_000)),
        ("down", b"500", [b"%d" % number for number in range(500)]),
        ("up", [b"a", b"b", b"c"], b"a+b+c"),
        ("both", [b"a", b"b", b"c"], [b"A", b"B", b"C"]),
        ("both", [bytes(500_000)] * 8, [bytes(500_000)] * 8),
    ],
    ids=["unary", "empty", "3 MB", "server streams", "client streams", "both stream", "both stream much"],
)
def test_both_carry_all_kinds_of_calls(both: Any, kind: str, data: Any, expected: Any) -> None:
    assert both("calls", kind, data) == ("ok", expected)


@pytest.mark.parametrize("code", range(1, 17))
def test_both_pass_a_status_on(both: Any, code: int) -> None:
    name = next(status.name for status in grpc.StatusCode if status.value[0] == code)
    assert both("calls", "unary", b"status %d" % code) == (name, "as asked: 100%", ("x-more", "1"))


@pytest.mark.parametrize("name", ["refused", "empty", "timed out"])
def test_both_tell_a_caller_in_its_own_words(both: Any, name: str) -> None:
    assert both(name, "unary", b"sleep 1")[0] == "UNAVAILABLE"


def test_both_let_a_deadline_pass(both: Any) -> None:
    assert both("calls", "unary", b"sleep 1", timeout=0.1)[0] == "DEADLINE_EXCEEDED"


def test_both_try_a_failed_call_again(both: Any) -> None:
    assert both("tried again", "unary", lambda side: b"once " + side.encode()) == ("ok", b"at last")


def test_both_stream_as_it_comes(bench: Bench) -> None:
    """Each message is answered before the next is sent."""
    for side in (bench.envoy, bench.sidecar):
        client = Client(side.address(bench.listener_of(CASES[0])))
        go = [threading.Event() for _ in range(4)]

        def questions(go: list[threading.Event] = go) -> Iterator[bytes]:
            for number, event in enumerate(go):
                assert event.wait(5)
                yield b"m%d" % number

        go[0].set()
        answers = client.channel.stream_stream("/test.Service/both")(questions(), timeout=10)
        for number in range(4):
            assert next(answers) == b"M%d" % number
            if number < 3:
                go[number + 1].set()
        assert list(answers) == []
        client.channel.close()
