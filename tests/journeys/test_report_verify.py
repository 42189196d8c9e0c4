"""`acns-chaos report verify` and `redact` on the journals that `chaos run` wrote."""

import json
import re
import signal
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from acns_chaos.cli import main
from acns_chaos.evidence.journal import judge
from tests.journeys.conftest import Chaos, Done, Lab
from tests.journeys.minimal import broken, experiment, inject, read, restore
from tests.tiers import loop

pytestmark = [pytest.mark.journey, pytest.mark.slow]

PROBE = "probes/products-listed.json"


def report(*arguments: object) -> Result:
    """Call `acns-chaos report`."""
    return CliRunner().invoke(main, ["report", *(str(one) for one in arguments)])


def logged(done: Done) -> str:
    """Return the head that the run's log tells."""
    found = re.findall(r"Evidence: (sha256:[0-9a-f]{64})\b", done.output)
    assert len(found) == 1, done.output
    return str(found[0])


def test_a_run_that_changed_something(chaos: Chaos):
    """The file is intact, its head is the log's; redacted it has the same; an edit shows."""
    done = chaos.run(experiment(inject(), restore()))
    head, file = logged(done), done.file

    said = report("verify", file, "--head", head)
    count = len(done.section["events"])
    assert (said.output, said.exit_code) == (f"{file}: intact: {head}, {count} events\n", 0)

    copy = chaos.folder / "redacted.json"
    assert report("redact", file, "-o", copy).output == f"{copy}: {head}\n"
    said = report("verify", copy, "--head", head)
    assert said.output == f"{copy}: intact: {head}, {count} events, redacted\n"
    assert not re.search(r"pets|store-front|127\.0\.0\.1", copy.read_text())
    assert judge(json.loads(copy.read_text())).outcome == judge(done.journal).outcome

    edited = file.read_text().replace('"submitted"', '"accepted"', 1)
    file.write_text(edited)
    said = report("verify", copy, file)
    assert said.exit_code == 1
    assert f"{file}: not intact: " in said.output
    assert "redacted\n" in said.output


@pytest.mark.parametrize("way", loop(["claim", "refused", "SIGTERM", "SIGINT"], keep=1))
def test_every_end_is_sealed(chaos: Chaos, lab: Lab, way):
    """However a run ends, the host's file is intact to the last byte, on both engines."""
    if way == "claim":
        done = chaos.run(PROBE)
    elif way == "refused":
        done = chaos.run(PROBE, ACNS_CHAOS_CLUSTER="no-such-context")
    else:
        ready = read("the shop is Ready", "read_readiness", workload="store-front")
        body = experiment(inject(), {**ready, "pauses": {"before": 15}})
        done = chaos.interrupt(body, lambda: broken(lab), signal.Signals[way])
    said = report("verify", done.file, "--head", logged(done))

    assert said.exit_code == 0, said.output
    # A run that the guard refuses ends interrupted, too; whether a signal came the host says later.
    open_ = "" if way == "claim" else "; not covered: interruption"
    assert said.output.rstrip("\n").endswith(f"events{open_}"), said.output


def test_permissions_are_those_that_were_used(own_chaos: Chaos):
    """The section tells which verbs the run made use of, and which of our tiers grants each."""
    section = own_chaos.run(experiment(inject(), restore())).section

    found = {(one["tier"], one["verb"], one["resource"]) for one in section["permissions"]}
    cnp = "ciliumnetworkpolicies.cilium.io"
    assert {("experiment", "update", cnp), ("look", "list", cnp)} <= found
    assert ("experiment", "create", "configmaps") in found
    assert not [one for one in found if one[0] in ("clusterwide", "prober", "janitor")]


def test_what_cannot_be_checked(tmp_path: Path):
    """Another head, no journal and a wrong call are told apart by sentence and exit code."""
    sealed = Path(__file__).parents[1] / "data" / "sealed"
    claim, older = sealed / "claim.json", sealed / "older-claim.json"

    said = report("verify", claim, "--head", f"sha256:{'0' * 64}")
    assert said.exit_code == 1
    assert ": not the journal of that run, or sealed anew: its head is sha256:" in said.output
    said = report("verify", older)
    assert said.exit_code == 0
    assert ": intact: by its signature only, an older version wrote it; not cov" in said.output
    assert report("verify", older, "--head", "sha256:0").output.endswith("it has no chain\n")
    said = report("verify", claim, tmp_path / "none.json")
    assert said.exit_code == 2
    assert "none.json: unreadable: There is no journal at" in said.output
    assert report("verify", claim, older, "--head", "sha256:0").exit_code == 2
    edited = tmp_path / "edited.json"
    edited.write_text(claim.read_text().replace("HELD", "DEVIATED"))
    said = report("redact", edited, "-o", tmp_path / "x.json")
    assert said.exit_code == 2
    assert "is not redacted: it was changed after it was sealed" in said.output
    assert not (tmp_path / "x.json").exists()
    assert report("redact", claim, "-o", claim).exit_code == 2
