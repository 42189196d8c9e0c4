"""The watchdog: whatever dies or hangs, everything comes back, and nothing of it is left."""

import os
import random
import signal
from pathlib import Path
from typing import Any

import pytest

from acns_chaos.cluster.waiting import wait_until
from tests.journeys.conftest import Chaos, Done, Lab
from tests.journeys.minimal import (
    broken,
    experiment,
    holders,
    inject,
    moment,
    nothing_is_left,
    read,
    records,
    restore,
    watchdogs,
)
from tests.lab.misbehaving import orders_for
from tests.tiers import loop

pytestmark = [pytest.mark.journey, pytest.mark.slow]

KILLS = 8
WITHIN = 2.0
LEASE = "/apis/coordination.k8s.io/v1/namespaces/acns-chaos/leases/acns-chaos.pets"
LAB_SAYS = ("HUBBLE_ADDRESS", "PROMETHEUS_URL", "STOREFRONT_URL")


def waiting(seconds: float = 20) -> dict[str, Any]:
    """A probe that hangs, once the shop does."""
    return read("the shop", "read_storefront", timeout=seconds)


def the_watchdog(lab: Lab) -> int:
    """The process of the one watchdog."""
    (found,) = watchdogs(lab.home)
    return found


def is_no_pass(done: Done) -> None:
    """Assert that it says so, and that everything was put back."""
    assert done.code == 1, done.output
    assert done.outcome in ("INCONCLUSIVE", "NOT_INJECTED"), done.section["outcome"]
    for fault in done.section["faults"]:
        assert fault["restored"]["verified"], fault["restored"]


@pytest.mark.parametrize("kills", loop([1, KILLS]))
def test_killed_at_any_moment_it_is_restored_within_two_seconds(
    own_chaos: Chaos, lab: Lab, kills: int
) -> None:
    """Kills at random moments of a run with a fault: the slowest counts."""
    before = lab.policies()
    chance = random.Random(5)
    took: list[float] = []
    while len(took) < kills:
        started = own_chaos.start(
            experiment(inject(), {**read("r", "policies_are_as_recorded"), "pauses": {"after": 9}})
        )
        assert wait_until(lambda: broken(lab), 60, interval=0.005)
        wait_until(lambda: None, chance.random() * 0.3)
        started[0].kill()
        began = moment()
        assert wait_until(lambda: not broken(lab), 10, interval=0.005)
        took.append(moment() - began)
        own_chaos.finish(started)
        nothing_is_left(lab, before)
    assert max(took) < WITHIN, took


def test_it_restores_at_the_deadline_while_a_probe_hangs(own_chaos: Chaos, lab: Lab) -> None:
    """The runner lives and waits; the fault does not stand longer than it may."""
    before = lab.policies()
    orders_for(lab.home).inject("hang", server="shop")
    started = own_chaos.start(experiment(inject(), waiting(6), fault_deadline=2))
    assert wait_until(lambda: broken(lab), 60, interval=0.01)
    began = moment()
    assert wait_until(lambda: not broken(lab), 10, interval=0.01)
    assert 1 < moment() - began < 4
    assert started[0].poll() is None, "the probe still hangs"
    done = own_chaos.finish(started)
    is_no_pass(done)
    assert done.section["faults"][0]["restored"]["by"] == "watchdog"
    nothing_is_left(lab, before)


def test_it_restores_at_the_deadline_while_the_runner_is_stopped(
    own_chaos: Chaos, lab: Lab
) -> None:
    """Somebody pressed Ctrl-Z; when the run goes on, it finds the original and says so."""
    before = lab.policies()
    pause = {**read("r", "policies_are_as_recorded"), "pauses": {"before": 3}}
    started = own_chaos.start(experiment(inject(), pause, fault_deadline=2))
    assert wait_until(lambda: broken(lab), 60, interval=0.01)
    started[0].send_signal(signal.SIGSTOP)
    assert wait_until(lambda: not broken(lab), 10, interval=0.01)
    started[0].send_signal(signal.SIGCONT)
    done = own_chaos.finish(started)
    is_no_pass(done)
    nothing_is_left(lab, before)


