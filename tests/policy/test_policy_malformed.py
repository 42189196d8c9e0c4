"""Malformed policies: whatever JSON-like value is given, the answer is a sentence."""

import re
import tracemalloc
from collections.abc import Callable
from random import Random
from time import perf_counter
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from acns_chaos.errors import PolicyError
from acns_chaos.policy import Engine
from acns_chaos.policy.addresses import CidrGroup
from acns_chaos.policy.names import NameMatch, canonical
from acns_chaos.policy.quoting import MAX_FINDINGS
from acns_chaos.policy.services import read_services
from acns_chaos.policy.shape import is_too_large
from acns_chaos.policy.validity import Finding, findings, problems
from acns_chaos.policy.validity_neighbours import Neighbours
from tests.policy.policy_cases import API, NAMESPACES, WEB, cnp, knp, to_api
from tests.policy.policy_corruptions import corrupted, deep
from tests.tiers import examples

LONGEST = 600
WORLD = Neighbours((), (WEB, API), NAMESPACES)


def is_a_sentence(text: str) -> bool:
    """On one line, of bounded length, that can be printed, with a full stop."""
    return len(text) <= LONGEST and text.isprintable() and text.endswith(".")


def asked(use: Callable[[Any], Any], value: Any) -> Any:
    """What one way in says: its answer, or its PolicyError. Anything else fails the test."""
    try:
        return use(value)
    except PolicyError as error:
        return error


def answers(value: Any) -> tuple[list[str], list[Finding]] | PolicyError:
    """What all ways in say, after a look at whether they agree and speak in sentences."""
    engine = asked(lambda raw: Engine([raw]), value)
    said, found = asked(problems, value), asked(lambda raw: findings(raw, world=WORLD), value)
    if isinstance(engine, PolicyError):
        assert str(said) == str(found) == str(engine)
        assert is_a_sentence(str(engine)), str(engine)
        return engine
    assert [list(reasons) for reasons in engine.invalid.values()] == ([said] if said else [])
    for text in (*said, *(finding.sentence for finding in found)):
        assert is_a_sentence(text), text
    if said:
        assert found, said
    return said, found


@pytest.mark.slow
def test_thousands_of_corrupted_policies_get_an_answer() -> None:
    """Seeded: each with up to four things wrong, of every kind, anywhere."""
    started, count = perf_counter(), 5000
    refused = accepted = errors = 0
    for seed in range(count):
        answer = answers(corrupted(Random(seed)))
        if isinstance(answer, PolicyError):
            errors += 1
        elif answer[1]:
            refused += 1
        else:
            accepted += 1
    assert errors > 500
    assert refused > 2000
    assert accepted > 50
    assert (perf_counter() - started) / count < 0.01


json_like = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(["world", "10.0.0.0/8", "*.a.com", "80", "http", "In", "TCP"]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                [
                    "spec",
                    "specs",
                    "ingress",
                    "egress",
                    "ingressDeny",
                    "endpointSelector",
                    "matchLabels",
                    "matchExpressions",
                    "key",
                    "operator",
                    "values",
                    "fromEndpoints",
                    "fromEntities",
                    "fromCIDRSet",
                    "cidr",
                    "except",
                    "toFQDNs",
                    "matchName",
                    "toPorts",
                    "ports",
                    "port",
                    "protocol",
                    "rules",
                    "http",
                    "dns",
                    "icmps",
                    "fields",
                    "type",
                    "from",
                    "podSelector",
                    "ipBlock",
                ]
            )
            | st.text(max_size=5)
            | st.integers()
            | st.none(),
            inner,
            max_size=4,
        )
    ),
    max_leaves=25,
)


@examples(150, suppress_health_check=[HealthCheck.too_slow])
@given(
    kind=st.sampled_from(
        ["CiliumNetworkPolicy", "CiliumClusterwideNetworkPolicy", "NetworkPolicy"]
    ),
    rest=json_like,
)
def test_any_value_in_place_of_a_spec_gets_an_answer(kind: str, rest: Any) -> None:
    """Values that nobody wrote by corrupting a real policy."""
    policy = {"kind": kind, "metadata": {"name": "p"}, "spec": rest}
    answers(policy)
    answers({**policy, **rest} if isinstance(rest, dict) else policy)


