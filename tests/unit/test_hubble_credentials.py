"""The relay's certificates: when they expire, and that nothing shows them."""

import base64
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509

from acns_chaos.cluster.hubble.credentials import Certificates, expiry, read_certificates
from acns_chaos.cluster.hubble.errors import HubbleError
from acns_chaos.errors import ApiError, Forbidden, NotFound
from acns_chaos.lab.hubble.certificates import make_relay_certificates
from acns_chaos.lab.tls import Authority

MADE = make_relay_certificates()
DATA = MADE.secrets()[1]["data"]


class OneSecret:
    """An API server with one Secret, or with an error in its place."""

    def __init__(self, data: dict[str, Any] | ApiError) -> None:
        self.data = data

    def get(self, path: str) -> dict[str, Any]:
        """The Secret."""
        assert path == "/api/v1/namespaces/kube-system/secrets/hubble-relay-client-certs"
        if isinstance(self.data, ApiError):
            raise self.data
        return {"data": self.data}

    def now(self) -> datetime:
        """The clock of this machine."""
        return datetime.now(UTC)


def read(data: dict[str, Any] | ApiError) -> Certificates:
    """Read the certificates of such a server."""
    return read_certificates(OneSecret(data), "kube-system")  # type: ignore[arg-type]


def test_the_end_of_a_certificate_is_what_its_maker_says() -> None:
    """In both forms of a date (up to 2049, and later), of the first that ends of several."""
    far = Authority("far", timedelta(days=40 * 365)).certificate
    for pem in (MADE.authority, MADE.server.chain, far):
        assert expiry(pem) == x509.load_pem_x509_certificate(pem).not_valid_after_utc
    assert expiry(far).year > 2049
    assert expiry(b"a comment\n" + far + MADE.client.chain) == expiry(MADE.client.chain)


@pytest.mark.parametrize("cut", [0, 1, 5, 20, 60, 100])
def test_a_certificate_that_is_cut_is_an_error(cut: int) -> None:
    """And none of Python's other errors."""
    der = base64.b64decode(b"".join(MADE.authority.splitlines()[1:-1]))[:cut]
    body = base64.encodebytes(der)
    with pytest.raises(ValueError):
        expiry(b"-----BEGIN CERTIFICATE-----\n" + body + b"-----END CERTIFICATE-----\n")


def test_certificates_are_not_shown() -> None:
    """Neither by a representation, nor in an error about what the Secret holds."""
    found = read(DATA)
    assert (found.key, found.authority) == (MADE.client.key, MADE.authority)
    assert found.not_after == min(expiry(MADE.authority), expiry(MADE.client.chain))
    assert "BEGIN" not in f"{found!r} {found}"
    with pytest.raises(HubbleError) as refused:
        read({**DATA, "tls.crt": base64.b64encode(b"CANARY").decode()})
    assert "CANARY" not in str(refused.value)
    assert refused.value.__cause__ is None
    assert refused.value.__suppress_context__


@pytest.mark.parametrize(
    ("data", "cause"),
    [
        (Forbidden("no", 403), "no-permission"),
        (NotFound("no", 404), "no-certificates"),
        (ApiError("silence"), "unreachable"),
        ({}, "no-certificates"),
        ({**DATA, "tls.key": None}, "no-certificates"),
        ({**DATA, "ca.crt": "%%%"}, "no-certificates"),
        (MADE.expired("client").secrets()[1]["data"], "certificate-expired"),
    ],
)
def test_what_is_wrong_with_the_secret_has_a_cause(data: Any, cause: str) -> None:
    """One sentence that names the Secret, or what to do about it."""
    with pytest.raises(HubbleError, match="hubble-relay-client-certs") as refused:
        read(data)
    assert refused.value.cause == cause
