"""Which policies decided a flow, as a policy verdict names them.

The names come from the engine's reasons; here they get labels, revision and the kind of match.
Hubble names no policy for a default deny. Source: recordings from Cilium 1.19.4.
"""

import re
from collections.abc import Mapping
from typing import Any

from acns_chaos.lab.net.objects import Change, Objects
from acns_chaos.policy import ObjectRef, RuleRef, Side
from acns_chaos.wire import flow_pb2

NO_MATCH, L3_ONLY, L3_L4, L4_ONLY, ALL = range(5)
_KINDS = ("CiliumNetworkPolicy", "CiliumClusterwideNetworkPolicy", "NetworkPolicy")
_DERIVED = "io.cilium.k8s.policy"
_LOCALHOST = "reserved:io.cilium.policy.derived-from=allow-localhost-ingress"
_STEP = re.compile(r"([A-Za-z]+)(?:\[(\d+)\])?")


class Correlation:
    """Looks up what the engine's references mean.

    Args:
        store: where policies live.
    """

    def __init__(self, store: Objects) -> None:
        self._store = store
        self._policies: dict[tuple[str, str, str], dict[str, Any]] | None = None
        store.on_change(self._changed)

    def policies(self, side: Side, revision: int) -> list[flow_pb2.Policy]:
        """The policies whose rules decided, each once.

        Args:
            side: the judgement.
            revision: of the agent's policies.
        """
        if not side.rules:
            # No rule was needed: the node is let into its pods.
            return [flow_pb2.Policy(labels=[_LOCALHOST], revision=revision)]
        objects = dict.fromkeys(rule.object for rule in side.rules)
        return [self._named(ref, revision) for ref in objects]

    def match_type(self, side: Side) -> int:
        """What of the packet the deciding rule looked at, as Hubble numbers it."""
        if side.verdict == "DENIED" and side.drop_reason != "POLICY_DENY":
            return NO_MATCH
        if not side.rules:
            return L3_ONLY
        return min((self._match(rule) for rule in side.rules), default=ALL, key=_specific)

    def _changed(self, change: Change) -> None:
        if change.kind in _KINDS:
            self._policies = None

    def _policy(self, ref: ObjectRef) -> dict[str, Any]:
        if self._policies is None:
            self._policies = {
                (kind, obj["metadata"].get("namespace", ""), obj["metadata"]["name"]): obj
                for kind in _KINDS
                for obj in self._store.list(kind)
            }
        # A policy that was deleted a moment ago may still be enforced.
        return self._policies.get((ref.kind, ref.namespace, ref.name), {})

    def _named(self, ref: ObjectRef, revision: int) -> flow_pb2.Policy:
        uid = self._policy(ref).get("metadata", {}).get("uid", "")
        labels = [f"k8s:{_DERIVED}.derived-from={ref.kind}", f"k8s:{_DERIVED}.name={ref.name}"]
        if ref.namespace:
            labels.append(f"k8s:{_DERIVED}.namespace={ref.namespace}")
        labels.append(f"k8s:{_DERIVED}.uid={uid}")
        return flow_pb2.Policy(
            name=ref.name, namespace=ref.namespace, labels=labels, revision=revision, kind=ref.kind
        )

    def _match(self, rule: RuleRef) -> int:
        found = _at(self._policy(rule.object), rule.path)
        ports = bool(found.get("toPorts") or found.get("ports") or found.get("icmps"))
        peers = any(
            found.get(field) for field in found if field.startswith("from") or _is_to_peer(field)
        )
        if peers:
            return L3_L4 if ports else L3_ONLY
        return L4_ONLY if ports else ALL


def _is_to_peer(field: str) -> bool:
    return field.startswith("to") and field != "toPorts"


def _specific(match: int) -> int:
    return (L3_L4, L3_ONLY, L4_ONLY, ALL).index(match)


def _at(policy: Mapping[str, Any], path: str) -> Mapping[str, Any]:
    """The rule at a path like `spec.ingress[0]`; nothing when the policy has changed since."""
    found: Any = policy
    for step in path.split("."):
        match = _STEP.fullmatch(step)
        if match is None or not isinstance(found, Mapping):
            return {}
        found = found.get(match[1])
        if match[2] is not None:
            index = int(match[2])
            found = found[index] if isinstance(found, list) and index < len(found) else None
    return found if isinstance(found, Mapping) else {}
