"""Mutants: classed as brute force would, undone without a trace, named for good."""

import copy
import json
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from acns_chaos.errors import PolicyError
from acns_chaos.policy import Endpoint, Engine, ObjectRef
from acns_chaos.policy.known import known_world
from acns_chaos.policy.mutants import (
    BOTH,
    CLOSES,
    EQUIVALENT,
    INVALID,
    OPENS,
    Mutant,
    applied,
    mutants,
    restored,
)
from acns_chaos.policy.operators import OPERATORS, Surroundings, apply_operator
from acns_chaos.policy.validity import findings, problems
from acns_chaos.policy.world import World
from tests.policy.mutation_cases import (
    CASES,
    CLUSTERWIDE,
    GROUP,
    NAMES,
    NATIVE,
    PLAIN,
    PODS,
    SECOND,
    SERVICES,
    front,
)
from tests.policy.policy_cases import cnp
from tests.policy.test_policy_properties import items, policies
from tests.tiers import examples

SMALL = (
    Endpoint.pod("shop", {"app": "a"}, ports=[(80, "TCP")]),
    Endpoint.pod("shop", {"app": "b", "tier": "x"}, ports=[(53, "UDP")]),
    Endpoint.pod("data", {"app": "a"}, ports=[(8080, "TCP")]),
)
dns_items = st.lists(
    st.sampled_from(
        [
            {"matchName": "api.example.org"},
            {"matchPattern": "*.example.net"},
            {"matchPattern": "*"},
            {"matchName": "a.shop.svc.cluster.local"},
        ]
    ),
    min_size=1,
    max_size=3,
)
lookups = st.builds(
    lambda peers, dns, protocol: {
        **peers,
        "toPorts": [{"ports": [{"port": "53", "protocol": protocol}], "rules": {"dns": dns}}],
    },
    st.sampled_from([{"toEndpoints": [{"matchLabels": {"app": "b"}}]}, {"toEndpoints": [{}]}, {}]),
    dns_items,
    st.sampled_from(["UDP", "ANY"]),
)
fqdns = st.builds(
    lambda names, port: {
        "toFQDNs": names,
        "toPorts": [{"ports": [{"port": port, "protocol": "TCP"}]}],
    },
    dns_items.map(lambda found: found[:2]),
    st.sampled_from(["443", "80"]),
)
requests = st.builds(
    lambda http: {
        "fromEndpoints": [{}],
        "toPorts": [{"ports": [{"port": "80", "protocol": "TCP"}], "rules": {"http": http}}],
    },
    st.lists(
        st.sampled_from([{"method": "GET"}, {"path": "/api/.*"}, {"method": "POST", "path": "/"}]),
        min_size=1,
        max_size=2,
    ),
)


@st.composite
def proxied(draw: st.DrawFn, name: str = "p") -> dict[str, Any]:
    """A valid policy with DNS rules, names and HTTP rules among others."""
    egress = draw(st.lists(st.one_of(lookups, fqdns, items("to")), min_size=1, max_size=3))
    ingress = draw(st.lists(st.one_of(requests, items("from")), max_size=2))
    subject = draw(st.sampled_from([{}, {"matchLabels": {"app": "a"}}]))
    return cnp({"endpointSelector": subject, "ingress": ingress, "egress": egress}, name)


def passing(world: World, live: list[dict[str, Any]], engine: Engine) -> dict[str, bool]:
    """Every known flow of a world with whether it passes, one by one and with no help."""
    known = known_world(live, world.endpoints)
    found: dict[str, bool] = {}

    def lets(source: Endpoint, target: Endpoint, port: int, protocol: str, **more: Any) -> bool:
        verdict = engine.verdict(source, target, port, protocol, **more)
        return verdict.verdict == "ALLOWED" and verdict.l7 != "DENIED"

    for source in known.endpoints:
        for target in known.endpoints:
            if source == target:
                continue
            for port, protocol in known.ports:
                text = f"{source} -> {target}:{port}/{protocol}"
                kind = {"icmp_type": port} if protocol.startswith("ICMP") else {}
                found[text] = lets(source, target, port, protocol, **kind)
            for port, protocol in known.request_ports:
                for method, path, host in known.requests:
                    text = f"{source} -> {target}:{port}/{protocol} {method} {host}{path}"
                    http = {"method": method, "path": path, "host": host}
                    found[text] = lets(source, target, port, protocol, http=http)
    serving = {server for server, _ in known.servers}
    for source in (pod for pod in world.endpoints if pod not in serving):
        for server, port in known.servers:
            for protocol in ("UDP", "TCP"):
                for query in known.queries:
                    text = f"{source} -> {server}:{port}/{protocol} asks for {query}"
                    found[text] = lets(source, server, port, protocol, dns_query=query)
        for target in known.names:
            (name,) = target.fqdns
            tried = [
                engine.verdict(source, server, port, "UDP", dns_query=name)
                for server, port in known.servers
            ]
            answered = [v for v in tried if v.verdict == "ALLOWED" and v.l7 != "DENIED"]
            seen = any(v.egress.redirected for v in answered) or not known.servers
            address = Endpoint.outside(target.ip, fqdns=target.fqdns if seen else ())
            for port, protocol in known.name_ports:
                passes = bool(answered or not known.servers) and lets(
                    source, address, port, protocol
                )
                found[f"{source} -> {target}:{port}/{protocol}"] = passes
    return found


