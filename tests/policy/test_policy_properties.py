"""Laws of the engine, over random policies."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from acns_chaos.errors import PolicyError
from acns_chaos.policy import Endpoint, Engine
from acns_chaos.policy.compile import compile_policy
from acns_chaos.policy.diff import delta, flows_between
from acns_chaos.policy.model import Settings
from acns_chaos.policy.operators import OPERATORS, apply_operator
from acns_chaos.policy.peer_fields import World
from acns_chaos.policy.validity import problems
from tests.policy.policy_cases import ccnp, cnp
from tests.tiers import examples

PODS = tuple(
    Endpoint.pod(namespace, labels, ports=[(80, "TCP"), (53, "UDP")])
    for namespace in ("shop", "data")
    for labels in ({"app": "a"}, {"app": "b"}, {"app": "a", "tier": "x"})
)
OTHERS = (Endpoint.entity("host"), Endpoint.entity("remote-node"), Endpoint.outside("192.0.2.1"))

values = st.sampled_from(["a", "b"])
selectors = st.one_of(
    st.just({}),
    st.builds(lambda v: {"matchLabels": {"app": v}}, values),
    st.just({"matchExpressions": [{"key": "tier", "operator": "Exists"}]}),
    st.builds(
        lambda v: {"matchExpressions": [{"key": "app", "operator": "NotIn", "values": [v]}]}, values
    ),
    st.just({"matchLabels": {"k8s:io.kubernetes.pod.namespace": "data"}}),
)
port_lists = st.lists(
    st.builds(
        lambda port, protocol: {"port": port, "protocol": protocol},
        st.sampled_from(["80", "53", "0", "8080"]),
        st.sampled_from(["TCP", "UDP", "ANY"]),
    ),
    max_size=2,
)
to_ports = st.one_of(st.none(), st.lists(st.builds(lambda p: {"ports": p}, port_lists), max_size=2))


def items(way: str) -> st.SearchStrategy[dict[str, Any]]:
    """Rule items of one direction, empty lists and absent fields among them."""
    peers = st.one_of(
        st.just({}),
        st.builds(lambda s: {f"{way}Endpoints": s}, st.lists(selectors, max_size=2)),
        st.builds(
            lambda e: {f"{way}Entities": e},
            st.lists(st.sampled_from(["world", "cluster", "host", "all"]), max_size=2),
        ),
        st.just({f"{way}CIDR": ["192.0.2.0/24"]}),
    )
    return st.builds(lambda p, t: p if t is None else {**p, "toPorts": t}, peers, to_ports)


@st.composite
def policies(draw: st.DrawFn, name: str = "p") -> dict[str, Any]:
    """A valid CNP or CCNP."""
    spec: dict[str, Any] = {"endpointSelector": draw(selectors)}
    for section, way in (("ingress", "from"), ("egress", "to")):
        for key in (section, f"{section}Deny"):
            spec[key] = draw(st.lists(items(way), max_size=2))
    if not any(spec[key] for key in ("ingress", "egress", "ingressDeny", "egressDeny")):
        spec["ingress"] = [{}]
    kind = draw(st.sampled_from([cnp, ccnp]))
    return kind(spec, name)


FLOWS = flows_between((*PODS, *OTHERS), [])


def answers(engine: Engine) -> list[bool]:
    """Whether each flow passes."""
    return [engine.allows(f.source, f.destination, f.port, f.protocol) for f in FLOWS]


@examples(15)
@given(policies(), policies("q"))
def test_the_quick_answer_is_the_verdict(one: dict[str, Any], two: dict[str, Any]) -> None:
    """`allows` and `verdict` never differ, and a denied flow always has a reason."""
    engine = Engine([one, two], endpoints=PODS)
    for flow, quick in zip(FLOWS, answers(engine), strict=True):
        verdict = engine.verdict(flow.source, flow.destination, flow.port, flow.protocol)
        assert quick is (verdict.verdict == "ALLOWED")
        for side in (verdict.egress, verdict.ingress):
            if side.drop_reason == "POLICY_DENY":
                assert side.rules
            elif side.verdict == "DENIED":
                assert side.nearest
                assert side.selecting


@examples(15)
@given(policies(), policies(), policies("q"))
def test_putting_the_original_back_gives_the_original_verdicts(
    original: dict[str, Any], mutant: dict[str, Any], other: dict[str, Any]
) -> None:
    """Shared and remembered parts never leak from one engine into another."""
    if original["kind"] != mutant["kind"]:
        mutant = {**mutant, "kind": original["kind"], "metadata": original["metadata"]}
    engine = Engine([original, other], endpoints=PODS)
    before = answers(engine)
    faulty = engine.with_policy(mutant)
    broken = answers(faulty)
    assert broken == answers(Engine([mutant, other], endpoints=PODS))
    restored = faulty.with_policy(original)
    assert answers(restored) == before
    assert answers(engine) == before
    assert delta(engine, restored, FLOWS).empty
    turned = delta(engine, faulty, FLOWS)
    assert len(turned.opened) + len(turned.closed) == sum(
        was is not now for was, now in zip(before, broken, strict=True)
    )


@examples(20)
@given(policies(), policies("q"))
def test_widening_the_peers_of_an_allow_rule_closes_nothing(
    policy: dict[str, Any], other: dict[str, Any]
) -> None:
    """A selector that becomes empty selects at least what it did."""
    wider = json.loads(json.dumps(policy))
    for section, field in (("ingress", "fromEndpoints"), ("egress", "toEndpoints")):
        for item in wider["spec"][section]:
            for selector in item.get(field) or ():
                if "k8s:io.kubernetes.pod.namespace" not in selector.get("matchLabels", {}):
                    selector.clear()
    engine = Engine([policy, other], endpoints=PODS)
    assert delta(engine, engine.with_policy(wider), FLOWS).closed == ()


@examples(20)
@given(policies(), policies("q"), items("from"))
def test_one_more_deny_rule_opens_nothing_and_one_more_allow_rule_closes_nothing(
    policy: dict[str, Any], other: dict[str, Any], item: dict[str, Any]
) -> None:
    """Where the direction is enforced already."""
    policy["spec"]["ingress"] = [{}, *policy["spec"]["ingress"]]
    engine = Engine([policy, other], endpoints=PODS)
    more = json.loads(json.dumps(policy))
    more["spec"]["ingressDeny"].append(item)
    assert delta(engine, engine.with_policy(more), FLOWS).opened == ()
    more = json.loads(json.dumps(policy))
    more["spec"]["ingress"].append(item)
    assert delta(engine, engine.with_policy(more), FLOWS).closed == ()


@examples(12)
@given(st.permutations(range(3)), policies("a"), policies("b"), policies("c"))
def test_the_order_of_policies_changes_no_verdict(
    order: list[int], one: dict[str, Any], two: dict[str, Any], three: dict[str, Any]
) -> None:
    """Rules have no order in Cilium."""
    given_order = [one, two, three]
    mixed = [given_order[index] for index in order]
    assert answers(Engine(given_order, endpoints=PODS)) == answers(Engine(mixed, endpoints=PODS))


@examples(20)
@given(st.sampled_from(list(OPERATORS)), policies())
def test_an_operator_never_changes_its_input_and_always_changes_the_object(
    name: str, policy: dict[str, Any]
) -> None:
    """Or it says in a sentence why not."""
    written = json.dumps(policy)
    mutant = refused = None
    try:
        mutant = apply_operator(name, policy)
    except PolicyError as error:
        refused = str(error)
    if mutant is None:
        assert refused is not None
        assert refused.endswith(".")
    else:
        assert mutant != policy
        assert problems(mutant) == []
    assert json.dumps(policy) == written


FIELDS = (
    *("spec", "specs", "ingress", "egress", "fromEndpoints", "toPorts", "ports", "port"),
    *("protocol", "rules", "http", "dns", "matchLabels", "matchExpressions", "key", "operator"),
    *("values", "fromCIDRSet", "cidr", "except", "icmps", "fields", "type", "endpointSelector"),
    *("cidrGroupSelector", "toFQDNs", "matchName", "k8sService", "toServices", "fromGroups"),
    *("enableDefaultDeny", "path", "headerMatches", "podSelector", "from", "ipBlock"),
)
json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-1, 70000), st.sampled_from(["", "a", "80"])),
    lambda inner: st.one_of(
        st.lists(inner, max_size=2),
        st.dictionaries(
            st.sampled_from(FIELDS),
            inner,
            max_size=4,
        ),
    ),
    max_leaves=12,
)


@examples(150)
@given(json_values, st.sampled_from(["CiliumNetworkPolicy", "NetworkPolicy"]))
def test_whatever_is_written_into_a_spec_gives_findings_or_rules_but_no_traceback(
    spec: Any, kind: str
) -> None:
    """What the sanitizer lets pass can be compiled."""
    policy = {"kind": kind, "metadata": {"name": "x", "namespace": "shop"}, "spec": spec}
    if not problems(policy):
        compile_policy(policy, World(Settings()))
