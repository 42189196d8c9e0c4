"""A fleet as a WorkflowTemplate of Argo Workflows: a task for each cluster, a pod for each shard.

The clusters are items, so that the template stays small; a cluster's shards are a sequence. Both
go on when one of them fails, and the merging step runs whatever became of them.

Written for Argo Workflows 3.4 and newer, after its documentation of fields; tests hold it against
the part of its schema that is used (tests/data/argo).
"""

import json

from acns_chaos.errors import GameDayError
from acns_chaos.gameday.render.fleet import LARGEST, Fleet, require_fit
from acns_chaos.gameday.render.pods import (
    ACCOUNT,
    GRACE,
    Json,
    Settings,
    access,
    container,
    files,
    labels,
    merge_arguments,
    merging,
    plan_volume,
    security,
    service_account,
    shard_arguments,
)

__all__ = ["argo"]

EXECUTOR = "acns-chaos-fleet-executor"
DAY = "{{workflow.name}}"
# A run keeps a copy of its template beside the states of its pods.
_LARGEST_TEMPLATE = LARGEST // 3


def argo(fleet: Fleet, settings: Settings) -> list[Json]:
    """The manifests, in the order in which they are applied.

    Args:
        fleet: a plan and its clusters.
        settings: its day is not looked at.

    Raises:
        GameDayError: something would be larger than Kubernetes or Argo take.
    """
    require_fit(fleet, "argo")
    plan, each, names = files(fleet, settings)
    items = [
        {
            "cluster": one.name,
            "config": names[one.name],
            "secret": one.secret,
            "shards": str(one.shards(fleet.per_pod)),
        }
        for one in fleet.clusters
    ]
    spec = {
        "entrypoint": "fleet",
        "serviceAccountName": ACCOUNT,
        # Only Argo's own container gets a token, to report what became of the pod.
        "automountServiceAccountToken": False,
        "executor": {"serviceAccountName": EXECUTOR},
        "parallelism": settings.most,
        "podGC": {"strategy": "OnPodCompletion"},
        "ttlStrategy": {"secondsAfterCompletion": 7 * 86400},
        "securityContext": security(),
        "templates": [
            _fleet(items),
            _cluster(settings),
            _shard(fleet, settings),
            _merge(fleet, settings),
        ],
    }
    about = {"name": plan["metadata"]["name"], "namespace": settings.namespace}
    template = {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "WorkflowTemplate",
        "metadata": {**about, "labels": labels(fleet)},
        "spec": spec,
    }
    size = len(json.dumps(template).encode())
    if size > _LARGEST_TEMPLATE:
        raise GameDayError(
            f"The WorkflowTemplate would have {size:,} bytes, and with more than "
            f"{_LARGEST_TEMPLATE:,} a run of it does not fit into one object: split the clusters "
            "into several files, or take --engine jobs."
        )
    return [service_account(settings), *_executor(settings), plan, *each, template]


def _parameters(*names: str) -> Json:
    return {"parameters": [{"name": name} for name in names]}


def _given(values: dict[str, str]) -> Json:
    return {"parameters": [{"name": name, "value": value} for name, value in values.items()]}


def _artifact(name: str, path: str, place: str) -> Json:
    """A file, or a folder as single files, in the store that Argo is set up with.

    Whatever that store is, Argo puts it in the place of one that has a key and no bucket. Of its
    stores S3 alone has no field that must be there: for Azure's it takes no key by itself.
    """
    return {"name": name, "path": path, "archive": {"none": {}}, "s3": {"key": place}}


def _fleet(items: list[dict[str, str]]) -> Json:
    each = {name: f"{{{{item.{name}}}}}" for name in ("cluster", "config", "secret", "shards")}
    return {
        "name": "fleet",
        "dag": {
            "failFast": False,
            "tasks": [
                {
                    "name": "clusters",
                    "template": "cluster",
                    "arguments": _given(each),
                    "withItems": items,
                },
                {
                    "name": "merge",
                    "template": "merge",
                    "depends": "clusters.Succeeded || clusters.Failed || clusters.Errored",
                },
            ],
        },
    }


