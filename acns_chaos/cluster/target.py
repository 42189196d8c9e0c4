"""Which cluster is meant: resolved once per run, from `ACNS_CHAOS_CLUSTER`, and from nothing else.

A real cluster is reached only when its kube context is named. "Whatever context is current" is
never taken: a lab run must not be able to touch production because of a forgotten shell variable.
What belongs here: the choice, and what the server states about itself. Connecting is `kubeconfig`.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from acns_chaos.cluster.kube import AGENT, Api
from acns_chaos.cluster.kubeconfig import in_cluster_api, kubeconfig_api
from acns_chaos.errors import ApiError, NotFound, TargetError

__all__ = ["LAB_MARK", "Choice", "Target", "choose", "connect", "describe", "require_namespace"]

NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
VARIABLE = "ACNS_CHAOS_CLUSTER"
IN_CLUSTER = "in-cluster"
# The lab's API server says what it is in its version, as distributions do ("+k3s1").
LAB_MARK = "+acns-chaos-lab"


@dataclass(frozen=True, slots=True)
class Choice:
    """What the person or the plan asked for.

    Attributes:
        kind: "lab", "context" or "in-cluster".
        context: the kube context's name when kind is "context", else "".
    """

    kind: str
    context: str = ""


@dataclass(frozen=True, slots=True)
class Target:
    """The one cluster a run works on, as its own server describes it.

    Attributes:
        kind: "lab" or "cluster": what the *server* states, not what the variable says.
        context: the kube context's name, "in-cluster" inside a pod.
        server: the API server's address.
        uid: UID of namespace kube-system, which identifies a cluster for life; "" if unreadable.
        namespace: the namespace the experiment is about.
        cilium_version: version of the Cilium agents, "" when it cannot be read.
        kubernetes_version: gitVersion of the API server.
    """

    kind: str
    context: str
    server: str
    uid: str
    namespace: str
    cilium_version: str
    kubernetes_version: str

    @property
    def label(self) -> str:
        """Say where we are in a few words, for sentences."""
        return "in the lab" if self.kind == "lab" else f"in cluster {self.context}"

    def as_json(self) -> dict[str, Any]:
        """Return the journal's form."""
        return asdict(self)


def choose(environ: Mapping[str, str]) -> Choice:
    """Read the choice of cluster from the environment.

    Args:
        environ: the process environment.

    Returns:
        The lab when nothing is named and a person is at the terminal; else what is named.

    Raises:
        TargetError: nothing is named inside a pod or in CI, where a lost variable would otherwise
            make a scheduled run report HELD from the lab for ever.
    """
    named = environ.get(VARIABLE, "").strip()
    if named == "lab":
        return Choice("lab")
    if named == IN_CLUSTER:
        return Choice("in-cluster")
    if named:
        return Choice("context", named)
    for place, sign in (("a pod", "KUBERNETES_SERVICE_HOST"), ("CI", "CI")):
        if environ.get(sign, "").lower() not in ("", "false", "0"):
            raise TargetError(
                f"{VARIABLE} is not set in {place} ({sign} is): write {VARIABLE}=lab, "
                f"={IN_CLUSTER} or the name of a kube context."
            )
    return Choice("lab")


def connect(choice: Choice, kubeconfig: str = "", agent: str = AGENT) -> tuple[Api, str]:
    """Open the API of the chosen cluster.

    Args:
        choice: what `choose` returned.
        kubeconfig: path of the lab's kubeconfig; for a named context path(s) as in KUBECONFIG,
            "" takes the variable's.
        agent: what the connection calls itself.

    Returns:
        The API and the context's name.

    Raises:
        TargetError: the context does not exist, or no configuration can be read.
    """
    if choice.kind == "in-cluster":
        return in_cluster_api(agent), IN_CLUSTER
    if choice.kind == "lab":
        if not kubeconfig:
            raise TargetError(
                "No lab is running: list the control acns_chaos.controls.lab in the experiment, "
                f"start one with `acns-chaos lab`, or name a kube context in {VARIABLE}."
            )
        return kubeconfig_api("", kubeconfig, agent)
    return kubeconfig_api(choice.context, kubeconfig or os.environ.get("KUBECONFIG", ""), agent)


def describe(api: Api, context: str, namespace: str) -> Target:
    """Ask the server what it is.

    Args:
        api: an open connection.
        context: the context's name.
        namespace: the namespace the experiment is about.

    Raises:
        TargetError: the server does not answer, or refuses the credentials.
    """
    try:
        version = str(api.get("/version").get("gitVersion", ""))
    except ApiError as error:
        raise TargetError(
            f"The API server of {context} at {api.server} cannot be used: {error}"
        ) from error
    return Target(
        kind="lab" if LAB_MARK in version else "cluster",
        context=context,
        server=api.server,
        uid=_kube_system_uid(api),
        namespace=namespace,
        cilium_version=_cilium_version(api),
        kubernetes_version=version,
    )


def require_namespace(api: Api, target: Target) -> None:
    """Refuse a run about a namespace that is not there.

    Raises:
        TargetError: the server says that there is none; not being allowed to look is no such word.
    """
    if not NAME.fullmatch(target.namespace):
        raise TargetError(f"{target.namespace!r} is no name of a namespace: correct `namespace`.")
    try:
        api.get(f"/api/v1/namespaces/{target.namespace}")
    except NotFound as error:
        raise TargetError(
            f"Namespace {target.namespace!r} does not exist {target.label} at {target.server}: "
            "correct `namespace` in the experiment's configuration."
        ) from error
    except ApiError:
        # Forbidden to look: the first probe will tell.
        return


def _kube_system_uid(api: Api) -> str:
    try:
        return str(api.get("/api/v1/namespaces/kube-system")["metadata"]["uid"])
    except (ApiError, KeyError):
        return ""


def _cilium_version(api: Api) -> str:
    """Read the agents' image tag; a version nobody could read is unknown, not guessed."""
    try:
        pods = api.get(
            "/api/v1/namespaces/kube-system/pods", {"labelSelector": "k8s-app=cilium", "limit": "1"}
        )
    except ApiError:
        return ""
    for pod in pods.get("items", []):
        for container in pod.get("spec", {}).get("containers", []):
            image = str(container.get("image", "")).split("@")[0]
            name, _, tag = image.rpartition(":")
            if "cilium" in name:
                return tag.removeprefix("v")
    return ""
