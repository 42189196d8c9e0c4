"""Suggestions: rules that would have fired, claims that would have been missed, and inert names."""

import json
from typing import Any

import promql_parser
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from acns_chaos.errors import GameDayError
from acns_chaos.faults.proposing.asks import CLOSED, OPEN, Ask
from acns_chaos.faults.proposing.documents import claim_document
from acns_chaos.gameday.asked import MUTANT, asked, denied
from acns_chaos.gameday.results import Result
from acns_chaos.gameday.suggest import SCRAPE, rules_text, suggest, window
from acns_chaos.gameday.verify import Verified, verify
from acns_chaos.lab.net.promql.evaluation import Query
from acns_chaos.lab.net.promql.expressions import parse
from acns_chaos.lab.net.promql.history import History
from tests.tiers import examples
from tests.unit.gameday_results import detector, result

FRONT = "hubble_drop_total pets/store-front ingress"
NODE = "cilium_drop_count_total ingress"


def survivor(*signals: str, effect: str = "closes", name: str = "m1") -> Result:
    """A mutant that nobody noticed, while these signals rose."""
    rose = [{"name": one, "rose": True, "by": 4} for one in signals]
    return result(name, "survived", signals=rose, **{"class": effect})


def probe(function: str, expect: str, **arguments: Any) -> dict[str, Any]:
    """A probe as in an experiment."""
    return {"provider": {"func": function, "arguments": {**arguments, "expect": expect}}}


def experiment(method: list[Any], claims: tuple[Any, ...] = ()) -> dict[str, Any]:
    """An experiment with this method."""
    return {
        "configuration": {"namespace": "pets", "storefront_service": "store-front"},
        "steady-state-hypothesis": {"probes": list(claims)},
        "method": method,
    }


STRANGER = {"workload": "stranger", "service": "rabbitmq", "port": 5672, "namespace": "pets"}


# ---------------------------------------------------------------------- rules


FAILED = -1.0


def fires(expression: str, counts: dict[int, float | None], at: int, up_since: int = 0) -> bool:
    """Whether a rule fires over a counter that is scraped each second.

    Args:
        expression: PromQL.
        counts: from which second on the counter has which value; None is no series,
            FAILED a scrape that fails.
        at: when to ask.
        up_since: the first scrape.
    """
    history = History()
    for second in range(up_since, at + 1):
        value = next(
            (v for begin, v in sorted(counts.items(), reverse=True) if begin <= second), None
        )
        samples = [(labels("up"), float(value != FAILED))]
        if value not in (None, FAILED):
            reason = {"destination": "pets/store-front-1", "reason": "POLICY_DENIED"}
            samples.append((labels("hubble_drop_total", **reason), value))
        history.append(1000.0 + second, samples, "hubble")
        # The node's other target answers all the time.
        history.append(1000.0 + second, [(labels("up", job="agent"), 1.0)], "agent")
    return bool(Query(parse(expression), history).at(1000.0 + at))


def labels(name: str, job: str = "hubble", **more: str) -> tuple[tuple[str, str], ...]:
    """The labels of a series, sorted."""
    found = {"__name__": name, "cluster": "lab", "instance": "n1", "job": job, **more}
    return tuple(sorted(found.items()))


def rule(signal: str = FRONT, scrape: float = 1.0) -> str:
    """The expression that is suggested for a signal."""
    (one,) = suggest(survivor(signal), scrape=scrape)
    return str(one.document["expr"])


def test_the_first_drop_of_a_new_series_fires() -> None:
    """increase() alone is 0 for it, so nobody would be told of the first outage."""
    counts = {0: None, 20: 2.0}
    assert fires(rule(), counts, at=21)
    bare = 'sum(increase(hubble_drop_total{destination=~"pets/.*"}[5s])) > 0'
    assert not fires(bare, counts, at=21)


