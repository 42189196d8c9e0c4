"""What a file holds: claims as those in `probes/`, experiments as those in `experiments/`.

Names alone: no address and no pod, so that a file is right in the next cluster, too. An
experiment carries copies of its claims, found by the probe's name (`acns-chaos sync --root`).
"""

from collections.abc import Iterable, Mapping
from typing import Any

from acns_chaos.faults.proposing.asks import CLOSED, CUSTOMER, NAME, OPEN, STRANGER, Ask
from acns_chaos.faults.proposing.outline import Proposal

__all__ = [
    "EFFECT",
    "EVIDENCE",
    "Json",
    "claim_document",
    "claim_name",
    "counted",
    "experiment_document",
    "experiment_of",
    "probe_activity",
    "witnesses_of",
]

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
    witnessing, witnesses = witnesses_of(proposal)
    detector = _detector(proposal)
    roles = {"witnesses": witnesses, "detectors": [detector["name"]]}
    found = experiment_of(proposal, [], [*witnessing, detector], roles)
    found["description"] = (
        f"{proposal.mutant.mistake} Proposed by `acns-chaos init`: it {_effect(proposal)}."
    )
    return found


def experiment_of(
    proposal: Proposal,
    before: Iterable[Json],
    during: Iterable[Json],
    block: Mapping[str, Any],
    max_flows: int = 0,
) -> Json:
    """What every experiment of a proposal has: claims, fault, restore.

    Args:
        proposal: what is to be made wrong.
        before: activities of the method before the fault.
        during: those while it stands.
        block: the rest of the extension's block: who is a witness, who a detector.
        max_flows: how many flows the fault may turn; 0 is any number.

    Returns:
        The document; title and description say whose fault it is and what it does.
    """
    mutant = proposal.mutant
    ref = mutant.policy
    claims = [_claim(proposal.open_claim, OPEN), _claim(proposal.closed_claim, CLOSED)]
    during = list(during)
    customer = next((ask for ask in proposal.asks if ask.way == CUSTOMER), proposal.open_claim)
    return {
        "title": f"Do we notice {mutant.operator} in the policy {ref}?",
        "description": f"{mutant.mistake} It {_effect(proposal)}.",
        "tags": ["acns", "cilium", "network-policy", "opens" if proposal.opens else "closes"],
        "configuration": {
            **_configuration(ref.namespace, customer, [*claims, *during]),
            "restore_timeout": _seconds("ACNS_CHAOS_RESTORE_TIMEOUT", 10.0),
        },
        "extensions": [{"name": "acns-chaos", "surface": f"{ref}: {mutant.family}", **block}],
        "controls": _controls(),
        "runtime": {"hypothesis": {"strategy": "default"}, "rollbacks": {"strategy": "always"}},
        "steady-state-hypothesis": {
            "title": "What must work works, and what must be denied is denied",
            "probes": [
                *claims,
                _judged("policies are as recorded", "policies_are_as_recorded", {}),
            ],
        },
        "method": [
            *before,
            _inject(proposal, max_flows),
            *during,
            _restore("put the policy back"),
        ],
        "rollbacks": [_restore("put the policy back, if it is not")],
    }


def _effect(proposal: Proposal) -> str:
    asks = " and ".join(str(ask) for ask in proposal.turned)
    return f"opens {asks}, which no drop shows" if proposal.opens else f"closes {asks}"


def _inject(proposal: Proposal, max_flows: int) -> Json:
    mutant = proposal.mutant
    arguments: Json = {"policy": mutant.policy.name}
    if mutant.policy.kind != "CiliumNetworkPolicy":
        arguments["kind"] = mutant.policy.kind
    arguments["operator"] = f"{mutant.operator}@{mutant.place}"
    arguments["limit"] = list(proposal.limit)
    if max_flows:
        arguments["max_flows"] = max_flows
    if proposal.named:
        arguments["witness"] = proposal.named
    arguments["timeout"] = EFFECT
    return _action("inject the fault", "inject_fault", arguments)


