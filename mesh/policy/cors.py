"""Cross-origin requests. Envoy: filters.http.cors.v3.CorsPolicy. Istio: CorsPolicy."""

from dataclasses import dataclass

from mesh.model.match import StringMatch


@dataclass(frozen=True, slots=True)
class CorsPolicy:
    """The header texts are comma-joined as they go on the wire; ``max_age`` is in seconds, as text, empty for none."""

    allow_origins: tuple[StringMatch, ...] = ()
    allow_methods: str = ""
    allow_headers: str = ""
    expose_headers: str = ""
    max_age: str = ""
    allow_credentials: bool | None = None
    forward_not_matching_preflights: bool = True
