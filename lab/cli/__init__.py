"""The command ``seatrial``: the verbs of docker compose, kubectl and istioctl for a lab.

Nothing heavy is imported before a command runs; each command imports what it needs. ``exits`` turns errors into messages and codes.
"""

from lab.cli.seatrial import app, main

__all__ = ["app", "main"]
