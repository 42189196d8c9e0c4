"""Others who write policies: a GitOps controller, a person, another team.

Each is a coroutine over a ``Stage``; it is cancelled when its order ends. What actors wrote stays
written, as it does when people wrote it.
"""

import asyncio
from collections.abc import Awaitable, Callable
from copy import deepcopy
from typing import Any

from acns_chaos.lab.api.failures import Failure, Json
from acns_chaos.lab.api.kinds.resources import BY_KIND
from acns_chaos.lab.api.writing.writes import Target
from acns_chaos.lab.misbehave.orders import Misused
from acns_chaos.lab.misbehave.stage import Cluster, Stage, document, target_of
from acns_chaos.lab.misbehave.table import Entry, Table

_EDITOR = "kubectl-edit"
_MANAGERS = {"flux": "kustomize-controller", "argocd": "argocd-controller"}
_TEAM = "other-team"
_TEAM_MANAGER = "helm"
_KINDS = {"ccnp": "CiliumClusterwideNetworkPolicy", "netpol": "NetworkPolicy"}

Options = Any
Act = Callable[[Stage, Options], Awaitable[None]]


class _Enough(Exception):
    """The actor has struck as often as it should."""


def begin(entry: Entry, table: Table, cluster: Cluster) -> None:
    """Set an actor to work.

    Args:
        entry: of the order; it ends when the actor has nothing left to do.
        table: where the entry is.
        cluster: where the actor acts.

    Raises:
        Misused: it cannot act: no such policy, or a patch that the API refuses.
    """
    kind, options = entry.order.kind.name, entry.order.options
    target = _team_target(cluster, options) if kind == "other-team" else None
    target = target or target_of(cluster.store, options["policy"])
    manager = _EDITOR
    if kind == "gitops":
        manager = _MANAGERS[options["flavour"]]
    elif kind == "other-team":
        manager = _TEAM_MANAGER

    def strike(note: str) -> None:
        if not entry.ended:
            table.strike(entry, note)
            if entry.ended:
                raise _Enough

    stage = Stage(cluster, target, manager, strike)
    try:
        _rehearse(kind, stage, options)
    except Failure as failure:
        stage.close()
        raise Misused(f"The API refuses that: {failure}") from None
    task = asyncio.create_task(_run(_ACTS[kind], stage, entry, table))

    def stop() -> None:
        # With its last strike an actor ends its own order: `_Enough` stops it then.
        if task is not asyncio.current_task():
            task.cancel()

    entry.undo = stop


async def _run(act: Act, stage: Stage, entry: Entry, table: Table) -> None:
    try:
        await act(stage, entry.order.options)
    except Failure as failure:
        entry.note(f"the API refused it: {failure}")
    except _Enough:
        pass
    finally:
        stage.close()
        table.end(entry, "it has done what it wanted")


def _rehearse(kind: str, stage: Stage, options: Options) -> None:
    if kind == "gitops":
        stage.apply(_owned(stage, options["flavour"]), counted=False)
    elif kind in ("person", "flapping"):
        stage.edit(_patch(stage, options), dry_run=True)


# ------------------------------------------------------------------ GitOps

_MARKS = ("kustomize.toolkit.fluxcd.io/", "argocd.argoproj.io/")


def _owned(stage: Stage, flavour: str) -> Json:
    """The live policy as it lies in the repository, with the marks of its owner."""
    policy = document(stage.target, stage.live() or {})
    metadata, target = policy["metadata"], stage.target
    if flavour == "flux":
        metadata.setdefault("labels", {}).update(
            {
                "kustomize.toolkit.fluxcd.io/name": "apps",
                "kustomize.toolkit.fluxcd.io/namespace": "flux-system",
            }
        )
    else:
        resource = target.resource
        where = f"{resource.group}/{resource.kind}:{target.namespace or ''}/{target.name}"
        metadata.setdefault("annotations", {})["argocd.argoproj.io/tracking-id"] = f"apps:{where}"
    return policy


async def _gitops(stage: Stage, options: Options) -> None:
    wanted = document(stage.target, stage.live() or {})
    try:
        while True:
            await stage.changed()
            await asyncio.sleep(options["after"])
            stage.apply(deepcopy(wanted))
    finally:
        # Nobody reconciles it any more, so nothing may say that somebody does.
        if steps := _unmarked(stage.live(), _MANAGERS[options["flavour"]]):
            stage.edit(steps, counted=False)