@pytest.mark.parametrize(
    ("counts", "at", "up_since", "expected"),
    [
        pytest.param({0: 7.0}, 30, 0, False, id="nothing new: silent"),
        pytest.param({0: 7.0, 20: 9.0}, 21, 0, True, id="more drops: fires"),
        pytest.param({0: 7.0, 20: 9.0}, 30, 0, False, id="no more drops: silent again"),
        pytest.param({0: 7.0, 20: 0.0, 22: 3.0}, 23, 0, True, id="after a restart: fires"),
        pytest.param({0: 7.0, 20: 0.0}, 22, 0, False, id="a restart alone: silent"),
        pytest.param({10: 7.0}, 12, 10, False, id="a Prometheus that has just begun: silent"),
        pytest.param({0: None}, 30, 0, False, id="no series at all: silent"),
        pytest.param(
            {0: 7.0, 20: FAILED, 21: 7.0}, 25, 0, False, id="a scrape that failed: silent"
        ),
    ],
)
def test_a_suggested_rule_fires_when_drops_rose(
    counts: dict[int, float | None], at: int, up_since: int, expected: bool
) -> None:
    """And only then."""
    assert fires(rule(), counts, at, up_since) is expected


@pytest.mark.parametrize(
    "signal", [FRONT, NODE, "hubble_drop_total a/b egress", "cilium_drop_count_total"]
)
def test_a_suggested_rule_is_promql_and_a_rule_file(signal: str) -> None:
    """As the parser of Prometheus reads it."""
    (one,) = suggest(survivor(signal))
    read = yaml.safe_load(one.text)
    (group,) = read["groups"]
    (found,) = group["rules"]
    assert found == one.document
    promql_parser.parse(found["expr"])
    assert found["annotations"]["summary"].startswith("A network policy drops")


def test_the_narrowest_counter_that_rose_is_taken() -> None:
    """A node's counts everybody's drops."""
    (one,) = suggest(survivor(NODE, FRONT))
    assert one.name == "PolicyDrops_Pets_StoreFront_Ingress"
    assert one.document["labels"] == {
        "severity": "warning",
        "namespace": "pets",
        "workload": "store-front",
    }
    assert one.why == f"{FRONT} rose by 4 and nothing was listening: this rule would."
    (other,) = suggest(survivor(NODE))
    assert 'direction=~"[Ii][Nn][Gg][Rr][Ee][Ss][Ss]"' in other.document["expr"]


def test_a_rule_looks_back_four_scrapes() -> None:
    """One that is missed hides no drop."""
    assert [window(one) for one in (0.25, 1, 15, SCRAPE, 50)] == ["5s", "5s", "1m", "2m", "200s"]
    assert "offset 2m" in rule(scrape=SCRAPE)


def test_the_same_rule_stands_in_a_file_once() -> None:
    """Several survivors may have one cure."""
    made = [one for name in ("m1", "m2") for one in suggest(survivor(FRONT, name=name))]
    (group,) = yaml.safe_load(rules_text(made))["groups"]
    assert len(made) == 2
    assert len(group["rules"]) == 1


@given(st.text(max_size=60) | st.from_regex(r"hubble_drop_total \S+/\S+ ingress", fullmatch=True))
@examples(80)
def test_names_from_a_file_stay_names(name: str) -> None:
    """Whatever a signal or a mutant is called: no rule, or PromQL of three known metrics."""
    for one in suggest(survivor(name, name="{{ printf `x` }}: m")):
        expression = str(yaml.safe_load(one.text)["groups"][0]["rules"][0]["expr"])
        promql_parser.parse(expression)
        assert "{{" not in one.text
        assert expression.count("hubble_drop_total") + expression.count("cilium_drop") in (3, 4)


# ---------------------------------------------------------------------- claims


def test_an_opened_flow_is_found_by_a_closed_claim() -> None:
    """It is the project's own kind of claim, and stands alone."""
    method = [probe("read_connection", OPEN, **STRANGER)]
    (one,) = suggest(survivor(effect="opens"), experiment(method))
    ask = Ask("pets/stranger", "pets/rabbitmq", 5672)
    assert (one.kind, one.direction) == ("claim", "security")
    expected = claim_document(ask, CLOSED, in_use=False)
    assert {**one.document, "description": ""} == {**expected, "description": ""}
    assert json.loads(one.text)["steady-state-hypothesis"]["title"] == (
        "pets/stranger is kept from pets/rabbitmq on port 5672"
    )
    assert one.name == "pets-stranger-is-kept-from-pets-rabbitmq-on-port-5672"


def test_what_makes_no_drop_rise_is_found_by_an_open_claim() -> None:
    """A fault that closes, and no counter that a query can name."""
    method = [probe("read_storefront", CLOSED, path="/")]
    (one,) = suggest(survivor(effect="closes"), experiment(method))
    assert (one.kind, one.direction) == ("claim", "availability")
    assert one.document["steady-state-hypothesis"]["title"] == (
        "the world reaches pets/store-front on port 80"
    )


