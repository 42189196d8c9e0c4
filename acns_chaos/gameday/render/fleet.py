"""The clusters of a fleet, and what each pod does of them.

Belongs here: the file of clusters in, shards out, a shard's plan, and the limits of what Kubernetes
and Argo take. Does not belong here: manifests (`jobs`, `argo`).
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from hashlib import sha256
from importlib.resources import files
from pathlib import Path
from typing import Any

from acns_chaos.cluster.documents import parse
from acns_chaos.cluster.documents_bounds import short
from acns_chaos.cluster.sources import read_bounded
from acns_chaos.errors import GameDayError
from acns_chaos.gameday.plan import read_plan
from acns_chaos.gameday.plan_checks import Text, breach
from acns_chaos.gameday.plan_values import Plan

__all__ = [
    "LARGEST",
    "MOST_SHARDS",
    "MOST_WORKFLOW_PODS",
    "Cluster",
    "Fleet",
    "clusters_schema",
    "name_of",
    "read_fleet",
    "require_fit",
    "shard_document",
]

# Bytes in one object: a ConfigMap's data, by the API server's own rule; etcd's default request is
# not much larger, so no other object may be, either.
LARGEST = 1024 * 1024
# Pods of one Indexed Job: Kubernetes takes no more at once, nor more failed indexes.
MOST_SHARDS = 100_000
# Pods of one workflow, whose states are kept in one object of at most 1 MiB, compressed, with a
# copy of the template. 5,000 states, made up as Argo writes them, took 520 kB; the rest is reserve.
MOST_WORKFLOW_PODS = 5_000
# Of a file of clusters.
MAX_BYTES = 8_000_000
# Namespaces beside a plan's, by its schema.
_MOST_BESIDE = 1000
# What the pod itself says, and what must not stand in a ConfigMap.
_OURS = ("ACNS_CHAOS_CLUSTER", "ACNS_CHAOS_HISTORY")
_SECRET = ("_PASSWORD", "_TOKEN")


@dataclass(frozen=True, slots=True)
class Cluster:
    """One cluster.

    Attributes:
        name: in manifests and folders.
        context: the kube context in its kubeconfig.
        secret: that holds its kubeconfig.
        namespaces: whose policies may be made wrong.
        uid: of the cluster, "" where it is not said.
        env: variables for its pods.
    """

    name: str
    context: str
    secret: str
    namespaces: tuple[str, ...]
    uid: str = ""
    env: Mapping[str, str] = field(default_factory=dict)

    def as_json(self, per_pod: int) -> dict[str, Any]:
        """What its pods are told: `cluster.json`."""
        return {
            "schema": 1,
            "name": self.name,
            "context": self.context,
            "uid": self.uid,
            "namespaces": list(self.namespaces),
            "per_pod": per_pod,
            "env": dict(self.env),
        }

    def shards(self, per_pod: int) -> int:
        """How many pods it takes."""
        return -(-len(self.namespaces) // per_pod)


@dataclass(frozen=True, slots=True)
class Fleet:
    """A plan and its clusters.

    Attributes:
        plan: whose target is replaced by each cluster's.
        text: the plan as it was written.
        claims: what the plan names beside it: path as in the plan, to its text.
        clusters: each with a name of its own.
        per_pod: namespaces that one pod takes on.
    """

    plan: Plan
    text: str
    claims: Mapping[str, str]
    clusters: tuple[Cluster, ...]
    per_pod: int = 1

    @property
    def shards(self) -> int:
        """How many pods there are in all."""
        return sum(one.shards(self.per_pod) for one in self.clusters)

    def expected(self) -> str:
        """The shards as `gameday merge --expect` takes them, of the clusters whose UID is known."""
        found = (
            f"{one.uid}/{name}\n" for one in self.clusters if one.uid for name in one.namespaces
        )
        return "".join(found)


@cache
def clusters_schema() -> Mapping[str, Any]:
    """The JSON Schema of a file of clusters."""
    folder = files("acns_chaos.gameday.render")
    found: dict[str, Any] = json.loads(folder.joinpath("clusters_schema.json").read_text("utf-8"))
    return found


def read_fleet(plan: Path, clusters: Path, per_pod: int = 1) -> Fleet:
    """Read a plan and the clusters it is for.

    Args:
        plan: file of the plan.
        clusters: file of the clusters.
        per_pod: namespaces that one pod takes on.

    Raises:
        DocumentError: one cannot be used; a sentence with the file and the line.
        GameDayError: the plan is for the lab, or names files outside its folder.
    """
    read = read_plan(plan)
    if read.cluster == "lab":
        raise GameDayError(
            f"{plan} is for the lab: name a plan with target.cluster in-cluster, whose place each "
            "cluster of the fleet takes."
        )
    found = Fleet(
        plan=read,
        text=read_bounded(plan).decode("utf-8-sig"),
        claims=_beside(read, plan),
        clusters=_clusters(clusters, read.namespaces),
        per_pod=per_pod,
    )
    for one in found.clusters:
        # As it will be read in the pod, so that no pod has to say it.
        shard_document(read.document, one.as_json(per_pod), 0, read.folder)
    return found


def _beside(plan: Plan, file: Path) -> dict[str, str]:
    """The files that a plan names, by how it names them."""
    document = plan.document
    named = [
        *document.get("experiments", ()),
        *(o["claim"] for o in document["detectors"] if "claim" in o),
    ]
    for one in named:
        if Path(one).is_absolute() or ".." in Path(one).parts:
            raise GameDayError(
                f"{file} names {short(one, 200)}, which is not beside it: pods get the plan's own "
                "folder only, so put the file there."
            )
    return {one: read_bounded(plan.folder / one).decode("utf-8-sig") for one in sorted(set(named))}


def _clusters(file: Path, usual: tuple[str, ...]) -> tuple[Cluster, ...]:
    data = read_bounded(file, MAX_BYTES)
    if len(data) > MAX_BYTES:
        raise GameDayError(
            f"{file} has more than {MAX_BYTES // 1_000_000} MB: leave out what the plan says."
        )
    documents = parse(data, str(file), as_json=file.suffix == ".json")
    text = Text(data.decode("utf-8-sig"), str(file))
    if len(documents) != 1:
        text.refuse((), "it is not one document; write one list of clusters")
    if (wrong := breach(documents[0].value, clusters_schema())) is not None:
        text.refuse(*wrong)
    found: dict[str, Cluster] = {}
    for number, one in enumerate(documents[0].value["clusters"]):
        path, name = ("clusters", number), one["name"]
        if name in found:
            text.refuse(path, f"two clusters are called {name}; keep one")
        if one.get("context", name) in ("lab", "in-cluster"):
            text.refuse(
                path, "a pod of the fleet reaches it by a kube context; name that as context"
            )
        for key in one.get("env", {}):
            if key in _OURS:
                text.refuse((*path, "env", key), "each pod sets it by itself; leave it out")
            if key.endswith(_SECRET):
                text.refuse(
                    (*path, "env", key),
                    "a secret would stand in a ConfigMap; put it into the Secret and write "
                    f"{key}_FILE with /access/KEY, where there is such a variable",
                )
        found[name] = Cluster(
            *(name, one.get("context", name), one.get("secret", f"kubeconfig-{name}")),
            namespaces=tuple(one.get("namespaces", usual)),
            uid=one.get("uid", ""),
            env=dict(one.get("env", {})),
        )
    return tuple(found.values())


def shard_document(
    plan: Mapping[str, Any], cluster: Mapping[str, Any], index: int, folder: Path
) -> dict[str, Any]:
    """The plan of one shard.

    Args:
        plan: document of the fleet's plan.
        cluster: as `Cluster.as_json`.
        index: of the shard within the cluster, from 0.
        folder: where the plan's files are.

    Returns:
        A plan's document that names its files by their whole paths.

    Raises:
        GameDayError: the cluster has no such shard.
    """
    each, names = int(cluster["per_pod"]), list(cluster["namespaces"])
    mine = names[index * each : (index + 1) * each] if index >= 0 else []
    if not mine:
        raise GameDayError(
            f"Cluster {cluster['name']} has {-(-len(names) // each)} shards, from 0, and none with "
            f"the index {index}: render the manifests again."
        )
    whole = folder.absolute()
    target: dict[str, Any] = {"cluster": cluster["context"], "namespaces": mine}
    # Where other shards may be at work, and alerts are about their mistakes.
    if beside := _beside_shard(plan, names, mine):
        target["beside"] = beside
    made = {**plan, "target": target}
    made["detectors"] = [
        {**one, "claim": str(whole / one["claim"])} if "claim" in one else one
        for one in plan["detectors"]
    ]
    if "experiments" in plan:
        made["experiments"] = [str(whole / one) for one in plan["experiments"]]
    return made


def _beside_shard(plan: Mapping[str, Any], names: list[str], mine: list[str]) -> list[str]:
    every = dict.fromkeys([*names, *plan["target"].get("beside", ())])
    return [one for one in every if one not in mine][:_MOST_BESIDE]


# ---------------------------------------------------------------------- names and limits


def name_of(*parts: str, longest: int = 63) -> str:
    """A name of an object; one that is too long is cut, and told apart by a hash of the whole.

    Args:
        parts: each fit for a name.
        longest: characters.
    """
    whole = "-".join(part for part in parts if part)
    if len(whole) <= longest:
        return whole
    return f"{whole[: longest - 9].rstrip('-.')}-{sha256(whole.encode()).hexdigest()[:8]}"


def require_fit(fleet: Fleet, engine: str) -> None:
    """Refuse a fleet that Kubernetes or Argo would not take.

    Args:
        fleet: which one.
        engine: "jobs" or "argo".

    Raises:
        GameDayError: one sentence, with what fits.
    """
    if engine == "argo" and fleet.shards > MOST_WORKFLOW_PODS:
        most = _fitting(fleet)
        fits = (
            f"--per-pod {most} makes few enough"
            if most
            else "split the clusters into several files"
        )
        raise GameDayError(
            "One workflow keeps the states of all its pods in one object of 1 MiB, enough for "
            f"about {MOST_WORKFLOW_PODS:,}, and this fleet has {fleet.shards:,}: {fits}, or take "
            "--engine jobs."
        )
    largest = max(fleet.clusters, key=lambda one: one.shards(fleet.per_pod))
    if largest.shards(fleet.per_pod) > MOST_SHARDS:
        raise GameDayError(
            f"An Indexed Job has at most {MOST_SHARDS:,} pods, and cluster {largest.name} would "
            f"have {largest.shards(fleet.per_pod):,}: raise --per-pod."
        )


def _fitting(fleet: Fleet) -> int:
    """The fewest namespaces in a pod with which a workflow is small enough; 0 for none."""
    top = max(len(one.namespaces) for one in fleet.clusters)
    return next(
        (
            each
            for each in range(fleet.per_pod, top + 1)
            if sum(one.shards(each) for one in fleet.clusters) <= MOST_WORKFLOW_PODS
        ),
        0,
    )
