"""The load worker: `python -m lab.load.worker` reads a ``LoadSpec`` line from stdin, drives locust, prints JSON lines.

A line ``second {…}`` each second and ``result {…}`` at the end, after requests in flight have come back. It ends early when stdin says
``stop`` or is closed (the process that wanted the load is gone).
"""

import json
import sys
import time
from collections import Counter
from dataclasses import asdict
from typing import Any
from urllib.parse import urlsplit

import gevent
from gevent.fileobject import FileObject
from locust import FastHttpUser, constant, constant_throughput, task
from locust.env import Environment
from locust.exception import StopUser

from lab.load.histogram import Histogram
from lab.load.model import LoadResult, LoadSpec, Second


def label_of(response: Any, label: str) -> str:
    """What the answer is counted as; "" when it does not say."""
    if label.startswith("header:"):
        return str(response.headers.get(label.removeprefix("header:"), ""))
    try:
        value: Any = json.loads(response.text)
        for part in label.split("."):
            value = value[int(part)] if isinstance(value, list) else value[part]
    except (ValueError, KeyError, IndexError, TypeError):
        return ""
    return str(value)


class Worker:
    def __init__(self, spec: LoadSpec) -> None:
        self.spec = spec
        self.result = LoadResult(open_loop=spec.rps is not None)
        self.taken = 0
        self._second = Histogram()
        self._second_ok = self._second_failed = 0
        self._second_labels: Counter[str] = Counter()
        self.environment = Environment(user_classes=[self._user_class()], host=self._host(), stop_timeout=spec.timeout_seconds)
        self.environment.events.request.add_listener(self._on_request)
        self.runner = self.environment.create_local_runner()
        self._started = time.perf_counter()

    def _host(self) -> str:
        parts = urlsplit(self.spec.url)
        return f"{parts.scheme}://{parts.netloc}"

    def _user_class(self) -> type[FastHttpUser]:
        worker, spec = self, self.spec
        path = spec.url.removeprefix(self._host()) or "/"
        headers = dict(spec.headers)
        if spec.new_connection_per_request:
            headers["Connection"] = "close"

        class Visitor(FastHttpUser):  # type: ignore[misc]  # locust is untyped
            wait_time = constant_throughput(spec.rps / spec.users) if spec.rps else constant(0)
            network_timeout = connection_timeout = spec.timeout_seconds
            max_retries = 0

            @task  # type: ignore[untyped-decorator]
            def visit(self) -> None:
                if spec.requests is not None and worker.taken >= spec.requests:
                    raise StopUser
                worker.taken += 1
                self.client.request(spec.method, path, headers=headers, data=spec.body or None, name="load", allow_redirects=False)

        return Visitor

    def _on_request(self, response_time: float, response: Any, exception: Exception | None, **_: object) -> None:
        status = int(getattr(response, "status_code", 0) or 0)
        microseconds = int(response_time * 1000)
        self.result.statuses[status] += 1
        self.result.histogram.record(microseconds)
        self._second.record(microseconds)
        if status == 0:
            self.result.errors[f"{type(exception).__name__}: {exception}"] += 1
        failed = status == 0 or status >= 400
        self._second_failed += failed
        self._second_ok += not failed
        if self.spec.label and status:
            label = label_of(response, self.spec.label)
            self.result.labels[label] += 1
            self._second_labels[label] += not failed
        if self.spec.requests is not None and self.result.requests >= self.spec.requests:
            gevent.spawn(self.stop)

    def stop(self) -> None:
        self.runner.quit()

    def _stop_after(self, seconds: float) -> None:
        """Not ``spawn_later``: that counts from when gevent's loop last looked at the clock, which was before all the imports."""
        gevent.sleep(max(0.0, seconds - (time.perf_counter() - self._started)))
        self.stop()

    def _close_second(self) -> None:
        second = Second(
            at_seconds=round(time.perf_counter() - self._started, 3),
            ok=self._second_ok,
            failed=self._second_failed,
            labels=dict(+self._second_labels),
            p50_us=self._second.percentile(0.5),
            p99_us=self._second.percentile(0.99),
        )
        self.result.timeline.append(second)
        say("second", json.dumps(asdict(second)))
        self._second, self._second_ok, self._second_failed = Histogram(), 0, 0
        self._second_labels = Counter()

    def _tick(self) -> None:
        while True:
            gevent.sleep(1)
            self._close_second()

    def run(self) -> LoadResult:
        self.runner.start(self.spec.users, spawn_rate=self.spec.users)
        self._started = time.perf_counter()
        ticker = gevent.spawn(self._tick)
        listener = gevent.spawn(self._listen)
        if self.spec.duration_seconds is not None:
            gevent.spawn(self._stop_after, self.spec.duration_seconds)
        self.runner.greenlet.join()
        self.result.seconds = time.perf_counter() - self._started
        gevent.killall([ticker, listener])
        if self._second.total:
            self._close_second()
        return self.result

    def _listen(self) -> None:
        FileObject(sys.stdin.fileno(), "rb", bufsize=0, close=False).readline()
        self.stop()


def say(kind: str, text: str) -> None:
    sys.stdout.write(f"{kind} {text}\n")
    sys.stdout.flush()


def main() -> None:
    spec = LoadSpec.from_json(sys.stdin.readline())
    say("result", Worker(spec).run().to_json())


if __name__ == "__main__":
    main()
