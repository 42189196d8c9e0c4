"""Open the API: by a kube context that is named, or with a pod's own service account.

The official client reads kubeconfigs, runs credential plugins and refreshes tokens. The current
context is the one thing that is never used. What is asked over the connection is in `kube`.
"""

import os
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

from acns_chaos.cluster.kube import AGENT, Api, reason
from acns_chaos.cluster.private import private_folder
from acns_chaos.errors import TargetError

__all__ = ["in_cluster_api", "kubeconfig_api", "preload"]


def preload() -> None:
    """Load the official client now, for a process that will need it at once when it is asked."""
    from kubernetes import client, config  # noqa: F401


def kubeconfig_api(context: str, kubeconfig: str, agent: str = AGENT) -> tuple[Api, str]:
    """Open a context of a kubeconfig.

    Args:
        context: its name; "" takes the file's only context (the lab's).
        kubeconfig: path(s) as in KUBECONFIG; "" is the default file.
        agent: what the connection calls itself.

    Returns:
        The API and the context's name.

    Raises:
        TargetError: no such file, no such context, or its credentials cannot be loaded.
    """
    from kubernetes import client, config

    # Never `except Exception`: the host delivers SIGTERM as one.
    malformed = (ValueError, KeyError, TypeError, AttributeError, yaml.YAMLError)
    unusable = (config.ConfigException, OSError, *malformed)
    file = kubeconfig or str(Path("~/.kube/config").expanduser())
    try:
        plugins = _contexts(file)
    except unusable as error:
        raise TargetError(
            f"No kubeconfig can be read at {file}, so the kube context "
            f"{context or 'of the lab'} cannot be found ({reason(error)})."
        ) from error
    names = list(plugins)
    wanted = context or (names[0] if len(names) == 1 else "")
    if wanted not in plugins:
        raise TargetError(
            f"There is no kube context {wanted!r} in {file}: it has {', '.join(names) or 'none'}. "
            "Set ACNS_CHAOS_CLUSTER to one of them, or to lab."
        )
    try:
        # What `new_client_from_config` does, which cannot be told where keys are to lie.
        configuration = type.__call__(client.Configuration)
        config.load_kube_config(
            config_file=file,
            context=wanted,
            client_configuration=configuration,
            persist_config=False,
            temp_file_path=str(private_folder()),
        )
        _reach_loopback_directly(configuration)
        opened = client.ApiClient(configuration)
    except unusable as error:
        raise TargetError(
            f"The credentials of kube context {wanted!r} in {file} cannot be loaded "
            f"({reason(error)})."
        ) from error
    if plugins[wanted] and not (configuration.api_key or configuration.cert_file):
        # The client only logs that, and would go on as nobody.
        raise TargetError(
            f"The credential plugin {plugins[wanted]!r} of kube context {wanted!r} handed out no "
            "credentials: its own words stand above; log in again, or try `kubectl get ns`."
        )
    return Api(opened, agent), wanted


def _reach_loopback_directly(configuration: Any) -> None:
    """Keep a proxy that the environment names out of the way to this machine, as kubectl does.

    One that the kubeconfig names is meant, and stays.
    """
    from urllib.request import getproxies

    host = urlsplit(str(configuration.host)).hostname or ""
    if configuration.proxy in getproxies().values() and _is_loopback(host):
        # Not the proxy itself is taken away: the client for exec sessions then looks in the
        # environment on its own.
        configuration.no_proxy = ",".join(filter(None, (configuration.no_proxy, host)))


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _contexts(files: str) -> dict[str, str]:
    """Map the contexts of one or several kubeconfig files to their credential plugin, "" for none.

    Read here because the client's own list fails on a file without a current context, and the
    current context is the one thing we never use. As in kubectl, of two of one name the first
    counts.
    """
    present = [path for name in files.split(os.pathsep) if (path := Path(name)).is_file()]
    if not present:
        raise FileNotFoundError("no such file")
    users: dict[str, str] = {}
    contexts: dict[str, dict[str, Any]] = {}
    for path in present:
        document = yaml.safe_load(path.read_text("utf-8"))
        if not isinstance(document, dict):
            raise TypeError("it is not a kubeconfig")
        for one in document.get("users") or []:
            plugin = ((one.get("user") or {}).get("exec") or {}).get("command") or ""
            users.setdefault(str(one["name"]), str(plugin))
        for one in document.get("contexts") or []:
            contexts.setdefault(str(one["name"]), one.get("context") or {})
    return {name: users.get(str(one.get("user")), "") for name, one in contexts.items()}


def in_cluster_api(agent: str = AGENT) -> Api:
    """Open the API with the pod's own service account.

    Args:
        agent: what the connection calls itself.

    Raises:
        TargetError: this process does not run in a pod.
    """
    from kubernetes import client, config

    configuration = client.Configuration()
    try:
        config.load_incluster_config(client_configuration=configuration)
    except config.ConfigException as error:
        raise TargetError(
            f"ACNS_CHAOS_CLUSTER=in-cluster, but this is not a pod ({reason(error)}): "
            "name a kube context instead."
        ) from error
    return Api(client.ApiClient(configuration), agent)
