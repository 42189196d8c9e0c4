"""The client's certificates for Hubble relay, from the Secret in which Cilium keeps them.

They live in memory only, and no representation shows them.
"""

import base64
import binascii
import ssl
from dataclasses import dataclass, field
from datetime import UTC, datetime

from acns_chaos.cluster.hubble.errors import HubbleError
from acns_chaos.cluster.kube import Api
from acns_chaos.errors import ApiError, Forbidden, NotFound

__all__ = ["SECRET", "Certificates", "expiry", "read_certificates"]

SECRET = "hubble-relay-client-certs"  # noqa: S105 - its name
_KEYS = ("ca.crt", "tls.crt", "tls.key")


@dataclass(frozen=True, slots=True)
class Certificates:
    """What a client of the relay presents, and whom it believes.

    Attributes:
        authority: certificate(s) of whoever signed the relay's, PEM.
        chain: the client's certificate, PEM.
        key: its private key, PEM.
        not_after: when the first of them expires.
    """

    authority: bytes = field(repr=False)
    chain: bytes = field(repr=False)
    key: bytes = field(repr=False)
    not_after: datetime


def read_certificates(api: Api, namespace: str) -> Certificates:
    """Read the certificates.

    Args:
        api: the cluster.
        namespace: of the Secret.

    Raises:
        HubbleError: "no-permission", "no-certificates", "certificate-expired", "unreachable".
    """
    place = f"Secret {namespace}/{SECRET}"
    try:
        data = api.get(f"/api/v1/namespaces/{namespace}/secrets/{SECRET}").get("data") or {}
    except Forbidden as error:
        raise HubbleError(
            f"{place} with the certificates for Hubble relay may not be read ({error}): grant "
            "get on it (deploy/rbac/look.yaml).",
            "no-permission",
            error.status,
        ) from error
    except NotFound as error:
        raise HubbleError(
            f"There is no {place}, so no certificate for Hubble relay: let Cilium make it (Helm "
            "value hubble.tls.auto).",
            "no-certificates",
            404,
        ) from error
    except ApiError as error:
        raise HubbleError(
            f"{place} cannot be read: {error}", "unreachable", error.status
        ) from error
    try:
        authority, chain, key = (base64.b64decode(data[name], validate=True) for name in _KEYS)
        not_after = min(expiry(authority), expiry(chain))
    except (KeyError, TypeError, ValueError, binascii.Error):
        # Nothing of the cause goes on: it could quote what is in the Secret.
        raise HubbleError(
            f"{place} does not hold the certificates {', '.join(_KEYS)} as PEM: delete it and let "
            "Cilium make it anew.",
            "no-certificates",
        ) from None
    if not_after <= api.now():
        raise HubbleError(
            f"The certificate in {place} expired on {not_after:%Y-%m-%d %H:%M} UTC: renew it "
            "(delete the Secret and let Cilium make it anew, or run its certificate job).",
            "certificate-expired",
        )
    return Certificates(authority, chain, key, not_after)


def expiry(pem: bytes) -> datetime:
    """Return when the first of some certificates expires, UTC.

    Args:
        pem: one or several certificates.

    Raises:
        ValueError: there is none, or one cannot be read.
    """
    begin, end = b"-----BEGIN CERTIFICATE-----", b"-----END CERTIFICATE-----"
    blocks = [begin + part.partition(end)[0] + end for part in pem.split(begin)[1:]]
    if not blocks:
        raise ValueError("there is no certificate")
    return min(_not_after(ssl.PEM_cert_to_DER_cert(block.decode("ascii"))) for block in blocks)


def _not_after(der: bytes) -> datetime:
    """Read the end of a certificate's validity.

    The standard library decodes certificates only while it connects, so the few steps to that
    field are taken here (RFC 5280, 4.1): Certificate, TBSCertificate, behind version, serial
    number, algorithm and issuer.
    """
    tbs = _contents(_contents(der, 0)[0], 0)[0]
    at = 0
    if tbs[0] == 0xA0:
        at = _contents(tbs, 0)[1]
    for _ in range(3):
        at = _contents(tbs, at)[1]
    validity = _contents(tbs, at)[0]
    after = _contents(validity, 0)[1]
    text = _contents(validity, after)[0].decode("ascii")
    if validity[after] == 0x17:
        # UTCTime: two digits of the year, of 1950 to 2049.
        text = ("19" if text[0] >= "5" else "20") + text
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)


def _contents(der: bytes, at: int) -> tuple[bytes, int]:
    """Return the contents of the value at a place, and where the next one begins.

    Raises:
        ValueError: it does not end within the data.
    """
    if at + 2 > len(der):
        raise ValueError("the certificate ends too early")
    length, begin = der[at + 1], at + 2
    if length & 0x80:
        digits = length & 0x7F
        length, begin = int.from_bytes(der[begin : begin + digits]), begin + digits
    if begin + length > len(der):
        raise ValueError("the certificate ends too early")
    return der[begin : begin + length], begin + length
