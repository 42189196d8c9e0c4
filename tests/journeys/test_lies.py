"""Every way a run can lie: the host says "completed" and exits 0, and something is wrong.

One test a row, through the real `chaos`, on both engines. None ends as HELD, none exits 0, and
after each the policies are as they were.
"""

import json
import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from acns_chaos.cluster.waiting import wait_until
from tests.journeys.conftest import Chaos, Done, Lab
from tests.tiers import loop

pytestmark = pytest.mark.journey

Experiment = dict[str, Any]


def step(experiment: Experiment, name: str) -> dict[str, Any]:
    """Find an activity of the method by name."""
    (found,) = [one for one in experiment["method"] if one["name"] == name]
    assert isinstance(found, dict)
    return found


def arguments(experiment: Experiment, name: str) -> dict[str, Any]:
    """Find the arguments of an activity of the method."""
    found = step(experiment, name)["provider"]["arguments"]
    assert isinstance(found, dict)
    return found


@pytest.fixture
def unchanged(lab: Lab) -> Callable[[], None]:
    """Return a check that every policy is as it was when the test began."""
    before = lab.policies()

    def check() -> None:
        assert lab.policies() == before

    return check


def is_no_pass(done: Done, outcome: str) -> None:
    """Assert the outcome, and that the exit code is 1."""
    assert done.outcome == outcome, done.section["outcome"]
    assert done.code == 1, done.output


def broken(lab: Lab) -> bool:
    """Whether the storefront's policy is faulty right now."""
    policy = lab.policies()["pets/allow-store-front-traffic"]
    return bool(policy["spec"]["ingress"] == [{"fromEndpoints": []}])


def signed(short: Experiment, folder: Path) -> Path:
    """A file that the run makes once the fault was seen in force.

    A signal before that ends a fault of which the run has not heard yet.
    """
    sign = folder / "realised"
    names = [one["name"] for one in short["method"]]
    touch = {"type": "process", "path": "touch", "arguments": str(sign)}
    tell = {"type": "probe", "name": "say so", "provider": touch}
    short["method"].insert(names.index("customers are cut off"), tell)
    return sign


def test_an_action_that_failed_is_no_pass(
    chaos: Chaos, short: Experiment, unchanged: Callable[[], None]
) -> None:
    """The host goes on after a failed action and exits 0; the outcome is NOT_INJECTED."""
    arguments(short, "break the storefront's ingress")["policy"] = "no-such-policy"
    done = chaos.run(short)
    is_no_pass(done, "NOT_INJECTED")
    assert "no-such-policy" in done.section["outcome"]["sentence"]
    unchanged()


def test_a_first_hypothesis_that_failed_is_no_pass(
    chaos: Chaos, short: Experiment, unchanged: Callable[[], None]
) -> None:
    """The host skips the method and exits 0; the outcome is NOT_STARTED."""
    short["steady-state-hypothesis"]["probes"][0]["provider"]["arguments"]["expect"] = "DENIED"
    done = chaos.run(short)
    is_no_pass(done, "NOT_STARTED")
    assert done.section["faults"] == []
    unchanged()


def test_a_rollback_that_failed_is_no_pass(
    chaos: Chaos, short: Experiment, unchanged: Callable[[], None]
) -> None:
    """The host exits 0 when a rollback failed; the outcome is NOT_RESTORED."""
    short["rollbacks"].append(
        {
            "type": "action",
            "name": "undo something else",
            "provider": {"type": "process", "path": "false", "arguments": ""},
        }
    )
    short["rollbacks"][-1]["provider"] = {
        "type": "python",
        "module": "json",
        "func": "loads",
        "arguments": {"s": "not json"},
    }
    is_no_pass(chaos.run(short), "NOT_RESTORED")
    unchanged()


def test_a_probe_that_errors_after_the_method_is_no_pass(
    chaos: Chaos, short: Experiment, unchanged: Callable[[], None]
) -> None:
    """Under the host's default strategy an erroring probe leaves the fault in place."""
    short["method"] = short["method"][:1]
    short["method"].append(
        {
            "type": "probe",
            "name": "a source that is gone",
            "provider": {
                "type": "python",
                "module": "json",
                "func": "loads",
                "arguments": {"s": "not json"},
            },
        }
    )
    short["runtime"] = {"rollbacks": {"strategy": "default"}}
    done = chaos.run(short)
    is_no_pass(done, "INCONCLUSIVE")
    unchanged()


