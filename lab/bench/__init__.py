"""The bench: our sidecar beside a real Envoy, nginx and HAProxy, in one run, on the same upstreams with the same clients.

Both mesh proxies hang on the same control plane and get the same configuration, with metrics and an access log on.
What counts is CPU per request, read from the scheduler's own accounts of the proxy's threads, and it is reported as a ratio: absolute
figures say more about the machine than about the proxy. Rounds are interleaved and the median is taken. `python -m lab.bench` prints a
table, writes JSON, and ends with one line of key=value figures.
"""
