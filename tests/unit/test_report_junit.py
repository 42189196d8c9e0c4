"""JUnit XML: a suite a place, a test case a run, and only HELD is green."""

import xml.etree.ElementTree as ET

import pytest

from acns_chaos.evidence.outcome import Outcome
from acns_chaos.report.build import story
from acns_chaos.report.junit import RESULTS, junit
from acns_chaos.report.reading import Problem
from tests.unit.evidence_journals import ALERT, held, run_of, signed


def run(number: int, *, silent: bool = False, **target: str) -> dict:
    """Return a sealed journal of the lab, or of the target that is given."""
    journal = held()
    journal["acns_chaos"]["run"] = f"run-{number}"
    journal["acns_chaos"]["target"].update(target)
    if silent:
        run_of(journal, ALERT)["output"].update(met=False, count=0.0)
    return signed(journal)


def parsed(*journals: dict, problems=()) -> ET.Element:
    """Return the document of journals."""
    return ET.fromstring(junit([story(one) for one in journals], problems))


def properties(element: ET.Element) -> dict[str, str]:
    """Return the properties of a suite or of a test case."""
    return {one.attrib["name"]: one.attrib["value"] for one in element.iterfind("properties/*")}


CLUSTER = {"kind": "cluster", "context": "aks.prod", "uid": "uid-1"}


def test_every_outcome_has_a_result():
    """Only HELD passes; what was found wrong fails, what was not found out is an error."""
    assert set(RESULTS) == set(Outcome)
    assert [one.value for one in Outcome if not RESULTS[one]] == ["HELD"]
    assert {RESULTS[one] for one in Outcome} == {"", "failure", "error"}


def test_held():
    """A run that held is a test case without a result, with its evidence in properties."""
    document = parsed(run(1))
    (case,) = document.iterfind("testsuite/testcase")

    assert document.tag == "testsuites"
    assert case.attrib["name"] == "Does anyone notice when the storefront is cut off?"
    assert case.attrib["classname"] == "acns-chaos.LAB (simulated)"
    assert case.attrib["time"] == "8.000"
    assert case.find("failure") is None
    assert case.find("error") is None
    told = properties(case)
    assert told["outcome"] == "HELD"
    assert told["run"] == "run-1"
    assert told["place"] == "LAB (simulated)"
    assert told["version.Cilium"] == "1.19.4"
    assert told["evidence.head"].startswith("sha256:")
    assert "Is everything back?" in (case.findtext("system-out") or "")


def test_not_noticed():
    """A fault that nobody noticed fails, with the sentence where CI systems show it."""
    document = parsed(run(1, silent=True))
    (failure,) = document.iterfind("testsuite/testcase/failure")
    (suite,) = document

    assert failure.attrib["type"] == "NOT_NOTICED"
    assert "stayed silent" in failure.attrib["message"]
    assert "Next: " in (failure.text or "")
    assert (suite.attrib["tests"], suite.attrib["failures"], suite.attrib["errors"]) == (
        "1",
        "1",
        "0",
    )


@pytest.mark.parametrize("journal", [{}, held(), {"experiment": {"title": "x"}, "run": []}])
def test_what_proves_nothing_is_an_error(journal):
    """A run that proves nothing is neither green nor skipped."""
    document = parsed(journal)

    assert len(list(document.iter("error"))) == 1
    assert not list(document.iter("skipped"))
    assert document[0].attrib["skipped"] == "0"


def test_a_suite_for_each_place():
    """The lab and each cluster have a suite and classes of their own, and no total mixes them."""
    other = {**CLUSTER, "uid": "uid-2"}
    document = parsed(run(1), run(2, **CLUSTER), run(3, **other), run(4))
    suites = {one.attrib["name"]: one for one in document}

    assert set(suites) == {
        "acns-chaos in cluster aks.prod, UID uid-1",
        "acns-chaos in cluster aks.prod, UID uid-2",
        "acns-chaos in LAB (simulated)",
    }
    assert set(document.attrib) == {"name"}
    assert suites["acns-chaos in LAB (simulated)"].attrib["tests"] == "2"
    assert properties(suites["acns-chaos in cluster aks.prod, UID uid-1"])["place.uid"] == "uid-1"
    classes = {one.attrib["classname"] for one in document.iter("testcase")}
    assert classes == {
        "acns-chaos.cluster aks_prod uid-1",
        "acns-chaos.cluster aks_prod uid-2",
        "acns-chaos.LAB (simulated)",
    }


def test_runs_of_one_experiment_keep_their_own_cases():
    """Two runs of one experiment do not hide each other."""
    names = [one.attrib["name"] for one in parsed(run(1), run(2)).iter("testcase")]

    assert names[0].endswith("(run-1)")
    assert names[1].endswith("(run-2)")


def test_times():
    """The suite says when it began, in UTC and without an offset, and how long all took."""
    journal = run(1)
    journal["start"] = "2026-11-23T01:05:00+02:00"
    (suite,) = parsed(journal, run(2))

    assert suite.attrib["timestamp"] == "2026-11-22T23:05:00"
    assert suite.attrib["time"] == "16.000"


@pytest.mark.parametrize("duration", [None, "8", -1, float("nan"), 10**400, True])
def test_no_time_is_no_harm(duration):
    """A journal that does not say how long it took took 0 s."""
    journal = held()
    journal["duration"] = duration

    assert next(parsed(journal).iter("testcase")).attrib["time"] == "0.000"


def test_files_that_were_not_read():
    """A file that is missing in the report is an error; one that is counted already is not."""
    problems = [
        Problem("a.json", "a.json is empty.", "left out"),
        Problem("a.json", "a.json is cut off.", "in part"),
        Problem("b.json", "b.json is the same run.", "none"),
    ]
    suites = list(parsed(run(1), problems=problems))

    assert suites[1].attrib["name"].startswith("acns-chaos in target unknown")
    assert suites[1].attrib["errors"] == "2"
    names = [one.attrib["name"] for one in suites[1].iter("testcase")]
    assert names == ["a.json (1)", "a.json (2)"]


def test_what_xml_cannot_hold_is_shown():
    """Characters that no XML can hold are replaced by one that is seen."""
    problems = [Problem("a\x00b\x1b\ud800\ufffe\U0001f600]]>", "<&\"'>", "left out")]
    (case,) = parsed(problems=problems).iter("testcase")

    shown = "\N{REPLACEMENT CHARACTER}"
    assert case.attrib["name"] == f"a{shown}b{shown}{shown}{shown}\U0001f600]]>"
    assert case.findtext("error") == "<&\"'>"
