"""Redirects a network namespace's TCP traffic through the sidecar, then gives up root. Istio: tools/istio-iptables.

Inbound goes to 15006, outbound to 15001; the proxy's own traffic (uid and gid 1337) is left alone, or it would capture itself. nftables
where there is an ``nft``, else iptables. The rules live in a table of their own: docker keeps rules of its own in the same namespace.
"""

import contextlib
import logging
import os
import shutil
import stat
import subprocess
from typing import Final

from mesh.agent.settings import BadSetting

log = logging.getLogger(__name__)

PROXY_ID: Final = 1337
INBOUND_PORT: Final = 15006
OUTBOUND_PORT: Final = 15001
NOT_CAPTURED_INBOUND: Final = (22, 15008, 15020, 15021, 15090)

NFT_RULES: Final = f"""
table inet seatrial
delete table inet seatrial
table inet seatrial {{
  chain prerouting {{
    type nat hook prerouting priority dstnat;
    meta l4proto tcp jump inbound
  }}
  chain output {{
    type nat hook output priority -100;
    meta l4proto tcp jump egress
  }}
  chain inbound {{
    tcp dport {{ {", ".join(map(str, NOT_CAPTURED_INBOUND))} }} return
    meta l4proto tcp redirect to :{INBOUND_PORT}
  }}
  chain egress {{
    oifname "lo" ip saddr 127.0.0.6 return
    oifname "lo" ip6 saddr ::6 return
    oifname "lo" ip daddr != 127.0.0.0/8 meta skuid {PROXY_ID} tcp dport != 15008 redirect to :{INBOUND_PORT}
    oifname "lo" ip6 daddr != ::1 meta skuid {PROXY_ID} tcp dport != 15008 redirect to :{INBOUND_PORT}
    oifname "lo" meta skuid != {PROXY_ID} return
    meta skuid {PROXY_ID} return
    meta skgid {PROXY_ID} return
    ip daddr 127.0.0.0/8 return
    ip6 daddr ::1 return
    meta l4proto tcp redirect to :{OUTBOUND_PORT}
  }}
}}
"""

IPTABLES_RULES: Final = f"""*nat
:SEATRIAL_INBOUND - [0:0]
:SEATRIAL_OUTPUT - [0:0]
-A PREROUTING -p tcp -j SEATRIAL_INBOUND
-A OUTPUT -p tcp -j SEATRIAL_OUTPUT
-A SEATRIAL_INBOUND -p tcp -m multiport --dports {",".join(map(str, NOT_CAPTURED_INBOUND))} -j RETURN
-A SEATRIAL_INBOUND -p tcp -j REDIRECT --to-ports {INBOUND_PORT}
-A SEATRIAL_OUTPUT -o lo -s 127.0.0.6/32 -j RETURN
-A SEATRIAL_OUTPUT -o lo ! -d 127.0.0.0/8 -p tcp ! --dport 15008 -m owner --uid-owner {PROXY_ID} -j REDIRECT --to-ports {INBOUND_PORT}
-A SEATRIAL_OUTPUT -o lo -m owner ! --uid-owner {PROXY_ID} -j RETURN
-A SEATRIAL_OUTPUT -m owner --uid-owner {PROXY_ID} -j RETURN
-A SEATRIAL_OUTPUT -m owner --gid-owner {PROXY_ID} -j RETURN
-A SEATRIAL_OUTPUT -d 127.0.0.0/8 -j RETURN
-A SEATRIAL_OUTPUT -p tcp -j REDIRECT --to-ports {OUTBOUND_PORT}
COMMIT
"""


def apply_and_drop_privileges() -> None:
    """Raises BadSetting where the rules cannot be set: without them the mesh would be bypassed in silence."""
    _apply()
    _share_standard_streams()
    os.setgroups([])
    os.setgid(PROXY_ID)
    os.setuid(PROXY_ID)


def _share_standard_streams() -> None:
    """A container's streams are pipes of root's, and an Envoy opens /dev/stdout by its name: it shall not need root for that."""
    for stream in (1, 2):
        if stat.S_ISFIFO(os.fstat(stream).st_mode):
            with contextlib.suppress(PermissionError):
                os.fchmod(stream, 0o622)


def _apply() -> None:
    problems = []
    for tool, arguments, rules in (("nft", ["-f", "-"], NFT_RULES), ("iptables-restore", ["--noflush"], IPTABLES_RULES)):
        path = shutil.which(tool) or shutil.which(tool, path="/usr/sbin:/sbin")
        if path is None:
            problems.append(f"{tool} is not installed")
            continue
        done = subprocess.run([path, *arguments], input=rules, text=True, capture_output=True, check=False)
        if done.returncode == 0:
            log.info("traffic is captured by %s", tool)
            return
        problems.append(f"{tool}: {done.stderr.strip()}")
    raise BadSetting("SEATRIAL_CAPTURE", f"traffic cannot be captured (root and NET_ADMIN are needed): {'; '.join(problems)}")
