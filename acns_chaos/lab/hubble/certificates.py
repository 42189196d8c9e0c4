"""The relay's certificates, and the secrets in which a cluster keeps them.

One authority of its own, as Cilium's; made afresh at each start. The API server's certificate is in
`acns_chaos.lab.tls`.
"""

import base64
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

NAMESPACE = "kube-system"
SERVER_SECRET, CLIENT_SECRET = "hubble-relay-server-certs", "hubble-relay-client-certs"
_NAME = "*.hubble-relay.cilium.io"
_LIFETIME = timedelta(days=365)
_MARGIN = timedelta(minutes=5)  # for a client whose clock is behind
_PEM = serialization.Encoding.PEM


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate and its key, PEM."""

    chain: bytes
    key: bytes


@dataclass(frozen=True, slots=True)
class RelayCertificates:
    """What both ends of a relay's connections need.

    Attributes:
        authority: the CA certificate, PEM.
        server: the relay's.
        client: its clients'.
    """

    authority: bytes
    server: Pair
    client: Pair

    def secrets(self) -> list[dict[str, Any]]:
        """The Kubernetes Secrets that hold them."""
        return [
            {
                "apiVersion": "v1",
                "kind": "Secret",
                "metadata": {"name": name, "namespace": NAMESPACE},
                "type": "kubernetes.io/tls",
                "data": {
                    "ca.crt": base64.b64encode(self.authority).decode(),
                    "tls.crt": base64.b64encode(pair.chain).decode(),
                    "tls.key": base64.b64encode(pair.key).decode(),
                },
            }
            for name, pair in ((SERVER_SECRET, self.server), (CLIENT_SECRET, self.client))
        ]


def make_relay_certificates() -> RelayCertificates:
    """A new authority, a server's and a client's certificate that it signed."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Cilium CA")])
    authority = (
        _builder(name, name, key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .sign(key, hashes.SHA256())
    )
    return RelayCertificates(
        authority.public_bytes(_PEM), _signed(authority, key), _signed(authority, key)
    )


def _signed(authority: x509.Certificate, signer: ec.EllipticCurvePrivateKey) -> Pair:
    key = ec.generate_private_key(ec.SECP256R1())
    usages = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, _NAME)])
    issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key())
    certificate = (
        _builder(name, authority.subject, key.public_key())
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(_NAME)]), critical=False)
        .add_extension(issuer, critical=False)
        .sign(signer, hashes.SHA256())
    )
    plain = serialization.NoEncryption()
    private = key.private_bytes(_PEM, serialization.PrivateFormat.PKCS8, plain)
    return Pair(certificate.public_bytes(_PEM), private)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _MARGIN)
        .not_valid_after(now + _LIFETIME)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )
