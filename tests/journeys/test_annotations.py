"""Annotations of whole runs: what stands in Grafana, and that no Grafana changes a run."""

import json
import re
import signal
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from acns_chaos.cluster.waiting import wait_until
from acns_chaos.controls.annotated import milliseconds
from acns_chaos.evidence.journal import judge
from tests.journeys.conftest import Chaos, Done, Lab
from tests.journeys.hosts import ROOT
from tests.journeys.minimal import broken, experiment, inject, nothing_is_left, restore
from tests.lab.grafana_stand_in import TOKEN, StandIn, grafana_stand_in
from tests.tiers import loop

pytestmark = [pytest.mark.journey, pytest.mark.slow]

PAGE = (ROOT / "docs/grafana.md").read_text("utf-8")
# As the page has it: what a reader copies is what is tried.
CONTROL = json.loads(re.findall(r"^```json\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)[0])


@pytest.fixture
def grafana() -> Iterator[StandIn]:
    """A stand-in."""
    with grafana_stand_in() as found:
        yield found


def variables(grafana: StandIn) -> dict[str, str]:
    """Name it, and sign in."""
    return {
        "ACNS_CHAOS_GRAFANA_URL": grafana.url,
        "ACNS_CHAOS_GRAFANA_AUTH": "bearer",
        "ACNS_CHAOS_GRAFANA_TOKEN": TOKEN,
    }


def annotated(found: dict[str, Any]) -> dict[str, Any]:
    """The experiment with the control, which stands last."""
    return {**found, "controls": [*found["controls"], CONTROL]}


def short() -> dict[str, Any]:
    """Break and put back, annotated."""
    return annotated(experiment(inject(timeout=5), restore()))


def section(done: Done) -> dict[str, Any]:
    """What the journal says of the annotations."""
    found = done.section["annotations"]
    assert isinstance(found, dict)
    return found


def as_without(done: Done) -> None:
    """Assert that a short run ended as it does without Grafana: it names no witnesses."""
    assert done.outcome == "INCONCLUSIVE", done.output
    sentence = done.section["outcome"]["sentence"]
    assert "declares 0 of the two witnesses" in sentence
    assert done.section["faults"][0]["restored"]["verified"]


def waited(done: Done) -> int:
    """Milliseconds that the end of the run waited for Grafana."""
    found = section(done)["waited_ms"]
    assert isinstance(found, int)
    return found


def test_the_flagship_stands_in_grafana_as_in_its_journal(
    own_chaos: Chaos, lab: Lab, flagship: dict[str, Any], grafana: StandIn
) -> None:
    """Four annotations at the journal's moments, the region closed, the outcome to be found by."""
    before = lab.policies()

    done = own_chaos.run(annotated(flagship), **variables(grafana))

    assert (done.code, done.outcome) == (0, "HELD"), done.output
    assert done.journal is not None
    assert judge(done.journal).outcome == "HELD"
    edited = deepcopy(done.journal)
    edited["acns_chaos"]["annotations"]["written"] = 5
    assert judge(edited).outcome == "INCONCLUSIVE", "what the control wrote is signed, too"
    told, (fault,) = section(done), done.section["faults"]
    assert (told["written"], told["failed"]) == (4, [])
    assert waited(done) < 1000, "a Grafana that answers is waited for as long as it takes"
    ours = grafana.of(f"run:{done.section['run']}")
    assert [(one["tags"][1], one["time"], one["timeEnd"]) for one in ours] == [
        (kind, milliseconds(begin), milliseconds(end))
        for kind, begin, end in (
            ("start", told["start"], told["start"]),
            ("fault", fault["submitted"], fault["restored"]["verified"]),
            ("restore", fault["restored"]["verified"], fault["restored"]["verified"]),
            ("end", told["end"], told["end"]),
        )
    ]
    assert done.journal["start"] <= told["start"] <= fault["submitted"]
    assert done.journal["end"] <= told["end"]
    assert [one["tags"][1] for one in grafana.of("outcome:HELD")] == ["fault", "end"]
    for one in ours:
        assert {"acns-chaos-lab", "namespace:pets", "cluster:LAB (simulated)"} < set(one["tags"])
        assert one["text"].startswith("LAB (simulated) · namespace pets · ")
    assert "Grafana: 4 annotations stand there." in done.output
    assert TOKEN not in done.output + done.file.read_text()
    nothing_is_left(lab, before)


TROUBLES: list[tuple[list[int | str], str]] = [
    (["hang"], "no answer"),
    ([401], "it does not accept the bearer credentials (401)"),
    ([403], "annotations:create and annotations:write are missing (403)"),
    ([429], "it is asked too much (429)"),
    ([503], "it answered 503"),
    (["reset"], "no answer: "),
    (["drip"], "no answer: not in time"),
    ([302], "it redirects (302)"),
]


@pytest.mark.parametrize(("moods", "why"), loop(TROUBLES))
def test_no_mood_of_grafana_changes_a_run(
    own_chaos: Chaos, lab: Lab, grafana: StandIn, moods: list[int | str], why: str
) -> None:
    """The same outcome and code, at most a second at the end; said once, and in the journal."""
    grafana.moods, grafana.for_ever = moods, True
    before = lab.policies()

    done = own_chaos.run(short(), **variables(grafana))

    as_without(done)
    assert waited(done) < 1300, "a second, and what a busy machine adds"
    told = section(done)
    assert told["written"] == 0
    assert {one["what"] for one in told["failed"]} == {"start", "fault f1", "restore f1", "end"}
    assert why in told["failed"][0]["why"]
    assert done.output.count("Grafana: ") == 1, done.output
    assert TOKEN not in done.output + done.file.read_text()
    nothing_is_left(lab, before)


@pytest.mark.full
def test_a_grafana_that_is_not_there_changes_nothing(
    own_chaos: Chaos, lab: Lab, grafana: StandIn
) -> None:
    """Nobody listens, no such name, no address at all."""
    for url in ("http://127.0.0.1:9", "https://no-such-grafana.invalid", "nonsense"):
        done = own_chaos.run(short(), **{**variables(grafana), "ACNS_CHAOS_GRAFANA_URL": url})

        as_without(done)
        assert section(done)["written"] == 0
        assert waited(done) < 1300
        assert done.output.count("Grafana: ") == 1
        done.file.unlink()


@pytest.mark.full
def test_a_control_file_annotates_every_experiment(
    own_chaos: Chaos, lab: Lab, grafana: StandIn, tmp_path: Path
) -> None:
    """As the page has it, and silent where no Grafana is named."""
    (text,) = re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    (tmp_path / "controls.yaml").write_text(text)
    plain = experiment(inject(timeout=5), restore())
    journal, file = tmp_path / "journal.json", str(tmp_path / "controls.yaml")

    silent = own_chaos.run(plain, "--control-file", file)
    assert "annotations" not in silent.section
    assert "Grafana" not in silent.output
    journal.unlink()
    done = own_chaos.run(plain, "--control-file", file, **variables(grafana))

    assert section(done)["written"] == 4
    assert section(done)["failed"] == []


@pytest.mark.full
def test_the_region_of_a_killed_run_stays_open(
    own_chaos: Chaos, lab: Lab, grafana: StandIn
) -> None:
    """The watchdog restores and knows no Grafana: the fault stands there as a moment."""
    before = lab.policies()
    long = annotated(experiment(inject(timeout=5), {**restore(), "pauses": {"before": 30}}))
    process, _, _ = own_chaos.start(long, **variables(grafana))
    assert wait_until(lambda: broken(lab) and bool(grafana.of("fault")), 30)
    process.send_signal(signal.SIGKILL)
    process.communicate()

    nothing_is_left(lab, before, timeout=15)
    (fault,) = grafana.of("fault")
    assert fault["time"] == fault["timeEnd"]
    assert grafana.of("restore") + grafana.of("end") == []