def near_limit(make: Callable[[str], Any]) -> Any:
    """A policy with one text of nearly the largest size that is stored."""
    return make("a" * 1_400_000)


def regex(pattern: str) -> dict[str, Any]:
    return {
        "toPorts": [
            {
                "ports": [{"port": "80", "protocol": "TCP"}],
                "rules": {"http": [{"path": pattern}]},
            }
        ]
    }


def endless() -> dict[str, Any]:
    """A structure that contains itself, as a YAML anchor can make it."""
    rule: dict[str, Any] = {}
    rule["fromEndpoints"] = [rule]
    return to_api(rule)


def billion_laughs() -> dict[str, Any]:
    """A structure that is small in memory and endless when it is walked."""
    laugh: Any = ["lol"]
    for _ in range(60):
        laugh = [laugh, laugh]
    return to_api({"fromEntities": laugh})


TOO_LARGE = "is larger than 1.5 MiB, which no API server stores"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: to_api({"fromEntities": ["x" * 10_000_000]}), TOO_LARGE),
        (lambda: to_api({"x" * 10_000_000: 1}), TOO_LARGE),
        (lambda: to_api(*[{}] * 2_000_000), TOO_LARGE),
        (endless, TOO_LARGE),
        (billion_laughs, TOO_LARGE),
        (lambda: to_api(deep(1000)), "stands where an object belongs"),
        (lambda: to_api({"fromEntities": deep(50_000)}), "stands where a text belongs"),
        (lambda: to_api({"x": deep(50_000)}), "there is no field 'x' here"),
        (lambda: to_api(regex("(" * 9000)), "is not a regular expression"),
        (lambda: near_limit(lambda a: to_api(regex(a))), "is a regular expression of 1400000"),
        (lambda: near_limit(lambda a: to_api({"fromEntities": [a]})), "is not known here"),
        (lambda: near_limit(lambda a: to_api({"fromCIDR": [a]})), "is no prefix"),
        (
            lambda: near_limit(
                lambda a: cnp({"endpointSelector": {"matchLabels": {"k": a + "!"}}})
            ),
            "is no label value",
        ),
        (
            lambda: near_limit(
                lambda a: to_api({"toPorts": [{"ports": [{"port": f"{a}-", "protocol": "TCP"}]}]})
            ),
            "is no port",
        ),
        (
            lambda: near_limit(
                lambda a: cnp({"endpointSelector": {}, "egress": [{"toFQDNs": [{"matchName": a}]}]})
            ),
            "1400000 characters are too long",
        ),
        (lambda: to_api({"fromEntities": ["planet"] * 40_000}), "'planet' is not known here"),
        (lambda: to_api({f"from{n}": 1 for n in range(20_000)}), "there is no field 'from0' here"),
        (lambda: knp({"podSelector": {}, "ingress": [{"ports": [{"port": 10**5000}]}]}), "number"),
    ],
)
def test_the_largest_and_the_deepest_get_an_answer_in_time(
    make: Callable[[], Any], words: str
) -> None:
    """All ways in together within seconds, and with few findings."""
    policy = make()
    started = perf_counter()
    answer = answers(policy)
    seconds = perf_counter() - started
    assert not isinstance(answer, PolicyError)
    said = [finding.sentence for finding in answer[1]]
    assert any(words in sentence for sentence in said), said[:3]
    assert len(said) <= 2 * MAX_FINDINGS
    assert seconds < 3


@pytest.mark.slow
@pytest.mark.parametrize(
    "make",
    [
        lambda: to_api({"fromEntities": ["x" * 10_000_000]}),
        lambda: to_api({"fromEntities": ["planet"] * 40_000}),
        lambda: to_api({"x": deep(50_000)}),
        lambda: to_api(*[{}] * 2_000_000),
    ],
)
def test_the_largest_and_the_deepest_take_bounded_memory(make: Callable[[], Any]) -> None:
    """At most 60 MiB besides the document itself."""
    policy = make()
    tracemalloc.start()
    findings(policy)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 60 * 2**20