def test_what_was_open_before_was_not_opened() -> None:
    """The open claims of an experiment are asked in its method, too."""
    usual = probe("read_connection", OPEN, **{**STRANGER, "workload": "order-service"})
    method = [usual, probe("read_connection", OPEN, **STRANGER)]
    assert asked(experiment(method, (usual,))) == (
        [],
        [Ask("pets/stranger", "pets/rabbitmq", 5672)],
    )


def test_a_mutant_that_does_both_and_was_missed_in_both_gets_both() -> None:
    """Each direction its own detector; one that was noticed none."""
    method = [probe("read_connection", OPEN, **STRANGER)]
    both = survivor(FRONT, effect="both")
    assert [one.kind for one in suggest(both, experiment(method))] == ["alert", "claim"]
    assert suggest(result(), experiment(method)) == ()


def described(*method: Any, **mutant: Any) -> dict[str, Any]:
    """An experiment whose description says more of its mutant."""
    extensions = [{"name": "acns-chaos", MUTANT: mutant}]
    return {**experiment(list(method)), "extensions": extensions}


CLOSED_BY_IT = probe("read_connection", CLOSED, **{**STRANGER, "workload": "order-service"})
OPENED = {"source": "pets/rabbitmq", "target": "pets/order-service", "port": 80, "way": "connect"}


def test_what_an_experiment_opened_without_asking_is_found_by_a_closed_claim() -> None:
    """It was seen by what it closes; the day has written down what it opens."""
    both = survivor(FRONT, effect="both")
    rule_, claim = suggest(both, described(CLOSED_BY_IT, asked=[OPENED], opened=["x"]))
    assert (rule_.kind, claim.kind, claim.direction) == ("alert", "claim", "security")
    assert claim.name == "pets-rabbitmq-is-kept-from-pets-order-service-on-port-80"


def test_what_nobody_can_ask_is_told_by_what_the_same_mistake_closes() -> None:
    """The flow is named, with what to watch; the detector is for this direction, too."""
    both = survivor(FRONT, effect="both")
    flow = "world -> pets/rabbitmq:5672/TCP"
    first, second = suggest(both, described(CLOSED_BY_IT, asked=[], opened=[flow], more=2))
    assert (first.direction, second.direction) == ("availability", "security")
    assert first.document == second.document
    assert second.why.startswith(f"It opens {flow} and 2 more, which no workload")
    assert "watch Hubble" in second.why
    assert second.why.endswith("have this alert judge security, too.")


def test_where_claims_knock_all_day_an_open_claim_takes_the_place_of_a_rule() -> None:
    """The rule over that counter would always fire, and could judge nothing."""
    noisy = described(CLOSED_BY_IT, knocked=["pets/store-front ingress"])
    (one,) = suggest(survivor(FRONT), noisy)
    assert one.kind == "claim"
    assert one.name == "pets-order-service-reaches-pets-rabbitmq-on-port-5672"
    assert "claims that are denied" in one.why
    (node,) = suggest(survivor(NODE), noisy)
    assert node.kind == "claim"
    (other,) = suggest(survivor("hubble_drop_total pets/store-front egress"), noisy)
    assert other.kind == "alert"


@pytest.mark.parametrize(
    "change",
    [
        {"source": "pets/../x"},
        {"target": "${target}"},
        {"port": 0},
        {"port": "80"},
        {"port": 80.5},
        {"way": "stranger"},
        {"way": "name", "target": "a b", "port": 443},
        {"source": 3},
    ],
)
def test_a_description_that_names_nothing_makes_no_claim(change: dict[str, Any]) -> None:
    """An experiment of a day may have been edited by anybody."""
    told = described(asked=[{**OPENED, **change}, 3], opened=3, knocked="x")
    assert suggest(survivor(effect="opens"), told) == ()


def test_the_flows_that_a_claim_finds_denied_are_read_from_its_file() -> None:
    """And no other."""
    usual = probe("read_connection", OPEN, **{**STRANGER, "workload": "order-service"})
    claim = experiment([], (usual, probe("read_connection", CLOSED, **STRANGER)))
    assert denied(claim) == [Ask("pets/stranger", "pets/rabbitmq", 5672)]


@pytest.mark.parametrize("found", [None, {}, {"method": 3}, {"method": [None, {"provider": []}]}])
def test_without_a_signal_and_a_flow_there_is_nothing_to_suggest(found: Any) -> None:
    """It is said, not made up."""
    assert suggest(survivor(), found) == ()


