"""How long the bookshop takes: up to the first good answer, apply until every proxy uses it, down."""

import math
import time

from lab.lab import Lab

APPLIES = 100

SUBSETS = """\
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata:
  name: reviews
spec:
  host: reviews
  subsets:
  - {name: v1, labels: {version: v1}}
  - {name: v3, labels: {version: v3}}
"""

ROUTE = """\
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: reviews
spec:
  hosts: [reviews]
  http:
  - route:
    - {{destination: {{host: reviews, subset: v1}}, weight: {weight}}}
    - {{destination: {{host: reviews, subset: v3}}, weight: {rest}}}
"""


def figures(runtime: str) -> dict[str, str]:
    """``up_<runtime>_seconds``, ``down_…``, ``apply_<runtime>_p50_ms`` and ``_p99_ms`` over 100 changes of weight."""
    started = time.perf_counter()
    lab = Lab.up("bookshop", name=f"bench-{runtime}", runtime=runtime)
    try:
        with lab.client() as client:
            response = client.get("/productpage")
        if response.status != 200:
            raise RuntimeError(f"the bookshop answers {response.status}")
        up_seconds = time.perf_counter() - started
        lab.apply(SUBSETS)
        took = sorted(_apply_seconds(lab, weight) for weight in range(APPLIES))
    finally:
        started = time.perf_counter()
        lab.down()
    return {
        f"up_{runtime}_seconds": f"{up_seconds:.2f}",
        f"down_{runtime}_seconds": f"{time.perf_counter() - started:.2f}",
        f"apply_{runtime}_p50_ms": f"{took[len(took) // 2] * 1000:.1f}",
        f"apply_{runtime}_p99_ms": f"{took[math.ceil(len(took) * 0.99) - 1] * 1000:.1f}",
    }


def _apply_seconds(lab: Lab, weight: int) -> float:
    started = time.perf_counter()
    lab.apply(ROUTE.format(weight=weight, rest=100 - weight))
    return time.perf_counter() - started
