"""The access log's files: lines are gathered, written soon, and lost rather than let a request wait."""

import os
from pathlib import Path

import pytest

from mesh.model.listener import AccessLogFile
from mesh.sidecar.filter import Request, Response
from mesh.sidecar.filters.access_log import LINES_AT_A_TIME, LogFile, LogFiles
from mesh.sidecar.wall import WallClock

WALL = WallClock(lambda: 0.0, lambda: 0.0)


def test_lines_reach_the_file_when_it_is_flushed_and_when_there_are_many(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text("before\n")
    log = LogFile(str(path))
    log.add("one\n")
    assert path.read_text() == "before\n"
    log.flush()
    assert path.read_text() == "before\none\n"
    for _ in range(LINES_AT_A_TIME):
        log.add("x\n")
    assert len(path.read_text()) == 11 + 2 * LINES_AT_A_TIME
    log.add("last\n")
    log.close()
    assert path.read_text().endswith("last\n")


def test_what_goes_to_standard_output_goes_where_the_proxy_was_told(tmp_path: Path) -> None:
    files = LogFiles(str(tmp_path / "stdout"))
    standard = files.observer(AccessLogFile(text_format="%REQ(:METHOD)%\n"), WALL)
    named = files.observer(AccessLogFile(str(tmp_path / "named"), json_format=(("m", "%REQ(:METHOD)%"),)), WALL)
    for observe in (standard, named):
        observe(Request("PUT"), Response(200))
    files.close()
    assert (tmp_path / "stdout").read_text() == "PUT\n"
    assert (tmp_path / "named").read_text() == '{"m":"PUT"}\n'


def test_a_file_that_cannot_be_opened_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="unable to open file"):
        LogFiles("/dev/stdout").observer(AccessLogFile(str(tmp_path / "no" / "such" / "folder")), WALL)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_full_disk_loses_lines_and_nothing_else() -> None:
    log = LogFile("/dev/full")
    log.add("one\n")
    log.flush()
    assert log.lost == 1
    log.close()


def test_standard_output_may_be_a_pipe_that_nobody_reads_any_more(capfd: pytest.CaptureFixture[str]) -> None:
    reading, writing = os.pipe()
    saved = os.dup(1)
    os.dup2(writing, 1)
    log = LogFile("/dev/stdout")
    os.dup2(saved, 1)
    os.close(saved)
    os.close(writing)
    os.close(reading)
    log.add("one\n")
    log.close()
    assert log.lost == 1


def test_bytes_that_are_no_text_come_out_as_they_came_in(tmp_path: Path) -> None:
    log = LogFile(str(tmp_path / "log"))
    log.add(b"\xff\n".decode("utf-8", "surrogateescape"))
    log.close()
    assert (tmp_path / "log").read_bytes() == b"\xff\n"
