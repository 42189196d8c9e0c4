"""The part of the controller manager that service accounts need.

Each namespace gets its account `default`, and a Secret of type
kubernetes.io/service-account-token gets the token of the account it names, shortly after it was
written; one that names no account is deleted. Nothing else of the controller manager is here.
"""

import asyncio
import base64

from acns_chaos.lab.api.access.tokens import ACCOUNT_NAME, ACCOUNT_UID, TOKEN_SECRET, Tokens
from acns_chaos.lab.api.failures import Json
from acns_chaos.lab.api.store import Entry, Store


class Accounts:
    """Fills in what belongs to service accounts."""

    def __init__(self, store: Store, tokens: Tokens, authority: bytes) -> None:
        """Follow a store; it must be written on a running event loop from here on.

        Args:
            store: holds accounts and secrets.
            tokens: the issuer.
            authority: the certificate of the API server's authority, PEM.
        """
        self._store = store
        self._tokens = tokens
        self._authority = authority
        for namespace in store.list("Namespace"):
            self._add_default(namespace["metadata"]["name"])
        for secret in store.list("Secret"):
            self._fill(secret["metadata"]["namespace"], secret["metadata"]["name"])
        store.follow(self._on_write)

    def _on_write(self, entry: Entry) -> None:
        soon = asyncio.get_running_loop().call_soon
        if entry.kind == "Namespace" and entry.old is None and entry.new:
            soon(self._add_default, entry.new["metadata"]["name"])
        elif entry.kind == "Secret" and entry.new and entry.new.get("type") == TOKEN_SECRET:
            metadata = entry.new["metadata"]
            soon(self._fill, metadata["namespace"], metadata["name"])
        elif entry.kind == "ServiceAccount" and entry.new is None and entry.old:
            soon(self._drop_tokens_of, entry.old["metadata"])

    def _add_default(self, namespace: str) -> None:
        exists = self._store.find("Namespace", None, namespace)
        if exists and self._store.find("ServiceAccount", namespace, "default") is None:
            metadata = {"name": "default", "namespace": namespace}
            self._store.put({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata})

    def _fill(self, namespace: str, name: str) -> None:
        secret = self._store.find("Secret", namespace, name)
        if secret is None or secret.get("type") != TOKEN_SECRET:
            return
        annotations: Json = secret["metadata"].get("annotations") or {}
        wanted, uid = annotations.get(ACCOUNT_NAME, ""), annotations.get(ACCOUNT_UID, "")
        account = self._store.find("ServiceAccount", namespace, wanted)
        if account is None or uid not in {"", account["metadata"]["uid"]}:
            self._store.delete("Secret", namespace, name)
            return
        data = secret.get("data") or {}
        if uid and {"ca.crt", "namespace", "token"} <= set(data):
            return
        new = {
            "ca.crt": self._authority,
            "namespace": namespace.encode(),
            "token": self._tokens.for_secret(account, name).encode(),
        }
        encoded = {key: base64.b64encode(value).decode() for key, value in new.items()}
        secret["data"] = {**encoded, **data}
        secret["metadata"]["annotations"] = {
            **annotations,
            ACCOUNT_UID: account["metadata"]["uid"],
        }
        self._store.put(secret)

    def _drop_tokens_of(self, account: Json) -> None:
        namespace = account["namespace"]
        for secret in self._store.list("Secret", namespace):
            annotations = secret["metadata"].get("annotations") or {}
            if (
                secret.get("type") == TOKEN_SECRET
                and annotations.get(ACCOUNT_NAME) == account["name"]
            ):
                self._store.delete("Secret", namespace, secret["metadata"]["name"])
