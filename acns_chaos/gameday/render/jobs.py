"""A fleet as Jobs: an Indexed Job for each cluster, and one that unites.

One Job for all clusters would have one pod template, so each pod would mount the keys of every
cluster. With a Job for each, it has those of its own.
"""

from hashlib import sha256

from acns_chaos.gameday.render.cost import ONE
from acns_chaos.gameday.render.fleet import Cluster, Fleet, name_of, require_fit
from acns_chaos.gameday.render.pods import (
    Json,
    Settings,
    access,
    container,
    files,
    labels,
    merge_arguments,
    merging,
    plan_volume,
    pod,
    service_account,
    shard_arguments,
)
from acns_chaos.gameday.render.sizes import mutants_of
from acns_chaos.gameday.scoring import NOT_RESTORED

__all__ = ["VOLUME", "jobs"]

VOLUME = "acns-chaos-fleet"
# A pod's host name is its Job's name with the index, of five digits at most: one label.
LONGEST = 63 - len("-99999")
# After so many seconds an ended Job is removed; its results are in the volume.
KEPT = 7 * 86400


def jobs(fleet: Fleet, settings: Settings) -> list[Json]:
    """The manifests, in the order in which they are applied.

    Args:
        fleet: a plan and its clusters.
        settings: with a day.

    Raises:
        GameDayError: something would be larger than Kubernetes takes.
    """
    require_fit(fleet, "jobs")
    plan, each, names = files(fleet, settings)
    # Jobs cannot be changed, so those of another day have other names.
    tail = sha256(settings.day.encode()).hexdigest()[:6]
    return [
        service_account(settings),
        _volume(fleet, settings),
        plan,
        *each,
        *(_shards(one, names[one.name], fleet, settings, tail) for one in fleet.clusters),
        _merge(fleet, settings, tail),
    ]


def _volume(fleet: Fleet, settings: Settings) -> Json:
    # Twice what the journals take, at least a little.
    room = max(10, -(-2 * mutants_of(fleet) * ONE.journal // 2**30))
    spec: Json = {
        "accessModes": ["ReadWriteMany"],
        "resources": {"requests": {"storage": f"{room}Gi"}},
    }
    if settings.storage_class:
        spec["storageClassName"] = settings.storage_class
    about = {"name": VOLUME, "namespace": settings.namespace}
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": about, "spec": spec}


def _days() -> Json:
    return {"name": "days", "persistentVolumeClaim": {"claimName": VOLUME}}


def _shards(cluster: Cluster, config: str, fleet: Fleet, settings: Settings, tail: str) -> Json:
    count = cluster.shards(fleet.per_pod)
    # `shard` adds the index, which Kubernetes puts into the environment.
    out = f"/days/{settings.day}/{cluster.name}"
    arguments = shard_arguments(settings, settings.day, out)
    made = container("shard", settings, arguments, "/days", ("plan", "cluster", "access"))
    volumes = [_days(), plan_volume(fleet), *access(config, cluster.secret)]
    spec = {
        "completionMode": "Indexed",
        "completions": count,
        "parallelism": min(count, settings.at_once),
        # A shard with survivors exits 1: it is not run again, and the others go on.
        "backoffLimitPerIndex": 0,
        # But where something was not restored, nothing else is broken in that cluster.
        "podFailurePolicy": {
            "rules": [
                {
                    "action": "FailJob",
                    "onExitCodes": {
                        "containerName": "shard",
                        "operator": "In",
                        "values": [NOT_RESTORED],
                    },
                }
            ]
        },
        "ttlSecondsAfterFinished": KEPT,
        # The pods have a deadline, the Job has none: its own would also run while a quota lets it
        # make no pod.
        "template": {
            "metadata": {"labels": labels(fleet, cluster.name)},
            "spec": {**pod(made, volumes), "activeDeadlineSeconds": settings.lasts},
        },
    }
    name = name_of(f"acns-chaos-{fleet.plan.name}", cluster.name, tail, longest=LONGEST)
    return _job(name, labels(fleet, cluster.name), settings, spec)


def _merge(fleet: Fleet, settings: Settings, tail: str) -> Json:
    folder = f"/days/{settings.day}"
    arguments = merge_arguments(folder, f"{folder}-merged", settings.day)
    made = merging("merge", fleet, settings, arguments)
    spec = {
        # Nothing in Kubernetes waits for many Jobs: somebody starts it when they are over.
        "suspend": True,
        "backoffLimit": 0,
        "ttlSecondsAfterFinished": KEPT,
        "template": {
            "metadata": {"labels": {**labels(fleet), "acns-chaos/step": "merge"}},
            "spec": pod(made, [_days(), plan_volume(fleet)]),
        },
    }
    # A cluster's Job ends in signs of a hash, so none is called like this, whatever the cluster is.
    name = name_of(f"acns-chaos-{fleet.plan.name}", tail, "merge")
    return _job(name, {**labels(fleet), "acns-chaos/step": "merge"}, settings, spec)


def _job(name: str, marks: dict[str, str], settings: Settings, spec: Json) -> Json:
    about = {"name": name, "namespace": settings.namespace, "labels": marks}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": about, "spec": spec}