def witnesses_of(proposal: Proposal, by_flows: bool = False) -> tuple[list[Json], list[str]]:
    """The activities that prove that the fault bit, and their names.

    Args:
        proposal: whose fault.
        by_flows: let one client and Hubble be the witnesses, which also holds where somebody else's
            drops are counted at the same pods. Else what closes is seen by a client and a counter,
            and what opens, which makes no drops, by two clients where two can ask.
    """
    opens, ask = proposal.opens, proposal.turned[0]
    if opens:
        asked = [
            _ask(f"{one.asker} gets into {one.target} on port {one.port}", one, OPEN, during=True)
            for one in proposal.turned
        ]
    else:
        asked = [_ask(f"{ask.asker} is cut off from {ask.target}", ask, CLOSED, during=True)]
    if by_flows or (opens and len(asked) < 2):
        # Where several workloads answer for one Service, flows to it cannot be told from others;
        # nor can those to an outside name from those to another at the same address.
        alone = not opens or (proposal.arrives[0] and ask.way != NAME)
        method = [asked[0], _seen_flows(proposal)] if alone else asked
    else:
        method = asked if opens else [*asked, counted(proposal)]
    return method, [one["name"] for one in method]


def counted(proposal: Proposal, deadline: Any = EVIDENCE) -> Json:
    """The probe of the counter that rises when a fault closes something.

    Args:
        proposal: of what closes.
        deadline: seconds to wait for a drop.
    """
    way, owner = proposal.dropped
    place, _, workload = owner.partition("/")
    arguments: Json = {"workload": workload, "direction": way, "counter": "hubble"}
    if place != proposal.mutant.policy.namespace:
        arguments["namespace"] = place
    arguments |= {"since": "fault", "at_least": FEWEST_DROPS, "deadline": deadline}
    return probe_activity(f"drops are counted at {owner}'s pods", "count_drops", arguments)


def _seen_flows(proposal: Proposal) -> Json:
    """What Hubble sees of the first flow that turns.

    What is let in is looked for where it arrives: what is denied there was let through where it was
    sent. An outside name is an address to Hubble that it may know by no name, or another one.
    """
    ask, (destination, port) = proposal.turned[0], proposal.arrives
    arguments: Json = {"source": proposal.sender}
    if destination and ask.way != NAME:
        arguments["destination"] = destination
    if proposal.opens:
        arguments |= {"verdict": "FORWARDED", "direction": proposal.arrival}
        name = f"Hubble sees {ask.asker} let into {destination}"
    else:
        arguments["direction"] = proposal.dropped[0]
        name = f"Hubble sees what {ask.asker} sends to {ask.target} dropped"
    arguments |= {"port": port, "since": "fault", "at_least": 1, "deadline": EVIDENCE}
    return probe_activity(name, "read_flows", arguments)


def _detector(proposal: Proposal) -> Json:
    """What would notice without anybody having written an alert."""
    if proposal.opens:
        # A scheduled run of the closed claim meets exactly this.
        name = f"the claim is missed: {claim_name(proposal.closed_claim, CLOSED)}"
        return _ask(name, proposal.closed_claim, OPEN, during=True)
    arguments: Json = {"direction": proposal.dropped[0], "counter": "node", "since": "fault"}
    arguments |= {"at_least": FEWEST_PACKETS, "deadline": EVIDENCE}
    return probe_activity("Prometheus notices policy drops on the nodes", "count_drops", arguments)


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
        return probe_activity(name, "read_storefront", arguments)
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
        return probe_activity(name, "read_egress", arguments)
    arguments["timeout"] = CONNECTION
    if state == CLOSED:
        arguments["evidence_timeout"] = EVIDENCE
    if ask.way == STRANGER:
        arguments["prober"] = True
    return probe_activity(name, "read_connection", arguments)


def probe_activity(name: str, function: str, arguments: Json) -> Json:
    """A probe of ours, as an activity of the method."""
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
    probe = probe_activity(name, function, arguments)
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
    action = probe_activity(name, function, arguments)
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
