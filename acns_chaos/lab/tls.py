"""Certificate authorities, and the API server's certificates, made afresh at each start.

Keys are on the P-256 curve, because making them takes under a millisecond. Hubble relay's are in
`acns_chaos.lab.hubble.certificates`.
"""

import ipaddress
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_LIFETIME = timedelta(days=30)
_MARGIN = timedelta(minutes=5)  # for a client whose clock is behind
_PEM = serialization.Encoding.PEM


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate and its key, PEM."""

    chain: bytes
    key: bytes


class Authority:
    """A certificate authority of its own.

    Args:
        name: common name of it.
        lifetime: of its certificate, and of those that it signs.
        path_length: how many authorities may stand below it; None for any number.
    """

    def __init__(self, name: str, lifetime: timedelta, path_length: int | None = None) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _name(name)
        self._lifetime = lifetime
        self.certificate = (
            self._builder(self._name, self._key.public_key())
            .add_extension(x509.BasicConstraints(ca=True, path_length=path_length), critical=True)
            .add_extension(_usage(signs_certificates=True), critical=True)
            .sign(self._key, hashes.SHA256())
            .public_bytes(_PEM)
        )

    def issue(
        self,
        name: str,
        hosts: Sequence[x509.GeneralName],
        usages: Sequence[x509.ObjectIdentifier],
        lifetime: timedelta | None = None,
    ) -> Pair:
        """A new key and a certificate for it.

        Args:
            name: common name of the holder.
            hosts: its subject alternative names.
            usages: what it may be used for.
            lifetime: from now on; None takes the authority's, a negative one has expired.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        certificate = (
            self._builder(_name(name), key.public_key(), lifetime)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(signs_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
            .add_extension(x509.SubjectAlternativeName(hosts), critical=False)
            .add_extension(issuer, critical=False)
            .sign(self._key, hashes.SHA256())
        )
        plain = serialization.NoEncryption()
        private = key.private_bytes(_PEM, serialization.PrivateFormat.PKCS8, plain)
        return Pair(certificate.public_bytes(_PEM), private)

    def _builder(
        self, subject: x509.Name, key: ec.EllipticCurvePublicKey, lifetime: timedelta | None = None
    ) -> x509.CertificateBuilder:
        now = datetime.now(UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - _MARGIN)
            .not_valid_after(now + (self._lifetime if lifetime is None else lifetime))
            # Python 3.13 verifies strictly and wants the key identifiers.
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        )


@dataclass(frozen=True, slots=True)
class Certificates:
    """What a TLS server on loopback needs.

    Attributes:
        authority: the CA certificate, PEM.
        chain: the server certificate, PEM.
        key: the server's private key, PEM.
    """

    authority: bytes
    chain: bytes
    key: bytes

    def server_context(self, directory: Path) -> ssl.SSLContext:
        """A context for a server.

        Args:
            directory: a private directory; the chain and the key are written there for the
                moment of loading, since ``ssl`` reads them from files only.
        """
        path = directory / "server.pem"
        path.touch(mode=0o600)
        path.write_bytes(self.key + self.chain)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        path.unlink()
        return context


def make_certificates(address: str = "127.0.0.1") -> Certificates:
    """A new authority and a certificate that it signed.

    Args:
        address: of loopback, named in the certificate beside 127.0.0.1 and localhost.
    """
    authority = Authority("acns-chaos-lab-ca", _LIFETIME, path_length=0)
    hosts = [
        *(x509.IPAddress(ipaddress.ip_address(one)) for one in {"127.0.0.1", address}),
        x509.DNSName("localhost"),
        x509.DNSName("kubernetes.default.svc"),
    ]
    server = authority.issue("acns-chaos-lab", hosts, [ExtendedKeyUsageOID.SERVER_AUTH])
    return Certificates(authority.certificate, server.chain, server.key)


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


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
