"""The event loop a sidecar runs on: uvloop where there is one, else asyncio's own. Envoy: libevent's dispatcher, one per worker."""

import asyncio


def new_event_loop() -> asyncio.AbstractEventLoop:
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
    return loop
