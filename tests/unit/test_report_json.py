"""The JSON report: as its schema says, from any journal, and nothing the others do not tell."""

import json
from importlib import resources
from typing import Any

import pytest

from acns_chaos.report.as_json import SCHEMA, as_json, document
from acns_chaos.report.build import story
from acns_chaos.report.partial import partial
from acns_chaos.report.reading import Problem, read
from tests.unit.evidence_journals import claim, held, signed
from tests.unit.json_schema import faults_of
from tests.unit.test_report_reading import REAL

DESCRIBED = json.loads(
    resources.files("acns_chaos.report").joinpath("schema.json").read_text("utf-8")
)


def faults(given: Any) -> list[str]:
    """Say where a document is not as the schema says."""
    return faults_of(given, DESCRIBED, DESCRIBED)


@pytest.mark.parametrize("path", REAL, ids=lambda path: path.stem)
def test_real_runs(path):
    """Reports of real runs are as the schema says."""
    found = read([str(path), "none.json"])

    assert faults(json.loads(as_json(found.stories(), found.problems))) == []


@pytest.mark.parametrize("journal", [signed(held()), held(), signed(claim()), {}, None])
def test_any_journal(journal):
    """Reports of claims, of unsigned journals, of none and of parts are as the schema says."""
    assert faults(json.loads(as_json([story(journal)]))) == []
    assert faults(json.loads(as_json([partial(story(journal))]))) == []


def test_the_schema_is_of_this_version():
    """The schema that is shipped describes what is written."""
    assert DESCRIBED["properties"]["schema"]["const"] == SCHEMA == 1


def test_the_schema_finds_faults():
    """A document that lacks a key, has a strange one or another type is found."""
    given = document([story(signed(held()))])
    del given["stories"][0]["verdict"]["code"]
    given["stories"][0]["answers"]["more"] = []
    given["places"][0]["runs"] = "1"
    given["places"][0]["outcomes"]["FINE"] = 1
    told = "\n".join(faults(json.loads(json.dumps(given))))

    assert "stories[0].verdict lacks code" in told
    assert "stories[0].answers has more" in told
    assert "places[0].runs" in told
    assert "FINE" in told


def test_places_have_counts_of_their_own():
    """Each place counts its own runs; no number in the document is of two places."""
    other = held()
    other["acns_chaos"]["target"].update(kind="cluster", context="aks", uid="uid-1")
    given = document([story(signed(held())), story(signed(other)), story(signed(held()))])

    assert [(one["label"], one["runs"], one["outcomes"]) for one in given["places"]] == [
        ("cluster aks", 1, {"HELD": 1}),
        ("LAB (simulated)", 2, {"HELD": 2}),
    ]
    assert set(given) == {"schema", "made_by", "places", "stories", "problems"}


def test_the_journal_is_not_in_it():
    """Neither the journal nor a policy's document is copied."""
    told = as_json([story(signed(held()))])

    assert "endpointSelector" not in told
    assert '"facts"' not in told


def test_it_is_ascii():
    """Whatever stands in a journal, the document is ASCII that any program reads."""
    journal = held()
    journal["experiment"]["title"] = "Grüße \ud800 \u202e \U0001f600"
    told = as_json([story(journal)], [Problem("a\ud800", "b", "none")])

    assert told.isascii()
    assert told.endswith("}\n")
