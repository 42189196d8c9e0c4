"""What a file holds: claims as those in `probes/`, experiments as those in `experiments/`.

Names alone: no address and no pod, so that a file is right in the next cluster, too. An
experiment carries copies of its claims, found by the probe's name (`acns-chaos sync --root`).
"""

from typing import Any

from acns_chaos.faults.proposing.asks import CLOSED, CUSTOMER, NAME, OPEN, Ask
from acns_chaos.faults.proposing.choosing import Proposal

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
    source = "the world" if ask.source == "world" else ask.source
    return f"{source} {verb} {ask.target} on port {ask.port}"


def claim_document(ask: Ask, state: str, in_use: bool) -> Json:
    """A claim, runnable alone.

    Args:
        ask: the flow.
        state: OPEN or CLOSED.
        in_use: whether Hubble has seen it.
    """
    home, name = ask.home, claim_name(ask, state)
    source = "the world" if ask.source == "world" else ask.source
    question = (
        f"Does {source} reach {ask.target} on port {ask.port}?"
        if state == OPEN
        else f"Is {source} kept from {ask.target} on port {ask.port}?"
    )
    because = "Hubble has seen it in use" if in_use else "nobody was seen to use it"
    if state == CLOSED:
        because = "it was denied when this file was written"
    return {
        "title": question,
        "description": f"Proposed by `acns-chaos init`: {because}. Keep it if it is meant to be.",
        "tags": ["acns", "cilium", "claim", "open" if state == OPEN else "closed"],
        "configuration": _configuration(home, ask, needs_evidence=state == CLOSED),
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
    customer = next((ask for ask in proposal.asks if ask.way == CUSTOMER), proposal.open_claim)
    return {
        "title": f"Do we notice {mutant.operator} in the policy {ref}?",
        "description": (f"{mutant.mistake} Proposed by `acns-chaos init`: it {_effect(proposal)}."),
        "tags": ["acns", "cilium", "network-policy", "opens" if proposal.opens else "closes"],
        "configuration": _configuration(home, customer, needs_evidence=True),
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
                _claim(proposal.open_claim, OPEN),
                _claim(proposal.closed_claim, CLOSED),
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
    source = "the world" if ask.source == "world" else ask.source
    client = f"{source} is cut off from {ask.target}"
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
    """The method of a fault that opens: two clients, and the claim that is now missed."""
    clients = [f"{ask.source} gets into {ask.target} on port {ask.port}" for ask in proposal.turned]
    detector = f"the claim is missed: {claim_name(proposal.closed_claim, CLOSED)}"
    method = [
        *(
            _ask(name, ask, OPEN, during=True)
            for name, ask in zip(clients, proposal.turned, strict=True)
        ),
        # A scheduled run of the closed claim meets exactly this.
        _ask(detector, proposal.closed_claim, OPEN, during=True),
    ]
    return method, clients, detector


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
        if during:
            arguments["deadline"] = EFFECT
        return _probe(name, "read_storefront", arguments)
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
    return _action(name, "restore_policies", {"timeout": EFFECT})


def _controls() -> list[Json]:
    return [
        {"name": name, "provider": {"type": "python", "module": f"acns_chaos.controls.{name}"}}
        for name in ("guard", "lab")
    ]


def _configuration(home: str, ask: Ask, needs_evidence: bool) -> Json:
    found: Json = {"namespace": home}
    if ask.way == CUSTOMER:
        found["storefront_service"] = ask.target.partition("/")[2]
    if needs_evidence:
        found["evidence_timeout"] = {
            "type": "env",
            "key": "ACNS_CHAOS_EVIDENCE_TIMEOUT",
            "default": 10.0,
            "env_var_type": "float",
        }
    return found
