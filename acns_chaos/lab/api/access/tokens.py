"""Tokens of service accounts: made, checked, and void when their account or object is gone.

They are JSON Web Tokens signed with a key that lives as long as the lab (ES256; most clusters use
RS256, which clients cannot tell). Not here: HTTP, and the kinds in which they are asked for.
"""

import base64
import binascii
import json
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils

from acns_chaos.lab.api.access.attributes import User
from acns_chaos.lab.api.failures import Json
from acns_chaos.lab.api.store import Store

ISSUER = "https://kubernetes.default.svc.cluster.local"
TOKEN_SECRET = "kubernetes.io/service-account-token"  # noqa: S105 - the name of a type
ACCOUNT_NAME = "kubernetes.io/service-account.name"
ACCOUNT_UID = "kubernetes.io/service-account.uid"
_LEGACY_ISSUER = "kubernetes/serviceaccount"
_LEGACY = "kubernetes.io/serviceaccount/"
_HALF = 32  # bytes of each of the two numbers of a signature on P-256
_REMEMBERED = 500


@dataclass(frozen=True, slots=True)
class Bound:
    """The object with which a token ends: kind ("Pod", "Secret"), name and uid."""

    kind: str
    name: str
    uid: str


class Tokens:
    """The issuer of one lab."""

    def __init__(self, store: Store) -> None:
        """Issue for the accounts of a store, with a new key."""
        self._store = store
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._public = self._key.public_key()
        self._header = _encode({"alg": "ES256", "kid": uuid.uuid4().hex})
        self._verified: dict[str, Json] = {}

    def issue(
        self, account: Json, seconds: int, audiences: Sequence[str], bound: Bound | None = None
    ) -> tuple[str, datetime]:
        """A token for an account.

        Args:
            account: the ServiceAccount.
            seconds: until it expires.
            audiences: whom it is for; none means this API server.
            bound: the object whose end is the token's.

        Returns:
            the token, and when it expires.
        """
        metadata = account["metadata"]
        issued = int(datetime.now(UTC).timestamp())
        about: Json = {
            "namespace": metadata["namespace"],
            "serviceaccount": {"name": metadata["name"], "uid": metadata["uid"]},
        }
        if bound:
            about[bound.kind.lower()] = {"name": bound.name, "uid": bound.uid}
        claims = {
            "aud": list(audiences) or [ISSUER],
            "exp": issued + seconds,
            "iat": issued,
            "iss": ISSUER,
            "jti": str(uuid.uuid4()),
            "kubernetes.io": about,
            "nbf": issued,
            "sub": _user_name(metadata["namespace"], metadata["name"]),
        }
        return self._sign(claims), datetime.fromtimestamp(issued + seconds, UTC)

    def for_secret(self, account: Json, secret: str) -> str:
        """The token without expiry that the server puts into a Secret for an account."""
        metadata = account["metadata"]
        return self._sign(
            {
                "iss": _LEGACY_ISSUER,
                f"{_LEGACY}namespace": metadata["namespace"],
                f"{_LEGACY}secret.name": secret,
                f"{_LEGACY}service-account.name": metadata["name"],
                f"{_LEGACY}service-account.uid": metadata["uid"],
                "sub": _user_name(metadata["namespace"], metadata["name"]),
            }
        )

    def user(self, token: str, audiences: Sequence[str] = (ISSUER,)) -> User | None:
        """Whose token it is; None when it is not ours, has expired or was made void.

        Args:
            token: as the client sent it.
            audiences: one of which the token must be for.
        """
        claims = self._verified.get(token) or self._verify(token)
        if claims is None:
            return None
        if claims["iss"] == _LEGACY_ISSUER:
            return self._of_secret(token, claims)
        now = datetime.now(UTC).timestamp()
        if not claims["nbf"] <= now < claims["exp"] or not set(audiences) & set(claims["aud"]):
            return None
        about = claims["kubernetes.io"]
        extra: dict[str, tuple[str, ...]] = {
            "authentication.kubernetes.io/credential-id": (f"JTI={claims['jti']}",)
        }
        for kind in ("Pod", "Secret"):
            if bound := about.get(kind.lower()):
                if not self._exists(kind, about["namespace"], bound):
                    return None
                if kind == "Pod":
                    extra["authentication.kubernetes.io/pod-name"] = (bound["name"],)
                    extra["authentication.kubernetes.io/pod-uid"] = (bound["uid"],)
        return self._account_user(about["namespace"], about["serviceaccount"], extra)

    def _of_secret(self, token: str, claims: Json) -> User | None:
        """The user of a token that must still stand in its Secret."""
        namespace = claims[f"{_LEGACY}namespace"]
        secret = self._store.find("Secret", namespace, claims[f"{_LEGACY}secret.name"])
        stored = (secret or {}).get("data", {}).get("token", "")
        if stored != base64.b64encode(token.encode()).decode():
            return None
        prefix = f"{_LEGACY}service-account."
        account = {"name": claims[f"{prefix}name"], "uid": claims[f"{prefix}uid"]}
        return self._account_user(namespace, account, {})

    def _account_user(
        self, namespace: str, account: Json, extra: dict[str, tuple[str, ...]]
    ) -> User | None:
        if not self._exists("ServiceAccount", namespace, account):
            return None
        name = _user_name(namespace, account["name"])
        return User(name, account_groups(namespace), account["uid"], extra)

    def _exists(self, kind: str, namespace: str, reference: Json) -> bool:
        obj = self._store.find(kind, namespace, reference["name"])
        return obj is not None and bool(obj["metadata"]["uid"] == reference["uid"])

    def _sign(self, claims: Json) -> str:
        signed = f"{self._header}.{_encode(claims)}"
        der = self._key.sign(signed.encode(), ec.ECDSA(hashes.SHA256()))
        raw = b"".join(part.to_bytes(_HALF) for part in utils.decode_dss_signature(der))
        return f"{signed}.{_base64(raw)}"

    def _verify(self, token: str) -> Json | None:
        """The claims of a token that we signed."""
        signed, _, signature = token.rpartition(".")
        header, _, payload = signed.partition(".")
        if header != self._header:
            return None
        try:
            raw = _bytes(signature)
            halves = int.from_bytes(raw[:_HALF]), int.from_bytes(raw[_HALF:])
            der = utils.encode_dss_signature(*halves)
            self._public.verify(der, signed.encode(), ec.ECDSA(hashes.SHA256()))
            claims: Json = json.loads(_bytes(payload))
        except (InvalidSignature, ValueError, binascii.Error):
            return None
        if len(self._verified) >= _REMEMBERED:
            self._verified.clear()
        self._verified[token] = claims
        return claims


def account_groups(namespace: str) -> tuple[str, ...]:
    """The groups of every service account of a namespace."""
    return (
        "system:serviceaccounts",
        f"system:serviceaccounts:{namespace}",
        "system:authenticated",
    )


def _user_name(namespace: str, name: str) -> str:
    return f"system:serviceaccount:{namespace}:{name}"


def _base64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _bytes(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)


def _encode(value: Any) -> str:
    return _base64(json.dumps(value, separators=(",", ":")).encode())
