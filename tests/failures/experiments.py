"""Experiments that inject and restore and do nothing else: one for each distinct kind of fault."""

import json
from copy import deepcopy
from pathlib import Path
from typing import Any

__all__ = [
    "DEADLINE",
    "DEADLINES",
    "EDITABLE",
    "KINDS",
    "MORE",
    "experiment",
    "flagship",
    "short_flagship",
]

ROOT = Path(__file__).parents[2]
# Seconds a fault may stand; more where a run looks at it for a while, or waits for pods.
DEADLINE = 3
FLAGSHIP_DEADLINE = 12
DEADLINES = {"prober": 9, "restart": 6, "flagship": FLAGSHIP_DEADLINE}
POLICY = "allow-store-front-traffic"
_CILIUM = "cilium.io/v2"
# The subject of what is created: one workload of one namespace.
_STOREFRONT = {"matchLabels": {"app": "store-front"}}
_NO_CUSTOMERS = {"fromEntities": ["world"]}


def _created(kind: str, name: str, **where: str) -> dict[str, Any]:
    subject = deepcopy(_STOREFRONT)
    if not where:
        subject["matchLabels"]["k8s:io.kubernetes.pod.namespace"] = "pets"
    return {
        "apiVersion": _CILIUM,
        "kind": kind,
        "metadata": {"name": name, **where},
        "spec": {"endpointSelector": subject, "ingressDeny": [_NO_CUSTOMERS]},
    }


def _two_documents() -> list[dict[str, Any]]:
    """One that changes a live policy and one that is created."""
    changed = {
        "apiVersion": _CILIUM,
        "kind": "CiliumNetworkPolicy",
        "metadata": {"name": POLICY, "namespace": "pets"},
        "spec": {"endpointSelector": _STOREFRONT, "ingress": [{"fromEndpoints": []}]},
    }
    return [changed, _created("CiliumNetworkPolicy", "no-customers", namespace="pets")]


def _large() -> dict[str, Any]:
    """One whose record does not fit into one ConfigMap."""
    made = _created("CiliumNetworkPolicy", "no-customers-at-length", namespace="pets")
    made["spec"]["description"] = "No customers. " * 70_000
    return made


KINDS: dict[str, dict[str, Any]] = {
    "modify": {"policy": POLICY, "operator": "ingress-from-nobody"},
    "delete": {"policy": POLICY, "operator": "object-deleted"},
    "create": {
        "document": _created("CiliumNetworkPolicy", "no-customers", namespace="pets"),
        "create": True,
    },
    "moved": {"policy": POLICY, "operator": "namespace-forgotten"},
    "two-documents": {"policy_file": _two_documents(), "create": True},
    "clusterwide": {
        "document": _created("CiliumClusterwideNetworkPolicy", "no-customers-anywhere"),
        "kind": "CiliumClusterwideNetworkPolicy",
        "create": True,
        "limit": ["pets/store-front"],
    },
    "invalid": {"policy": POLICY, "operator": "all-sections-emptied", "ignored": True},
    "large": {"document": _large(), "create": True},
}
"""Arguments of `inject_fault`; a `policy_file` is given as what stands in it."""

# Played like the kinds of fault, and made of more than one action.
MORE = ("prober", "flapping", "restart")
FLAPS = 2
"""How often the same fault is made and restored by a policy that flaps."""

EDITABLE = {
    "modify": f"pets/{POLICY}",
    "create": "pets/no-customers",
    "two-documents": f"pets/{POLICY}",
    "clusterwide": "no-customers-anywhere",
    "invalid": f"pets/{POLICY}",
}
"""The faulty policy that a person may edit meanwhile; where one is deleted there is none."""


def experiment(kind: str, folder: Path) -> dict[str, Any]:
    """Inject and restore, with the guard, and nothing more.

    Args:
        kind: of `KINDS` or `MORE`.
        folder: where a file of policies is written.
    """
    if kind in MORE:
        return _with(*_MORE[kind](), DEADLINES.get(kind, DEADLINE))
    arguments = deepcopy(KINDS[kind])
    if "policy_file" in arguments:
        file = folder / f"{kind}.json"
        # JSON is YAML, and `---` parts the documents.
        file.write_text("\n---\n".join(json.dumps(one) for one in arguments["policy_file"]))
        arguments["policy_file"] = str(file)
    return _with(f"Inject and restore: {kind}", [_inject(arguments), _restore()])


