"""How every service here is served: one uvicorn, told by its environment where to listen.

The loop and the HTTP parser are imported with this module, so that a process forked from a parent that has imported a service
finds them loaded.
"""

import contextlib
import os
import signal
import sys
from types import FrameType

import uvicorn
import uvicorn.lifespan.on
import uvicorn.loops.auto
import uvicorn.protocols.http.auto
from starlette.types import ASGIApp

DEFAULT_PORT = 9080
GRACE_SECONDS = 1  # uvicorn takes whole seconds: requests still running at SIGTERM get this long, idle connections nothing


def serve(app: ASGIApp) -> None:
    """Serve until SIGTERM or SIGINT; both are the ordinary end, hence exit status 0."""
    config = uvicorn.Config(
        app,
        host=os.environ.get("HOST", "0.0.0.0"),
        port=int(os.environ.get("PORT", str(DEFAULT_PORT))),
        access_log=False,
        log_level="warning",
        server_header=False,
        timeout_keep_alive=75,  # longer than any client here keeps a connection, so the client closes first and nothing is lost in between
        timeout_graceful_shutdown=GRACE_SECONDS,
        backlog=2048,
    )
    signal.signal(signal.SIGTERM, _leave)  # uvicorn raises the signal again when it is done
    with contextlib.suppress(KeyboardInterrupt):
        uvicorn.Server(config).run()


def _leave(_signal: int, _frame: FrameType | None) -> None:
    sys.exit(0)
