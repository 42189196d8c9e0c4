"""What a file holds: claims as those in `probes/`, experiments as those in `experiments/`.

Names alone: no address and no pod, so that a file is right in the next cluster, too. An
experiment carries copies of its claims, found by the probe's name (`acns-chaos sync --root`).
"""

from typing import Any

from acns_chaos.faults.proposing.asks import CLOSED, CUSTOMER, NAME, OPEN, STRANGER, Ask
from acns_chaos.faults.proposing.outline import Proposal

__all__ = ["Json", "claim_document", "claim_name", "experiment_document"]

Json = dict[str, Any]

EVIDENCE = "${evidence_timeout}"
# Of a connection, a page of the shop, a page by name with its lookup, a fault's effect.
CONNECTION, PAGE, BY_NAME, EFFECT = 1, 2, 8, 10
# A drop counts at the pods twice; on the nodes once for each attempt: the fault's own witness and
# the client's.
FEWEST_DROPS, FEWEST_PACKETS = 1, 2


def claim_name(ask: Ask, state: str) -> str:
    """The sentence that a claim is known by, such as "shop/web reaches shop/api on port 80"."""
    verb = "reaches" if state == OPEN else "is kept from"
    return f"{ask.asker} {verb} {ask.target} on port {ask.port}"


def claim_document(ask: Ask, state: str, in_use: bool) -> Json:
    """A claim, runnable alone.

    Args:
        ask: the flow.
        state: OPEN or CLOSED.
        in_use: whether Hubble has seen it.
    """
    home, name = ask.home, claim_name(ask, state)
    question = (
        f"Does {ask.asker} reach {ask.target} on port {ask.port}?"
        if state == OPEN
        else f"Is {ask.asker} kept from {ask.target} on port {ask.port}?"
    )
    because = "Hubble has seen it in use" if in_use else "nobody was seen to use it"
    if state == CLOSED:
        because = "it was denied when this file was written"
    if ask.way == STRANGER:
        because = "the policies say so, and no pod was made to try it (docs/client.md)"
    return {
        "title": question,
        "description": f"Proposed by `acns-chaos init`: {because}. Keep it if it is meant to be.",
        "tags": ["acns", "cilium", "claim", "open" if state == OPEN else "closed"],
        "configuration": _configuration(home, ask, [_ask(name, ask, state)]),
        "extensions": [{"name": "acns-chaos", "claim": "open" if state == OPEN else "closed"}],
        "controls": _controls(),
        "runtime": {
            "hypothesis": {"strategy": "after-method-only"},
            "rollbacks": {"strategy": "always"},
        },
        "steady-state-hypothesis": {"title": name, "probes": [_claim(ask, state)]},
        "method": [],
        "rollbacks": [],
    }


def experiment_document(proposal: Proposal) -> Json:
    """An experiment: claims, fault, two witnesses, a detector, restore."""
    mutant = proposal.mutant
    ref, home = mutant.policy, mutant.policy.namespace
    method, witnesses, detector = (_opened if proposal.opens else _closed)(proposal)
    claims = [_claim(proposal.open_claim, OPEN), _claim(proposal.closed_claim, CLOSED)]
    customer = next((ask for ask in proposal.asks if ask.way == CUSTOMER), proposal.open_claim)
    return {
        "title": f"Do we notice {mutant.operator} in the policy {ref}?",
        "description": (f"{mutant.mistake} Proposed by `acns-chaos init`: it {_effect(proposal)}."),
        "tags": ["acns", "cilium", "network-policy", "opens" if proposal.opens else "closes"],
        "configuration": {
            **_configuration(home, customer, [*claims, *method]),
            "restore_timeout": _seconds("ACNS_CHAOS_RESTORE_TIMEOUT", 10.0),
        },
        "extensions": [
            {
                "name": "acns-chaos",
                "surface": f"{ref}: {mutant.family}",
                "witnesses": witnesses,
                "detectors": [detector],
            }
        ],
        "controls": _controls(),
        "runtime": {"hypothesis": {"strategy": "default"}, "rollbacks": {"strategy": "always"}},
        "steady-state-hypothesis": {
            "title": "What must work works, and what must be denied is denied",
            "probes": [
                *claims,
                _judged("policies are as recorded", "policies_are_as_recorded", {}),
            ],
        },
        "method": [_inject(proposal), *method, _restore("put the policy back")],
        "rollbacks": [_restore("put the policy back, if it is not")],
    }


def _effect(proposal: Proposal) -> str:
    asks = " and ".join(str(ask) for ask in proposal.turned)
    return f"opens {asks}, which no drop shows" if proposal.opens else f"closes {asks}"


def _inject(proposal: Proposal) -> Json:
    mutant = proposal.mutant
    arguments: Json = {"policy": mutant.policy.name}
    if mutant.policy.kind != "CiliumNetworkPolicy":
        arguments["kind"] = mutant.policy.kind
    arguments["operator"] = f"{mutant.operator}@{mutant.place}"
    arguments["limit"] = list(proposal.limit)
    if proposal.named:
        arguments["witness"] = proposal.named
    arguments["timeout"] = EFFECT
    return _action("inject the fault", "inject_fault", arguments)


