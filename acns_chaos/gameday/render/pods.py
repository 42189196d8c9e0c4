"""What the manifests of both engines share: the pod of a shard, the merging pod, and their files.

Belongs here: containers, volumes and ConfigMaps as plain JSON. Does not belong here: what starts
them (`jobs`, `argo`).

No pod gets a token of the cluster that it runs in; the security context is that of deploy/janitor.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from acns_chaos.errors import GameDayError
from acns_chaos.gameday.render.fleet import LARGEST, Fleet, name_of
from acns_chaos.gameday.render.sizes import merging_memory, require_mergeable

__all__ = [
    "ACCOUNT",
    "Settings",
    "access",
    "container",
    "files",
    "labels",
    "merging",
    "pod",
    "service_account",
]

Json = dict[str, Any]
ACCOUNT = "acns-chaos-fleet"
# A shard has this long to restore when it is told to end; as deploy/gameday.
GRACE = 240
PLAN_KEY, EXPECTED_KEY, CLUSTER_KEY = "plan.yaml", "shards.txt", "cluster.json"
_MOUNTS = {"plan": "/plan", "cluster": "/cluster", "access": "/access", "tmp": "/tmp"}  # noqa: S108 - of the pod


@dataclass(frozen=True, slots=True)
class Settings:
    """What whoever renders decides.

    Attributes:
        image: of deploy/Dockerfile.
        namespace: of the manifests.
        at_once: pods at once in one cluster.
        most: pods at once in all clusters; only a workflow has such a limit.
        parallel: namespaces at once in one pod.
        lasts: seconds that one pod may take.
        seed: of the selection.
        day: of Jobs; a workflow has its own name for that.
        storage_class: of the volume for the results of Jobs, "" for the cluster's default.
    """

    image: str = "acns-chaos:0.1.0"
    namespace: str = "acns-chaos-fleet"
    at_once: int = 1
    most: int = 100
    parallel: int = 1
    lasts: int = 6 * 3600
    seed: int = 0
    day: str = ""
    storage_class: str = ""


def labels(fleet: Fleet, cluster: str = "") -> dict[str, str]:
    """What the objects of a fleet are found by."""
    found = {"app": "acns-chaos-fleet", "acns-chaos/plan": fleet.plan.name}
    return {**found, "acns-chaos/cluster": cluster} if cluster else found


def service_account(settings: Settings) -> Json:
    """The account of all pods, which may do nothing here."""
    return {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": ACCOUNT, "namespace": settings.namespace},
        "automountServiceAccountToken": False,
    }


def files(fleet: Fleet, settings: Settings) -> tuple[Json, list[Json], dict[str, str]]:
    """The ConfigMaps: the plan with its claims, and one for each cluster.

    Returns:
        The plan's, the clusters', and a cluster's name to that of its own.

    Raises:
        GameDayError: one would be larger than a ConfigMap may be.
    """
    base = f"acns-chaos-{fleet.plan.name}"
    data = {PLAN_KEY: fleet.text, EXPECTED_KEY: fleet.expected()}
    data |= {_key(number): text for number, text in enumerate(fleet.claims.values())}
    if sum(map(_size, data.values())) > LARGEST:
        # Shards that never began are then told by their Jobs alone.
        data[EXPECTED_KEY] = ""
    plan = _config(base, data, fleet, settings)
    names = {one.name: name_of(base, one.name) for one in fleet.clusters}
    each = [
        _config(
            names[one.name],
            {CLUSTER_KEY: json.dumps(one.as_json(fleet.per_pod), indent=1)},
            *(fleet, settings, one.name),
        )
        for one in fleet.clusters
    ]
    return plan, each, names


def _key(number: int) -> str:
    return f"file-{number}"


def _size(text: str) -> int:
    return len(text.encode())


def _config(
    name: str, data: dict[str, str], fleet: Fleet, settings: Settings, cluster: str = ""
) -> Json:
    size = sum(map(_size, data.values()))
    if size > LARGEST:
        raise GameDayError(
            f"ConfigMap {name} would have {size:,} bytes, and at most {LARGEST:,} are taken: name "
            "fewer or smaller files in the plan, or give the cluster two entries."
        )
    about = {"name": name, "namespace": settings.namespace, "labels": labels(fleet, cluster)}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": about, "data": data}


def plan_volume(fleet: Fleet) -> Json:
    """The plan's folder as it was: a ConfigMap's keys have no folders, its items do."""
    items = [{"key": PLAN_KEY, "path": PLAN_KEY}, {"key": EXPECTED_KEY, "path": EXPECTED_KEY}]
    items += [{"key": _key(number), "path": path} for number, path in enumerate(fleet.claims)]
    return {"name": "plan", "configMap": {"name": f"acns-chaos-{fleet.plan.name}", "items": items}}


def access(config: str, secret: str) -> list[Json]:
    """The volumes that only the pods of one cluster have."""
    return [
        {"name": "cluster", "configMap": {"name": config}},
        # Read by the group of `pod` alone.
        {"name": "access", "secret": {"secretName": secret, "defaultMode": 0o440}},
    ]


def container(
    name: str, settings: Settings, arguments: Sequence[str], folder: str, mounts: Sequence[str]
) -> Json:
    """A container of the one image.

    Args:
        name: of it.
        settings: see there.
        arguments: after `acns-chaos gameday`.
        folder: where the volume `days` is mounted.
        mounts: names of further volumes, each mounted at its usual place.
    """
    memory = 128 * (1 + settings.parallel)
    return {
        "name": name,
        "image": settings.image,
        "command": ["acns-chaos", "gameday"],
        "args": list(arguments),
        "resources": _resources(memory, 4 * memory),
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [
            {"name": "days", "mountPath": folder},
            {"name": "tmp", "mountPath": _MOUNTS["tmp"]},
            *({"name": one, "mountPath": _MOUNTS[one], "readOnly": True} for one in mounts),
        ],
    }


def _resources(asked: int, most: int) -> Json:
    return {
        "requests": {"cpu": "250m", "memory": f"{asked}Mi"},
        "limits": {"memory": f"{most}Mi"},
    }


def merging(name: str, fleet: Fleet, settings: Settings, arguments: Sequence[str]) -> Json:
    """The container that unites; its memory goes by how many results there may be.

    Args:
        name: of it.
        fleet: whose results.
        settings: see there.
        arguments: as `merge_arguments`.

    Raises:
        GameDayError: they are too many for one pod.
    """
    require_mergeable(fleet)
    most = merging_memory(fleet)
    made = container(name, settings, arguments, "/days", ("plan",))
    # What was noticed takes half as much as what survived.
    return {**made, "resources": _resources(-(-most // 2), most)}


def shard_arguments(settings: Settings, day: str, out: str, index: str = "") -> list[str]:
    """How a shard is begun.

    Args:
        settings: see there.
        day: what all shards call the day.
        out: the folder of its day.
        index: of the shard; "" where Kubernetes puts it into the environment.
    """
    found = ["shard", f"/plan/{PLAN_KEY}", "--cluster", f"/cluster/{CLUSTER_KEY}", "--day", day]
    found += ["--out", out, "--seed", str(settings.seed), "--parallel", str(settings.parallel)]
    return [*found, "--index", index] if index else found


def merge_arguments(days: str, out: str, day: str) -> list[str]:
    """How the results of all shards are united."""
    return ["merge", days, "-o", out, "--day", day, "--expect", f"/plan/{EXPECTED_KEY}"]


def security() -> Json:
    """The pod's part of the security context."""
    return {
        "runAsNonRoot": True,
        "runAsUser": 65532,
        "fsGroup": 65532,
        "fsGroupChangePolicy": "OnRootMismatch",
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def pod(container_: Json, volumes: Sequence[Json]) -> Json:
    """The spec of a Job's pod."""
    return {
        "restartPolicy": "Never",
        "serviceAccountName": ACCOUNT,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": GRACE,
        "securityContext": security(),
        "containers": [container_],
        "volumes": [*volumes, {"name": "tmp", "emptyDir": {}}],
    }