def test_after_a_clean_end_nothing_of_it_is_left(own_chaos: Chaos, lab: Lab) -> None:
    """No process, no zombie, no file, no word."""
    before = lab.policies()
    folder = own_chaos.folder / "tmp"
    folder.mkdir()
    started = own_chaos.start(experiment(inject(), restore()), TMPDIR=str(folder))
    assert wait_until(lambda: watchdogs(lab.home), 60, interval=0.01)
    pid = the_watchdog(lab)
    done = own_chaos.finish(started)
    assert not Path(f"/proc/{pid}").exists()
    assert "atchdog" not in done.output
    assert list(folder.iterdir()) == []
    nothing_is_left(lab, before, timeout=0)


def killed(chaos: Chaos, lab: Lab, folder: Path) -> list[str]:
    """Kill a run with a fault; returns the files of its folder as they were just before."""
    folder.mkdir(exist_ok=True)
    started = chaos.start(
        experiment(inject(), {**read("r", "policies_are_as_recorded"), "pauses": {"after": 20}}),
        TMPDIR=str(folder),
        KUBECONFIG=lab.ready["kubeconfig"],
        ACNS_CHAOS_CLUSTER=lab.ready["context"],
    )
    assert wait_until(lambda: broken(lab), 60, interval=0.01)
    found = [str(one.relative_to(folder)) for one in folder.rglob("*") if one.is_file()]
    started[0].kill()
    chaos.finish(started)
    return found


def test_a_killed_run_leaves_no_credentials(own_chaos: Chaos, lab: Lab) -> None:
    """The watchdog removes the run's kubeconfig and keys once it has restored."""
    before = lab.policies()
    folder = own_chaos.folder / "tmp"
    found = killed(own_chaos, lab, folder)
    assert any(name.endswith(".kubeconfig") for name in found), found
    assert all(name.startswith("acns-chaos-run-") for name in found), found
    nothing_is_left(lab, before)
    assert wait_until(lambda: not list(folder.iterdir()), 5), list(folder.rglob("*"))


def test_the_next_run_removes_what_a_run_killed_with_its_watchdog_left(
    own_chaos: Chaos, lab: Lab
) -> None:
    """Nobody was left to remove it: whoever comes next does."""
    folder = own_chaos.folder / "tmp"
    folder.mkdir()
    started = own_chaos.start(experiment(inject(), waiting()), TMPDIR=str(folder))
    orders_for(lab.home).inject("hang", server="shop")
    assert wait_until(lambda: broken(lab), 60, interval=0.01)
    os.kill(the_watchdog(lab), signal.SIGKILL)
    started[0].kill()
    own_chaos.finish(started)
    assert list(folder.iterdir()), "nothing was left, so this test shows nothing"
    own_chaos.run(experiment(read("r", "policies_are_as_recorded")), TMPDIR=str(folder))
    assert list(folder.iterdir()) == []


def test_it_knows_no_secret_that_the_runner_did_not(own_chaos: Chaos, lab: Lab) -> None:
    """Its command line names a module, its environment is the runner's."""
    # It lingers, so that there is time to look.
    pause = {**read("r", "policies_are_as_recorded"), "pauses": {"before": 3}}
    started = own_chaos.start(experiment(inject(), pause, restore()))
    assert wait_until(lambda: broken(lab), 60, interval=0.01)
    pid = the_watchdog(lab)
    command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    theirs, ours = (
        {line.partition(b"=")[0]: line.partition(b"=")[2] for line in found.split(b"\0") if line}
        for found in (Path(f"/proc/{one}/environ").read_bytes() for one in (pid, started[0].pid))
    )
    own_chaos.finish(started)
    assert command[1:] == [b"-m", b"acns_chaos.faults.watchdog", b""]
    theirs.pop(b"PYTHONPATH")
    ours.pop(b"PYTHONPATH", None)
    # What the lab control set in the runner's own environment: addresses, and where a file lies.
    lab_says = {b"KUBECONFIG", *(f"ACNS_CHAOS_{one}".encode() for one in LAB_SAYS)}
    # It also blanks what a shell may say about another cluster's Prometheus.
    known = {key: value for key, value in theirs.items() if key not in lab_says and value}
    assert known == {key: value for key, value in ours.items() if value}


