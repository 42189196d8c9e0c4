"""What the fields of a policy mean, in a sentence each: `kubectl explain` shows them.

Text only. Fields that are not listed here are described by their type alone.
"""

from collections.abc import Mapping

from acns_chaos.lab.api.failures import Json

_OBJECT = {
    "apiVersion": "Group and version of the kind.",
    "kind": "Name of the kind.",
    "metadata": "What every object has: name, labels, annotations, version.",
}
_PEERS = {
    "Endpoints": "Pods by their labels; without a namespace label, those of the policy's own.",
    "Entities": "Well-known peers by name, such as world, cluster or host.",
    "CIDR": "Address ranges outside the cluster. Pods are never selected by address.",
    "CIDRSet": "Address ranges with exceptions, or the name of a CIDR group.",
    "Groups": "Peers that a cloud provider's groups resolve to.",
    "Nodes": "Nodes by their labels, where node selection is switched on.",
    "Requires": "No longer supported; must be empty.",
    "Services": "Kubernetes services whose backends are meant.",
}


def _section(side: str, *, deny: bool) -> dict[str, str]:
    """The texts of the items of one section, by name of the member."""
    verb = "denied" if deny else "allowed"
    found = {f"{side}{name}": text for name, text in _PEERS.items()}
    found["toPorts"] = f"Ports that are {verb}; without it, all. They are the container's ports."
    found["icmps"] = f"ICMP types that are {verb}."
    if not deny:
        found["authentication"] = "Whether peers must authenticate each other."
        found["toPorts.rules"] = "What is allowed on these ports, seen at layer 7."
        found["toPorts.rules.dns"] = "Names that may be looked up; port 53 only."
        found["toPorts.rules.http"] = "HTTP requests that are allowed."
        if side == "to":
            found["toFQDNs"] = (
                "Names whose addresses are allowed. They are learnt from lookups that pass the "
                "DNS proxy, so a dns rule is needed next to it."
            )
    return found


_ALLOWED = (
    "What may {}. With an item that selects nothing it denies everything else; as an empty list "
    "it has no effect."
)
_SECTIONS = {
    "ingress": (
        "from",
        _ALLOWED.format("come in"),
    ),
    "egress": (
        "to",
        _ALLOWED.format("go out"),
    ),
    "ingressDeny": ("from", "What must not come in, whatever another policy allows."),
    "egressDeny": ("to", "What must not go out, whatever another policy allows."),
}


def _rule() -> dict[str, str]:
    found = {
        "description": "Free text for people.",
        "enableDefaultDeny": "Whether selecting a pod also denies what no rule allows.",
        "enableDefaultDeny.ingress": "For what comes in.",
        "enableDefaultDeny.egress": "For what goes out.",
        "endpointSelector": "The pods that the policy is for; an empty selector means all.",
        "nodeSelector": "The nodes that a clusterwide policy is for.",
        "labels": "Labels of the rule itself, for tools.",
        "log": "A note that flows decided by this rule carry.",
    }
    for section, (side, text) in _SECTIONS.items():
        found[section] = text
        members = _section(side, deny=section.endswith("Deny"))
        found |= {f"{section}.{name}": words for name, words in members.items()}
    return found


def _policy() -> dict[str, str]:
    rule = _rule()
    return {
        **_OBJECT,
        "spec": "One rule.",
        "specs": "Several rules in one object.",
        "status": "What the operator found: whether the policy can be read.",
        **{f"{place}.{name}": text for place in ("spec", "specs") for name, text in rule.items()},
    }


_TEXT: Mapping[str, Mapping[str, str]] = {
    "CiliumNetworkPolicy": {
        "": "Who may talk to the selected pods of a namespace, and to whom they may talk.",
        **_policy(),
    },
    "CiliumClusterwideNetworkPolicy": {
        "": "Who may talk to the selected pods of all namespaces, or to nodes.",
        **_policy(),
    },
    "CiliumEndpoint": {
        "": "A pod as the Cilium agent of its node sees it.",
        **_OBJECT,
        "status": "Identity, addresses and state of the endpoint.",
    },
    "CronJob": {
        "": "Jobs that are made by the clock. Nobody makes them in the lab.",
        **_OBJECT,
        "spec": "When, and what.",
        "spec.schedule": "Five fields as in cron: minute, hour, day, month, day of the week.",
        "spec.timeZone": "In which the schedule is meant; without it, the controller's own.",
        "spec.concurrencyPolicy": "What happens while the last one still runs.",
        "spec.startingDeadlineSeconds": "How late one may start before it is left out.",
        "spec.jobTemplate": "What each Job is made of.",
        "status": "When one was made, and which run.",
    },
    "Job": {
        "": "A pod that is to end with success. Nobody runs it in the lab.",
        **_OBJECT,
        "spec": "What runs, how often and for how long.",
        "spec.backoffLimit": "How often it is tried again.",
        "spec.activeDeadlineSeconds": "After which it is ended, whatever it does.",
        "spec.template": "What its pods are made of.",
        "status": "How it went.",
    },
    "PersistentVolumeClaim": {
        "": "Room on a disk that is asked for. Nobody makes volumes in the lab: it stays Pending.",
        **_OBJECT,
        "spec": "How much, and of which kind.",
        "spec.accessModes": "From how many nodes it is used at once.",
        "spec.resources": "How much, as requests.storage.",
        "spec.storageClassName": "Of which class; without it, the cluster's default.",
        "status": "Whether a volume was found.",
    },
    "NetworkPolicy": {
        "": "Who may talk to the selected pods of a namespace, and to whom they may talk.",
        **_OBJECT,
        "spec": "The rules.",
        "spec.podSelector": "The pods that the policy is for; an empty selector means all.",
        "spec.ingress": "What may come in; an empty list allows nothing.",
        "spec.ingress.from": "Peers; without it, everybody.",
        "spec.ingress.ports": "Ports; without it, all.",
        "spec.egress": "What may go out; an empty list allows nothing.",
        "spec.egress.to": "Peers; without it, everybody.",
        "spec.egress.ports": "Ports; without it, all.",
        "spec.policyTypes": "The directions that the policy is about.",
    },
}


def describe(kind: str, schema: Json, path: str = "") -> None:
    """Put the texts of a kind into its schema.

    Args:
        kind: of the object.
        schema: in the form of OpenAPI; it is changed.
        path: where in the object the schema belongs; lists add nothing to it.
    """
    texts = _TEXT.get(kind, _OBJECT)
    if path in texts:
        schema["description"] = texts[path]
    for name, member in schema.get("properties", {}).items():
        describe(kind, member, f"{path}.{name}" if path else name)
    if "items" in schema:
        for name, member in schema["items"].get("properties", {}).items():
            describe(kind, member, f"{path}.{name}")
