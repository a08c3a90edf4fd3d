"""Gateway: what a proxy at the edge of the mesh listens for. Istio: networking.v1 Gateway."""

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from mesh.galley.models.types import Flag, Labels, Meta, Model, Uint32, Words

Mode = Literal["PASSTHROUGH", "SIMPLE", "MUTUAL", "AUTO_PASSTHROUGH", "ISTIO_MUTUAL", "OPTIONAL_MUTUAL"]
Version = Literal["TLS_AUTO", "TLSV1_0", "TLSV1_1", "TLSV1_2", "TLSV1_3"]


class Port(Model):
    number: Uint32
    protocol: str
    name: str = ""
    target_port: Uint32 | None = None


class TlsCertificate(Model):
    server_certificate: str = ""
    private_key: str = ""
    ca_certificates: str = ""


class ServerTLSSettings(Model):
    https_redirect: Flag = False
    mode: Mode = "PASSTHROUGH"
    server_certificate: str = ""
    private_key: str = ""
    ca_certificates: str = ""
    ca_crl: str = ""
    credential_name: str = ""
    credential_names: Words = ()
    ca_cert_credential_name: str = ""
    tls_certificates: tuple[TlsCertificate, ...] = ()
    subject_alt_names: Words = ()
    verify_certificate_spki: Words = ()
    verify_certificate_hash: Words = ()
    min_protocol_version: Version = "TLS_AUTO"
    max_protocol_version: Version = "TLS_AUTO"
    cipher_suites: Words = ()


class Server(Model):
    port: Port
    hosts: Annotated[Words, Field(min_length=1)]
    bind: str = ""
    tls: ServerTLSSettings | None = None
    default_endpoint: str = ""
    name: str = ""


class GatewaySpec(Model):
    """``selector``: the labels of the proxies that it is for; none means all gateways."""

    selector: Labels = Field(default_factory=dict)
    servers: tuple[Server, ...] = ()


@dataclass(frozen=True, slots=True)
class Gateway:
    meta: Meta
    spec: GatewaySpec