def turned(was: dict[str, bool], now: dict[str, bool]) -> tuple[set[str], set[str]]:
    """What opens and what closes; requests only where their connection stands throughout."""

    def counts(flow: str) -> bool:
        connection = " ".join(flow.split(" ")[:3])
        return connection == flow or (was[connection] and now[connection])

    differing = [flow for flow in was if was[flow] is not now[flow] and counts(flow)]
    return {f for f in differing if now[f]}, {f for f in differing if was[f]}


def one_by_one(world: World, mutant: Mutant) -> tuple[set[str], set[str]]:
    """What a mutant opens and closes, by two engines made anew and a verdict for every flow."""
    live = list(world.policies)
    after = list(applied(mutant, {ObjectRef.of(policy): policy for policy in live}).values())
    was, now = (
        passing(world, live, Engine(found, endpoints=world.endpoints)) for found in (live, after)
    )
    return turned(was, now)


def check(world: World, mutant: Mutant) -> None:
    """A mutant's class and flows are those of brute force."""
    opened, closed = one_by_one(world, mutant)
    assert {str(flow) for flow in mutant.radius.opened} == opened, mutant.id
    assert {str(flow) for flow in mutant.radius.closed} == closed, mutant.id
    expected = {
        (False, False): EQUIVALENT,
        (True, False): OPENS,
        (False, True): CLOSES,
        (True, True): BOTH,
    }[bool(opened), bool(closed)]
    assert mutant.effect == expected, mutant.id


@pytest.mark.slow
@examples(12)
@given(st.data(), policies("p"), policies("q"))
def test_the_class_of_a_mutant_is_that_of_brute_force(
    data: st.DataObject, one: dict[str, Any], two: dict[str, Any]
) -> None:
    """Over every flow of a small world, each judged by engines that were made anew."""
    world = World((one, two), SMALL)
    found = [mutant for mutant in mutants(world) if mutant.effect != INVALID]
    for mutant in data.draw(st.lists(st.sampled_from(found), min_size=1, max_size=4)):
        check(world, mutant)


@pytest.mark.slow
@examples(15)
@given(st.data(), proxied("p"), proxied("q"))
def test_names_lookups_and_requests_are_judged_as_by_brute_force(
    data: st.DataObject, one: dict[str, Any], two: dict[str, Any]
) -> None:
    """Else every mistake in a DNS rule, in toFQDNs or in an HTTP rule would seem equivalent."""
    world = World((one, two), SMALL)
    found = [mutant for mutant in mutants(world) if mutant.effect != INVALID]
    telling = [m for m in found if m.family in {"dns", "fqdn", "http", "direction", "peers"}]
    for mutant in data.draw(st.lists(st.sampled_from(telling or found), min_size=1, max_size=3)):
        check(world, mutant)


@pytest.mark.slow
@examples(25)
@given(st.one_of(policies("p"), proxied("p")), policies("q"))
def test_a_mutant_is_undone_without_a_trace(one: dict[str, Any], two: dict[str, Any]) -> None:
    """restore(apply(mutant)) is identity on raw JSON, and neither changes what it is given."""
    live = {ObjectRef.of(policy): policy for policy in (one, two)}
    written = json.dumps([one, two])
    for mutant in mutants(World((one, two), SMALL)):
        broken = applied(mutant, live)
        assert broken != live
        again = restored(mutant, broken)
        assert again == live
        assert json.dumps([again[ObjectRef.of(policy)] for policy in (one, two)]) == written
    assert json.dumps([one, two]) == written


