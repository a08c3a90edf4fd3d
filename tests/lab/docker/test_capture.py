"""The rules that capture traffic, by either tool, in a network namespace of their own."""

import pytest

from lab.runtimes.docker.images import Images

pytestmark = [pytest.mark.docker, pytest.mark.slow, pytest.mark.timeout(600)]

PROGRAM = '''
import contextlib, os, shutil, socket, struct, sys
from mesh.agent import capture

hidden, which = sys.argv[1], shutil.which
shutil.which = lambda tool, **where: None if tool == hidden else which(tool, **where)
for _ in range(2):  # a sidecar that starts again finds the rules of the one before
    capture._apply()
outbound, inbound = (socket.create_server(("0.0.0.0", port)) for port in (15001, 15006))

def dial(user, address):
    child = os.fork()
    if child == 0:
        os.setuid(user)
        with contextlib.suppress(OSError):
            socket.create_connection(address, 1).close()
        os._exit(0)
    os.waitpid(child, 0)

def meant():
    """Where those whom a port of the sidecar got wanted to go."""
    for server in (outbound, inbound):
        server.settimeout(0.2)
        with contextlib.suppress(TimeoutError):
            connection, _ = server.accept()
            _, port, *address = struct.unpack("!HH4B8x", connection.getsockopt(socket.SOL_IP, 80, 16))
            yield f"{server.getsockname()[1]}: {'.'.join(map(str, address)).replace(own, 'own')}:{port}"

own = socket.gethostbyname(socket.gethostname())
for user in (10001, 1337):
    for address in (("203.0.113.1", 80), (own, 4321), ("127.0.0.1", 4321)):
        dial(user, address)
        print(user, address[0].replace(own, "own"), *meant())
'''
# as Istio has it: what the sidecar sends to its own address comes in; what the app sends there is the app's affair
SAID = """\
10001 203.0.113.1 15001: 203.0.113.1:80
10001 own
10001 127.0.0.1
1337 203.0.113.1
1337 own 15006: own:4321
1337 127.0.0.1
"""


@pytest.mark.parametrize("hidden", ["iptables-restore", "nft"])
def test_what_the_app_dials_comes_to_the_sidecar_and_what_the_sidecar_dials_does_not(images: Images, hidden: str) -> None:
    said = images.client.containers.run(
        images.mesh(),
        ["python3", "-c", PROGRAM, hidden],
        remove=True,
        user="0:0",
        cap_drop=["ALL"],
        cap_add=["NET_ADMIN", "SETUID", "SETGID"],
        labels={"seatrial.test": "capture"},
        stderr=True,
    )
    assert said.decode() == SAID


def test_without_the_right_to_capture_the_sidecar_does_not_start(images: Images) -> None:
    """A mesh that is bypassed in silence would be worse."""
    program = "from mesh.agent.capture import apply_and_drop_privileges as go; go()"
    container = images.client.containers.run(images.mesh(), ["python3", "-c", program], detach=True, user="0:0", cap_drop=["ALL"])
    try:
        assert container.wait(timeout=30)["StatusCode"] != 0
        assert "traffic cannot be captured" in container.logs().decode()
    finally:
        container.remove(force=True)
