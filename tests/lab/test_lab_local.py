"""Labs on the local runtime, whole: how they come up, what they are when something is wrong, and that nothing of them stays."""

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lab.journal import Journal
from lab.lab import Lab
from lab.runtimes.local import processes
from lab.runtimes.runtime import LabError
from lab.topology import TopologyError
from lab.until import until

ONE = """\
name: {name}
ingress: web
services:
  web:
    ports: [{{name: http, port: {port}}}]
    {program}
    readiness: {readiness}
    versions:
      v1: {{}}
"""
SERVER = "import http.server, os; http.server.HTTPServer((os.environ['HOST'], int(os.environ['PORT'])), {handler}).serve_forever()"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    home = tmp_path / "home"
    monkeypatch.setenv("SEATRIAL_HOME", str(home))
    yield home
    for name in Lab.names():
        Lab.take_down(name)


@pytest.fixture
def topology(tmp_path: Path) -> Callable[..., Path]:
    def write(program: str, readiness: str = "tcp", name: str = "one", port: int = 8000) -> Path:
        file = tmp_path / f"{name}.yaml"
        file.write_text(ONE.format(name=name, program=program, readiness=readiness, port=port))
        return file

    return write


def listing() -> str:
    """A command that answers with a directory listing."""
    return f'command: [{sys.executable}, "-m", http.server, $PORT, --bind, $HOST]'


def traces(home: Path, lab_ids: list[str]) -> dict[str, object]:
    """What there should be nothing of."""
    left = [pid for identity in lab_ids for pid, _ in processes.of_lab(identity)]
    files = [str(path) for path in home.rglob("*") if path.name != "labs"]
    return {name: found for name, found in {"processes": left, "files": files}.items() if found}


def identity(lab: Lab) -> list[str]:
    return [entry.name for entry in Journal(lab.folder.journal).open_entries() if entry.kind == "lab"]


def pids(lab: Lab) -> dict[str, int]:
    return {entry.name: entry.detail["pid"] for entry in Journal(lab.folder.journal).open_entries() if entry.kind == "process"}


def free(address: str) -> bool:
    """Nobody listens on any port of the lab that owned this address."""
    network = address.rpartition(".")[0]
    table = Path("/proc/net/tcp").read_text()
    first = "".join(f"{int(part):02X}" for part in reversed(f"{network}.0".split(".")))[2:]
    return not any(line.split()[1][2:8] == first and line.split()[3] == "0A" for line in table.splitlines()[1:])


# --- the ordinary life of a lab ----------------------------------------------------------------------------------------


def test_the_bookshop_comes_up_obeys_and_goes_without_a_trace(home: Path) -> None:
    said: list[str] = []
    lab = Lab.up("bookshop", progress=said.append)
    ids, address = identity(lab), lab.layout.places[0].address
    assert len(ids) == 1
    assert said
    with lab.client() as client:
        assert client.get("/productpage").status == 200
    rows = {row["name"]: row for row in lab.ps()}
    assert {row["status"] for row in rows.values()} == {"running"}
    assert all(row["ready"] for row in rows.values())
    assert len(rows) == 8
    assert not free(address)

    lab.down()
    assert traces(home, ids) == {}
    assert free(address)
    lab.down()  # again is nothing
    with pytest.raises(LabError, match="there is no lab bookshop"):
        Lab.attach("bookshop")


def test_up_again_finds_the_same_lab_and_heals_it(topology: Callable[..., Path]) -> None:
    file = topology(listing())
    first = Lab.up(file)
    before = pids(first)
    first.kill("web-v1-0/app")
    again = Lab.up(file)
    after = pids(again)
    assert [name for name in before if before[name] != after[name]] == ["web-v1-0/app"]
    assert Lab.attach("one").url() == first.url()


