"""A live cluster as a collection of objects, for commands that only look.

Belongs here: reading what verdicts depend on, once, from a cluster that was named. Does not belong
here: files (`sources`), a run's own target (`target`), and writing anything.
"""

import os
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from acns_chaos.cluster.kube import Api
from acns_chaos.cluster.labprocess import join_or_start
from acns_chaos.cluster.policies import Policies
from acns_chaos.cluster.sources import Collection, collect
from acns_chaos.cluster.target import VARIABLE, choose, connect
from acns_chaos.errors import ApiError, NotFound, TargetError
from acns_chaos.policy import ObjectRef, Settings
from acns_chaos.policy.model import KINDS
from acns_chaos.policy.validity import problems
from acns_chaos.policy.world import World

__all__ = [
    "CLUSTER",
    "agent_settings",
    "read_cluster",
    "read_objects",
    "read_place",
    "taken_over",
    "world_of",
]

CLUSTER = "cluster:"

# (kind, path, needed): without the others a verdict is still an answer, and the notes say so.
_LISTS = (
    ("Pod", "/api/v1/pods", True),
    ("Namespace", "/api/v1/namespaces", True),
    ("Service", "/api/v1/services", True),
    ("EndpointSlice", "/apis/discovery.k8s.io/v1/endpointslices", False),
    ("Node", "/api/v1/nodes", False),
)
# The newer version first; a cluster serves one of them or both.
_GROUPS = (
    "/apis/cilium.io/v2/ciliumcidrgroups",
    "/apis/cilium.io/v2alpha1/ciliumcidrgroups",
)
_CONFIG = "/api/v1/namespaces/kube-system/configmaps/cilium-config"
# Not enable-l7-proxy: with ACNS the DNS proxy is a program of its own, and filters names though
# the agents' own proxy is off.
_SWITCHES = {
    "enable-host-firewall": "host_firewall",
    "policy-default-local-cluster": "default_local_cluster",
    "enable-node-selector-labels": "node_selector_labels",
    "enable-non-default-deny-policies": "non_default_deny",
    "enable-ipv6": "ipv6",
    "enable-icmp-rules": "icmp_rules",
    "enable-extended-ip-protocols": "extended_protocols",
}
_TEXTS = {
    "enable-policy": "enforcement",
    "allow-localhost": "allow_localhost",
    "cluster-name": "cluster_name",
}


def read_place(place: str, *, namespace: str = "default", strict: bool = True) -> Collection:
    """Read a file, a folder, a git revision or a cluster.

    Args:
        place: as for `sources.collect`, or "cluster:CONTEXT".
        namespace: of objects in files that name none.
        strict: refuse policies in files that an API server would refuse.

    Raises:
        AcnsChaosError: it cannot be read; the sentence says why.
    """
    if place.startswith(CLUSTER):
        return read_cluster(place.removeprefix(CLUSTER))
    return collect(place, namespace=namespace, strict=strict)


def read_cluster(name: str = "", environ: Mapping[str, str] = os.environ) -> Collection:
    """Read a cluster.

    Args:
        name: a kube context, "in-cluster" or "lab" (joined, or started for this moment). "" means
            what the environment names; never the context that happens to be current.
        environ: the process environment.

    Raises:
        TargetError: which cluster is meant cannot be told, or it cannot be reached.
        ApiError: something that is needed cannot be read.
    """
    choice = choose({VARIABLE: name} if name else environ)
    if choice.kind != "lab":
        api, context = connect(choice)
        return read_objects(api, f"cluster {context}")
    lab = join_or_start("pets", environ)
    try:
        api, _ = connect(choice, lab.environ.get("KUBECONFIG", ""))
        return read_objects(api, f"the lab (world {lab.world})")
    finally:
        lab.close()