def _cluster(settings: Settings) -> Json:
    passed = {one: f"{{{{inputs.parameters.{one}}}}}" for one in ("cluster", "config", "secret")}
    return {
        "name": "cluster",
        "inputs": _parameters("cluster", "config", "secret", "shards"),
        "parallelism": settings.at_once,
        "dag": {
            "failFast": False,
            "tasks": [
                {
                    "name": "shards",
                    "template": "shard",
                    "arguments": _given({**passed, "index": "{{item}}"}),
                    "withSequence": {"count": "{{inputs.parameters.shards}}"},
                }
            ],
        },
    }


def _shard(fleet: Fleet, settings: Settings) -> Json:
    cluster, index = "{{inputs.parameters.cluster}}", "{{inputs.parameters.index}}"
    arguments = shard_arguments(settings, DAY, f"/days/{cluster}", index)
    made = container("main", settings, arguments, "/days", ("plan", "cluster", "access"))
    secrets = access("{{inputs.parameters.config}}", "{{inputs.parameters.secret}}")
    return {
        "name": "shard",
        "metadata": {"labels": {**labels(fleet), "acns-chaos/cluster": cluster}},
        "inputs": _parameters("cluster", "config", "secret", "index"),
        "outputs": {"artifacts": _written(fleet, f"{cluster}/{index}")},
        "activeDeadlineSeconds": settings.lasts,
        # Kept when the pod is told to end: it restores first.
        "podSpecPatch": json.dumps({"terminationGracePeriodSeconds": GRACE}),
        "volumes": [*_own_volumes(fleet), *secrets],
        "container": _without_name(made),
    }


def _written(fleet: Fleet, shard: str) -> list[Json]:
    """What a shard leaves: all of it, and once more by themselves the files that merging reads.

    None is optional: Argo 3.7.1 waits for ever where an optional one is not there. So what is named
    is there after every shard that was not cut short, and Argo saves one after the other.
    """
    # As a day writes them, so that one that was cut short leaves what it had.
    read = ["plan.json"]
    if fleet.plan.document.get("experiments"):
        read.append("experiments.jsonl")
    if fleet.plan.mutants is not None:
        read.append("results.jsonl")
    whole = _artifact("days", "/days", f"{DAY}/shards/{shard}")
    each = (
        _artifact(file.split(".")[0], f"/days/{shard}/{file}", f"{DAY}/results/{shard}/{file}")
        for file in read
    )
    return [whole, *each]


def _merge(fleet: Fleet, settings: Settings) -> Json:
    arguments = merge_arguments("/shards", "/days/merged", DAY)
    made = merging("main", fleet, settings, arguments)
    return {
        "name": "merge",
        "metadata": {"labels": labels(fleet)},
        "inputs": {"artifacts": [_artifact("shards", "/shards", f"{DAY}/results")]},
        "outputs": {"artifacts": [_artifact("merged", "/days/merged", f"{DAY}/merged")]},
        "volumes": _own_volumes(fleet),
        "container": _without_name(made),
    }


def _own_volumes(fleet: Fleet) -> list[Json]:
    empty: list[Json] = [{"name": name, "emptyDir": {}} for name in ("days", "tmp")]
    return [plan_volume(fleet), *empty]


def _without_name(container_: Json) -> Json:
    """Argo calls it main by itself."""
    return {key: value for key, value in container_.items() if key != "name"}


def _executor(settings: Settings) -> list[Json]:
    """The account of Argo's own container, with what its documentation says that it needs."""
    group = "rbac.authorization.k8s.io"
    about = {"name": EXECUTOR, "namespace": settings.namespace}
    return [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": about},
        {
            # Argo mounts this one by its name, and since Kubernetes 1.24 nobody makes it.
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {
                **about,
                "name": f"{EXECUTOR}.service-account-token",
                "annotations": {"kubernetes.io/service-account.name": EXECUTOR},
            },
            "type": "kubernetes.io/service-account-token",
        },
        {
            "apiVersion": f"{group}/v1",
            "kind": "Role",
            "metadata": about,
            "rules": [
                {
                    "apiGroups": ["argoproj.io"],
                    "resources": ["workflowtaskresults"],
                    "verbs": ["create", "patch"],
                }
            ],
        },
        {
            "apiVersion": f"{group}/v1",
            "kind": "RoleBinding",
            "metadata": about,
            "roleRef": {"apiGroup": group, "kind": "Role", "name": EXECUTOR},
            "subjects": [{"kind": "ServiceAccount", **about}],
        },
    ]
