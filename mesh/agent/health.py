"""Whether the workload may get traffic: its data plane is configured and its app is well. Istio: /healthz/ready on port 15021."""

from collections.abc import Callable

from mesh.sidecar.pages import Page, Table


class Health:
    """``dataplane`` says what it still lacks, None for nothing; ``report`` tells the control plane of the app."""

    def __init__(self, dataplane: Callable[[], str | None], report: Callable[[str | None], None]) -> None:
        self._dataplane = dataplane
        self._report = report
        self._app: str | None = "the app has not been asked yet"
        self.draining = False

    def app(self, problem: str | None) -> None:
        """The probe's finding."""
        self._app = problem
        if not self.draining:
            self._report(problem)

    def table(self, prometheus: Callable[[], str]) -> Table:
        return {
            ("GET", "/healthz/ready"): lambda _: self._page(),
            ("GET", "/stats/prometheus"): lambda _: Page(prometheus(), content_type="text/plain; version=0.0.4; charset=utf-8"),
        }

    def _page(self) -> Page:
        problem = "draining" if self.draining else self._dataplane() or self._app
        return Page(f"{problem}\n", 503) if problem else Page("ready\n")
