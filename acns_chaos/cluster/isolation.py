"""One target for everything in the process, other extensions included.

`chaosk8s` takes whatever kube context is current (reference chaos-toolkit.md §3), so a lab run of
an experiment that also uses it could touch production. For the length of a run KUBECONFIG
therefore names a file that knows one context: the target's. It holds credentials, so it lies where
it is removed however the run ends (`private`).
"""

import os
import tempfile
from pathlib import Path
from typing import Any

import yaml

from acns_chaos.cluster.kube import Api
from acns_chaos.cluster.private import private_folder

__all__ = ["Isolation"]


class Isolation:
    """A single-context kubeconfig in the environment, until `undo`."""

    VARIABLES = ("KUBECONFIG", "KUBERNETES_CONTEXT")

    def __init__(self, api: Api, context: str) -> None:
        from kubernetes.config import kube_config

        self._client = kube_config
        self._saved = {name: os.environ.get(name) for name in self.VARIABLES}
        handle, name = tempfile.mkstemp(suffix=".kubeconfig", dir=private_folder())
        self._file = Path(name)
        with os.fdopen(handle, "w") as file:
            yaml.safe_dump(_document(api, context), file)
        os.environ["KUBECONFIG"] = name
        # The client reads KUBECONFIG once, when it is imported, which was before now.
        self._default: str = kube_config.KUBE_CONFIG_DEFAULT_LOCATION
        kube_config.KUBE_CONFIG_DEFAULT_LOCATION = name
        os.environ["KUBERNETES_CONTEXT"] = context

    def undo(self) -> None:
        """Put the environment back and remove the file."""
        self._file.unlink(missing_ok=True)
        self._client.KUBE_CONFIG_DEFAULT_LOCATION = self._default
        for name, value in self._saved.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _document(api: Api, context: str) -> dict[str, Any]:
    """Write the connection down as it is now: a token outlives a run by hours."""
    configuration = api.client.configuration
    cluster: dict[str, Any] = {"server": api.server}
    if configuration.ssl_ca_cert:
        cluster["certificate-authority"] = configuration.ssl_ca_cert
    if not configuration.verify_ssl:
        cluster["insecure-skip-tls-verify"] = True
    user: dict[str, Any] = {}
    authorization = api.headers().get("authorization", "")
    if authorization.startswith("Bearer "):
        user["token"] = authorization.removeprefix("Bearer ")
    if configuration.cert_file:
        user["client-certificate"] = configuration.cert_file
        user["client-key"] = configuration.key_file
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": context,
        "clusters": [{"name": context, "cluster": cluster}],
        "users": [{"name": context, "user": user}],
        "contexts": [{"name": context, "context": {"cluster": context, "user": context}}],
    }