def test_a_tolerance_that_raises_crashes_the_host_but_leaves_no_fault(
    chaos: Chaos, short: Experiment, unchanged: Callable[[], None]
) -> None:
    """The host then writes no journal and plays no rollback; the guard restores all the same."""
    short["method"] = short["method"][:1]
    probe = {
        "type": "probe",
        "name": "nothing to compare",
        "tolerance": {"type": "range", "range": [0, 1]},
        "provider": {
            "type": "python",
            "module": "json",
            "func": "loads",
            "arguments": {"s": "null"},
        },
    }
    short["runtime"]["hypothesis"] = {"strategy": "after-method-only"}
    short["steady-state-hypothesis"]["probes"] = [probe]
    done = chaos.run(short)
    assert done.code == 1
    assert done.journal is None
    unchanged()


@pytest.mark.parametrize("dry", loop(["activities", "actions", "probes"]))
def test_a_dry_run_is_no_pass(
    chaos: Chaos, short: Experiment, unchanged: Callable[[], None], dry: str
) -> None:
    """A dry run marks everything as succeeded; it proves nothing."""
    done = chaos.run(short, "--dry", dry)
    is_no_pass(done, "INCONCLUSIVE")
    assert "dry" in done.section["outcome"]["sentence"]
    unchanged()


def test_rollbacks_switched_off_are_no_pass(
    chaos: Chaos, short: Experiment, unchanged: Callable[[], None]
) -> None:
    """A run without its safety net does not count, even when the method restored."""
    is_no_pass(chaos.run(short, "--rollback-strategy", "never"), "INCONCLUSIVE")
    unchanged()


def test_with_no_restore_at_all_the_guard_restores(
    chaos: Chaos, short: Experiment, unchanged: Callable[[], None]
) -> None:
    """No restore in the method and rollbacks switched off: the fault still does not survive."""
    short["method"] = [one for one in short["method"] if one["name"] != "put the policy back"]
    done = chaos.run(short, "--rollback-strategy", "never")
    is_no_pass(done, "DEVIATED")
    assert done.section["faults"][0]["restored"]["by"] == "guard"
    unchanged()


@pytest.mark.parametrize(
    "strategy", loop(["during-method-only", "before-method-only", "after-method-only"])
)
def test_a_hypothesis_that_is_skipped_is_no_pass(
    chaos: Chaos, short: Experiment, unchanged: Callable[[], None], strategy: str
) -> None:
    """Nobody looked whether everything came back, or whether it was there."""
    is_no_pass(chaos.run(short, "--hypothesis-strategy", strategy), "INCONCLUSIVE")
    unchanged()


@pytest.mark.parametrize(
    "number",
    loop(
        [
            *(signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGALRM),
            *(signal.SIGUSR1, signal.SIGUSR2),
        ]
    ),
    ids=lambda number: number.name,
)
def test_an_interrupted_run_is_no_pass(
    chaos: Chaos,
    lab: Lab,
    short: Experiment,
    unchanged: Callable[[], None],
    number: signal.Signals,
    tmp_path: Path,
) -> None:
    """1.44 swallows SIGTERM, SIGHUP kills, SIGUSR2 plays no rollbacks: restored all the same."""
    arguments(short, "customers are cut off").update(expect="OPEN", deadline=30)
    sign = signed(short, tmp_path)
    done = chaos.interrupt(short, lambda: sign.exists() and broken(lab), number)
    is_no_pass(done, "INCONCLUSIVE")
    unchanged()


def test_a_missing_guard_module_is_no_pass(
    chaos: Chaos, short: Experiment, unchanged: Callable[[], None]
) -> None:
    """The host warns and goes on; the action refuses and ends the run."""
    short["controls"][0]["provider"]["module"] = "acns_chaos.controls.gaurd"
    short["steady-state-hypothesis"]["probes"] = []
    done = chaos.run(short)
    assert done.code == 1
    assert done.journal is not None
    assert "acns_chaos" not in done.journal
    assert "No guard is armed" in done.output
    unchanged()


