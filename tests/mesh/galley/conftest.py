"""Where the corpus is, and documents to start from."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def corpus() -> Path:
    root = Path(__file__).parents[3]
    folder = Path(os.environ.get("SEATRIAL_CORPUS") or root.parent / "shared" / "corpus")
    if not folder.is_dir():
        pytest.skip(f"no corpus at {folder}; set SEATRIAL_CORPUS")
    return folder


@pytest.fixture
def virtual_service():
    """The text of a VirtualService from the lines below ``spec.http[0]``, indented as written."""

    def text(route: str = "", *, name: str = "reviews", hosts: str = "[reviews]") -> str:
        body = route or "route:\n- destination: {host: reviews}"
        lines = body.strip("\n").splitlines()
        http = "\n".join(("  - " if index == 0 else "    ") + line for index, line in enumerate(lines))
        head = f"apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata:\n  name: {name}\n"
        return f"{head}spec:\n  hosts: {hosts}\n  http:\n{http}\n"

    return text


@pytest.fixture
def service():
    def text(name: str = "reviews", port: int = 9080) -> str:
        spec = f"spec:\n  selector: {{app: {name}}}\n  ports:\n  - {{name: http, port: {port}}}\n"
        return f"apiVersion: v1\nkind: Service\nmetadata:\n  name: {name}\n{spec}"

    return text
