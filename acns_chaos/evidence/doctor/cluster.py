"""Checks of the cluster itself: which one it is, its versions, and whether a run may begin here."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version

from acns_chaos import __version__
from acns_chaos.cluster.allowed import ALLOWED, read_allowed
from acns_chaos.cluster.leases import Leases
from acns_chaos.cluster.permissions import JANITOR_LEASE
from acns_chaos.cluster.stop import CENTRAL, STOP, stopped
from acns_chaos.errors import NotFound, TargetRefused
from acns_chaos.evidence.doctor.finding import MISSING, OK, WARN, Check, Context, Finding

__all__ = ["CHECKS"]

# Policy semantics are those of the last one; the others differ in what policies seldom say.
CILIUM_KNOWN = ("1.17", "1.18", "1.19")
# Seconds; the server's header tells whole ones.
SKEW = 2.0
_TOOLS = ("chaostoolkit-lib", "chaostoolkit-kubernetes", "kubernetes")


def reached(context: Context) -> Iterator[Finding]:
    """Is the cluster there, and which one is it?"""
    if context.target is None:
        yield Finding(
            MISSING,
            "cluster",
            context.unreachable,
            "export ACNS_CHAOS_CLUSTER=CONTEXT (`kubectl config get-contexts -o name` lists them)",
        )
        return
    target = context.target
    kind = "the lab" if target.kind == "lab" else f"cluster {target.context}"
    if not target.uid:
        yield Finding(
            MISSING,
            "cluster",
            f"{kind} answers at {target.server}, but the UID of namespace kube-system cannot be "
            "read, without which no run changes anything",
            "kubectl apply -f deploy/rbac/look.yaml",
        )
        return
    yield Finding(OK, "cluster", f"{kind} at {target.server}, UID {target.uid}")


def versions(context: Context) -> Iterator[Finding]:
    """Which versions meet here?"""
    tools = ", ".join(f"{name} {_installed(name)}" for name in _TOOLS)
    ours = f"acns-chaos {__version__} with {tools}"
    if context.target is None:
        yield Finding(OK, "versions", ours)
        return
    cilium = context.target.cilium_version
    served = f"Kubernetes {context.target.kubernetes_version}, Cilium {cilium or '?'}; {ours}"
    if cilium.startswith(tuple(f"{known}." for known in CILIUM_KNOWN)):
        yield Finding(OK, "versions", served)
        return
    why = (
        f"what policies mean is known here for Cilium {', '.join(CILIUM_KNOWN)}"
        if cilium
        else "the version of Cilium cannot be read from the agents' image"
    )
    mend = "kubectl -n kube-system get pods -l k8s-app=cilium -o wide (look at the images)"
    yield Finding(WARN, "versions", f"{served}: {why}", mend)


def clock(context: Context) -> Iterator[Finding]:
    """Do the clocks agree, by which flows, counters and a run's own moments are compared?"""
    ahead = (context.api.now() - datetime.now(UTC)).total_seconds()
    if abs(ahead) > SKEW:
        way = "ahead of" if ahead > 0 else "behind"
        text = (
            f"the API server's clock is {abs(ahead):.0f} s {way} this machine's, by which moments "
            "of different witnesses are compared"
        )
        yield Finding(WARN, "clock", text, "timedatectl set-ntp true (on this machine)")
        return
    yield Finding(OK, "clock", "the API server's clock and this machine's agree to about a second")


def namespace(context: Context) -> Iterator[Finding]:
    """Is the namespace there, and has it opted in?"""
    name, api = context.namespace, context.api
    try:
        api.get(f"/api/v1/namespaces/{name}")
    except NotFound:
        there = ", ".join(
            sorted(str(one["metadata"]["name"]) for one in context.items("/api/v1/namespaces"))
        )
        text = f"namespace {name} does not exist: there are {there}"
        yield Finding(MISSING, "namespace", text, "acns-chaos doctor --namespace NAME")
        return
    if context.target is None:
        return
    try:
        allowed = read_allowed(api, replace(context.target, namespace=name))
    except TargetRefused as error:
        command = f"kubectl create configmap {ALLOWED} -n {name}"
        text = str(error)
        if "has not opted in" not in text:
            command = f"kubectl edit configmap {ALLOWED} -n {name}"
        yield Finding(MISSING, "namespace", text.partition(" with `")[0], command)
        return
    if why := allowed.refused_now(api.now()):
        yield Finding(WARN, "namespace", why, f"kubectl edit configmap {ALLOWED} -n {name}")
        return
    how = "a lab needs no consent" if context.in_lab else f"it has opted in ({ALLOWED})"
    yield Finding(OK, "namespace", f"{name} is there; {how}")


def stop(context: Context) -> Iterator[Finding]:
    """Has somebody told all runs to end?"""
    for place in dict.fromkeys((context.namespace, CENTRAL)):
        if why := stopped(context.api, (place,)):
            yield Finding(
                MISSING, "stop object", why, f"kubectl delete configmap {STOP} -n {place}"
            )
            return
    yield Finding(OK, "stop object", "nobody told the runs to stop")


def debts(context: Context) -> Iterator[Finding]:
    """Is a run at work, or has one left something broken?"""
    held = Leases(context.api, context.namespace).read()
    command = f"acns-chaos restore --list -n {context.namespace}"
    if held is None or (held.lapsed(context.api.now()) and not held.records):
        yield Finding(OK, "debts", "no run is at work, and none left anything to restore")
        return
    if not held.lapsed(context.api.now()):
        text = f"a run is at work: {held.holder}, with {len(held.records)} change(s) standing"
        yield Finding(WARN, "debts", text, command)
        return
    text = f"a run that is gone left {len(held.records)} change(s) standing: {held.holder or '?'}"
    mend = f"acns-chaos restore --all -n {context.namespace}"
    yield Finding(MISSING, "debts", text, mend)


def janitor(context: Context) -> Iterator[Finding]:
    """Does anybody restore when the machine of a run is gone?"""
    if context.in_lab:
        yield Finding(OK, "janitor", "a lab needs none")
        return
    held = Leases(context.api, context.namespace, JANITOR_LEASE).read()
    if held is not None and not held.lapsed(context.api.now()):
        yield Finding(OK, "janitor", f"seen at {held.renewed:%H:%M:%S} UTC")
        return
    text = (
        f"none was seen in namespace {context.namespace}: nobody restores when a run's machine is "
        "gone, and a run in a pod is refused"
    )
    # The image that the file names stands in no registry.
    mend = (
        "kubectl apply -f deploy/rbac/janitor.yaml -f deploy/janitor/janitor.yaml; where that was "
        "done, `kubectl -n acns-chaos get pods` shows whether its image is pulled: give it your "
        f"own build with `kubectl -n acns-chaos set image cronjob/{JANITOR_LEASE}-"
        f"{context.namespace} janitor=IMAGE`"
    )
    yield Finding(WARN, "janitor", text, mend)


def _installed(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "?"


CHECKS: tuple[tuple[str, Check], ...] = (
    ("cluster", reached),
    ("versions", versions),
    ("clock", clock),
    ("namespace", namespace),
    ("stop object", stop),
    ("debts", debts),
    ("janitor", janitor),
)
