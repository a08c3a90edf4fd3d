"""The capture rules, as the kernel's own tools read them, in a network namespace of their own."""

import os
import shutil
import subprocess

import pytest

from mesh.agent.capture import IPTABLES_RULES, NFT_RULES

needs_root = pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("unshare") is None, reason="needs root and unshare for a network namespace"
)


def inside(command: str, rules: str) -> subprocess.CompletedProcess[str]:
    path = {**os.environ, "PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin"}
    return subprocess.run(["unshare", "-n", "sh", "-c", command], input=rules, text=True, capture_output=True, check=False, env=path)


def has(tool: str) -> bool:
    return shutil.which(tool, path=f"{os.environ['PATH']}:/usr/sbin:/sbin") is not None


@needs_root
@pytest.mark.skipif(not has("nft"), reason="no nft here")
def test_nftables_takes_the_rules_twice_and_keeps_them_once() -> None:
    done = inside("cat > /tmp/$$; nft -f /tmp/$$ && nft -f /tmp/$$ && nft list ruleset; rm /tmp/$$", NFT_RULES)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("table inet seatrial") == 1
    assert done.stdout.count("redirect to :15006") == 3
    assert done.stdout.count("redirect to :15001") == 1


@needs_root
@pytest.mark.skipif(not has("iptables-restore"), reason="no iptables here")
def test_iptables_takes_the_rules() -> None:
    done = inside("iptables-restore --noflush && iptables-save -t nat", IPTABLES_RULES)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("--to-ports 15006") == 2
    assert done.stdout.count("--to-ports 15001") == 1