@pytest.mark.parametrize(
    "change",
    [
        {"service": "${target}"},
        {"workload": "../../etc"},
        {"port": 0},
        {"port": 5672.5},
        {"port": True},
        {"workload": ""},
        {"namespace": 'x", "func": "inject_fault'},
    ],
)
def test_what_is_no_name_makes_no_claim(change: dict[str, Any]) -> None:
    """An experiment of a day may have been edited by anybody."""
    method = [probe("read_connection", OPEN, **{**STRANGER, **change})]
    assert suggest(survivor(effect="opens"), experiment(method)) == ()


# ---------------------------------------------------------------------- verifying


class FakeLab:
    """Runs mutants again: what is suggested notices after 700 ms, unless it is said otherwise."""

    def __init__(self, **outcomes: dict[str, Any]) -> None:
        self.outcomes = outcomes
        self.rules: list[str] = []
        self.ran: list[str] = []

    def install_rules(self, text: str) -> None:
        self.rules.append(text)

    def run_again(self, result_: Result, suggestions: Any) -> Result:
        self.ran.append(result_.mutant)
        told = self.outcomes.get(result_.mutant, {})
        detectors = [
            detector(one.name, told.get("noticed", True), after=700.0) for one in suggestions
        ]
        changes = {key: value for key, value in told.items() if key != "noticed"}
        return result(result_.mutant, **{"detectors": detectors, **changes})


def with_rule(name: str) -> tuple[Result, Any]:
    """A survivor with what is suggested for it."""
    one = survivor(FRONT, name=name)
    return one, suggest(one, scrape=1.0)


def words(found: list[Verified]) -> list[tuple[str, bool | None]]:
    """What came of each."""
    return [(one.mutant, one.caught) for one in found]


OWN = "groups: [{name: own, rules: [{alert: Mine, expr: vector(1)}]}]\n"


def test_a_suggestion_is_shown_to_notice_or_not() -> None:
    """With the time it took; the plan's own rules stay in place and are there alone at the end."""
    lab = FakeLab(m2={"noticed": False})
    found = verify([with_rule("m1"), with_rule("m2")], lab, OWN)
    assert words(found) == [("m1", True), ("m2", False)]
    assert str(found[0]) == (
        "The alert PolicyDrops_Pets_StoreFront_Ingress would have caught it after 700 ms"
    )
    first, last = lab.rules
    assert [one["name"] for one in yaml.safe_load(first)["groups"]] == [
        "own",
        "acns-chaos suggested",
    ]
    assert last == OWN


def test_a_run_that_says_nothing_proves_nothing() -> None:
    """Neither that it would have noticed nor that it would not."""
    lab = FakeLab(
        m1={"status": "unknown", "why": "the fault was not seen in force"}, m2={"noticed": None}
    )
    found = verify([with_rule("m1"), with_rule("m2")], lab)
    assert words(found) == [("m1", None), ("m2", None)]
    assert "the fault was not seen in force" in str(found[0])


def test_nothing_is_run_after_a_run_that_was_not_restored() -> None:
    """The rules are taken away all the same."""
    lab = FakeLab(m1={"outcome": "NOT_RESTORED", "restored": False})
    found = verify([with_rule("m1"), with_rule("m2")], lab, OWN)
    assert lab.ran == ["m1"]
    assert found[1].why == "not tried, as an earlier run was not restored"
    assert lab.rules[-1] == OWN


def test_the_rules_are_put_back_when_running_fails() -> None:
    """Whatever happens."""

    class Broken(FakeLab):
        def run_again(self, result_: Result, suggestions: Any) -> Result:
            raise GameDayError("The lab is gone.")

    lab = Broken()
    with pytest.raises(GameDayError, match="The lab is gone"):
        verify([with_rule("m1")], lab, OWN)
    assert lab.rules[-1] == OWN


def test_a_cluster_is_given_no_rules() -> None:
    """Suggestions are verified in the lab only."""
    real = {"kind": "cluster", "label": "prod", "uid": "u2"}
    one = result("m1", "survived", place=real, signals=[{"name": FRONT, "rose": True}])
    lab = FakeLab()
    with pytest.raises(GameDayError, match="verified in the lab only"):
        verify([(one, suggest(one))], lab)
    assert (lab.rules, lab.ran) == ([], [])