@pytest.mark.slow
@examples(12)
@given(st.one_of(policies("p"), proxied("p")), policies("q"))
def test_ids_are_unique_stable_and_enough_to_make_the_mutant_again(
    one: dict[str, Any], two: dict[str, Any]
) -> None:
    """An experiment that names an injectable mutant gets the very same object."""
    world = World((one, two), SMALL)
    found = mutants(world)
    ids = [mutant.id for mutant in found]
    assert len(set(ids)) == len(ids)
    assert sorted(m.id for m in mutants(World((two, one), SMALL))) == sorted(ids)
    around = Surroundings(world.policies, world.endpoints, world.services)
    for mutant in found:
        live = one if mutant.policy == ObjectRef.of(one) else two
        if mutant.injectable:
            made = apply_operator(mutant.id, live, around=around)
            assert made == mutant.changes[mutant.policy]
        else:
            with pytest.raises(PolicyError):
                apply_operator(mutant.id, live, around=around)


@pytest.mark.slow
@examples(20)
@given(st.one_of(policies("p"), proxied("p")), policies("q"))
def test_a_mutant_shares_nothing_with_the_live_policy(
    one: dict[str, Any], two: dict[str, Any]
) -> None:
    """Whoever edits a mutant does not edit the original."""
    written = json.dumps([one, two])
    for mutant in mutants(World((one, two), SMALL)):
        for policy in mutant.changes.values():
            _scribble(policy)
    assert json.dumps([one, two]) == written


def _scribble(value: Any) -> None:
    if isinstance(value, dict):
        for member in list(value.values()):
            _scribble(member)
        value["scribbled"] = True
    elif isinstance(value, list):
        for member in value:
            _scribble(member)
        value.append("scribbled")


EVERYTHING = World(
    (*(case.policy for case in CASES[:1]), SECOND, NATIVE, CLUSTERWIDE),
    PODS,
    services=SERVICES,
    cidr_groups=(GROUP,),
)


def test_an_invalid_mutant_says_why_and_changes_no_verdict() -> None:
    """The agents keep the old version in force, so nothing opens or closes."""
    found = [m for m in mutants(EVERYTHING) if m.effect == INVALID]
    assert found
    for mutant in found:
        assert mutant.radius.empty
        assert mutant.problems
        assert not mutant.injectable
        for policy in mutant.changes.values():
            assert policy is None or problems(policy) == list(mutant.problems)
    others = [m for m in mutants(EVERYTHING) if m.effect != INVALID]
    assert all(not mutant.problems for mutant in others)


EXAMPLES = [case.policy for case in CASES]


@pytest.mark.slow
@examples(40)
@given(st.one_of(st.sampled_from(EXAMPLES), policies("p"), proxied("p")))
def test_a_mutant_is_an_object_that_the_api_server_stores(policy: dict[str, Any]) -> None:
    """Only the agents refuse an invalid one: what is not stored is no mistake in a live policy."""
    for mutant in mutants(World((policy, SECOND), PODS, services=SERVICES)):
        for written in mutant.changes.values():
            if written is not None:
                assert [f for f in findings(written) if f.layer == "schema"] == [], mutant.id


def test_nothing_remains_of_a_section_that_was_the_only_one_but_its_name() -> None:
    """Without any section the object would not be stored."""
    policy = front(ingress=[{}], ingressDeny=[{"fromEntities": ["world"]}])
    (mutant,) = mutants(World((policy,), PODS), operators=["ingress-removed"])
    changed = mutant.changes[mutant.policy]
    assert changed is not None
    assert (changed["spec"]["ingress"], changed["spec"]["ingressDeny"]) == ([], [])
    assert mutant.effect == INVALID


def test_an_object_that_agents_refuse_has_no_mutants() -> None:
    """Nobody knows what is in force for it."""
    bad = cnp({"endpointSelector": {}, "ingress": []}, name="bad", namespace="pets")
    found = mutants(World((bad, PLAIN), PODS))
    assert {mutant.policy.name for mutant in found} == {"front"}


def test_operators_and_objects_can_be_chosen() -> None:
    """All of them is the default."""
    found = mutants(EVERYTHING, operators=["object-deleted"], of=[ObjectRef.of(SECOND)])
    assert [mutant.id for mutant in found] == ["pets/second:object-deleted@metadata.name"]
    with pytest.raises(PolicyError, match="There is no operator 'rule-emptid'"):
        mutants(EVERYTHING, operators=["rule-emptid"])


