"""What is generated is what its source generates."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "services").rglob("*.proto"))


@pytest.mark.parametrize("source", SOURCES)
def test_the_python_of_a_proto_is_up_to_date(source: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "grpc_tools.protoc", "-I.", f"--python_out={tmp_path}", f"--pyi_out={tmp_path}", source]
    subprocess.run(command, cwd=ROOT, check=True)
    for suffix in ("_pb2.py", "_pb2.pyi"):
        name = source.replace(".proto", suffix)
        assert (ROOT / name).read_text() == (tmp_path / name).read_text(), f"write it anew: the command is in {source}"
