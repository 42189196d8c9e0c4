"""Predicted against observed: what counts as looked at, as seen, as noise; and what is not told."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from acns_chaos.evidence.facts import Facts
from acns_chaos.report.comparison import COMPLETE, NONE, PARTIAL, Comparison, comparison
from tests.tiers import examples
from tests.unit.evidence_journals import reading

JOURNALS = Path(__file__).parents[1] / "data/journals"
SHOP = "world -> pets/store-front:8080/TCP"
TO_ORDERS = {"workload": "store-front", "service": "order-service"}
ORDERS = "pets/store-front -> pets/order-service:3000/TCP"


def at(second: float) -> str:
    """A moment; the fault stands from 10 to 20, realised at 11."""
    return f"2026-11-23T09:00:{second:06.3f}+00:00"


def drop(flow: str, count: int = 5, before: int = 0, predicted: bool = True) -> dict[str, Any]:
    """A dropped flow as the timeline writes it."""
    source, _, rest = flow.partition(" -> ")
    destination, _, port = rest.partition(":")
    return {
        "source": source,
        "destination": destination,
        "port": int(port.partition("/")[0]),
        "protocol": "TCP",
        "direction": "ingress",
        "reason": "POLICY_DENIED",
        "count": count,
        "before": before,
        "predicted": predicted,
        "flow": flow if predicted else "",
    }


def journal(
    closed: Any = (SHOP,),
    opened: Any = (),
    realised_by: str = "",
    drops: Any = (),
    runs: Any = (),
    **hubble: Any,
) -> dict[str, Any]:
    """A journal of one fault."""
    fault = {
        "id": "f1",
        "policy": {"kind": "CiliumNetworkPolicy", "namespace": "pets", "name": "front"},
        "submitted": at(10),
        "realised": at(11),
        "realised_by": realised_by,
        "predicted": {"closed": list(closed), "opened": list(opened)},
        "restored": {"submitted": at(20), "verified": at(20.1)},
    }
    flows = {
        "from": at(10),
        "to": at(20),
        "unseen": "",
        "closed": [{"flow": one["flow"], "dropped": one["count"]} for one in drops if one["flow"]],
        "dropped": list(drops),
        "left_out": 0,
    }
    timeline = {
        "faults": [{"fault": "f1", "flows": {**flows, **hubble.pop("flows", {})}}],
        "sources": [{"name": "hubble", "lost": 0, **hubble}],
        "not_observed": [],
    }
    return {
        "run": list(runs),
        "acns_chaos": {
            "target": {"namespace": "pets"},
            "faults": [fault],
            "timeline": timeline,
        },
    }


def probe(func: str, state: str, began: float = 12, **arguments: Any) -> dict[str, Any]:
    """An activity of the method, and what it read."""
    provider = {"module": "acns_chaos.probes", "func": func, "arguments": arguments}
    return {
        "activity": {"name": f"a {func}", "provider": {"type": "python", **provider}},
        "status": "succeeded",
        "end": at(began + 1),
        "output": {**reading(state, True, state, "seen"), "at": at(began + 0.9)},
    }


def compared(*given: Any, **more: Any) -> Comparison:
    """The comparison of a journal as `journal` makes it."""
    return comparison(Facts(journal(*given, **more)))


def test_flow_that_hubble_saw_dropped_happened() -> None:
    """One predicted, one seen: both figures are 1, by complete evidence."""
    found = compared(drops=[drop(SHOP, 291)])

    assert found.rows == ((SHOP, "closes", "dropped", "Hubble: 291 flows dropped"),)
    assert (found.recall, found.precision) == (1.0, 1.0)
    assert (found.grade, found.lost, found.why) == (COMPLETE, 0, "")
    assert (found.predicted, found.looked, found.seen) == (1, 1, 1)


def test_flow_that_nobody_tried_counts_neither_way() -> None:
    """That Hubble saw no drop of it is no look: recall is of what somebody looked at."""
    found = compared([SHOP, ORDERS], drops=[drop(SHOP)])

    assert found.recall == 1.0
    assert (found.predicted, found.looked) == (2, 1)
    assert (ORDERS, "closes", "nobody looked", "") in found.rows


def test_flow_that_still_passed_is_told_and_lowers_recall() -> None:
    """A probe that got through while the fault stood contradicts the prediction."""
    run = probe("read_connection", "OPEN", **TO_ORDERS, port=3000)
    found = compared([SHOP, ORDERS], drops=[drop(SHOP)], runs=[run])

    assert found.recall == 0.5
    assert (ORDERS, "closes", "open", 'probe "a read_connection"') in found.rows


def test_run_s_own_witness_is_somebody_who_looked() -> None:
    """By the name the prediction uses, or by a shorter one within the namespace."""
    for named in (ORDERS, "store-front -> order-service:3000"):
        found = compared([ORDERS], realised_by=f"{named} was denied: nc -zv: timed out")

        assert found.rows == ((ORDERS, "closes", "denied", "the run's witness: nc -zv: timed out"),)
        assert found.recall == 1.0


def test_witness_by_another_name_is_shown_and_not_counted() -> None:
    """Whether it is the predicted flow is not for this page to guess."""
    found = compared(realised_by="a stranger -> rabbitmq:5672 was open: connected")

    assert found.rows[0] == (
        "a stranger -> rabbitmq:5672",
        "not by this name",
        "open",
        "the run's witness: connected",
    )
    assert found.recall is None


def test_flow_that_was_to_open_and_did() -> None:
    """What fails open makes no drop: only who tries sees it."""
    run = probe("read_egress", "OPEN", workload="store-front", url="http://www.bing.com")
    opened = "pets/store-front -> www.bing.com:80/TCP"
    found = compared([], [opened], runs=[run])

    assert found.rows == ((opened, "opens", "open", 'probe "a read_egress"'),)
    assert found.recall == 1.0
    assert found.precision is None
    assert "No precision" in found.why


def test_port_of_a_service_stands_for_the_only_flow_between_two() -> None:
    """Of several it is not known which one it was, so none is claimed."""
    run = probe("read_connection", "DENIED", **TO_ORDERS, port=80)
    one = compared([ORDERS], runs=[run])
    several = compared([ORDERS, ORDERS.replace("3000", "3001")], runs=[run])

    assert one.looked == 1
    assert several.looked == 0


@pytest.mark.parametrize("began", [9.0, 10.5, 20.5])
def test_what_was_read_before_or_after_the_fault_says_nothing_of_it(began: float) -> None:
    """Only from realised until the restore was submitted the fault is known to stand."""
    run = probe(
        "read_connection",
        "OPEN",
        began - 0.9,
        workload="store-front",
        service="order-service",
        port=3000,
    )
    found = compared([ORDERS], runs=[run])

    assert found.looked == 0


def test_reading_that_could_not_tell_is_no_look() -> None:
    """UNKNOWN is neither open nor denied."""
    run = probe("read_connection", "UNKNOWN", **TO_ORDERS, port=3000)
    run["output"]["met"] = None
    found = compared([ORDERS], runs=[run])

    assert found.looked == 0


def test_drop_that_was_not_predicted_lowers_precision() -> None:
    """It is shown beside the predicted ones."""
    other = "pets/a -> pets/b:1/TCP"
    found = compared(drops=[drop(SHOP), drop(other, 3, predicted=False)])

    assert found.precision == 0.5
    assert (f"{other} POLICY_DENIED", "not predicted", "dropped", "Hubble: 3 flows dropped") in (
        found.rows
    )


def test_drop_that_was_there_before_the_fault_is_noise() -> None:
    """It is named apart and counts neither way; a predicted flow counts whatever was before."""
    other = "pets/a -> pets/b:1/TCP"
    found = compared(drops=[drop(SHOP, before=2), drop(other, before=4, predicted=False)])

    assert found.precision == 1.0
    assert found.noise == (f"{other} POLICY_DENIED",)
    assert not any(other in row[0] for row in found.rows)


def test_flow_of_several_faults_is_one_row_with_all_its_drops() -> None:
    """A policy that flaps closes one flow, again and again."""
    read = journal(drops=[drop(SHOP, 5)])
    read["acns_chaos"]["timeline"]["faults"] *= 3
    found = comparison(Facts(read))

    assert found.rows == ((SHOP, "closes", "dropped", "Hubble: 15 flows dropped"),)


def test_flow_dropped_at_both_ends_is_one_flow() -> None:
    """And so it is when it was dropped in two faults."""
    both = [drop(SHOP), {**drop(SHOP), "direction": "egress", "reason": "POLICY_DENY"}]
    found = compared(drops=[*both, drop("pets/a -> pets/b:1/TCP", predicted=False)])

    assert found.precision == 0.5


@pytest.mark.parametrize(
    ("spoil", "grade", "told"),
    [
        ({"lost": 12}, PARTIAL, "Hubble lost 12 events."),
        ({"flows": {"unseen": "node n2 is unavailable"}}, PARTIAL, "node n2 is unavailable"),
        ({"flows": {"left_out": 3}}, PARTIAL, "3 flows dropped are left out."),
    ],
)
def test_evidence_that_is_not_complete_is_graded_and_explained(
    spoil: dict[str, Any], grade: str, told: str
) -> None:
    """Lost events, a node that was away, flows beyond what is kept."""
    found = compared(drops=[drop(SHOP)], **spoil)

    assert found.grade == grade
    assert told in found.why
    assert found.lost == spoil.get("lost", 0)


def test_probe_that_was_told_of_missing_flows_makes_the_evidence_partial() -> None:
    """What a reading says of Hubble counts, too."""
    run = probe("read_flows", "COUNTED", destination="store-front")
    run["output"]["evidence"] = {
        "hubble": {"complete": False, "lost": 3, "unavailable": [], "reasons": ["3 were lost"]}
    }
    found = compared(drops=[drop(SHOP)], runs=[run])

    assert found.grade == PARTIAL
    assert "3 were lost" in found.why


def test_hubble_that_nobody_asked_is_no_evidence() -> None:
    """And the reason is the journal's."""
    read = journal()
    read["acns_chaos"]["timeline"].update(
        sources=[], not_observed=[{"source": "hubble", "why": "it is switched off"}]
    )
    found = comparison(Facts(read))

    assert found.grade == NONE
    assert "Hubble was not observed: it is switched off." in found.why
    assert found.precision is None


