"""The signature holds from the host's memory through its file, and breaks on any change."""

import copy
import datetime as dt
import decimal
import enum
import json
import uuid
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from acns_chaos.errors import JournalError
from acns_chaos.evidence.facts import dry_mode
from acns_chaos.evidence.journal import judge
from acns_chaos.evidence.outcome import Outcome
from acns_chaos.evidence.signature import sign, verify
from tests.tiers import examples
from tests.unit.evidence_journals import CLIENT, POLICY, held, run_of, signed

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=8,
)


def host_encoder(value: object) -> str:
    """Encode as the host does when it writes the journal."""
    if isinstance(value, dt.date):
        return value.isoformat()
    if isinstance(value, decimal.Decimal | uuid.UUID):
        return str(value)
    raise TypeError(type(value))


def through_the_file(journal: dict[str, Any], dry: object = None) -> dict[str, Any]:
    """Write and read a journal as the host and `load_journal` do."""
    journal["experiment"]["dry"] = dry
    written = json.dumps(journal, indent=2, ensure_ascii=False, default=host_encoder)
    read = json.loads(written)
    assert isinstance(read, dict)
    return read


def paths(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the path of every leaf and every container below *value*."""
    below: list[tuple[Any, ...]] = [path] if path else []
    items = value.items() if isinstance(value, dict) else ()
    items = enumerate(value) if isinstance(value, list) else items
    for key, inner in items:
        below += paths(inner, (*path, key))
    return below


UNSIGNED = (
    "it is not signed: the guard did not see the end of this run; "
    "the chain of 2 events is whole up to there"
)
SIGNED_PATHS = [
    path
    for path in paths(signed(held()))
    if path[0] in ("acns_chaos", "experiment", "steady_states", "run", "rollbacks")
]


def changed(journal: dict[str, Any], path: tuple[Any, ...], value: Any) -> dict[str, Any]:
    """Return a copy with the value at *path* replaced."""
    copied = copy.deepcopy(journal)
    place: Any = copied
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    return copied


def test_survives_the_file():
    """What was signed in memory verifies after the host wrote it."""
    journal = through_the_file(signed(held()))

    assert verify(journal) == ""
    assert judge(journal).outcome is Outcome.HELD


@pytest.mark.parametrize("word", ["actions", "probes", "activities", "pause"])
def test_survives_a_dry_run(word):
    """The host keeps an enum in memory and writes a word."""

    class Dry(enum.Enum):
        MODE = word

    journal = held()
    journal["experiment"]["dry"] = Dry.MODE
    sign(journal)

    assert verify(through_the_file(journal, dry=word)) == ""


def test_hiding_a_dry_run_breaks_it():
    """A dry run whose word was taken out afterwards is found out."""
    journal = held()
    journal["experiment"]["dry"] = "actions"
    sign(journal)

    found = verify(through_the_file(journal, dry=None))
    assert found == "it was changed after it was sealed, in experiment.dry"


def test_survives_what_json_has_no_type_for():
    """Dates, decimals, UUIDs, tuples, NaN and keys that are no text are signed as written."""
    journal = held()
    run_of(journal, CLIENT)["output"] = {
        "date": dt.date(2026, 11, 22),
        "moment": dt.datetime(2026, 11, 22, 23, 5, tzinfo=dt.UTC),
        "decimal": decimal.Decimal("1.50"),
        "uuid": uuid.UUID(int=7),
        "tuple": (1, 2),
        "nan": float("nan"),
        "text": "é\u2028🦊",
        3: "number",
        None: "null",
        True: "bool",
    }
    sign(journal)

    assert verify(through_the_file(journal)) == ""


@examples(30)
@given(output=JSON, detail=JSON)
def test_survives_anything_plain(output, detail):
    """Any JSON an activity may return signs and verifies, NaN and infinity too."""
    journal = held()
    run_of(journal, CLIENT)["output"] = output
    journal["acns_chaos"]["events"].append({"detail": detail})
    sign(journal)

    assert verify(json.loads(json.dumps(journal))) == ""


@examples(40)
@given(path=st.sampled_from(SIGNED_PATHS), value=JSON)
def test_any_change_breaks_it(path, value):
    """A changed value anywhere in what is signed makes the journal INCONCLUSIVE."""
    journal = signed(held())
    other = changed(journal, path, value)
    if json.dumps(other, sort_keys=True) == json.dumps(journal, sort_keys=True):
        return
    if path == ("experiment", "dry") and dry_mode(value) == "":
        # The host writes None, "" or nothing for a run that was not dry: one meaning.
        return

    assert judge(other).outcome is Outcome.INCONCLUSIVE


@pytest.mark.parametrize("key", list(held()["acns_chaos"]))
def test_any_missing_key_breaks_it(key):
    """A key taken out of the section makes the journal INCONCLUSIVE."""
    journal = signed(held())
    del journal["acns_chaos"][key]

    assert judge(journal).outcome is Outcome.INCONCLUSIVE


@pytest.mark.parametrize(
    ("signature", "reason"),
    [
        (None, UNSIGNED),
        ({}, UNSIGNED),
        ({"algorithm": "md5", "digest": "x"}, "its signature is not of the kind sha256-chain"),
        ({"algorithm": "sha256", "digest": "x"}, "it was changed after it was signed"),
        ({"algorithm": "sha256"}, "it was changed after it was signed"),
    ],
)
def test_unsigned(signature, reason):
    """Without a signature of ours nothing is believed, and the reason is said."""
    journal = signed(held())
    journal["acns_chaos"]["signature"] = signature
    told = judge(journal)

    assert verify(journal) == reason
    assert told.outcome is Outcome.INCONCLUSIVE
    assert told.sentence == f"In the lab: the journal cannot be trusted: {reason}."


def test_distrust_does_not_hide_a_broken_policy():
    """An unsigned journal with an open debt still sends a person to the policy."""
    journal = held()
    journal["acns_chaos"]["faults"][0]["restored"] = None
    told = judge(journal)

    assert told.outcome is Outcome.INCONCLUSIVE
    assert told.next.startswith(f"Look at {POLICY} first")
    assert told.reasons[1].startswith("unproven, it tells of NOT_RESTORED: ")


@pytest.mark.parametrize(
    "outcome", [None, {}, "HELD", {"name": "DEVIATED", "code": 3}, {"name": "HELD", "code": 8}]
)
def test_stored_outcome_must_agree(outcome):
    """A journal that states another outcome than its evidence shows is INCONCLUSIVE."""
    journal = signed(held())
    journal["acns_chaos"]["outcome"] = outcome
    sign(journal)

    assert judge(journal).outcome is Outcome.INCONCLUSIVE


@pytest.mark.parametrize(
    "change", [{"status": "interrupted"}, {"status": None}, {"deviated": True}, {"deviated": None}]
)
def test_the_hosts_own_words_must_agree(change):
    """A HELD journal whose unsigned status says otherwise is INCONCLUSIVE."""
    journal = signed(held())
    journal.update(change)

    assert judge(journal).outcome is Outcome.INCONCLUSIVE


def test_nothing_to_sign():
    """Without a section there is nothing to sign, and that is one sentence."""
    with pytest.raises(JournalError, match="has no acns_chaos section to sign"):
        sign({"experiment": {}})


def test_what_cannot_be_json_is_not_signed():
    """A journal that the host could not write either is refused."""
    journal = held()
    journal["run"].append(journal)
    with pytest.raises(JournalError, match="cannot be written as JSON"):
        sign(journal)

    journal["acns_chaos"]["signature"] = {"algorithm": "sha256", "digest": "x"}
    assert verify(journal) == "it holds what cannot be written as JSON"
