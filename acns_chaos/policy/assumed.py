"""Pods that policies speak of, where nobody says which pods there are.

Belongs here: reading pods out of selectors, so that a folder of policies can be judged without a
cluster. Does not belong here: matching selectors, and real pods.

A pod is made for each way that policies select pods: the labels a selector asks for and no others.
Conditions that ask for the absence of a label are met by not having it.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from acns_chaos.policy.compile import SECTIONS, specs
from acns_chaos.policy.endpoints import (
    CLUSTER_KEY,
    METADATA_NAME,
    NAMESPACE_KEY,
    NAMESPACE_LABEL_PREFIX,
    SERVICE_ACCOUNT_KEY,
    Endpoint,
)
from acns_chaos.policy.model import EGRESS, INGRESS, ObjectRef
from acns_chaos.policy.networkpolicy import pods_of_namespace, pods_of_peer
from acns_chaos.policy.owners import APP_LABELS
from acns_chaos.policy.selectors import ANY, K8S, Requirement, parse, parse_native

__all__ = ["assumed_pods"]

# Of a condition "key in a|b|c": enough to see that the values differ.
_MOST_VALUES = 4
_ANY_VALUE = "any"

Raw = Mapping[str, Any]
Conditions = tuple[Requirement, ...]


def assumed_pods(
    policies: Iterable[Raw],
    namespaces: Mapping[str, Mapping[str, str]],
    known: Iterable[str] = (),
) -> tuple[Endpoint, ...]:
    """One pod for each set of labels that policies select, in namespaces without known pods.

    Args:
        policies: raw valid policy objects.
        namespaces: labels of the namespaces that are known.
        known: namespaces whose pods are known; nothing is assumed there.
    """
    selections = [one for policy in policies for one in _selections(policy)]
    labelled = {name: dict(labels) for name, labels in namespaces.items()}
    spoken_of = {namespace for namespace, _ in selections if namespace}
    for _, conditions in selections:
        for condition in conditions:
            if _is_namespace(condition) and condition.operator == "In":
                spoken_of |= condition.values
    for name in sorted(spoken_of):
        labelled.setdefault(name, {})
    closed = set(known)
    found: dict[frozenset[str], Endpoint] = {}
    taken: set[str] = set()
    for own, conditions in selections:
        for namespace in _namespaces_of(own, conditions, labelled):
            if namespace in closed:
                continue
            for pod in _pods(namespace, conditions, labelled.get(namespace, {}), taken):
                if pod.labels not in found:
                    found[pod.labels] = pod
                    taken.add(pod.name)
    return tuple(sorted(found.values(), key=lambda pod: pod.name))


def _selections(policy: Raw) -> Iterator[tuple[str, Conditions]]:
    """Every selector of pods: (the namespace it is limited to unless it says more, conditions)."""
    ref = ObjectRef.of(policy)
    if ref.kind == "NetworkPolicy":
        yield from _native(policy.get("spec") or {}, ref.namespace)
        return
    for _, spec in specs(policy):
        if spec.get("nodeSelector") is None:
            conditions = parse(spec.get("endpointSelector"))
            yield ref.namespace, tuple(c for c in conditions if not _is_namespace(c))
        for section in SECTIONS:
            for item in spec.get(section) or ():
                for raw in (*(item.get("fromEndpoints") or ()), *(item.get("toEndpoints") or ())):
                    yield ref.namespace, parse(raw)


def _native(spec: Raw, namespace: str) -> Iterator[tuple[str, Conditions]]:
    yield namespace, pods_of_namespace(spec.get("podSelector"))
    for direction, field in ((INGRESS, "from"), (EGRESS, "to")):
        for rule in spec.get(direction) or ():
            for peer in rule.get(field) or ():
                pods = pods_of_peer(peer)
                if peer.get("namespaceSelector") is None:
                    yield namespace, pods
                else:
                    yield (
                        "",
                        pods
                        + tuple(
                            Requirement(K8S, NAMESPACE_LABEL_PREFIX + c.key, c.operator, c.values)
                            for c in parse_native(peer["namespaceSelector"])
                        ),
                    )


def _is_namespace(condition: Requirement) -> bool:
    return condition.key == NAMESPACE_KEY and condition.source in {ANY, K8S}


def _namespaces_of(
    own: str, conditions: Conditions, labelled: Mapping[str, Mapping[str, str]]
) -> list[str]:
    """The namespaces whose pods a selector is about."""
    wanted = [c for c in conditions if _is_namespace(c)]
    by_label = [c for c in conditions if c.key.startswith(NAMESPACE_LABEL_PREFIX)]
    named = [c for c in wanted if c.operator == "In"]
    if named:
        return sorted(named[0].values)
    if not wanted and not by_label and own:
        return [own]
    metadata_name = NAMESPACE_LABEL_PREFIX + METADATA_NAME
    for condition in by_label:
        if condition.key == metadata_name and condition.operator == "In":
            return sorted(condition.values)
    fitting = [
        name
        for name, labels in labelled.items()
        if all(_meets({METADATA_NAME: name, **labels}, c, NAMESPACE_LABEL_PREFIX) for c in by_label)
        and all(_meets({NAMESPACE_KEY: name}, c, "") for c in wanted)
    ]
    # A namespace that nobody described, but that the policy counts on.
    asked = [c for c in by_label if c.operator == "In"]
    if not fitting and asked:
        key = asked[0].key.removeprefix(NAMESPACE_LABEL_PREFIX)
        return [f"(namespace with {key}={min(asked[0].values)})"]
    return fitting or ([own] if own else ["default"])


def _meets(labels: Mapping[str, str], condition: Requirement, prefix: str) -> bool:
    found = labels.get(condition.key.removeprefix(prefix))
    match condition.operator:
        case "In":
            return found in condition.values
        case "NotIn":
            return found not in condition.values
        case "Exists":
            return found is not None
        case _:
            return found is None


def _pods(
    namespace: str, conditions: Conditions, labels: Mapping[str, str], taken: set[str]
) -> Iterator[Endpoint]:
    """The pods with the labels that a selector asks for, one for each value it allows."""
    if any(c.source not in {ANY, K8S} for c in conditions):
        return
    several = [{}] if not conditions else [dict[str, str]()]
    for condition in conditions:
        if _is_namespace(condition) or condition.key.startswith(NAMESPACE_LABEL_PREFIX):
            continue
        if condition.operator == "In":
            values = sorted(condition.values)[:_MOST_VALUES]
            several = [{**one, condition.key: v} for one in several for v in values]
        elif condition.operator == "Exists":
            several = [{condition.key: _ANY_VALUE, **one} for one in several]
        del several[_MOST_VALUES:]
    for wanted in several:
        cluster = wanted.pop(CLUSTER_KEY, "default")
        account = wanted.pop(SERVICE_ACCOUNT_KEY, "default")
        if not wanted:
            continue
        missing = {
            c.key.removeprefix(NAMESPACE_LABEL_PREFIX): min(c.values)
            for c in conditions
            if c.key.startswith(NAMESPACE_LABEL_PREFIX) and c.operator == "In"
        }
        yield Endpoint.pod(
            namespace,
            wanted,
            name=_name(namespace, wanted, cluster, taken),
            service_account=account,
            cluster=cluster,
            namespace_labels={**missing, **labels},
        )


def _name(namespace: str, labels: Mapping[str, str], cluster: str, taken: set[str]) -> str:
    """What to call it: by its app label, or by all its labels when that name is taken."""
    short = next((labels[key] for key in APP_LABELS if labels.get(key)), "")
    every = ",".join(f"{key}={value}" for key, value in sorted(labels.items()))
    name = short if short and f"{namespace}/{short}" not in taken else every
    if cluster != "default":
        name += f" in cluster {cluster}"
    return name
