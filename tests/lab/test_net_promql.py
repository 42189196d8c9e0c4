"""The evaluator: Prometheus's arithmetic on samples that are spelled out."""

import math

import pytest

from acns_chaos.lab.net.promql.evaluation import Query
from acns_chaos.lab.net.promql.expressions import ParseError, parse
from acns_chaos.lab.net.promql.history import History
from acns_chaos.lab.net.promql.vectors import ExecutionError

NOW = 1000.0


def labels(name: str, **more: str) -> tuple[tuple[str, str], ...]:
    return tuple(sorted({"__name__": name, **more}.items()))


def history() -> History:
    """A sample every 10 s: `drops` rises by 1 (pod a) and 2 (pod b), `c` restarts at 950."""
    made = History()
    for second in range(800, 1001, 10):
        index = (second - 800) // 10
        samples = [
            (labels("drops", pod="a", reason="POLICY_DENIED"), 100.0 + index),
            (labels("drops", pod="b", reason="POLICY_DENY"), 200.0 + 2 * index),
            (labels("c"), float(index if second < 950 else (second - 950) // 10)),
            (labels("g"), 50.0 - index),
        ]
        if second == 1000:
            samples.append((labels("fresh"), 2.0))
        if second == 800:
            made.append(800.0, [(labels("old"), 7.0)], "another target")
        made.append(float(second), samples)
    return made


def ask(text: str, at: float = NOW):
    return Query(parse(text), history()).at(at)


def only(text: str, at: float = NOW) -> float:
    value = ask(text, at)
    assert not isinstance(value, float)
    assert len(value) == 1
    return value[0][1]


def test_a_selector_gives_the_newest_sample_of_each_series():
    """Name and labels come with it."""
    assert ask("drops") == [
        ({"__name__": "drops", "pod": "a", "reason": "POLICY_DENIED"}, 120.0),
        ({"__name__": "drops", "pod": "b", "reason": "POLICY_DENY"}, 240.0),
    ]


@pytest.mark.parametrize(
    ("matchers", "pods"),
    [
        ('pod="a"', ["a"]),
        ('pod!="a"', ["b"]),
        ('pod=~"a|b"', ["a", "b"]),
        ('pod=~"(?i)A"', ["a"]),
        ('reason=~"POLICY"', []),
        ('reason!~".*DENY"', ["a"]),
        ('nothing=""', ["a", "b"]),
        ('nothing!=""', []),
    ],
)
def test_matchers_compare_whole_values_and_take_a_missing_label_for_empty(matchers, pods):
    """All four operators, anchored."""
    assert [found["pod"] for found, _ in ask(f"drops{{{matchers}}}")] == pods


def test_a_sample_is_forgotten_by_instant_queries_after_five_minutes():
    """The look-back is 300 s, its far edge included."""
    assert only("old", 1100.0) == 7.0
    assert ask("old", 1100.001) == []


def test_a_series_that_a_scrape_no_longer_finds_ends_there():
    """Its last value does not answer for five minutes, and it can come back."""
    made = History()
    for at, there in ((1.0, True), (2.0, False), (3.0, True)):
        made.append(at, [(labels("x"), at)] if there else [])
    found = [Query(parse("x"), made).at(when) for when in (1.5, 2.0, 2.9, 3.0)]
    assert [len(vector) for vector in found] == [1, 0, 0, 1]
    assert Query(parse("count_over_time(x[5s])"), made).at(3.0)[0][1] == 2.0


def test_offset_looks_back():
    """The value 100 s ago."""
    assert only('drops{pod="a"} offset 100s') == 110.0


def test_increase_is_extrapolated_to_the_window_as_prometheus_does():
    """Five steps in the samples of the last minute, extended to the whole of it."""
    assert only('increase(drops{pod="a"}[1m])') == pytest.approx(6.0)
    assert only('rate(drops{pod="b"}[1m])') == pytest.approx(0.2)
    assert only('increase(drops{pod="a"}[10m])') == pytest.approx(20 * (200 + 5) / 200)
    # Nothing is extended by more than half a step where samples stop.
    assert only('increase(drops{pod="a"}[1m])', 1030.0) == pytest.approx(2 * (20 + 5 + 10) / 20)


def test_increase_does_not_reach_below_zero():
    """A counter that was 0 at its first sample is not extended to before that."""
    made = History()
    for second, value in ((970, 0.0), (980, 10.0), (990, 20.0)):
        made.append(float(second), [(labels("x"), value)])
    ((_, increase),) = Query(parse("increase(x[1m])"), made).at(1000.0)
    assert increase == pytest.approx(20 * (20 + 0 + 10) / 20)


def test_the_first_sample_of_a_series_is_no_increase():
    """A fresh series gives nothing at all, as the captures warn."""
    assert ask("increase(fresh[1m])") == []
    assert only("fresh") == 2.0


def test_a_restart_of_a_counter_is_no_decrease():
    """From 9..14 to 0..5 the counter went up, and a gauge's delta is negative."""
    assert only("increase(c[2m])") > 0
    assert only("delta(c[2m])") < 0
    assert only("delta(g[1m])") == pytest.approx(-6.0)


def test_irate_looks_at_the_last_two_samples():
    """One step of 1 in 10 s."""
    assert only('irate(drops{pod="a"}[5m])') == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("sum(drops)", 360.0),
        ("max(drops)", 240.0),
        ("min(drops)", 120.0),
        ("avg(drops)", 180.0),
        ("count(drops)", 2.0),
    ],
)
def test_aggregations_fold_a_vector(text, value):
    """Without a grouping one element without labels is left."""
    assert ask(text) == [({}, value)]