def test_older_journal_says_what_it_does_not_hold() -> None:
    """Which drops were whose is not made up from the drops of the whole run."""
    read = journal(realised_by=f"{SHOP} was denied: no answer")
    del read["acns_chaos"]["timeline"]["faults"][0]["flows"]
    found = comparison(Facts(read))

    assert found.recall == 1.0
    assert found.precision is None
    assert "the journal does not hold which drops were of which fault" in found.why


@pytest.mark.parametrize("nothing", [{}, None, {"acns_chaos": 3}])
def test_run_without_a_fault_has_nothing_to_compare(nothing: Any) -> None:
    """No rows, no figures, and a sentence."""
    found = comparison(Facts(nothing))

    assert (found.rows, found.recall, found.precision, found.grade) == ((), None, None, NONE)
    assert "No fault was injected" in found.why


def test_many_flows_are_counted_and_not_all_written() -> None:
    """A fault of hundreds of flows is a dozen rows and a number."""
    found = compared([f"host -> pets/app-{n}:80/TCP" for n in range(300)], drops=[drop(SHOP)])

    assert len(found.rows) < 20
    assert found.predicted == 300
    assert any(row[0].endswith("more predicted flows") for row in found.rows)


@pytest.mark.parametrize(
    ("name", "recall"), [("storefront-ingress", 1.0), ("product-egress-open", 1.0)]
)
def test_real_journals_compare(name: str, recall: float) -> None:
    """Of runs in the lab what was predicted was seen, by Hubble's complete evidence."""
    found = comparison(Facts(json.loads((JOURNALS / f"{name}.json").read_text())))

    assert (found.recall, found.grade) == (recall, COMPLETE)
    assert found.seen >= 1


ODD = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=40),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["flow", "dropped", "count", "source", "lost"]), inner)
    ),
    max_leaves=8,
)


@examples(50)
@given(
    st.sampled_from(["faults", "timeline", "target", "flows", "closed", "dropped", "fault"]), ODD
)
def test_no_journal_breaks_it(where: str, odd: Any) -> None:
    """Whatever stands there: nothing raises, figures are shares, rows are four bounded texts."""
    read = copy.deepcopy(journal(drops=[drop(SHOP)], realised_by=f"{SHOP} was denied: x"))
    section = read["acns_chaos"]
    flows = section["timeline"]["faults"][0]["flows"]
    if where in flows:
        flows[where] = odd
    elif where == "fault":
        section["faults"][0]["predicted"] = odd
    elif where == "flows":
        section["timeline"]["faults"][0]["flows"] = odd
    else:
        section[where] = odd
    found = comparison(Facts(read))

    for figure in (found.recall, found.precision):
        assert figure is None or 0 <= figure <= 1
    assert all(len(row) == 4 and all(len(cell) <= 600 for cell in row) for row in found.rows)