def read_objects(api: Api, name: str) -> Collection:
    """Read everything that verdicts depend on.

    Args:
        api: an open connection.
        name: what to call the cluster.

    Raises:
        TargetError: the server does not answer, or refuses the credentials.
        ApiError: something that is needed cannot be read.
    """
    notes: list[str] = []
    try:
        objects = [obj for listed in _LISTS for obj in _list(api, *listed, notes)]
    except ApiError as error:
        if not error.status:
            raise TargetError(f"The API server of {name} cannot be used: {error}") from error
        raise
    objects += _groups(api, notes)
    objects += Policies(api).all()
    settings = _settings(api, notes)
    return Collection(name, tuple(objects), (), tuple(notes), settings, complete=True)


def world_of(*collections: Collection) -> World:
    """The world that collections make together; of an object in several the last one's counts.

    Raises:
        PolicyError: an object is malformed beyond reading.
    """
    settings = next((one.settings for one in collections if one.settings is not None), None)
    return World.of(
        [obj for one in collections for obj in one.objects],
        settings=settings,
        complete=any(one.complete for one in collections),
    )


def taken_over(world: World, changes: Collection) -> tuple[Collection, list[str]]:
    """What agents make of objects that are applied over a world.

    Args:
        world: as it is.
        changes: the objects to apply.

    Returns:
        The changes without the policies that the agents refuse while an older version of them is in
        force, which stays; and a note for each policy that is refused.
    """
    there = {ObjectRef.of(policy) for policy in world.policies} - set(world.invalid)
    notes: list[str] = []
    objects = []
    for obj in changes.objects:
        refused = problems(obj, world.settings) if obj["kind"] in KINDS else []
        if refused:
            ref = ObjectRef.of(obj)
            what = "its older version stays in force" if ref in there else "it has no effect"
            notes.append(
                f"{changes.name}: the agents refuse {ref.kind} {ref}, so {what}: {refused[0]}"
            )
            if ref in there:
                continue
        objects.append(obj)
    return replace(changes, objects=tuple(objects), origins=()), notes


def agent_settings(config: Mapping[str, Any]) -> Settings:
    """The agents' settings from the data of their ConfigMap.

    Args:
        config: option name to text, as in kube-system/cilium-config.
    """
    found: dict[str, Any] = {
        field: str(config[option]).lower() == "true"
        for option, field in _SWITCHES.items()
        if option in config
    }
    found |= {field: str(config[option]) for option, field in _TEXTS.items() if config.get(option)}
    if found.get("enforcement") not in (None, "default", "always", "never"):
        del found["enforcement"]
    return Settings(**found)


def _list(
    api: Api, kind: str, path: str, needed: bool, notes: list[str]
) -> Iterator[dict[str, Any]]:
    try:
        answer = api.get(path)
    except NotFound:
        if needed:
            raise
        return  # The server does not serve this kind: there are none.
    except ApiError as error:
        if needed or not error.status:
            raise
        notes.append(f"{kind} objects cannot be read, so verdicts do without them: {error}.")
        return
    # Items of a list carry neither kind nor apiVersion.
    for item in answer.get("items") or ():
        yield {"apiVersion": answer.get("apiVersion", ""), "kind": kind, **item}


def _groups(api: Api, notes: list[str]) -> list[dict[str, Any]]:
    for path in _GROUPS:
        try:
            items = api.get(path).get("items") or ()
        except NotFound:
            continue
        except ApiError as error:
            notes.append(f"CIDR groups cannot be read, so rules by group match nobody: {error}.")
            return []
        return [{"kind": "CiliumCIDRGroup", **item} for item in items]
    return []


def _settings(api: Api, notes: list[str]) -> Settings:
    try:
        return agent_settings(api.get(_CONFIG).get("data") or {})
    except NotFound:
        notes.append(
            "There is no ConfigMap kube-system/cilium-config: Cilium's defaults are taken."
        )
    except ApiError as error:
        notes.append(f"The agents' settings cannot be read, Cilium's defaults are taken: {error}.")
    return Settings()
