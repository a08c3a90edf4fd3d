"""Who a workload is, in SPIFFE's words."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Identity:
    """A workload identity. SPIFFE: https://spiffe.io/docs/latest/spiffe-about/spiffe-concepts/"""

    namespace: str
    service_account: str
    trust_domain: str = "cluster.local"

    @property
    def spiffe_id(self) -> str:
        return f"spiffe://{self.trust_domain}/ns/{self.namespace}/sa/{self.service_account}"
