"""What each tier asks the API server for, and whether an account may.

The table below is the only list: `deploy/rbac/` grants it, docs/permissions.md prints it, and tests
hold both, and what runs really ask for, against it. A run that changes something asks about all of
it first (SelfSubjectAccessReview), so that nothing is broken that could not be put back.
Belongs here: which permissions. Does not belong here: what is refused without them.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from typing import Any

from acns_chaos.cluster.allowed import ALLOWED
from acns_chaos.cluster.kube import Api
from acns_chaos.cluster.leases import LEASE
from acns_chaos.cluster.policies import KINDS, POD
from acns_chaos.cluster.stop import CENTRAL, STOP

__all__ = [
    "CLUSTERWIDE_LEASE",
    "JANITOR_LEASE",
    "NEEDS",
    "RESTARTED",
    "TIERS",
    "Need",
    "lacking",
    "missing",
    "needs_of_change",
    "needs_of_run",
    "table",
    "used",
]

TIERS = ("look", "experiment", "janitor", "clusterwide", "prober", "restart")
LOOK, EXPERIMENT, JANITOR, CLUSTERWIDE, PROBER, RESTART = TIERS
# What is done to a pod of somebody else's, in the place of "modify" and its like.
RESTARTED = "restart"
JANITOR_LEASE = "acns-chaos-janitor"
CLUSTERWIDE_LEASE = "acns-chaos-clusterwide"

# Where a permission is needed: the experiment's namespace, the whole cluster, or a named one.
HOME, EVERYWHERE, SYSTEM, DEFAULT = "NAMESPACE", "", "kube-system", "default"
_ADDRESSES = ("read_storefront", "read_order", "read_connection")
_FLOWS = ("read_flows", "relay_is_healthy", "explain_drops")
_EXEC = ("read_egress", "read_connection")
# No probe but a control; it insists on nothing.
_TIMELINE = ("timeline",)
_OF_NAMESPACE, _OF_JANITOR = f"{LEASE}.{HOME}", f"{JANITOR_LEASE}.{HOME}"


@dataclass(frozen=True, slots=True)
class Need:
    """Verbs on one resource, in one place, for one reason.

    Attributes:
        tier: one of TIERS: the file of deploy/rbac/ that grants it.
        where: HOME, EVERYWHERE, or the name of a namespace.
        group: API group, "" for the core.
        resource: plural, with its subresource.
        verbs: of RBAC.
        why: for the table.
        names: objects it is limited to; HOME in a name stands for the experiment's namespace.
        probes: only runs that call one of these need it; empty means every run of the tier.
        by_change: which of the verbs a fault needs depends on what it does (`needs_of_change`).
        elsewhere: a fault on another namespace needs it there, too.
        later: only newer servers ask for it; it is granted, and not insisted on.
    """

    tier: str
    where: str
    group: str
    resource: str
    verbs: tuple[str, ...]
    why: str
    names: tuple[str, ...] = ()
    probes: tuple[str, ...] = ()
    by_change: bool = False
    elsewhere: bool = False
    later: bool = False


# What a fault of a kind needs to be made, and to be put back whatever others do meanwhile.
_BY_CHANGE = {
    "modify": ("get", "update", "create"),
    "delete": ("get", "delete", "create", "update"),
    "create": ("get", "create", "delete"),
}
_WRITES = "get update create delete"


def _need(tier: str, where: str, resource: str, verbs: str, why: str, **more: Any) -> Need:
    """One row: the resource as `kubectl auth can-i` takes it, verbs between spaces."""
    plural, _, group = resource.partition(".")
    return Need(tier, where, group, plural, tuple(verbs.split()), why, **more)


_CNP, _NETPOL = "ciliumnetworkpolicies.cilium.io", "networkpolicies.networking.k8s.io"
_CCNP = "ciliumclusterwidenetworkpolicies.cilium.io"
_LEASES, _BACK = "leases.coordination.k8s.io", "make it wrong, and put it back"
_TELL = "tell whoever looks at the policy"

NEEDS: tuple[Need, ...] = (
    _need(LOOK, EVERYWHERE, _CNP, "list", "a verdict depends on every policy"),
    _need(LOOK, EVERYWHERE, _CCNP, "list", "a verdict depends on every policy"),
    _need(LOOK, EVERYWHERE, _NETPOL, "list", "a verdict depends on every policy"),
    # The control `timeline` does without where it is not granted, and says so.
    _need(LOOK, EVERYWHERE, _CNP, "watch", "see when one changes", probes=_TIMELINE),
    _need(LOOK, EVERYWHERE, _CCNP, "watch", "see when one changes", probes=_TIMELINE),
    _need(LOOK, EVERYWHERE, _NETPOL, "watch", "see when one changes", probes=_TIMELINE),
    _need(LOOK, EVERYWHERE, "namespaces", "get", "tell the cluster by kube-system's UID"),
    _need(LOOK, EVERYWHERE, "namespaces", "list", "selectors read their labels"),
    _need(LOOK, EVERYWHERE, "pods", "list", "who a policy selects; where to try; Cilium's version"),
    _need(LOOK, EVERYWHERE, "services", "list", "ports and names that policies mean"),
    _need(LOOK, HOME, "services", "get", "find the shop, or an address", probes=_ADDRESSES),
    _need(LOOK, HOME, "pods/exec", "get", "try a connection from inside a pod", probes=_EXEC),
    # The same WebSocket, as Kubernetes 1.35 judges it.
    _need(LOOK, HOME, "pods/exec", "create", "the same, from Kubernetes 1.35 on", later=True),
    _need(LOOK, HOME, "deployments.apps", "list", "is it Ready", probes=("read_readiness",)),
    _need(
        *(LOOK, SYSTEM, "secrets", "get", "certificates for Hubble relay"),
        names=("hubble-relay-client-certs",),
        probes=_FLOWS,
    ),
    _need(LOOK, SYSTEM, "pods/portforward", "get", "the way to Hubble relay", probes=_FLOWS),
    _need(
        *(LOOK, SYSTEM, "pods/portforward", "create", "the same, from Kubernetes 1.35 on"),
        later=True,
    ),
    _need(EXPERIMENT, HOME, _CNP, _WRITES, _BACK, by_change=True),
    _need(EXPERIMENT, HOME, _NETPOL, _WRITES, _BACK, by_change=True),
    _need(EXPERIMENT, HOME, "configmaps", "get", "opt-in, stop object, records", elsewhere=True),
    _need(EXPERIMENT, HOME, "configmaps", "list", "find what a dead run left"),
    _need(EXPERIMENT, HOME, "configmaps", "create", "write a record before anything is changed"),
    _need(
        EXPERIMENT, HOME, "configmaps", "update delete", "take a record's finalizer off, then it"
    ),
    _need(EXPERIMENT, HOME, "events", "create", _TELL, elsewhere=True),
    _need(EXPERIMENT, CENTRAL, "configmaps", "get", "did somebody stop all runs", names=(STOP,)),
    _need(
        *(EXPERIMENT, CENTRAL, _LEASES, "get update", "one run at a time; hashes of its records"),
        names=(_OF_NAMESPACE,),
        elsewhere=True,
    ),
    _need(EXPERIMENT, CENTRAL, _LEASES, "get", "is a janitor there", names=(_OF_JANITOR,)),
    _need(JANITOR, HOME, _CNP, _WRITES, "put it back", by_change=True),
    _need(JANITOR, HOME, _NETPOL, _WRITES, "put it back", by_change=True),
    _need(JANITOR, HOME, "configmaps", "list get", "find and read records"),
    _need(JANITOR, HOME, "configmaps", "update delete", "take a record's finalizer off, then it"),
    _need(JANITOR, HOME, "events", "create", _TELL),
    _need(
        JANITOR, SYSTEM, "namespaces", "get", "restore no other cluster's record", names=(SYSTEM,)
    ),
    _need(
        *(JANITOR, CENTRAL, _LEASES, "get update", "believe records, strike them out; be seen"),
        names=(_OF_NAMESPACE, _OF_JANITOR),
    ),
    _need(CLUSTERWIDE, EVERYWHERE, _CCNP, _WRITES, _BACK, by_change=True),
    _need(CLUSTERWIDE, DEFAULT, "events", "create", _TELL),
    _need(CLUSTERWIDE, CENTRAL, "configmaps", "get", "opt-in of the cluster", names=(ALLOWED,)),
    _need(
        *(CLUSTERWIDE, CENTRAL, _LEASES, "get update", "one cluster-wide fault at a time"),
        names=(CLUSTERWIDE_LEASE,),
    ),
    _need(PROBER, HOME, "pods", "get create delete", "ask for a workload without wget and nc"),
    _need(
        *(RESTART, HOME, "pods", "delete", "see what a pod meets that starts anew"),
        probes=("restart_pods",),
    ),
)


def needs_of_run(probes: Collection[str]) -> list[Need]:
    """What a run that injects something needs whatever its fault is.

    Args:
        probes: names of the functions of ours that it calls.
    """
    return [
        one
        for one in NEEDS
        if one.tier in (LOOK, EXPERIMENT, RESTART)
        and not (one.by_change or one.later)
        and (not one.probes or not set(one.probes).isdisjoint(probes))
    ]


def needs_of_change(kind: str, change: str, elsewhere: bool = False) -> list[Need]:
    """What changing a policy of a kind needs, its restore included.

    Args:
        kind: of the policy.
        change: "modify", "delete" or "create"; of a pod also RESTARTED.
        elsewhere: it lies in another namespace than the experiment's, or in none.
    """
    if kind == POD:
        tier = RESTART if change == RESTARTED else PROBER
        found = [one for one in NEEDS if one.tier == tier]
        return found + ([one for one in NEEDS if one.elsewhere] if elsewhere else [])
    _, plural, namespaced = KINDS[kind]
    tier = EXPERIMENT if namespaced else CLUSTERWIDE
    found = [one for one in NEEDS if one.tier == tier and one.by_change and one.resource == plural]
    needs = [replace(one, verbs=_BY_CHANGE[change]) for one in found]
    if not namespaced:
        needs += [one for one in NEEDS if one.tier == CLUSTERWIDE and not one.by_change]
    elif elsewhere:
        needs += [one for one in NEEDS if one.elsewhere]
    return needs


def missing(api: Api, needs: Iterable[Need], namespace: str) -> str:
    """Ask the server about each verb, and say what this account may not do.

    Args:
        api: the connection, with the credentials in question.
        needs: to ask about.
        namespace: the experiment's.

    Returns:
        One phrase that names each missing permission and the file that grants it, "" when none is.

    Raises:
        ApiError: the server does not tell.
    """
    by_tier: dict[str, list[str]] = {}
    for need in needs:
        for phrase in lacking(api, need, namespace):
            by_tier.setdefault(need.tier, []).append(phrase)
    return "; ".join(
        f"{', '.join(dict.fromkeys(phrases))} (deploy/rbac/{tier}.yaml)"
        for tier, phrases in by_tier.items()
    )


def lacking(api: Api, need: Need, namespace: str) -> list[str]:
    """Ask the server about each verb of one need.

    Args:
        api: the connection, with the credentials in question.
        need: what to ask about.
        namespace: the experiment's.

    Returns:
        One phrase for each verb that this account may not, such as "update leases in namespace x".

    Raises:
        ApiError: the server does not tell.
    """
    return [
        _phrase(need, verb, name, namespace)
        for verb in need.verbs
        for name in need.names or ("",)
        if not _may(api, need, verb, name.replace(HOME, namespace), namespace)
    ]


def _may(api: Api, need: Need, verb: str, name: str, namespace: str) -> bool:
    resource, _, subresource = need.resource.partition("/")
    attributes = {
        "verb": verb,
        "group": need.group,
        "resource": resource,
        "subresource": subresource,
        "namespace": need.where.replace(HOME, namespace),
        "name": name,
    }
    body = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": {key: text for key, text in attributes.items() if text}},
    }
    answer = api.post("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", body)
    return (answer.get("status") or {}).get("allowed") is True


def _phrase(need: Need, verb: str, name: str, namespace: str) -> str:
    group = f".{need.group}" if need.group else ""
    one = f" {name.replace(HOME, namespace)}" if name else ""
    place = need.where.replace(HOME, namespace)
    where = f"in namespace {place}" if place else "in all namespaces"
    return f"{verb} {need.resource}{group}{one} {where}"


def used(seen: Iterable[tuple[str, str, str]], namespace: str) -> list[dict[str, str]]:
    """Say which tier grants each request that was made.

    Args:
        seen: (verb, resource, namespace), as `Asked.seen` returns them.
        namespace: the experiment's.

    Returns:
        `tier`, `verb`, `resource`, `namespace`, and `name`, which is always ""; the tier is that
        of the first file of deploy/rbac/ which grants it, "" where none does, as for questions
        that every account may ask.
    """
    return [
        {
            "tier": _tier(verb, resource, place, namespace),
            "verb": verb,
            "resource": resource,
            "namespace": place,
            "name": "",
        }
        for verb, resource, place in seen
    ]


def _tier(verb: str, resource: str, place: str, namespace: str) -> str:
    for need in NEEDS:
        named = f"{need.resource}.{need.group}" if need.group else need.resource
        where = need.where.replace(HOME, namespace)
        # The experiment's roles are bound once in each namespace that a fault may lie in.
        here = where in (place, EVERYWHERE) or need.elsewhere
        if need.tier != JANITOR and named == resource and verb in need.verbs and here:
            return need.tier
    return ""


def table() -> str:
    """The permissions of every tier as a Markdown table."""
    lines = ["| tier | where | resource | verbs | why |", "|---|---|---|---|---|"]
    for one in NEEDS:
        where = {HOME: "the namespace", EVERYWHERE: "everywhere"}.get(one.where, f"`{one.where}`")
        group = f".{one.group}" if one.group else ""
        names = " ".join(f"`{name}`" for name in one.names)
        only = f" (only for {', '.join(f'`{name}`' for name in one.probes)})" if one.probes else ""
        resource = f"{one.resource}{group}{' ' if names else ''}{names}"
        cells = (one.tier, where, resource, " ".join(one.verbs), f"{one.why}{only}")
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"
