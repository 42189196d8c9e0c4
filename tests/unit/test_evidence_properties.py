"""What must be true of every journal, also of one that nobody would write."""

import copy
import itertools
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from acns_chaos.evidence.journal import judge
from acns_chaos.evidence.outcome import Outcome
from acns_chaos.evidence.rules import derive
from acns_chaos.evidence.signature import sign, verify
from tests.unit.evidence_journals import ALERT, CLIENT, DROPS, WHY, claim, held, run_of, signed
from tests.unit.hostile import MOMENTS, NUMBERS, odd, short

KEYS = st.sampled_from(
    """acns_chaos experiment run rollbacks steady_states before after during probes activity name
    status output schema target kind context faults restored refused host events method extensions
    witnesses provider policy steady-state-hypothesis dry reading met""".split()  # noqa: SIM905
)
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-3, 3)
    | st.floats()
    | st.sampled_from([*MOMENTS, *NUMBERS])
    | st.text(max_size=6)
    | st.sampled_from(["acns-chaos", "lab", "OPEN", "succeeded", "failed", "completed"])
)
JSONISH = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=5),
    max_leaves=25,
)
ODD: list[Any] = [None, "", "x", "UNKNOWN", "OPEN", 0, -1, 0.5, float("nan"), False]
ODD += [[], ["x"], {}, {"x": None}, *MOMENTS, *NUMBERS]

# Everything that HELD rests on: change any of it and HELD must fall.
FAULT = ("acns_chaos", "faults", 0)
DECISIVE: list[tuple[Any, ...]] = [
    *[("acns_chaos", key) for key in ("schema", "target", "refused", "faults", "events", "host")],
    *[("acns_chaos", "target", key) for key in ("kind", "context")],
    *[("acns_chaos", "host", key) for key in ("status", "deviated")],
    *[(*FAULT, key) for key in ("policy", "operator", "submitted", "accepted", "realised")],
    *[(*FAULT, key) for key in ("realised_by", "before", "fault", "before_sha256", "restored")],
    *[(*FAULT, "restored", key) for key in ("by", "submitted", "verified", "sha256")],
    ("steady_states",),
    ("steady_states", "before"),
    ("steady_states", "after"),
    ("steady_states", "after", "steady_state_met"),
    ("steady_states", "after", "probes"),
    ("steady_states", "after", "probes", 0, "status"),
    ("steady_states", "after", "probes", 0, "tolerance_met"),
    ("steady_states", "after", "probes", 1, "output", "reading"),
    ("run",),
    *[("run", i, "status") for i in range(6)],
    *[("run", i, "activity") for i in range(6)],
    *[("run", i, "output") for i in range(1, 5)],
    *[("run", i, "output", key) for i in range(1, 5) for key in ("reading", "met")],
    ("run", 2, "output", "count"),
    ("run", 4, "output", "culprits"),
    ("rollbacks",),
    ("rollbacks", 0, "status"),
    ("experiment", "extensions"),
    ("experiment", "extensions", 0, "name"),
    ("experiment", "extensions", 0, "witnesses"),
    ("experiment", "extensions", 0, "detectors"),
    ("experiment", "steady-state-hypothesis"),
    ("experiment", "steady-state-hypothesis", "probes"),
    ("experiment", "dry"),
]
# Not evidence: the host's account of itself, which nothing is derived from.
OUTSIDE = {"chaoslib-version", "platform", "node", "start", "end", "duration"}


def place(journal: Any, path: tuple[Any, ...]) -> Any:
    """Return the container that holds the last key of *path*."""
    for key in path[:-1]:
        journal = journal[key]
    return journal


def harmless(path: tuple[Any, ...], value: Any) -> bool:
    """Whether a replacement means the same as what it replaces."""
    if path[-1] in ("refused", "dry"):
        return value is None or (path[-1] == "dry" and value in ("", False))
    if path == ("acns_chaos", "events"):
        return isinstance(value, list)
    named = path[-1] in ("operator", "realised_by", "context")
    return named and isinstance(value, str) and value != ""


