"""Mistakes with whole objects, and objects that are stored and then refused by the agents."""

from collections.abc import Iterator
from typing import Any

from acns_chaos.policy.compile import SECTIONS
from acns_chaos.policy.model import ObjectRef
from acns_chaos.policy.mutation.edits import DROP, Edit, Family, Path, Raw, Surroundings
from acns_chaos.policy.mutation.sites import blocks, cidrs, is_native, rule_items
from acns_chaos.policy.requests import read_requests
from acns_chaos.policy.validity import problems

OBJECT = Family("object")
INVALID = Family("invalid")

_SPECS = ("spec", "specs")
_NAME: Path = ("metadata", "name")
_NAMESPACE: Path = ("metadata", "namespace")
_SERVER_OWNED = ("resourceVersion", "uid", "generation", "creationTimestamp", "managedFields")


@OBJECT.operator(
    "object-deleted",
    "The object is deleted, so that whatever only it restricted is open.",
    native=True,
)
def _deleted(_policy: Raw, _: Surroundings) -> Iterator[Edit]:
    yield Edit(_NAME, becomes=())


@OBJECT.operator(
    "name-reused",
    "Another manifest re-uses the object's name, so that applying it overwrites this one.",
    native=True,
)
def _overwritten(policy: Raw, around: Surroundings) -> Iterator[Edit]:
    ref = ObjectRef.of(policy)
    for other in around.policies:
        there = ObjectRef.of(other)
        beside = (there.kind, there.namespace) == (ref.kind, ref.namespace) and there != ref
        if beside and not problems(other):
            changed = {key: value for key, value in policy.items() if key not in _SPECS}
            changed |= {key: other[key] for key in _SPECS if key in other}
            if any(changed.get(key) != policy.get(key) for key in _SPECS):
                yield Edit(_NAME, becomes=(changed,), variant=there.name)


def _created(policy: Raw, kind: str, namespace: str) -> dict[str, Any]:
    """The object as it would be created elsewhere, without what the server owns."""
    metadata = {
        key: value
        for key, value in policy["metadata"].items()
        if key not in _SERVER_OWNED and key != "namespace"
    }
    if namespace:
        metadata["namespace"] = namespace
    rest = {key: value for key, value in policy.items() if key not in {"status", "metadata"}}
    return {**rest, "kind": kind, "metadata": metadata}


@OBJECT.operator(
    "namespace-forgotten",
    "The manifest names no namespace and is applied without one, so it lands in default.",
    native=True,
)
def _in_default(policy: Raw, around: Surroundings) -> Iterator[Edit]:
    ref = ObjectRef.of(policy)
    there = ObjectRef(ref.kind, "default", ref.name)
    taken = {ObjectRef.of(other) for other in around.policies}
    if ref.namespace and there not in {*taken, ref}:
        yield Edit(_NAMESPACE, becomes=(_created(policy, ref.kind, "default"),))


@OBJECT.operator(
    "kind-made-clusterwide",
    "The policy is rewritten as a clusterwide one, so that it is for pods of every namespace.",
)
def _clusterwide(policy: Raw, around: Surroundings) -> Iterator[Edit]:
    ref = ObjectRef.of(policy)
    kind = "CiliumClusterwideNetworkPolicy"
    taken = {ObjectRef.of(other) for other in around.policies}
    if ref.kind == "CiliumNetworkPolicy" and ObjectRef(kind, "", ref.name) not in taken:
        yield Edit(("kind",), becomes=(_created(policy, kind, ""),))


@INVALID.operator(
    "two-peer-kinds",
    "Two kinds of peer stand in one rule; the object is stored, the agents refuse it.",
)
def _two_kinds(policy: Raw, _: Surroundings) -> Iterator[Edit]:
    for item in rule_items(policy):
        fields = item.peer_fields()
        # Beside services the agent itself writes other peers, so it takes them.
        if item.native or not fields or item.raw.get("toServices"):
            continue
        entities = fields[0].endswith("Entities")
        other: tuple[str, list[Any]] = ("Endpoints", [{}]) if entities else ("Entities", ["world"])
        kind, value = other
        here = (*item.path, f"{item.way}{kind}")
        yield Edit(item.path, ((here, value),))


@INVALID.operator(
    "port-out-of-range",
    "A port is 65536, which the API server takes and the agents refuse.",
)
def _out_of_range(policy: Raw, _: Surroundings) -> Iterator[Edit]:
    for item in rule_items(policy):
        if not item.native:
            for path, _port in item.ports():
                yield Edit(path, (((*path, "port"), "65536"),))


@INVALID.operator(
    "except-outside",
    "An exception lies outside its prefix; the object is stored, the agents refuse it.",
)
def _except_outside(policy: Raw, _: Surroundings) -> Iterator[Edit]:
    for path, written, holder in () if is_native(policy) else cidrs(policy):
        if holder and not written.endswith("/0"):
            # Of the other family: outside whatever the prefix is.
            hole = "192.0.2.0/24" if ":" in written else "2001:db8::/32"
            yield Edit((*path[:-1], "except"), (((*path[:-1], "except"), [hole]),))


@INVALID.operator(
    "selector-for-nodes",
    "The subject is written as nodeSelector, which only a clusterwide policy may have; the object "
    "is stored, the agents refuse it.",
)
def _node_selector(policy: Raw, _: Surroundings) -> Iterator[Edit]:
    for path, block in blocks(policy):
        if (
            policy.get("kind") == "CiliumNetworkPolicy"
            and block.get("endpointSelector") is not None
        ):
            steps: tuple[tuple[Path, Any], ...] = (
                ((*path, "endpointSelector"), DROP),
                ((*path, "nodeSelector"), block["endpointSelector"]),
            )
            yield Edit((*path, "endpointSelector"), steps)


@INVALID.operator(
    "all-sections-emptied",
    "Every section is emptied to deny all; the object is stored, the agents refuse it and the old "
    "one stays in force.",
)
def _all_emptied(policy: Raw, _: Surroundings) -> Iterator[Edit]:
    for path, block in blocks(policy):
        filled = [section for section in SECTIONS if block.get(section)]
        steps: tuple[tuple[Path, Any], ...] = tuple(((*path, name), []) for name in filled)
        if steps and not is_native(policy):
            yield Edit(path, steps)


@INVALID.operator(
    "http-path-broken",
    "A path is no regular expression; the object is stored, the agents refuse it.",
)
def _broken_path(policy: Raw, _: Surroundings) -> Iterator[Edit]:
    for item in rule_items(policy):
        for path, port_rule in () if item.native else item.port_rules():
            requests = read_requests(port_rule)
            for number in range(len(requests.http) if requests else 0):
                here = (*path, "rules", "http", number, "path")
                yield Edit(here, ((here, "/api/(.*"),))


@INVALID.operator(
    "dns-rule-on-ingress",
    "DNS rules stand under ingress, where there are none; the object is stored, the agents refuse "
    "it.",
)
def _dns_on_ingress(policy: Raw, _: Surroundings) -> Iterator[Edit]:
    for item in rule_items(policy):
        if item.section == "ingress" and not item.native:
            for path, port_rule in item.port_rules():
                if port_rule.get("ports") and not port_rule.get("rules"):
                    rules = {"dns": [{"matchPattern": "*"}]}
                    yield Edit(path, (((*path, "rules"), rules),))