def _with(title: str, method: list[dict[str, Any]], deadline: int = DEADLINE) -> dict[str, Any]:
    return {
        "title": title,
        "description": "Made by the kill matrix.",
        "configuration": {
            "namespace": "pets",
            "storefront_service": "store-front",
            "fault_deadline": deadline,
        },
        "controls": [_control("guard"), _control("lab")],
        "runtime": {"rollbacks": {"strategy": "always"}},
        "method": method,
        "rollbacks": [_restore("restore again")],
    }


def _inject(arguments: dict[str, Any], name: str = "inject") -> dict[str, Any]:
    return _action(name, "inject_fault", {**arguments, "timeout": 2})


def _restore(name: str = "restore", timeout: float = 2) -> dict[str, Any]:
    return _action(name, "restore_policies", {"timeout": timeout})


def _prober() -> tuple[str, list[dict[str, Any]]]:
    """A fault, and a claim that asks from a pod of our own; the pod goes last."""
    asks = {"workload": "product-service", "service": "rabbitmq", "port": 5672, "prober": True}
    provider = {"type": "python", "module": "acns_chaos.probes", "func": "read_connection"}
    probe = {
        "type": "probe",
        "name": "ask from a prober",
        "provider": {**provider, "arguments": {**asks, "evidence_timeout": 0}},
    }
    return "Ask from a prober", [_inject(KINDS["modify"]), probe, _restore()]


def _flapping() -> tuple[str, list[dict[str, Any]]]:
    """The same fault again and again: each time a record of its own."""
    method = []
    for number in range(1, FLAPS + 1):
        method += [_inject(KINDS["modify"], f"inject {number}"), _restore(f"restore {number}")]
    return "Flap", method


def _restart() -> tuple[str, list[dict[str, Any]]]:
    """A workload that cannot look a name up is restarted: its pods wait for the restore."""
    lost = {"policy": "allow-order-service-traffic", "operator": "rule-removed@spec.egress[1]"}
    restart = _action("restart", "restart_pods", {"workload": "order-service", "timeout": 5})
    return "Restart", [_inject(lost), restart, _restore(timeout=0)]


_MORE = {"prober": _prober, "flapping": _flapping, "restart": _restart}


def flagship() -> dict[str, Any]:
    """The shipped experiment, with a deadline that it keeps and the tests can wait for."""
    found = json.loads((ROOT / "experiments/storefront-ingress.json").read_text("utf-8"))
    found["configuration"]["fault_deadline"] = FLAGSHIP_DEADLINE
    return dict(found)


def short_flagship() -> dict[str, Any]:
    """The least that can be HELD: two claims, two witnesses, one detector.

    Without the timeline and Hubble, whose requests come at no settled place.
    """
    found = flagship()
    hypothesis = found["steady-state-hypothesis"]
    hypothesis["probes"] = [one for one in hypothesis["probes"] if one["name"] in _CLAIMS]
    found["method"] = [one for one in found["method"] if one["name"] not in _SPARED]
    found["controls"] = [one for one in found["controls"] if one["name"] != "timeline"]
    for extension in found["extensions"]:
        extension.pop("explanations", None)
        extension["witnesses"] = list(_WITNESSES)
    assert len(hypothesis["probes"]) == len(_CLAIMS)
    return found


_CLAIMS = ("customers reach the shop", "policies are as recorded")
_WITNESSES = ("customers are cut off", "drops are counted at the storefront's pods")
_SPARED = (
    "Hubble sees customers' packets dropped at the storefront",
    "the storefront's pods stay Ready all the while",
    "Hubble names the culprit",
    "the policy to blame is named",
)


def _control(name: str) -> dict[str, Any]:
    return {"name": name, "provider": {"type": "python", "module": f"acns_chaos.controls.{name}"}}


def _action(name: str, function: str, arguments: dict[str, Any]) -> dict[str, Any]:
    provider = {"type": "python", "module": "acns_chaos.actions", "func": function}
    return {"type": "action", "name": name, "provider": {**provider, "arguments": arguments}}