def test_a_watchdog_that_dies_ends_the_run_in_order(own_chaos: Chaos, lab: Lab) -> None:
    """Nobody would restore after the runner any more: it restores and ends, and says why."""
    before = lab.policies()
    orders_for(lab.home).inject("hang", server="shop")
    started = own_chaos.start(experiment(inject(), waiting()))
    assert wait_until(lambda: broken(lab), 60, interval=0.01)
    os.kill(the_watchdog(lab), signal.SIGKILL)
    assert wait_until(lambda: not broken(lab), 5, interval=0.01)
    done = own_chaos.finish(started)
    is_no_pass(done)
    assert "The watchdog died" in done.output
    assert done.seconds < 20
    nothing_is_left(lab, before)


@pytest.mark.full
def test_a_watchdog_that_hangs_before_the_fault_lets_nothing_be_written(
    own_chaos: Chaos, lab: Lab
) -> None:
    """It was ready and does not answer any more: refused, and the run ends soon."""
    before = lab.policies()
    pause = {**read("r", "policies_are_as_recorded"), "pauses": {"before": 1}}
    started = own_chaos.start(experiment(pause, inject()))
    assert wait_until(lambda: "acns-chaos" in str(holders(lab)) or holders(lab), 60, interval=0.01)
    assert wait_until(lambda: watchdogs(lab.home), 5)
    # Its goodbye to nobody: it holds the Lease, and the pause goes on.
    os.kill(the_watchdog(lab), signal.SIGSTOP)
    done = own_chaos.finish(started)
    is_no_pass(done)
    assert done.seconds < 45
    assert "does not answer" in done.output
    nothing_is_left(lab, before)


def test_a_watchdog_that_hangs_while_the_fault_stands_ends_the_run(
    own_chaos: Chaos, lab: Lab
) -> None:
    """Silence is noticed: the run restores and ends itself, without a deadlock."""
    before = lab.policies()
    orders_for(lab.home).inject("hang", server="shop")
    started = own_chaos.start(experiment(inject(), waiting(60)))
    assert wait_until(lambda: broken(lab), 60, interval=0.01)
    os.kill(the_watchdog(lab), signal.SIGSTOP)
    began = moment()
    assert wait_until(lambda: not broken(lab), 30, interval=0.02)
    done = own_chaos.finish(started)
    assert moment() - began < 60
    is_no_pass(done)
    assert "does not answer any more" in done.output
    nothing_is_left(lab, before)


@pytest.mark.parametrize("how", loop(["cannot start", "dies at once"]))
def test_a_watchdog_that_cannot_be_had_means_no_write(own_chaos: Chaos, lab: Lab, how: str) -> None:
    """No ready watchdog, no write."""
    before = lab.policies()
    trap = own_chaos.folder / "trap"
    trap.mkdir()
    # What the interpreter imports first: the runner must not be caught, the watchdog must.
    (trap / "sitecustomize.py").write_text(
        "import os, sys\n"
        + (
            "if 'acns_chaos.faults.watchdog' in sys.orig_argv:\n    os._exit(3)\n"
            if how == "dies at once"
            else "if 'run' in sys.argv:\n    sys.executable = '/no/such/python'\n"
        )
    )
    started = own_chaos.start(experiment(inject()), PYTHONPATH=str(trap))
    done = own_chaos.finish(started)
    assert done.code == 1
    assert done.section["faults"] == []
    assert "atchdog" in done.output
    assert done.seconds < 20
    nothing_is_left(lab, before)