def test_the_size_of_an_object_is_counted_however_it_is_put_together() -> None:
    """By its texts, keys and values; what is just small enough passes."""
    assert not is_too_large({"a": "x" * 1_500_000})
    assert is_too_large({"a": "x" * 1_600_000})
    assert is_too_large({"x" * 1_600_000: 1})
    assert is_too_large([0] * 1_600_000)
    shared = "x" * 100_000
    assert is_too_large([shared] * 20)


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        (None, "A policy is an object, and this is null; give the whole object."),
        ([], "A policy is an object, and this is a list; give the whole object."),
        ("kind: Pod", "A policy is an object, and this is a text; give the whole object."),
        ([10**5000], "A policy is an object, and this is a list; give the whole object."),
        (
            {"kind": deep(5000)},
            (
                "An object whose kind is no text is not a policy; give one of CiliumNetworkPolicy, "
                "CiliumClusterwideNetworkPolicy, NetworkPolicy."
            ),
        ),
        (
            {"kind": "NetworkPolicy", "metadata": []},
            "A NetworkPolicy has no metadata.name; give the object its name.",
        ),
        (
            {"kind": "NetworkPolicy", "metadata": {"name": "p", "namespace": deep(5000)}},
            (
                "metadata.namespace of the NetworkPolicy 'p' is no name; give a text of at most "
                "253 characters."
            ),
        ),
    ],
)
def test_what_is_no_policy_at_all_is_an_error_of_one_sentence(value: Any, sentence: str) -> None:
    """It names the object and the field, as far as there are any."""
    error = answers(value)
    assert isinstance(error, PolicyError)
    assert str(error) == sentence


@pytest.mark.parametrize(
    ("use", "sentence"),
    [
        (
            lambda: read_services([{"kind": "Service", "metadata": {"name": "s", "labels": 5}}]),
            "In the Service 's' the field metadata.labels is not an object.",
        ),
        (
            lambda: read_services([{"kind": "Service", "spec": {}}]),
            "A Service has no metadata.name; give the object its name.",
        ),
        (
            lambda: read_services(
                [
                    {
                        "kind": "EndpointSlice",
                        "metadata": {"name": "e"},
                        "endpoints": [{"addresses": 5}],
                    }
                ]
            ),
            "In the EndpointSlice 'e' the field endpoints[0].addresses is not a list of texts.",
        ),
        (
            lambda: CidrGroup.of({"metadata": {"name": "g"}, "spec": {"externalCIDRs": [5]}}),
            "In the CiliumCIDRGroup 'g' the field spec.externalCIDRs is not a list of texts.",
        ),
        (
            lambda: Engine([], services=[[]]),
            "A Service is a list, not an object; give the whole object.",
        ),
        (
            lambda: CidrGroup.of({"metadata": {"name": "g"}, "x": "x" * 2_000_000}),
            (
                "The CiliumCIDRGroup 'g' is larger than 1.5 MiB, which no API server stores; "
                "give it without what does not belong in it."
            ),
        ),
    ],
)
def test_the_objects_beside_policies_are_checked_too(use: Callable[[], Any], sentence: str) -> None:
    """One sentence that names the object and the field."""
    with pytest.raises(PolicyError) as error:
        use()
    assert str(error.value) == sentence


@given(pattern=st.text("ab.*", min_size=1, max_size=8), name=st.text("ab.", max_size=8))
def test_a_pattern_of_names_matches_as_the_agents_expression_does(pattern: str, name: str) -> None:
    """On short names, where backtracking is bearable, the translation of the facts agrees."""
    sign = "[-a-zA-Z0-9_]"
    if pattern.strip("*") in {"", "."}:
        return
    whole, asked_for, start = canonical(pattern), canonical(name), ""
    if re.match(r"\*{2,}\.", whole):
        start = rf"({sign}+([.]{sign}+){{0,}})[.]"
        whole = whole.lstrip("*")[1:]
    pieces = f"{sign}*".join(map(re.escape, re.split(r"\*+", whole)))
    expected = re.search(f"^{start}{pieces}$", asked_for) is not None
    assert NameMatch.of({"matchPattern": pattern}).matches(name) is expected


def test_a_pattern_of_many_stars_is_matched_in_time() -> None:
    """Trying all places for all of its stars would not end."""
    started = perf_counter()
    assert not NameMatch.of({"matchPattern": "*a" * 120 + "b"}).matches("a" * 250)
    assert perf_counter() - started < 1
