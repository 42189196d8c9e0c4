"""A policy before and during a fault: readable, with the guilty rule marked, or why it is not."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from acns_chaos.report.difference import ADDED, REMOVED, SAME, SKIPPED, Difference, difference
from tests.tiers import examples

JOURNALS = Path(__file__).parents[1] / "data/journals"
FLOW = "world -> pets/front:8080/TCP"


def peer(app: str) -> dict[str, Any]:
    """Peers by their label app."""
    return {"matchLabels": {"app": app}}


def rule(peers: dict[str, Any], port: str = "8080") -> dict[str, Any]:
    """One rule."""
    return {**peers, "toPorts": [{"ports": [{"port": port, "protocol": "TCP"}]}]}


WORLD = rule({"fromEntities": ["world"]})
SPEC = {
    "endpointSelector": peer("front"),
    "ingress": [WORLD],
    "egress": [rule({"toEndpoints": [peer("orders")]}, "3000")],
}


def policy(spec: object, kind: str = "CiliumNetworkPolicy", **more: Any) -> dict[str, Any]:
    """A policy object."""
    space = {} if kind == "CiliumClusterwideNetworkPolicy" else {"namespace": "pets"}
    head = {
        "apiVersion": "cilium.io/v2",
        "kind": kind,
        "metadata": {"name": "allow-front", **space},
    }
    return {**head, **({} if spec is None else {"spec": spec}), **more}


def fault(before: Any, after: Any, closed: Any = (FLOW,), opened: Any = ()) -> dict[str, Any]:
    """A fault as an older journal holds it: without what the engine found."""
    given = after or before
    return {
        "policy": {
            "kind": given["kind"],
            "name": "allow-front",
            **{k: v for k, v in given["metadata"].items() if k == "namespace"},
        },
        "change": "create" if before is None else "delete" if after is None else "modify",
        "before": before,
        "fault": after,
        "predicted": {"closed": list(closed), "opened": list(opened)},
    }


def with_rules(**sections: Any) -> dict[str, Any]:
    """The policy with other sections."""
    return policy({**SPEC, **sections})


def of(found: Difference, kind: str) -> list[str]:
    """The lines of one kind, without their indentation."""
    return [one.text.strip() for one in found.lines if one.kind == kind]


def guilty(found: Difference) -> list[str]:
    """The guilty lines with their signs."""
    signs = {REMOVED: "-", ADDED: "+", SAME: " ", SKIPPED: "~"}
    return [f"{signs[one.kind]} {one.text.strip()}" for one in found.lines if one.guilty]


def test_guilty_is_the_rule_that_let_the_flow_pass_before() -> None:
    """Of two changes only the one that closes the predicted flow is marked."""
    after = with_rules(ingress=[{"fromEndpoints": []}], egress=[])
    found = difference(fault(policy(SPEC), after))

    assert "- - world" in guilty(found)
    assert "+ - fromEndpoints: []" in guilty(found)
    assert not any("orders" in line or "3000" in line for line in guilty(found))
    assert "app: orders" in of(found, REMOVED)
    assert found.guilty.startswith(f"spec.ingress[0] allowed {FLOW}; now no rule allows it")
    assert "computed from the two documents alone" in found.guilty


def test_guilty_is_the_rule_that_denies_now() -> None:
    """A deny rule that came is marked, and the allow rule beside it is not."""
    found = difference(fault(policy(SPEC), with_rules(ingressDeny=[{"fromEntities": ["world"]}])))

    assert guilty(found) == ["+ - fromEntities:", "+ - world"]
    assert found.guilty.startswith(f"spec.ingressDeny[0] denies {FLOW}.")


def test_guilty_is_the_selector_that_selects_nobody_any_more() -> None:
    """A policy that fails open: what it is about is marked, not what it says."""
    after = policy({**SPEC, "endpointSelector": peer("frontt")})
    found = difference(fault(policy(SPEC), after, (), ["pets/rabbit -> pets/front:8080/TCP"]))

    assert guilty(found) == ["- app: front", "+ app: frontt"]
    assert "restricts its ingress no more" in found.guilty


def test_what_the_journal_holds_goes_before_what_could_be_computed() -> None:
    """The engine that predicted saw all that was live; its word is not computed again."""
    given = fault(policy(SPEC), with_rules(ingress=[{"fromEndpoints": []}]))
    given["turned"] = [
        {
            "flow": FLOW,
            "way": "closed",
            "side": "ingress",
            "before": [
                {
                    "kind": "CiliumNetworkPolicy",
                    "policy": "pets/allow-front",
                    "rule": "spec.ingress[0]",
                }
            ],
            "after": [],
            "reason": "POLICY_DENIED",
        }
    ]
    found = difference(given)

    assert found.guilty == (
        f"spec.ingress[0] allowed {FLOW}; now no rule allows it at ingress (POLICY_DENIED)."
    )
    assert "+ - fromEndpoints: []" in guilty(found)


def test_where_the_documents_do_not_reproduce_the_prediction_every_change_is_marked() -> None:
    """Nothing is made up: a flow that cannot be judged here is said not to be known."""
    after = with_rules(ingress=[rule({"fromEntities": ["world"]}, "80")])
    found = difference(fault(policy(SPEC), after, ["pets/a -> www.example.com:443/TCP"]))

    assert guilty(found) == ["- - port: '8080'", "+ - port: '80'"]
    assert found.guilty == (
        "Which of the changed lines is guilty is not known: all that changed is marked."
    )


def test_fault_that_turns_nothing_has_no_guilty_rule() -> None:
    """As an invalid document that the agents ignore."""
    found = difference(fault(policy(SPEC), with_rules(egress=[]), ()))

    assert "predicted to turn no flow" in found.guilty


def test_deleted_policy_is_removed_whole() -> None:
    """Every line goes; what restricted the opened flow is marked."""
    found = difference(fault(policy(SPEC), None, (), ["pets/a -> pets/front:9/TCP"]))

    assert of(found, ADDED) == of(found, SAME) == []
    assert "- - world" in guilty(found)
    assert not any("orders" in line for line in guilty(found))
    assert "with the policy gone" in found.guilty


def test_created_policy_is_added_whole() -> None:
    """A default deny that was not there: its deny rule is marked."""
    deny = {"endpointSelector": {}, "ingressDeny": [{"fromEntities": ["all"]}]}
    found = difference(fault(None, policy(deny), ["pets/a -> pets/front:8080/TCP"]))

    assert of(found, REMOVED) == []
    assert guilty(found) == ["+ - fromEntities:", "+ - all"]


def test_clusterwide_policy_is_one_without_a_namespace() -> None:
    """Its rules are found by its name alone."""
    kind = "CiliumClusterwideNetworkPolicy"
    found = difference(
        fault(policy(SPEC, kind), policy({**SPEC, "ingress": [{"fromEndpoints": []}]}, kind))
    )

    assert "- - world" in guilty(found)
    assert found.guilty.startswith("spec.ingress[0] allowed")


def test_kubernetes_network_policy_is_read_by_its_own_fields() -> None:
    """PodSelector first, and `from` and `ports` as they stand."""
    spec = {"podSelector": peer("front"), "policyTypes": ["Ingress"]}
    allow = {"ports": [{"port": 8080, "protocol": "TCP"}]}
    kind = "NetworkPolicy"
    found = difference(
        fault(policy({**spec, "ingress": [allow]}, kind), policy({**spec, "ingress": []}, kind))
    )

    assert [one.text for one in found.lines][:2] == ["spec:", "  podSelector:"]
    assert "- - port: 8080" in guilty(found) or "- - ports:" in guilty(found)


def test_specs_are_told_apart() -> None:
    """Of a policy with several rule blocks the changed one is shown and found guilty."""
    other = {"endpointSelector": peer("back"), "ingress": [{"fromEntities": ["host"]}]}
    closed = {**SPEC, "ingress": [{"fromEndpoints": []}]}
    found = difference(
        fault(policy(None, specs=[other, SPEC]), policy(None, specs=[other, closed]))
    )

    assert found.guilty.startswith("specs[1].ingress[0] allowed")
    assert "- - world" in guilty(found)
    assert [one.text for one in found.lines][:2] == ["specs:", "- endpointSelector:"]


def test_keys_stand_in_the_order_in_which_policies_are_read() -> None:
    """Whom, what for, in, out; however the server stored them."""
    spec = dict(
        reversed(
            [*SPEC.items(), ("ingressDeny", [{"fromEntities": ["host"]}]), ("description", "x")]
        )
    )
    found = difference(fault(policy(spec), policy({**spec, "egress": []})))
    keys = [one.text.strip(" ") for one in found.lines if one.text[:2] == "  " != one.text[2:4]]
    keys = [one.partition(":")[0] for one in keys if not one.startswith("-")]

    assert list(dict.fromkeys(keys)) == [
        "endpointSelector",
        "description",
        "ingress",
        "ingressDeny",
        "egress",
    ]


def test_order_of_keys_within_a_rule_is_no_difference() -> None:
    """A server may store them in another order."""
    turned = {"toPorts": WORLD["toPorts"], "fromEntities": ["world"]}
    found = difference(fault(policy(SPEC), with_rules(ingress=[turned])))

    assert found.lines == ()
    assert found.missing == "The rules do not differ."


def test_removed_rule_is_removed_whole_where_its_neighbour_begins_alike() -> None:
    """Not the end of one rule and the beginning of the next."""
    rules = [rule({"toEndpoints": [peer(app)]}, port) for app, port in (("a", "1"), ("b", "2"))]
    found = difference(
        fault(
            with_rules(egress=rules), with_rules(egress=rules[1:]), ["pets/front -> pets/a:1/TCP"]
        )
    )

    assert of(found, REMOVED) == [
        "- toEndpoints:",
        "- matchLabels:",
        "app: a",
        "toPorts:",
        "- ports:",
        "- port: '1'",
        "protocol: TCP",
    ]
    assert len(guilty(found)) == 7


def test_long_policy_is_folded_around_what_changed() -> None:
    """What is left out is counted."""
    rules = [rule({"toEndpoints": [peer(f"app-{n}")]}, str(n)) for n in range(30)]
    found = difference(
        fault(with_rules(egress=rules), with_rules(egress=[*rules[:20], *rules[21:]]), ())
    )

    assert len(found.lines) < 25
    assert next(one.text for one in found.lines if one.kind == SKIPPED).endswith("lines as before")


def test_policy_too_long_to_be_written_is_not_called_equal() -> None:
    """What differs beyond the last line that is written is said to."""
    found = difference(fault(with_rules(ingress=[WORLD] * 400), with_rules(ingress=[WORLD] * 350)))

    assert found.lines == ()
    assert "differ only beyond" in found.missing


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (None, "does not hold both"),
        ({"before": "x", "fault": 3}, "does not hold both"),
        ({**fault(policy(SPEC), policy(SPEC)), "before": None}, "does not hold both"),
        (fault(policy(SPEC), policy(SPEC)), "do not differ"),
    ],
)
def test_what_is_missing_is_said(given: Any, why: str) -> None:
    """Instead of a difference there is the reason."""
    found = difference(given)

    assert found.lines == ()
    assert why in found.missing


def test_lines_are_single_printable_lines() -> None:
    """Line breaks, escapes and marks that turn text around stay within their line, as spaces."""
    odd = "a\n- evil: true\x1b[31m\u202e\x00\ud800"
    found = difference(fault(policy(SPEC), with_rules(description=odd), ()))

    assert all(one.text.isprintable() for one in found.lines)
    assert not any(one.text.strip().startswith("- evil") for one in found.lines)


@pytest.mark.parametrize("name", ["storefront-ingress", "policy-flapping", "product-egress-open"])
def test_real_journals_have_a_guilty_rule(name: str) -> None:
    """Of runs in the lab the guilty lines are known, and are not all of the policy."""
    read = json.loads((JOURNALS / f"{name}.json").read_text())
    for one in read["acns_chaos"]["faults"]:
        found = difference(one)

        assert 0 < len(guilty(found)) < len(found.lines)
        assert one["predicted"]["closed" if one["predicted"]["closed"] else "opened"]
        assert found.guilty.startswith("spec.") or "was denied at egress" in found.guilty


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["spec", "specs", "ingress", "egress", "endpointSelector", "kind", "metadata"]
            )
            | st.text(max_size=5),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@examples(60)
@given(
    st.dictionaries(
        st.sampled_from(["before", "fault", "change", "predicted", "turned", "policy"]), VALUES
    ),
    st.booleans(),
)
def test_no_entry_breaks_it(odd: dict[str, Any], rest: bool) -> None:
    """Whatever stands in the journal, lines are printable and bounded, and nothing raises."""
    given = {**(copy.deepcopy(fault(policy(SPEC), with_rules(egress=[]))) if rest else {}), **odd}
    found = difference(given)

    assert bool(found.lines) is not bool(found.missing)
    assert len(found.lines) <= 1000
    assert all(one.text.isprintable() and len(one.text) <= 400 for one in found.lines)
