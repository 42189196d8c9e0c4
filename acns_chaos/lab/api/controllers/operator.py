"""The part of cilium-operator that clients notice: the Valid condition of a policy.

It is written some 10 ms after each write of a CiliumNetworkPolicy or its clusterwide sibling, and
says only that the text parses. Whether anything is enforced is ``lab.net``'s business.
"""

import asyncio
import re

from acns_chaos.lab.api.failures import Json
from acns_chaos.lab.api.kinds.objects import now
from acns_chaos.lab.api.kinds.schema import quoted
from acns_chaos.lab.api.store import Change, Store
from acns_chaos.policy.validity import problems

_KINDS = frozenset({"CiliumNetworkPolicy", "CiliumClusterwideNetworkPolicy"})
_DELAY = 0.010  # seconds; 5 to 18 ms were measured on a real cluster
_MANAGER = "cilium-operator-generic"

_KEY_RULE = (
    "a valid label key must consist of alphanumeric characters, '-', '_' or '.', and must start "
    "and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex "
    "used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]') with an optional DNS "
    "subdomain prefix and '/' (e.g. 'example.com/MyName')"
)


class Operator:
    """Writes ``status.conditions`` of policies."""

    def __init__(self, store: Store, *, delay: float = _DELAY) -> None:
        """Follow a store. Policies must be written on a running event loop from here on.

        Args:
            store: where policies are.
            delay: seconds from a write to its condition.
        """
        self._store = store
        self._delay = delay
        store.on_change(self._on_change)

    def _on_change(self, change: Change) -> None:
        if change.kind in _KINDS and change.type != "DELETED":
            metadata = change.object["metadata"]
            key = change.kind, metadata.get("namespace"), metadata["name"]
            asyncio.get_running_loop().call_later(self._delay, self._judge, *key)

    def _judge(self, kind: str, namespace: str | None, name: str) -> None:
        policy = self._store.find(kind, namespace, name)
        if policy is None:
            return
        status = policy.get("status", {})
        others = [item for item in status.get("conditions", []) if item["type"] != "Valid"]
        judged = [item for item in status.get("conditions", []) if item["type"] == "Valid"]
        before: Json = judged[0] if judged else {}
        found = problems(as_the_operator_sees_it(policy))
        verdict = "False" if found else "True"
        flipped = before.get("status") != verdict
        valid = {
            "lastTransitionTime": now() if flipped else before["lastTransitionTime"],
            "message": "\n".join(map(in_its_words, found)) or "Policy validation succeeded",
            "status": verdict,
            "type": "Valid",
        }
        self._store.write_status(
            kind, namespace, name, {**status, "conditions": [*others, valid]}, _MANAGER
        )


def as_the_operator_sees_it(policy: Json) -> Json:
    """The policy without the two faults that only the agent finds.

    A policy with neither spec nor specs, and a nodeSelector in a namespaced policy, are Valid to
    the operator although no agent imports them.
    """
    rules = [policy[key] for key in ("spec",) if policy.get(key)] + (policy.get("specs") or [])
    if not rules:
        harmless: Json = {"endpointSelector": {}, "ingress": [{}]}
        return {**policy, "spec": harmless}
    if any("nodeSelector" in rule for rule in rules):
        return {**policy, "kind": "CiliumClusterwideNetworkPolicy"}
    return policy


def in_its_words(problem: str) -> str:
    """A sentence of ``policy.validity`` as the operator words it in a condition.

    Only wordings that were captured from a real operator are rewritten; of others the place in
    front and the full stop are dropped, which the operator does not write either.
    """
    _, _, text = problem.partition(": ")
    if found := re.search(r"combining (\w+) and (\w+) is not supported", text):
        one, other = sorted((name[0].upper() + name[1:] for name in found.groups()), reverse=True)
        return f"combining {one} and {other} is not supported yet"
    if found := re.search(r"unable to parse the port '(\d+)'", text):
        number = quoted(found[1])
        return f"unable to parse port: strconv.ParseUint: parsing {number}: value out of range"
    if "port must be specified for DNS rules" in text:
        return "port 53 must be specified for DNS rules"
    if "must have at least one of ingress" in text:
        return "rule must have at least one of Ingress, IngressDeny, Egress, EgressDeny"
    if found := re.search(r"'(.*)' is not a label key", text):
        # The operator sees keys with their source in front.
        shown = quoted("any." + found[1])
        return f"invalid label selector: matchLabels: Invalid value: {shown}: {_KEY_RULE}"
    return text.rstrip(".")