def test_only_a_mutant_that_rewrites_one_object_can_be_injected() -> None:
    """Deleting one, or writing it elsewhere, is a mistake to list but not to inject."""
    found = {mutant.id: mutant for mutant in mutants(EVERYTHING)}
    assert found["pets/front:ingress-from-nobody@spec.ingress"].injectable
    assert found["pets/front:name-reused@metadata.name=second"].injectable
    for name in ("object-deleted@metadata.name", "namespace-forgotten@metadata.namespace"):
        assert not found[f"pets/front:{name}"].injectable


def test_a_mutant_of_something_else_is_not_applied() -> None:
    """What was changed meanwhile is left alone."""
    (mutant,) = mutants(EVERYTHING, operators=["subject-widened"], of=[ObjectRef.of(SECOND)])
    live = {ObjectRef.of(policy): policy for policy in EVERYTHING.policies}
    broken = applied(mutant, live)
    with pytest.raises(PolicyError, match="is not as mutant pets/second:subject-widened@"):
        applied(mutant, broken)
    with pytest.raises(PolicyError, match="nothing was put in its place"):
        restored(mutant, live)


def test_name_mutants_are_not_equivalent() -> None:
    """Each mistake in the names of the small shop turns a lookup or a connection by name."""
    found = mutants(World((NAMES,), PODS))
    classes = {
        (mutant.operator, mutant.place): mutant.effect
        for mutant in found
        if mutant.family in {"dns", "fqdn"}
    }
    # Any name is a destination now, but none that was not allowed before can be looked up.
    assert [name for name, effect in classes.items() if effect == EQUIVALENT] == [
        ("fqdn-any-name", "spec.egress[1].toFQDNs[0]"),
        ("fqdn-any-name", "spec.egress[2].toFQDNs[0]"),
    ]
    assert len(classes) == 17
    (forgotten,) = (m for m in found if m.operator == "dns-rule-forgotten")
    assert [str(flow) for flow in forgotten.radius.closed] == [
        "pets/front-1 -> api.example.org:443/TCP",
        "pets/front-1 -> www.example.net:443/TCP",
    ]


def test_without_a_dns_server_names_are_taken_as_looked_up() -> None:
    """A folder of policies need not bring cluster DNS along."""
    policy = front(egress=[{"toFQDNs": [{"matchName": "api.example.org"}]}])
    (mutant,) = mutants(World((policy,), PODS[:1]), operators=["fqdn-misspelt"])
    assert mutant.effect == CLOSES
    assert [str(f) for f in mutant.radius.closed] == ["pets/front-1 -> api.example.org:443/TCP"]


def test_a_mutant_as_json_is_plain_and_complete() -> None:
    """What a game day and a report need; no objects."""
    (mutant,) = mutants(EVERYTHING, operators=["ingress-from-nobody"], of=[ObjectRef.of(PLAIN)])
    assert json.loads(json.dumps(mutant.as_json())) == {
        "id": "pets/front:ingress-from-nobody@spec.ingress",
        "operator": "ingress-from-nobody",
        "family": "empties",
        "mistake": OPERATORS["ingress-from-nobody"].summary,
        "policy": {"kind": "CiliumNetworkPolicy", "namespace": "pets", "name": "front"},
        "place": "spec.ingress",
        "class": "closes",
        "injectable": True,
        "closed": [
            "198.51.100.129 -> pets/front:8080/TCP",
            "198.51.101.1 -> pets/front:8080/TCP",
            "203.0.112.1 -> pets/front:8080/TCP",
            "203.0.113.1 -> pets/front:8080/TCP",
            "world -> pets/front:8080/TCP",
        ],
        "opened": [],
        "problems": [],
    }


def test_every_class_occurs_in_the_small_shop() -> None:
    """And together they are all mutants."""
    found = Counter(mutant.effect for mutant in mutants(EVERYTHING))
    assert set(found) == {CLOSES, OPENS, BOTH, EQUIVALENT, INVALID}


def test_a_policy_given_as_a_copy_is_the_same() -> None:
    """Nothing depends on which object it is, only on what stands in it."""
    world = World(copy.deepcopy(EVERYTHING.policies), PODS, services=SERVICES)
    assert [m.as_json() for m in mutants(world)] == [
        m.as_json() for m in mutants(World(EVERYTHING.policies, PODS, services=SERVICES))
    ]
