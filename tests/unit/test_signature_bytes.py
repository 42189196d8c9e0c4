"""No byte of a journal's file can be edited unseen, but for what is said to be not covered."""

import json
import re
from pathlib import Path

import pytest

from acns_chaos.evidence.redaction import redacted
from acns_chaos.evidence.signature import Finding, examine, sign
from tests.tiers import loop
from tests.unit.evidence_journals import held

SEALED = Path(__file__).parents[1] / "data" / "sealed"
OLDER = ("platform", "node", "start", "end", "duration")


def written(name: str) -> str:
    """Return the text of a stored journal."""
    return (SEALED / name).read_text(encoding="utf-8")


def found(text: str) -> Finding:
    """Check a file's text."""
    return examine(json.loads(text), text)


def unseen(text: str) -> bool:
    """Whether an edited file still passes."""
    try:
        journal = json.loads(text)
    except ValueError:
        return False
    return isinstance(journal, dict) and found(text).problem == ""


def edits(text: str, place: int) -> list[str]:
    """Return the file with one character changed, in another case, gone, twice, and spaced."""
    one = text[place]
    other = str((int(one) + 1) % 10) if one.isdigit() else chr(ord(one) ^ 1)
    begin, end = text[:place], text[place + 1 :]
    new = {begin + put + end for put in (other, one.swapcase(), "", one + one, " " + one)}
    return sorted(new - {text})


# Each file with every so-many-th of its bytes, from the first on: `make full` tries all of a claim.
CASES = [
    ("claim.json", 0, 401),
    ("deny-rule.json", 0, 16001),
    ("older-claim.json", 0, 113),
    *(("claim.json", part, 8) for part in range(8)),
    *(("older-claim.json", part, 4) for part in range(4)),
    *(("deny-rule.json", part, 401) for part in (7, 200)),
]


@pytest.mark.parametrize(("name", "first", "step"), loop(CASES, keep=3))
def test_every_edited_byte_is_found(name, first, step):
    """Whichever byte is edited, it shows; where it does not, the list of exceptions says so."""
    text = written(name)
    open_fields = "|".join(found(text).not_covered)
    exempt = re.compile(rf'^  "(?:{open_fields})": .*$', re.MULTILINE) if open_fields else None
    spans = [hit.span() for hit in exempt.finditer(text)] if exempt else []

    for place in range(first, len(text), step):
        allowed = any(begin <= place < end for begin, end in spans)
        for edited in edits(text, place):
            assert allowed or not unseen(edited), (place, text[max(0, place - 40) : place + 40])


@pytest.mark.parametrize("field", OLDER)
def test_the_list_of_exceptions_is_no_longer_than_need_be(field):
    """Of a journal of schema 1, each field that is said to be not covered indeed is not."""
    text = written("older-claim.json")
    assert field in found(text).not_covered
    line = re.search(rf'^  "{field}": .*$', text, re.MULTILINE)
    assert line

    seen = (line.start() + place for place in range(line.end() - line.start()))
    assert any(unseen(edited) for place in seen for edited in edits(text, place))


def test_of_a_sealed_journal_everything_is_covered():
    """The list of exceptions is empty, but for a run that a signal ended."""
    assert found(written("claim.json")) == Finding("", found(written("claim.json")).head)
    assert found(written("deny-rule.json")).not_covered == ()
    assert found(written("interrupted.json")).not_covered == ("interruption",)
    older = found(written("older-claim.json"))
    assert older == Finding("", older=True, not_covered=OLDER)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('"POLICY_DENY"', '"POLICY_DENIED"', "in run["),
        ('"node": "vm"', '"node": "my"', "in node"),
        ('"platform": "Linux', '"platform": "linux', "in platform"),
        ('"status": "completed",\n  "deviated"', '"status": "failed",\n  "deviated"', "in status"),
        ('"dry": null', '"dry": false', "in experiment.dry"),
        ('"dry": null', '"dry": "Dry.ACTIONS"', "in experiment.dry"),
        ('"HELD",\n      "code": 0', '"HELD",\n      "code": 0.0', "in acns_chaos.outcome"),
        ('"what": "realised"', '"what": "accepted"', "acns_chaos.events[2] (accepted)"),
        ('"detail": "put back', '"detail": "took back', "the detail of acns_chaos.events["),
        ('"name": "pets"', '"name": "pots"', "in acns_chaos.names.namespace-1"),
        ('"head": "sha256:', '"head": "sha257:', "its seal was changed"),
        ('"algorithm": "sha256-chain"', '"algorithm": "md5"', "not of the kind sha256-chain"),
        ("\n  }\n}", "\n  }\n}\n", "not as Chaos Toolkit writes it"),
        ('  "start"', '   "start"', "not as Chaos Toolkit writes it, from line"),
        ('"start"', '"\\u0073tart"', "not as Chaos Toolkit writes it, from line"),
        ('"deviated": false,\n', '"deviated": false,\n  "more": 1,\n', "in more"),
        ('"rollbacks": [\n    {', '"rollbacks": [{},\n    {', "in rollbacks"),
        ('  "deviated"', '  "deviated": true,\n  "deviated"', "from line"),
        ('"realised_by": "', '"realised_by": "pod-1 ', "a pseudonym stands in it"),
    ],
)
def test_says_where(old, new, said):
    """What was changed is named, by field, event or line."""
    text = written("deny-rule.json")
    assert old in text

    assert said in found(text.replace(old, new, 1)).problem


