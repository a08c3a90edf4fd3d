import signal
import subprocess
import sys
import time

import httpx
import pytest


@pytest.mark.parametrize("signal_number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_a_service_within_a_second_even_with_a_connection_open(start, signal_number):
    process = start("services.bookshop.details")
    with httpx.Client(trust_env=False) as client:
        client.get(f"{process.url}/details/0").raise_for_status()
        begin = time.monotonic()
        process.popen.send_signal(signal_number)
        assert process.popen.wait(timeout=5) == 0
        assert time.monotonic() - begin < 1
    assert process.popen.stdout.read() == ""  # no access-log noise, no traceback


def test_importing_the_services_has_no_side_effects():
    """A preloaded parent imports them all and forks: no thread, no socket, no loop may be left behind."""
    modules = [f"services.bookshop.{name}" for name in ("productpage", "details", "reviews", "ratings")] + ["services.echo.server"]
    program = f"""
import importlib, os, threading
for module in {modules!r}:
    importlib.import_module(module)
links = [os.readlink(f"/proc/self/fd/{{fd}}") for fd in os.listdir("/proc/self/fd") if os.path.exists(f"/proc/self/fd/{{fd}}")]
assert threading.active_count() == 1, threading.enumerate()
assert not [link for link in links if link.startswith("socket:") or "eventpoll" in link], links
"""
    subprocess.run([sys.executable, "-c", program], check=True)