def test_no_guard_at_all_is_no_pass(
    chaos: Chaos, short: Experiment, unchanged: Callable[[], None]
) -> None:
    """An experiment that forgot the control changes nothing."""
    del short["controls"]
    short["steady-state-hypothesis"]["probes"] = []
    done = chaos.run(short)
    assert done.code == 1
    assert "No guard is armed" in done.output
    judged = subprocess.run(
        [str(chaos.host.acns_chaos), "outcome", str(done.file)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert judged.returncode == 8
    assert "INCONCLUSIVE" in judged.stdout
    unchanged()


def test_no_guard_in_a_background_action_is_no_pass(
    chaos: Chaos, short: Experiment, unchanged: Callable[[], None]
) -> None:
    """In a background thread the refusal reaches the main thread as the host's own exit signal."""
    del short["controls"]
    short["steady-state-hypothesis"]["probes"] = []
    short["method"] = short["method"][:1]
    short["method"][0]["background"] = True
    short["rollbacks"] = []
    assert chaos.run(short).code == 1
    unchanged()


def test_a_broken_guard_is_no_pass(
    chaos: Chaos, short: Experiment, unchanged: Callable[[], None]
) -> None:
    """What a control raises the host hides: here one that cannot even be imported."""
    (chaos.folder / "broken_guard.py").write_text("raise RuntimeError('broken')\n")
    short["controls"][0]["provider"]["module"] = "broken_guard"
    short["steady-state-hypothesis"]["probes"] = []
    done = chaos.run(short, "--no-validation", PYTHONPATH=str(chaos.folder))
    assert done.code == 1
    unchanged()


def test_a_guard_with_an_argument_it_does_not_know_is_no_pass(
    chaos: Chaos, short: Experiment, unchanged: Callable[[], None]
) -> None:
    """It refuses in one sentence instead of breaking in every hook."""
    short["controls"][0]["provider"]["arguments"] = {"no_such_argument": 1}
    done = chaos.run(short)
    assert done.code == 1
    assert "takes no arguments" in done.output
    unchanged()


def test_a_background_fault_that_failed_is_no_pass(
    chaos: Chaos, short: Experiment, unchanged: Callable[[], None]
) -> None:
    """The guard cannot interrupt from a background thread; the outcome still tells."""
    action = step(short, "break the storefront's ingress")
    action["background"] = True
    action["provider"]["arguments"]["policy"] = "no-such-policy"
    for one in short["method"][1:-1]:
        one["provider"]["arguments"].pop("deadline", None)
    is_no_pass(chaos.run(short), "NOT_INJECTED")
    unchanged()


def test_an_interruption_in_a_background_activity_is_no_pass(
    chaos: Chaos, short: Experiment, unchanged: Callable[[], None]
) -> None:
    """Raised in a background thread it is lost on the host, which exits 0."""
    (chaos.folder / "interrupting.py").write_text(
        "from chaoslib.exceptions import InterruptExecution\n"
        "def interrupt():\n"
        "    raise InterruptExecution('stop the run')\n"
    )
    short["method"].insert(
        1,
        {
            "type": "action",
            "name": "stop the run",
            "background": True,
            "provider": {"type": "python", "module": "interrupting", "func": "interrupt"},
        },
    )
    done = chaos.run(short, PYTHONPATH=str(chaos.folder))
    is_no_pass(done, "INCONCLUSIVE")
    unchanged()


def test_a_deviation_during_the_method_is_no_pass(
    chaos: Chaos, short: Experiment, unchanged: Callable[[], None]
) -> None:
    """Asked for continuously, the hypothesis fails during the fault; the host forgets it."""
    is_no_pass(chaos.run(short, "--hypothesis-strategy", "continuously"), "DEVIATED")
    unchanged()


def test_a_lab_that_would_end_before_the_guard_is_refused(
    lonely_chaos: Chaos, short: Experiment
) -> None:
    """Listed first, the lab control would end the lab before the safety net is played."""
    short["controls"].reverse()
    done = lonely_chaos.run(short)
    assert done.code == 1
    assert "list the guard first" in done.output


def test_a_silent_detector_is_no_pass(
    chaos: Chaos, short: Experiment, unchanged: Callable[[], None]
) -> None:
    """The fault bit, and what should have told the team did not."""
    arguments(short, "Prometheus notices policy drops on the nodes").update(
        at_least=1_000_000, deadline=0.5
    )
    is_no_pass(chaos.run(short), "NOT_NOTICED")
    unchanged()


def test_a_fault_that_does_not_bite_is_no_pass(
    chaos: Chaos, short: Experiment, unchanged: Callable[[], None]
) -> None:
    """Put back before anybody looked: the witness says that customers were served."""
    short["method"].insert(1, short["method"].pop())
    for one in short["method"][2:]:
        one["provider"]["arguments"].pop("deadline", None)
    done = chaos.run(short)
    is_no_pass(done, "NOT_INJECTED")
    unchanged()


def test_a_detector_that_nobody_declared_is_no_pass(
    chaos: Chaos, short: Experiment, unchanged: Callable[[], None]
) -> None:
    """Without a detector the run cannot say that anybody noticed."""
    short["extensions"][0]["detectors"] = []
    is_no_pass(chaos.run(short), "INCONCLUSIVE")
    unchanged()


def test_an_edited_journal_is_no_pass(own_chaos: Chaos, short: Experiment) -> None:
    """A signed journal with one changed byte says INCONCLUSIVE, and why."""
    done = own_chaos.run(short)
    assert done.outcome == "HELD", done.section["outcome"]
    assert done.journal is not None
    done.journal["run"][1]["output"]["sentence"] += "!"
    done.file.write_text(json.dumps(done.journal))
    judged = subprocess.run(
        [str(own_chaos.host.acns_chaos), "outcome", str(done.file)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert judged.returncode == 8
    assert "INCONCLUSIVE" in judged.stdout


@pytest.mark.parametrize("limit", loop([{"scope": "before"}, {"automatic": False}]))
def test_a_guard_that_is_limited_is_no_pass(
    chaos: Chaos, short: Experiment, unchanged: Callable[[], None], limit: dict[str, Any]
) -> None:
    """Half of its hooks would never be called."""
    short["controls"][0].update(limit)
    done = chaos.run(short)
    assert done.code == 1
    assert done.journal is not None
    assert done.journal["run"] == []
    assert "must not be limited" in done.output
    unchanged()


def test_a_control_of_the_same_name_is_no_pass(
    chaos: Chaos, short: Experiment, unchanged: Callable[[], None]
) -> None:
    """The host configures and cleans up only the first control of a name."""
    other = {"name": "guard", "provider": {"type": "python", "module": "json"}}
    short["controls"].insert(0, other)
    done = chaos.run(short)
    assert done.code == 1
    assert "also called 'guard'" in done.output
    unchanged()


def test_configuration_that_asks_a_probe_is_no_pass(
    chaos: Chaos, short: Experiment, unchanged: Callable[[], None]
) -> None:
    """It is asked before any control, on whatever cluster is current."""
    short["configuration"]["pods"] = {
        "type": "probe",
        "name": "pods",
        "provider": {"type": "python", "module": "json", "func": "loads", "arguments": {"s": "1"}},
    }
    done = chaos.run(short)
    assert done.code == 1
    assert "Configuration 'pods' asks a probe" in done.output
    unchanged()


def test_nonsense_in_the_roles_is_no_pass(
    chaos: Chaos, short: Experiment, unchanged: Callable[[], None]
) -> None:
    """Whatever breaks the guard, nothing runs unguarded."""
    short["extensions"][0]["witnesses"] = 5
    done = chaos.run(short)
    assert done.code == 1
    assert done.section["faults"] == []
    unchanged()


def test_a_silent_api_server_does_not_leave_the_fault(
    own_chaos: Chaos,
    lab: Lab,
    short: Experiment,
    unchanged: Callable[[], None],
    tmp_path: Path,
) -> None:
    """The server hangs while the run is interrupted: the last net asks until it answers."""
    arguments(short, "customers are cut off").update(expect="OPEN", deadline=30)
    sign = signed(short, tmp_path)
    started = own_chaos.start(short)
    assert wait_until(lambda: sign.exists() and broken(lab), 60)
    pid = int(lab.ready["pid"])
    os.kill(pid, signal.SIGSTOP)
    try:
        started[0].send_signal(signal.SIGTERM)
        assert started[0].stdout is not None
        said = wait_until(lambda: "the guard restores it now" in started[0].stdout.readline(), 60)
        assert said
    finally:
        os.kill(pid, signal.SIGCONT)
    done = own_chaos.finish(started)
    assert done.code == 1
    assert done.section["faults"][0]["restored"]["verified"]
    unchanged()