def test_a_name_by_its_pseudonym():
    """A name that was replaced by its pseudonym by hand is found, though the seal is over it."""
    text = written("deny-rule.json")
    table = json.loads(text)["acns_chaos"]["names"]
    token = next(token for token, entry in table.items() if entry["name"] == "store-front")
    edited = text.replace('"workload": "store-front"', f'"workload": "{token}"')
    assert edited != text

    assert "a pseudonym stands in it" in found(edited).problem


def test_windows_line_breaks():
    """A host on Windows writes other line breaks, all of them; mixed ones are an edit."""
    text = written("claim.json")

    assert found(text.replace("\n", "\r\n")).problem == ""
    assert "not as Chaos Toolkit writes it" in found(text.replace("\n", "\r\n", 3)).problem


@pytest.mark.parametrize(
    "interruption",
    [
        {"kind": "signal", "name": "SIGTERM", "reason": "received SIGINT"},
        {"kind": "signal", "name": "SIGKILL", "reason": "received SIGKILL"},
        {"kind": "control", "name": "x", "reason": "y"},
        {},
    ],
)
def test_an_interruption_is_as_the_host_writes_it(interruption):
    """What the host adds after the seal is not covered, but has one form."""
    journal = json.loads(written("interrupted.json"))
    journal["interruption"] = interruption

    assert examine(journal).problem == "it was changed after it was sealed, in interruption"


def test_an_interruption_of_a_run_that_was_not():
    """A signal in a journal that tells of no interruption was put there."""
    journal = json.loads(written("claim.json"))
    journal["interruption"] = {"kind": "signal", "name": "SIGINT", "reason": "received SIGINT"}

    assert examine(journal).problem == "it was changed after it was sealed, in interruption"


def test_sealed_anew_has_another_head():
    """Whoever changes everything can seal again: then the head is not the one in the log."""
    journal = json.loads(written("claim.json"))
    before = examine(journal).head
    sign(journal)

    assert examine(journal).problem == ""
    assert examine(journal).head != before


def test_not_sealed():
    """A chain without a seal is checked as far as it goes, and said to be unsealed."""
    journal = json.loads(written("deny-rule.json"))
    section = journal["acns_chaos"]
    del section["signature"], section["names"], section["outcome"]
    said = "it is not signed: the guard did not see the end of this run; "
    assert examine(journal).problem == f"{said}the chain of 10 events is whole up to there"

    section["events"][4]["what"] = "other"
    assert examine(journal).problem.startswith(f"{said}acns_chaos.events[4] (other) was changed")


def test_an_older_signature_on_a_newer_journal():
    """A chain cannot be taken out and the rest signed in the older way without being found."""
    journal = held()
    journal["acns_chaos"]["schema"] = 2
    journal["acns_chaos"]["signature"] = {"algorithm": "sha256", "digest": "x"}

    assert examine(journal).problem == "its signature is of an older kind than its schema"


def test_a_redacted_older_journal_is_honest():
    """A signature over names does not hold without them, and that is said."""
    copy = redacted(json.loads(written("older-claim.json")))

    said = "it is redacted from a journal that had no chain, so it cannot be checked"
    assert examine(copy).problem == said
