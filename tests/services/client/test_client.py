import signal
import subprocess
import sys

import pytest

from services.client.main import Tally
from services.echo.server import create_app


def run(*arguments: str, timeout: float = 30) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "services.client", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False)


def test_a_line_tells_what_went_well_and_what_did_not_and_the_next_begins_at_zero():
    tally = Tally()
    for outcome in ("200", "301", "503", "503", "timeout"):
        tally.add(outcome)
    assert tally.line(3) == "    3 s  ok=2 failed=3 503=2 timeout=1"
    assert tally.line(4) == "    4 s  ok=0 failed=0"


def test_it_calls_at_its_rate_and_ends_when_the_time_is_over(serve):
    done = run("--url", serve(create_app({})), "--rps", "20", "--duration", "1.5", "--header", "end-user: jason")
    lines = done.stdout.splitlines()
    assert done.returncode == 0, done.stderr
    assert len(lines) == 2
    assert sum(int(line.split("ok=")[1].split()[0]) for line in lines) == 30


def test_failures_are_counted_by_kind_and_make_the_exit_status_1(serve):
    done = run("--url", serve(create_app({})) + "/?status=503", "--rps", "10", "--duration", "0.5")
    assert done.returncode == 1
    assert "ok=0 failed=5 503=5" in done.stdout
    assert "ClientConnectorError=2" in run("--url", "http://127.0.0.1:1", "--rps", "10", "--duration", "0.2").stdout


@pytest.mark.parametrize("arguments", [["--rps", "0", "--url", "http://x"], ["--url", "http://x", "--header", "x"], []])
def test_arguments_that_make_no_sense_are_usage_errors(arguments):
    assert run(*arguments).returncode == 2


def test_a_signal_ends_it_at_once_even_while_it_waits_for_an_answer(serve):
    command = [sys.executable, "-m", "services.client", "--url", serve(create_app({})) + "/?delay=20s", "--rps", "5"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline().startswith("    1 s")
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=3) == 0