def _closed(proposal: Proposal) -> tuple[list[Json], list[str], str]:
    """The method of a fault that closes: a client, a counter, and what notices."""
    home, (ask,) = proposal.mutant.policy.namespace, proposal.turned
    way, owner = proposal.dropped
    place, _, workload = owner.partition("/")
    client = f"{ask.asker} is cut off from {ask.target}"
    counter = f"drops are counted at {owner}'s pods"
    detector = "Prometheus notices policy drops on the nodes"
    of_pods: Json = {"workload": workload, "direction": way, "counter": "hubble"}
    if place != home:
        of_pods["namespace"] = place
    of_pods |= {"since": "fault", "at_least": FEWEST_DROPS, "deadline": EVIDENCE}
    of_nodes: Json = {"direction": way, "counter": "node", "since": "fault"}
    of_nodes |= {"at_least": FEWEST_PACKETS, "deadline": EVIDENCE}
    method = [
        _ask(client, ask, CLOSED, during=True),
        _probe(counter, "count_drops", of_pods),
        _probe(detector, "count_drops", of_nodes),
    ]
    return method, [client, counter], detector


def _opened(proposal: Proposal) -> tuple[list[Json], list[str], str]:
    """The method of a fault that opens: two clients, or one and Hubble; and the missed claim."""
    detector = f"the claim is missed: {claim_name(proposal.closed_claim, CLOSED)}"
    method = [
        _ask(f"{ask.asker} gets into {ask.target} on port {ask.port}", ask, OPEN, during=True)
        for ask in proposal.turned
    ]
    source, destination, port = proposal.passed
    if destination:
        let_through: Json = {"source": source, "destination": destination, "verdict": "FORWARDED"}
        let_through |= {"port": port, "since": "fault", "at_least": 1, "deadline": EVIDENCE}
        (ask,) = proposal.turned
        name = f"Hubble sees {ask.asker} let into {destination}"
        method.append(_probe(name, "read_flows", let_through))
    witnesses = [one["name"] for one in method]
    # A scheduled run of the closed claim meets exactly this.
    method.append(_ask(detector, proposal.closed_claim, OPEN, during=True))
    return method, witnesses, detector


def _claim(ask: Ask, state: str) -> Json:
    asked = _ask(claim_name(ask, state), ask, state)
    return _judged(asked["name"], asked["provider"]["func"], asked["provider"]["arguments"])


def _ask(name: str, ask: Ask, state: str, during: bool = False) -> Json:
    """The probe that asks.

    Args:
        name: of the activity.
        ask: the flow.
        state: what it is expected to read.
        during: the fault stands: enforcement may come a moment later.
    """
    if ask.way == CUSTOMER:
        arguments: Json = {"path": "/", "expect": state, "timeout": CONNECTION if during else PAGE}
        arguments["deadline"] = EFFECT if during else "${storefront_deadline}"
        return _probe(name, "read_storefront", arguments)
    # The workload of a stranger is "", whom only a pod of the run's own can be.
    place, _, workload = ask.source.partition("/")
    arguments = {"workload": workload}
    if ask.way == NAME:
        arguments |= {"url": f"https://{ask.target}"}
    else:
        # In the source's own namespace a Service goes by its name alone.
        arguments |= {"service": ask.target.removeprefix(f"{place}/"), "port": ask.port}
    arguments["expect"] = state
    # A claim is copied from file to file, so it says its place also where it is the experiment's.
    arguments["namespace"] = place
    if ask.way == NAME:
        arguments["timeout"] = PAGE if state == CLOSED else BY_NAME
        return _probe(name, "read_egress", arguments)
    arguments["timeout"] = CONNECTION
    if state == CLOSED:
        arguments["evidence_timeout"] = EVIDENCE
    if ask.way == STRANGER:
        arguments["prober"] = True
    return _probe(name, "read_connection", arguments)


def _probe(name: str, function: str, arguments: Json) -> Json:
    return {
        "type": "probe",
        "name": name,
        "provider": {
            "type": "python",
            "module": "acns_chaos.probes",
            "func": function,
            "arguments": arguments,
        },
    }


def _judged(name: str, function: str, arguments: Json) -> Json:
    probe = _probe(name, function, arguments)
    tolerance = {
        "type": "probe",
        "name": "as expected",
        "provider": {
            "type": "python",
            "module": "acns_chaos.tolerances",
            "func": "is_met",
            "arguments": {},
        },
    }
    provider = probe.pop("provider")
    return {**probe, "tolerance": tolerance, "provider": provider}


def _action(name: str, function: str, arguments: Json) -> Json:
    action = _probe(name, function, arguments)
    action["type"] = "action"
    action["provider"]["module"] = "acns_chaos.actions"
    return action


def _restore(name: str) -> Json:
    return _action(name, "restore_policies", {"timeout": "${restore_timeout}"})


def _controls() -> list[Json]:
    return [
        {"name": name, "provider": {"type": "python", "module": f"acns_chaos.controls.{name}"}}
        for name in ("guard", "lab")
    ]


def _configuration(home: str, ask: Ask, activities: list[Json]) -> Json:
    found: Json = {"namespace": home}
    if ask.way == CUSTOMER:
        found["storefront_service"] = ask.target.partition("/")[2]
        found["storefront_deadline"] = _seconds("ACNS_CHAOS_STOREFRONT_DEADLINE", 0.0)
    if any(EVIDENCE in one["provider"]["arguments"].values() for one in activities):
        found["evidence_timeout"] = _seconds("ACNS_CHAOS_EVIDENCE_TIMEOUT", 10.0)
    return found


def _seconds(key: str, default: float) -> Json:
    return {"type": "env", "key": key, "default": default, "env_var_type": "float"}