def test_another_topology_under_a_name_in_use_is_refused_and_the_lab_stays(topology: Callable[..., Path]) -> None:
    lab = Lab.up(topology(listing()))
    with pytest.raises(LabError, match=r"lab one is up already.*\n.*--name"):
        Lab.up("echo", name="one")
    topology(listing(), readiness="/")
    with pytest.raises(LabError, match="older version"):
        Lab.up(topology(listing(), readiness="/"))
    assert {row["status"] for row in lab.ps()} == {"running"}


def test_two_labs_side_by_side_have_nothing_in_common(topology: Callable[..., Path]) -> None:
    file = topology(listing())
    one, two = Lab.up(file, name="first"), Lab.up(file, name="second")
    assert one.layout.control != two.layout.control
    one.down()
    with two.client() as client:
        assert client.get("/").status == 200


def test_two_ups_at_once_make_one_lab(topology: Callable[..., Path]) -> None:
    file = topology(listing())
    labs: list[Lab] = []
    threads = [threading.Thread(target=lambda: labs.append(Lab.up(file))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(labs) == 2
    assert labs[0].layout == labs[1].layout
    assert pids(labs[0]) == pids(labs[1])


@pytest.mark.parametrize(("variable", "value"), [("SEATRIAL_LOCAL_START", "spawn"), ("SEATRIAL_LOCAL_ADDRESSING", "ports")])
def test_a_lab_needs_neither_fork_nor_addresses(
    topology: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, variable: str, value: str, home: Path
) -> None:
    monkeypatch.setenv(variable, value)
    lab = Lab.up(topology("module: services.echo", readiness="/health"))
    with lab.client() as client:
        assert client.get("/").status == 200
    ids = identity(lab)
    lab.down()
    assert traces(home, ids) == {}


def test_a_module_beside_the_topology_is_found(topology: Callable[..., Path], tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(
        "def main():\n    " + SERVER.format(handler="http.server.SimpleHTTPRequestHandler").replace("; ", "\n    ")
    )
    lab = Lab.up(topology("module: shop"))
    with lab.client() as client:
        assert "shop.py" in client.get("/").text


def test_a_port_that_someone_holds_on_all_addresses_is_gone_round(topology: Callable[..., Path]) -> None:
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("0.0.0.0", 0))
        taken.listen()
        lab = Lab.up(topology(listing(), port=taken.getsockname()[1]))
        with lab.client() as client:
            assert client.get("/").status == 200


# --- looking in and laying hands on ---------------------------------------------------------------------------------------


def test_logs_exec_and_admin(topology: Callable[..., Path], capfd: pytest.CaptureFixture[str]) -> None:
    lab = Lab.up(topology(listing()))
    with lab.client() as client:
        client.get("/nowhere")
    until(lambda: "/nowhere" in lab.logs("web-v1-0"), 5, "the request in the app's log")
    until(lambda: "/nowhere" in lab.logs("web-v1-0", container="access"), 5, "the request in the access log")
    assert "ready" in lab.logs("control")
    assert len(lab.logs("control", tail=1).splitlines()) == 1
    followed = lab.logs("web-v1-0", follow=True)
    assert "GET" in next(line for line in followed if "/nowhere" in line)
    assert lab.exec("web-v1-0", ["sh", "-c", "echo $POD_NAME $PORT; exit 3"]) == 3
    assert capfd.readouterr().out == "web-v1-0 18000\n"
    assert lab.admin("web-v1-0", "/clusters").status == 200
    [entry, *_] = lab.admin("web-v1-0", "/config_dump?resource=dynamic_listeners").json()["configs"]
    assert set(entry) == {"@type", "name", "active_state"}
    assert lab.admin("web-v1-0", "/config_dump?resource=nothing").status == 404
    for name in ("nobody", "web-v1-0/nothing"):
        with pytest.raises(LabError, match="web-v1-0"):
            lab.logs(name)


def test_processes_stop_start_and_die_on_demand(topology: Callable[..., Path]) -> None:
    lab = Lab.up(topology(listing()))
    status = lambda: {row["name"]: row["status"] for row in lab.ps()}  # noqa: E731
    lab.stop("web-v1-0")
    assert status() == {"web-v1-0": "stopped", "control": "running"}
    lab.kill("control")
    assert status() == {"web-v1-0": "stopped", "control": "killed"}
    lab.start("control")
    lab.start("web-v1-0")
    lab.wait_ready()
    lab.restart("web-v1-0/proxy")
    lab.wait_ready()
    with lab.client() as client:
        assert client.get("/").status == 200


def test_reset_brings_configuration_back_to_the_topology(topology: Callable[..., Path]) -> None:
    lab = Lab.up(topology(listing()))
    lab.apply("kind: Service\napiVersion: v1\nmetadata: {name: extra}\nspec: {ports: [{name: http, port: 80}]}\n")
    lab.delete(lab.topology.services_yaml())
    lab.reset()
    assert [service["metadata"]["name"] for service in lab.get("Service")] == ["web"]


# --- what goes wrong --------------------------------------------------------------------------------------------------------


def test_a_command_that_does_not_exist_is_told_before_anything_starts(topology: Callable[..., Path], home: Path) -> None:
    with pytest.raises(LabError, match='no command "nowhere-to-be-found"'):
        Lab.up(topology("command: [nowhere-to-be-found]"))
    assert traces(home, []) == {}


@pytest.mark.parametrize(
    ("program", "says"),
    [
        ('command: [sh, -c, "echo the cupboard is bare; exit 4"]', r"exit status 4(.|\n)*\| the cupboard is bare"),
        ("module: no_such_module", r"exit status 1(.|\n)*ModuleNotFoundError: No module named 'no_such_module'"),
        ('command: [sh, -c, "kill -9 $$$$"]', "killed by signal 9"),
    ],
)
def test_an_app_that_crashes_is_shown_with_the_end_of_its_log(topology: Callable[..., Path], home: Path, program: str, says: str) -> None:
    with pytest.raises(LabError, match=r"web-v1-0/app ended by itself(.|\n)*" + says):
        Lab.up(topology(program))
    assert traces(home, []) == {}


def test_an_app_that_never_gets_ready_is_shown_with_what_was_asked_of_it(topology: Callable[..., Path], home: Path) -> None:
    program = 'command: [sh, -c, "echo thinking; exec sleep 1000"]'
    with pytest.raises(LabError, match=r"not ready within 3 s: web-v1-0(.|\n)*thinking(.|\n)*\$PORT"):
        Lab.up(topology(program, readiness="/health"), timeout_seconds=3)
    assert traces(home, []) == {}


def test_a_topology_that_is_not_there_makes_no_lab(home: Path) -> None:
    with pytest.raises(TopologyError):
        Lab.up("nothing.yaml")
    assert not home.exists()


def test_there_is_no_other_runtime(home: Path) -> None:
    with pytest.raises(LabError, match=r"no runtime(.|\n)*local, docker"):
        Lab.up("echo", runtime="cloud")
    assert traces(home, []) == {}


# --- ends that nobody planned ---------------------------------------------------------------------------------------------------


def test_a_supervisor_killed_under_its_lab_is_said_so_and_down_cleans_up(topology: Callable[..., Path], home: Path) -> None:
    # the app hands its work to a process of its own session, which no parent's death reaches
    program = f'command: [sh, -c, "setsid {sys.executable} -m http.server $PORT --bind $HOST & exec sleep 1000"]'
    lab = Lab.up(topology(program))
    ids, address = identity(lab), lab.layout.places[0].address
    os.kill(pids(lab)["supervisor"], signal.SIGKILL)
    until(lambda: len([pid for pid, _ in processes.of_lab(ids[0])]) == 1, 10, "the death of all but the runaway")
    with pytest.raises(LabError, match="lost its supervisor"):
        lab.ps()
    lab.down()
    assert traces(home, ids) == {}
    assert free(address)


def test_up_after_a_supervisor_was_killed_starts_anew(topology: Callable[..., Path]) -> None:
    file = topology(listing())
    lab = Lab.up(file)
    ids = identity(lab)
    os.kill(pids(lab)["supervisor"], signal.SIGKILL)
    again = Lab.up(file)
    assert identity(again) != ids
    assert list(processes.of_lab(ids[0])) == []
    with again.client() as client:
        assert client.get("/").status == 200


UP = "import sys; from lab.lab import Lab; Lab.up(sys.argv[1], progress=lambda s: print(s, flush=True)); print('up', flush=True); input()"


@pytest.fixture
def bringing_up(topology: Callable[..., Path]) -> Iterator[Callable[[str], "subprocess.Popen[str]"]]:
    """A process that brings up a lab which never gets ready; returned once it has said ``word``."""
    started: list[subprocess.Popen[str]] = []

    def start(word: str) -> "subprocess.Popen[str]":
        file = topology("command: [sleep, '1000']")
        process = subprocess.Popen(
            [sys.executable, "-c", UP, str(file)], stdout=subprocess.PIPE, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        started.append(process)
        assert process.stdout is not None
        assert any(word in line for line in process.stdout)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def lab_id(home: Path) -> list[str]:
    return [entry.name for entry in Journal(home / "labs/one/journal").open_entries() if entry.kind == "lab"]


@pytest.mark.parametrize("word", ["apps", "sidecars", "waiting"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_up_that_is_interrupted_cleans_up_after_itself(
    bringing_up: Callable[[str], "subprocess.Popen[str]"], home: Path, number: signal.Signals, word: str
) -> None:
    process = bringing_up(word)
    ids = lab_id(home)
    assert ids
    process.send_signal(number)
    process.send_signal(number)  # someone impatient
    assert process.wait(20) != 0
    assert traces(home, ids) == {}


def test_an_up_that_is_killed_takes_its_processes_along_and_down_removes_the_rest(
    bringing_up: Callable[[str], "subprocess.Popen[str]"], home: Path
) -> None:
    process = bringing_up("waiting")
    ids = lab_id(home)
    process.kill()
    until(lambda: list(processes.of_lab(ids[0])) == [], 10, "the end of the processes")
    assert Lab.take_down("one")
    assert traces(home, ids) == {}


def test_a_lock_that_a_killed_process_left_is_removed(home: Path) -> None:
    lock = home / "labs/.one.lock"
    lock.parent.mkdir(parents=True)
    lock.touch()
    assert not Lab.take_down("one")
    assert traces(home, []) == {}


def test_an_up_whose_supervisor_is_killed_says_so_at_once(bringing_up: Callable[[str], "subprocess.Popen[str]"], home: Path) -> None:
    process = bringing_up("waiting")
    entries = Journal(home / "labs/one/journal").open_entries()
    os.kill(next(entry.detail["pid"] for entry in entries if entry.name == "supervisor"), signal.SIGKILL)
    _, said = process.communicate(timeout=20)
    assert "lost its supervisor" in said
    assert traces(home, [entry.name for entry in entries if entry.kind == "lab"]) == {}


def test_a_tied_lab_goes_with_the_process_that_holds_it(topology: Callable[..., Path], home: Path) -> None:
    file = topology(listing())
    program = UP.replace("progress=", "tied=True, progress=")
    with subprocess.Popen([sys.executable, "-c", program, str(file)], stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert any(line == "up\n" for line in process.stdout)
        ids = lab_id(home)
        assert list(processes.of_lab(ids[0]))
        process.kill()
    until(lambda: list(processes.of_lab(ids[0])) == [], 10, "the end of the processes")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small disk")
def test_a_full_disk_is_told_and_leaves_nothing(topology: Callable[..., Path], home: Path) -> None:
    home.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", str(home)], check=True)
    try:
        with pytest.raises(Exception, match=r"(?i)space"):
            Lab.up(topology(listing()))
        assert traces(home, []) == {}
    finally:
        subprocess.run(["umount", "-l", str(home)], check=True)