def test_grouping_keeps_or_drops_labels():
    """By keeps the named ones, without keeps the others, and never the metric's name."""
    assert ask("sum by (pod) (drops)") == [({"pod": "a"}, 120.0), ({"pod": "b"}, 240.0)]
    assert ask("sum(drops) without (pod)") == [
        ({"reason": "POLICY_DENIED"}, 120.0),
        ({"reason": "POLICY_DENY"}, 240.0),
    ]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1 + 2 * 3", 7.0), ("7 % 4", 3.0), ("-(2)", -2.0), ("1 > bool 2", 0.0), ("time()", NOW),
        ("1 / 0", math.inf), ("-1 / 0", -math.inf),
    ],
)  # fmt: skip
def test_scalars_are_calculated(text, value):
    """Numbers stay numbers."""
    assert ask(text) == value


def test_arithmetic_with_a_number_drops_the_metrics_name():
    """On either side."""
    assert ask('drops{pod="a"} - 20') == [({"pod": "a", "reason": "POLICY_DENIED"}, 100.0)]
    assert ask('240 / drops{pod="a"}') == [({"pod": "a", "reason": "POLICY_DENIED"}, 2.0)]
    assert ask('-drops{pod="a"}') == [({"pod": "a", "reason": "POLICY_DENIED"}, -120.0)]


def test_comparison_filters_and_keeps_the_vectors_value():
    """With bool it answers 0 or 1 instead, without the metric's name."""
    assert ask("drops > 200") == [
        ({"__name__": "drops", "pod": "b", "reason": "POLICY_DENY"}, 240.0)
    ]
    assert ask('200 > drops{pod="a"}')[0][1] == 120.0
    assert [value for _, value in ask("drops > bool 200")] == [0.0, 1.0]
    assert ask("drops == 1") == []


def test_a_missing_series_can_be_zero():
    """`or vector(0)` is what a first drop is compared with."""
    assert ask("sum(nothing) or vector(0)") == [({}, 0.0)]
    assert ask("sum(drops) or vector(0)") == [({}, 360.0)]


def test_vectors_match_one_to_one():
    """By all labels, or by those named."""
    assert [v for _, v in ask("drops - drops offset 100s")] == [10.0, 20.0]
    assert ask("drops / on (pod) drops") == [({"pod": "a"}, 1.0), ({"pod": "b"}, 1.0)]
    assert ask('drops > on (pod) drops{pod="a"} offset 10s') == [({"pod": "a"}, 120.0)]
    assert ask('drops unless drops{pod="a"}')[0][1] == 240.0
    assert ask('drops and drops{pod="a"}')[0][1] == 120.0


def test_an_ambiguous_match_is_an_error():
    """Two elements may not find the same partner."""
    with pytest.raises(ExecutionError, match="many-to-one"):
        ask("drops / on () sum(drops)")
    with pytest.raises(ExecutionError, match="duplicate series"):
        ask("sum(drops) / on () drops")


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ('count_values("x", drops)', "the aggregation count_values is not modelled by the lab"),
        ('label_join(drops, "a", "b", "c")', "the function label_join() is not modelled"),
        ("drops atan2 drops", "the operator atan2 is not modelled by the lab"),
        ("rate(drops[1m:10s])", "rate() of anything but a range selector is not modelled"),
        ("drops[1m:10s]", "a subquery is not modelled by the lab"),
        ("drops @ 3", "the @ modifier is not modelled by the lab"),
    ],
)  # fmt: skip
def test_everything_else_is_refused_by_name(text, what):
    """Never a guess."""
    with pytest.raises(ExecutionError) as caught:
        ask(text)
    assert what in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "", "sum(", "rate(drops)", "nonsense(drops)", "{}", 'drops{pod=~"a(?=b)"}', "5m",
        "rate(drops[5])", "limitk(1, drops)", '{a="b" or c="d"}', "(" * 1000 + "1" + ")" * 1000,
        "-" * 30_000 + "1",
    ],
)  # fmt: skip
def test_what_is_no_promql_is_a_parse_error(text):
    """The parser's own words."""
    with pytest.raises(ParseError):
        parse(text)


def test_old_samples_are_forgotten():
    """An hour of history, and series that have none left disappear."""
    made = History()
    made.append(0.0, [(labels("gone"), 1.0)])
    for second in range(1, 1200):
        made.append(float(second * 6), [(labels("here"), 1.0)])
    assert [series.names["__name__"] for series in made.select(())] == ["here"]
    (here,) = made.select(())
    assert len(here.between(-1.0, 1e9)) < 1200


def test_label_replace_makes_a_label_of_another():
    """Whole values are matched, groups are named in the template, what does not match stays."""
    assert ask('label_replace(drops, "who", "${1}!", "pod", "(a)")') == [
        ({"__name__": "drops", "pod": "a", "reason": "POLICY_DENIED", "who": "a!"}, 120.0),
        ({"__name__": "drops", "pod": "b", "reason": "POLICY_DENY"}, 240.0),
    ]
    with pytest.raises(ExecutionError, match="same labelset"):
        ask('label_replace(label_replace(drops, "pod", "", "pod", ".*"), "reason", "", "x", "")')
    with pytest.raises(ExecutionError, match="invalid regular expression in label_replace"):
        ask('label_replace(drops, "who", "$1", "pod", "(")')
    with pytest.raises(ExecutionError, match="invalid destination label name"):
        ask('label_replace(drops, "a-b", "$1", "pod", ".*")')