def test_a_watchdog_that_dies_while_the_host_ends_the_run_loses_no_journal(
    own_chaos: Chaos, lab: Lab
) -> None:
    """The run was interrupted already: nothing interrupts the host on its way to the journal."""
    before = lab.policies()
    # After the method, before the guard's last word: no code of ours runs there.
    (own_chaos.folder / "foreign.py").write_text(
        "import os, signal, threading, time\n"
        "from pathlib import Path\n"
        "def after_experiment_control(context, **known):\n"
        "    mine = f'/proc/{os.getpid()}/task/{os.getpid()}/children'\n"
        "    for child in Path(mine).read_text().split():\n"
        "        command = Path(f'/proc/{child}/cmdline').read_bytes()\n"
        "        if b'acns_chaos.faults.watchdog' in command:\n"
        "            os.kill(int(child), signal.SIGKILL)\n"
        "            print('killed the watchdog', flush=True)\n"
        "    # Its reader is woken by the end of a pipe and ends.\n"
        "    until = time.monotonic() + 10\n"
        "    while time.monotonic() < until and any(\n"
        "        one.name == 'watchdog-_read' for one in threading.enumerate()\n"
        "    ):\n"
        "        time.sleep(0.01)\n"
    )
    written = experiment(inject(policy="no-such-policy"))
    written["controls"].insert(
        0, {"name": "foreign", "provider": {"type": "python", "module": "foreign"}}
    )
    written["runtime"]["rollbacks"]["strategy"] = "never"
    done = own_chaos.finish(own_chaos.start(written, PYTHONPATH=str(own_chaos.folder)))
    assert "killed the watchdog" in done.output
    assert done.code == 1
    assert "The watchdog died" in done.output
    assert done.section["faults"] == []
    nothing_is_left(lab, before)


def test_the_api_server_is_silent_when_the_runner_dies(own_chaos: Chaos, lab: Lab) -> None:
    """It is asked again until it answers."""
    before = lab.policies()
    orders = orders_for(lab.home)
    orders.inject("hang", server="shop")
    started = own_chaos.start(experiment(inject(), waiting()), ACNS_CHAOS_API_TIMEOUT="1")
    assert wait_until(lambda: broken(lab), 60, interval=0.01)
    orders.inject("hang", server="kubernetes", user_agent="acns-chaos-watchdog")
    started[0].kill()
    own_chaos.finish(started)
    wait_until(lambda: None, 3)
    assert broken(lab)
    orders.clear()
    assert wait_until(lambda: not broken(lab), 10)
    nothing_is_left(lab, before)


def test_questions_that_hang_do_not_delay_a_restore(own_chaos: Chaos, lab: Lab) -> None:
    """The stop object and the Lease cannot be read; the fault's policy can."""
    before = lab.policies()
    orders = orders_for(lab.home)
    orders.inject("hang", server="shop")
    started = own_chaos.start(experiment(inject(), waiting()))
    assert wait_until(lambda: broken(lab), 60, interval=0.01)
    order = orders.inject("hang", resource="configmaps", name="acns-chaos-stop")
    assert wait_until(lambda: orders.struck(order), 5)
    started[0].kill()
    assert wait_until(lambda: not broken(lab), WITHIN, interval=0.01)
    orders.clear()
    own_chaos.finish(started)
    nothing_is_left(lab, before)


def test_a_server_that_asks_to_come_back_later_does_not_delay_a_restore(
    own_chaos: Chaos, lab: Lab
) -> None:
    """It asks again by itself soon, instead of sitting out the nine seconds it is told."""
    before = lab.policies()
    orders = orders_for(lab.home)
    orders.inject("hang", server="shop")
    started = own_chaos.start(experiment(inject(), waiting()))
    assert wait_until(lambda: broken(lab), 60, interval=0.01)
    watchdogs_own = {"resource": "cnp", "user_agent": "acns-chaos-watchdog"}
    order = orders.inject("429", retry_after=9, count=1, **watchdogs_own)
    started[0].kill()
    assert wait_until(lambda: not broken(lab), WITHIN, interval=0.01)
    assert orders.struck(order) == 1
    orders.clear()
    own_chaos.finish(started)
    nothing_is_left(lab, before)


def test_a_lab_that_is_gone_is_done(own_chaos: Chaos, lab: Lab, short_lab: Any) -> None:
    """The fault went with it: the watchdog does not wait for a minute and a half."""
    del lab
    other = short_lab
    started = own_chaos.start(experiment(inject(), waiting()), ACNS_CHAOS_LAB_HOME=str(other.home))
    orders_for(other.home).inject("hang", server="shop")
    assert wait_until(lambda: broken(other), 60, interval=0.01)
    os.kill(int(other.ready["pid"]), signal.SIGKILL)
    started[0].kill()
    own_chaos.finish(started)
    assert wait_until(lambda: not watchdogs(other.home), 5)


