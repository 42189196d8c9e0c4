"""Checks of Hubble's relay: there, reachable, trusted, with every node behind it."""

from collections.abc import Iterator

from acns_chaos.cluster.hubble import HubbleError, open_relay
from acns_chaos.cluster.hubble.credentials import read_certificates
from acns_chaos.evidence.doctor.finding import (
    MISSING,
    OK,
    WARN,
    Check,
    Context,
    Finding,
)

__all__ = ["CHECKS"]

_PODS = "kubectl -n kube-system get pods -l k8s-app=hubble-relay"
_MEND = {
    "relay-absent": "az aks update -g GROUP -n CLUSTER --enable-acns (or `cilium hubble enable`)",
    "relay-down": "kubectl -n kube-system rollout restart deployment hubble-relay",
    "no-permission": "kubectl apply -f deploy/rbac/look.yaml, and bind its roles to this account",
    "no-certificates": "kubectl -n kube-system get secrets (hubble-relay-client-certs is wanted)",
    "certificate-expired": "renew kube-system/hubble-relay-client-certs (`cilium upgrade`; on AKS "
    "an upgrade of the cluster does it)",
    "tls-off": "cilium upgrade --set hubble.tls.enabled=true --set hubble.relay.tls.server.enabled"
    "=true",
    "unreachable": _PODS,
}
# Days before a certificate's end from which on it is worth a word.
SOON = 14


def relay(context: Context) -> Iterator[Finding]:
    """Can the relay be asked, and are all nodes behind it?"""
    try:
        with open_relay(context.api, context.environ) as opened:
            status = opened.status()
    except HubbleError as error:
        yield Finding(MISSING, "Hubble relay", str(error), _MEND.get(error.cause, _PODS))
        return
    many = f"{status.nodes_connected} node(s) connected"
    if status.nodes_unavailable or not status.nodes_connected:
        names = ", ".join(status.nodes_unavailable) or "every node"
        text = f"{many}, without {names}: no flow of theirs is seen, so no drop can be ruled out"
        mend = "kubectl -n kube-system get pods -l k8s-app=cilium -o wide"
        level = WARN if status.nodes_connected else MISSING
        yield Finding(level, "Hubble relay", text, mend)
        return
    yield Finding(OK, "Hubble relay", f"{many}, {status.flows:,} flows held ({status.version})")


def certificates(context: Context) -> Iterator[Finding]:
    """How long do the client's certificates last?"""
    what = "certificates"
    try:
        not_after = read_certificates(context.api, "kube-system").not_after
    except HubbleError as error:
        yield Finding(MISSING, what, str(error), _MEND.get(error.cause, _PODS))
        return
    days = (not_after - context.api.now()).days
    text = f"those for Hubble relay last until {not_after:%Y-%m-%d} ({days} days)"
    if days < SOON:
        yield Finding(WARN, what, text, _MEND["certificate-expired"])
        return
    yield Finding(OK, what, text)


CHECKS: tuple[tuple[str, Check], ...] = (
    ("Hubble relay", relay),
    ("certificates", certificates),
)