def _unmarked(policy: Json | None, manager: str) -> list[Json]:
    """Steps that take the marks of an owner off, its name among the field managers too."""
    metadata: Json = (policy or {}).get("metadata", {})
    steps: list[Json] = []
    for part in ("labels", "annotations"):
        values = metadata.get(part) or {}
        kept = {key: value for key, value in values.items() if not key.startswith(_MARKS)}
        if values and not kept:
            steps.append({"op": "remove", "path": f"/metadata/{part}"})
        elif kept != values:
            steps.append({"op": "replace", "path": f"/metadata/{part}", "value": kept})
    owners = metadata.get("managedFields") or []
    others = [one for one in owners if one["manager"] != manager]
    if others and others != owners:
        steps.append({"op": "replace", "path": "/metadata/managedFields", "value": others})
    return steps


# ------------------------------------------------------------------ people


def _patch(stage: Stage, options: Options) -> list[Json]:
    if options["set"] is not None:
        given: list[Json] = options["set"]
        return given
    if stage.target.resource.custom:
        # It changes what the object says and nothing that is enforced.
        return [{"op": "add", "path": "/spec/description", "value": "edited by hand"}]
    labels = (stage.live() or {})["metadata"].get("labels") or {}
    value = {**labels, "edited": "by-hand"}
    return [{"op": "add", "path": "/metadata/labels", "value": value}]


async def _wait(stage: Stage, options: Options) -> None:
    if options.get("start") == "changed":
        await stage.changed()
    await asyncio.sleep(options["after"])


async def _person(stage: Stage, options: Options) -> None:
    await _wait(stage, options)
    stage.edit(_patch(stage, options))


async def _deletion(stage: Stage, options: Options) -> None:
    await _wait(stage, options)
    stage.delete()


async def _flapping(stage: Stage, options: Options) -> None:
    before = stage.live() or {}
    there = _patch(stage, options)
    key = "spec" if "spec" in before else "specs"
    back: list[Json] = [{"op": "replace", "path": f"/{key}", "value": before[key]}]
    if not stage.target.resource.custom:
        labels = before["metadata"].get("labels") or {}
        back.append({"op": "add", "path": "/metadata/labels", "value": labels})
    try:
        while True:
            for patch in (there, back):
                await asyncio.sleep(options["every"])
                stage.edit(patch)
    finally:
        if stage.live() is not None:
            stage.edit(back)


# ------------------------------------------------------------------ another team


def _team_target(cluster: Cluster, options: Options) -> Target:
    resource = BY_KIND[_KINDS[options["policy_kind"]]]
    namespace = options["namespace"] if resource.namespaced else None
    if namespace and cluster.store.find("Namespace", None, namespace) is None:
        raise Misused(f"There is no namespace {namespace!r}.")
    if cluster.store.find(resource.kind, namespace, _TEAM):
        raise Misused(f"The policy {_TEAM!r} is there already: delete it first.")
    return Target(resource, namespace, _TEAM)


async def _other_team(stage: Stage, options: Options) -> None:
    await asyncio.sleep(options["after"])
    target = stage.target
    policy = document(target, {"metadata": {}})
    if target.namespace:
        policy["spec"] = {
            "podSelector": {},
            "policyTypes": ["Ingress"],
            "ingress": [{"from": [{"podSelector": {}}]}],
        }
    else:
        policy["spec"] = {
            "description": "guard-rails of the platform team",
            "endpointSelector": {"matchExpressions": [_NOT_SYSTEM]},
            "ingressDeny": [{"fromEntities": ["world"], "toPorts": [_TELNET]}],
        }
    stage.create(policy)


_NOT_SYSTEM = {
    "key": "k8s:io.kubernetes.pod.namespace",
    "operator": "NotIn",
    "values": ["kube-system"],
}
_TELNET = {"ports": [{"port": "23", "protocol": "TCP"}]}

_ACTS: dict[str, Act] = {
    "gitops": _gitops,
    "person": _person,
    "deletion": _deletion,
    "other-team": _other_team,
    "flapping": _flapping,
}