@pytest.fixture
def short_lab(tmp_path: Path) -> Any:
    """A lab that the test ends itself."""
    from acns_chaos.cluster.kubeconfig import kubeconfig_api
    from tests.journeys.labs import start_lab

    home = tmp_path / "short-lab"
    home.mkdir()
    process, ready = start_lab(home)
    api, _ = kubeconfig_api("", ready["kubeconfig"])
    yield Lab(ready, home, api)
    api.close()
    process.kill()
    process.communicate()


def test_stop_is_heard_while_a_probe_hangs(own_chaos: Chaos, lab: Lab) -> None:
    """An operator creates the stop object: restored within a second or so, and said."""
    before = lab.policies()
    orders_for(lab.home).inject("hang", server="shop")
    started = own_chaos.start(experiment(inject(), waiting()))
    assert wait_until(lambda: broken(lab), 60, interval=0.01)
    lab.api.post(
        "/api/v1/namespaces/pets/configmaps",
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "acns-chaos-stop", "namespace": "pets"},
        },
    )
    began = moment()
    assert wait_until(lambda: not broken(lab), 5, interval=0.01)
    assert moment() - began < WITHIN
    done = own_chaos.finish(started)
    is_no_pass(done)
    assert "ConfigMap acns-chaos-stop stands in namespace pets" in done.output
    nothing_is_left(lab, before)


@pytest.mark.parametrize(
    ("how", "why"),
    [
        ("deleted", "Lease acns-chaos.pets of namespace acns-chaos is gone: somebody deleted it"),
        ("taken", "is held by 20260101T000000-beef somebody@elsewhere process 7"),
    ],
)
def test_a_lost_lease_ends_the_run_in_order(own_chaos: Chaos, lab: Lab, how: str, why: str) -> None:
    """Another run may change the same policies by now: restored at once, and said."""
    before = lab.policies()
    orders_for(lab.home).inject("hang", server="shop")
    started = own_chaos.start(experiment(inject(), waiting()))
    assert wait_until(lambda: broken(lab), 60, interval=0.01)
    if how == "deleted":
        lab.api.delete(LEASE)
    else:
        lease = lab.api.get(LEASE)
        lease["spec"]["holderIdentity"] = "20260101T000000-beef somebody@elsewhere process 7"
        lab.api.put(LEASE, lease)
    began = moment()
    assert wait_until(lambda: not broken(lab), 10, interval=0.01)
    assert moment() - began < WITHIN
    done = own_chaos.finish(started)
    is_no_pass(done)
    assert why in done.output
    assert "watchdog-lease-lost" in [one["what"] for one in done.section["events"]]
    assert done.section["faults"][0]["restored"]["by"] == "watchdog"
    assert done.seconds < 20
    assert wait_until(lambda: not watchdogs(lab.home), 5)
    assert lab.policies() == before
    if how == "deleted":
        # Nobody names the record any more: the next janitor finds that, after its deadline.
        assert holders(lab) == []
    else:
        assert records(lab) == []
        assert holders(lab) == ["20260101T000000-beef somebody@elsewhere process 7"]


def test_a_kubeconfig_named_relatively_is_found(own_chaos: Chaos, lab: Lab) -> None:
    """The watchdog works in another folder than the runner."""
    before = lab.policies()
    own_chaos.folder.joinpath("kube.yaml").write_text(Path(lab.ready["kubeconfig"]).read_text())
    context = Path(lab.ready["kubeconfig"]).read_text().split("current-context: ")[1].split()[0]
    done = own_chaos.run(
        experiment(inject(), restore()), KUBECONFIG="kube.yaml", ACNS_CHAOS_CLUSTER=context
    )
    assert [one["restored"]["by"] for one in done.section["faults"]] == ["method"], done.output
    assert records(lab) == []
    nothing_is_left(lab, before)


def test_a_second_run_finds_the_namespace_free(own_chaos: Chaos, lab: Lab) -> None:
    """What the watchdog of a killed run leaves is a Lease that the next run takes at once."""
    orders_for(lab.home).inject("hang", server="shop")
    started = own_chaos.start(experiment(inject(), waiting()))
    assert wait_until(lambda: broken(lab), 60, interval=0.01)
    started[0].kill()
    own_chaos.finish(started)
    assert wait_until(lambda: not holders(lab), 5)
    done = own_chaos.run(experiment(inject(), restore()))
    assert [one["restored"]["by"] for one in done.section["faults"]] == ["method"], done.output