@given(journal=JSONISH | st.dictionaries(KEYS, JSONISH))
def test_nothing_raises_and_nothing_made_up_is_held(journal):
    """Whatever JSON it is given, judging gives an outcome with sentences, never HELD."""
    for told in (derive(journal), judge(journal)):
        assert told.outcome is not Outcome.HELD
        assert told.sentence.endswith(".")
        assert told.next.endswith(".")
        json.dumps(told.as_json())
    assert verify(journal) != ""


@given(path=st.sampled_from(DECISIVE), value=JSONISH)
def test_damage_never_raises(path, value):
    """A journal of which one part was replaced by anything still gives an outcome."""
    journal = held()
    place(journal, path)[path[-1]] = value

    assert derive(journal).outcome in Outcome


@pytest.mark.parametrize("instant", MOMENTS)
def test_a_moment_that_nobody_can_mean_is_never_held(instant):
    """A fault that was never accepted, restored or seen to be is none that anybody noticed."""
    journal = odd(held(), instant, None)

    assert judge(signed(journal)).outcome is not Outcome.HELD


@pytest.mark.parametrize("amount", NUMBERS, ids=short)
def test_a_number_that_nobody_counted_is_never_held(amount):
    """The window of a count may reach back before the fault."""
    journal = held()
    run_of(journal, DROPS)["output"]["evidence"] = {"seconds": amount}

    assert derive(journal).outcome is not Outcome.HELD


@pytest.mark.slow
def test_a_changed_fact_is_never_held():
    """Signing again does not help: changed evidence is not HELD, whatever it is changed to."""
    tried, passed = 0, []
    for path, value in itertools.product(DECISIVE, ODD):
        journal = held()
        if place(journal, path)[path[-1]] == value or harmless(path, value):
            continue
        place(journal, path)[path[-1]] = copy.deepcopy(value)
        tried += 1
        if judge(signed(journal)).outcome is Outcome.HELD:
            passed.append((path, value))

    assert passed == []
    assert tried > 900


@pytest.mark.parametrize("path", [p for p in DECISIVE if isinstance(p[-1], str)])
def test_a_missing_fact_is_never_held(path):
    """A fact taken out is not HELD, unless its absence means the same."""
    journal = held()
    del place(journal, path)[path[-1]]
    told = derive(journal)

    assert (told.outcome is Outcome.HELD) == (path == ("experiment", "dry"))


@pytest.mark.parametrize("base", [held, claim])
@pytest.mark.parametrize("key", [key for key in held() if key not in OUTSIDE])
def test_a_missing_part_is_never_held(base, key):
    """Each part of the journal is needed, in an experiment and in a claim."""
    journal = signed(base())
    assert judge(journal).outcome is Outcome.HELD
    del journal[key]

    assert judge(journal).outcome is Outcome.INCONCLUSIVE


@pytest.mark.parametrize("key", list(held()["acns_chaos"]))
def test_a_missing_section_key_is_never_held(key):
    """Each key of the section is needed, also when it is signed again."""
    journal = held()
    del journal["acns_chaos"][key]
    told = derive(journal)
    sign(journal)

    assert told.outcome is not Outcome.HELD
    assert judge(journal).outcome is Outcome.INCONCLUSIVE


@pytest.mark.parametrize("name", [CLIENT, DROPS, ALERT, WHY])
def test_no_part_may_be_unknown(name):
    """UNKNOWN from anybody who was asked is INCONCLUSIVE, for no side."""
    journal = held()
    run_of(journal, name)["output"] = {"reading": "UNKNOWN", "met": None}

    assert derive(journal).outcome is Outcome.INCONCLUSIVE


@given(noise=st.text())
def test_sentences_are_one_printable_line(noise):
    """Text from the journal can neither break a line nor reach the terminal."""
    journal = held()
    journal["acns_chaos"]["target"]["context"] = f"x{noise}"
    run_of(journal, CLIENT)["output"]["sentence"] = noise
    run_of(journal, CLIENT)["output"].update(reading="OPEN", met=False)
    told = derive(journal)

    assert all(line.isprintable() for line in (told.sentence, told.next, *told.reasons))
    told.sentence.encode("utf-8")


def test_derive_reads_memory_as_it_reads_the_file():
    """The guard judges in memory what everybody judges from the file later."""
    journal = held()

    assert derive(journal) == derive(json.loads(json.dumps(journal)))
