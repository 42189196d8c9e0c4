"""The relay's certificates, and the secrets in which a cluster keeps them.

One authority of its own, as Cilium's; made afresh at each start. The API server's certificate is in
`acns_chaos.lab.tls`.
"""

import base64
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from acns_chaos.lab.tls import Authority, Pair

NAMESPACE = "kube-system"
SERVER_SECRET, CLIENT_SECRET = "hubble-relay-server-certs", "hubble-relay-client-certs"
_NAME = "*.hubble-relay.cilium.io"
_LIFETIME = timedelta(days=365)
_EXPIRED = timedelta(minutes=-1)


@dataclass(frozen=True, slots=True)
class RelayCertificates:
    """What both ends of a relay's connections need.

    Attributes:
        authority: the CA certificate, PEM.
        server: the relay's.
        client: its clients'.
        issuer: signs others of the kind.
    """

    authority: bytes
    server: Pair
    client: Pair
    issuer: Authority

    def expired(self, whose: str) -> "RelayCertificates":
        """The same, but for one certificate that has expired a minute ago.

        Args:
            whose: "server" or "client".
        """
        pair = _issued(self.issuer, _EXPIRED)
        if whose == "client":
            return replace(self, client=pair)
        return replace(self, server=pair)

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
    authority = Authority("Cilium CA", _LIFETIME)
    server, client = (_issued(authority) for _ in range(2))
    return RelayCertificates(authority.certificate, server, client, authority)


def _issued(authority: Authority, lifetime: timedelta | None = None) -> Pair:
    usages = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
    return authority.issue(_NAME, [x509.DNSName(_NAME)], usages, lifetime)
