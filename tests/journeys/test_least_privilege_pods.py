"""Roles that are bound nowhere by themselves, probers and restarts: enough, nothing to spare.

As in test_least_privilege: applied with the real kubectl, on a lab that does not say it is one.
"""

import os
import signal
from collections.abc import Iterator
from typing import Any

import pytest

from acns_chaos.cluster.kubeconfig import kubeconfig_api
from acns_chaos.cluster.waiting import wait_until
from tests.failures.processes import children_of, command_of
from tests.journeys.conftest import Chaos, Lab
from tests.journeys.hosts import own
from tests.journeys.labs import end_lab, start_lab
from tests.journeys.minimal import activity, experiment, read, restore
from tests.journeys.rbac import EXPERIMENTER, JANITOR, Accounts, Granted, granted
from tests.journeys.test_least_privilege import EXPERIMENTS, MORE, uncovered
from tests.tiers import loop

pytestmark = [
    pytest.mark.journey,
    pytest.mark.slow,
    # Connections of clients that this process opened are closed when they are collected.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

ROLES = {"prober": "acns-chaos-prober", "restart": "acns-chaos-restart"}
OF_JANITOR = "acns-chaos-prober-janitor"
MET = {
    "type": "probe",
    "name": "as expected",
    "provider": {
        "type": "python",
        "module": "acns_chaos.tolerances",
        "func": "is_met",
        "arguments": {},
    },
}
# One of each tier first, for the tier that tries one case of everything.
PLAYED = sorted(MORE.items(), key=lambda one: [*MORE.values()].index(one[1]))
FIRST = {tier: file for file, tier in reversed(PLAYED)}
ORDERED = [*((file, tier) for tier, file in FIRST.items())]
ORDERED += [one for one in PLAYED if one not in ORDERED]


@pytest.fixture(scope="module")
def accounts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Accounts]:
    """A cluster on which deploy/ was applied, as its pages tell."""
    home = tmp_path_factory.mktemp("lab")
    process, ready = start_lab(home, "--git-version", "v1.35.0")
    api, _ = kubeconfig_api("", ready["kubeconfig"])
    found = Accounts(Lab(ready, home, api), tmp_path_factory.mktemp("accounts"))
    try:
        found.apply_all()
        yield found
    finally:
        api.close()
        end_lab(process)


def asking() -> dict[str, Any]:
    """A question from a workload whose image has no nc."""
    given = {"workload": "product-service", "service": "rabbitmq", "port": 5672, "prober": True}
    return read("kept from rabbitmq", "read_connection", **given, evidence_timeout=10)


def small(tier: str) -> dict[str, Any]:
    """An experiment that is HELD and needs nothing but a tier, and what comes with it."""
    shop = read("the shop answers", "read_storefront", expect="OPEN", timeout=2)
    claims = [shop, asking()] if tier == "prober" else [shop]
    restart = activity(*("restart", "acns_chaos.actions", "restart_pods"), workload="order-service")
    ready = read("ready", "read_readiness", workload="order-service", deadline=20)
    found = experiment(*([] if tier == "prober" else [restart, ready]))
    found["steady-state-hypothesis"] = {
        "title": "All is well",
        "probes": [{**one, "tolerance": MET} for one in claims],
    }
    if tier == "prober":
        found["runtime"]["hypothesis"] = {"strategy": "after-method-only"}
        found["rollbacks"] = []
    return found


@pytest.mark.parametrize(("file", "tier"), loop(ORDERED))
def test_an_experiment_ends_as_it_should_with_the_roles_it_needs(
    accounts: Accounts, file: str, tier: str
) -> None:
    """As stated, with no right that the table does not name, and nothing is left."""
    before, number = accounts.lab.policies(), len(accounts.pods())
    with accounts.bound(EXPERIMENTER, ROLES[tier]), accounts.heard() as asked:
        done = accounts.chaos(file)
    assert done.outcome == EXPERIMENTS[file].outcome, done.output
    assert accounts.lab.policies() == before
    assert len(accounts.pods()) == number
    assert {one["restored"]["by"] for one in done.section["faults"]} == {"method"}
    mine = [one for one in asked if one["user_agent"].startswith("acns-chaos")]
    assert uncovered(mine, "look", "experiment", tier) == []
    assert ("delete", "pods") in {(one["verb"], one["resource"]) for one in mine}


def verbs() -> list[Granted]:
    """Every verb that the two roles of whoever runs experiments grant."""
    return [
        one
        for tier, role in reversed(ROLES.items())
        for one in granted(tier)
        if one.role[2] == role
    ]


@pytest.mark.parametrize("one", loop(verbs()), ids=str)
def test_without_one_verb_nothing_is_made_or_taken(accounts: Accounts, one: Granted) -> None:
    """The run is refused or does not hold, and says which verb, and which file grants it."""
    before, pods = accounts.versions(), accounts.pods()
    with accounts.bound(EXPERIMENTER, one.role[2]), accounts.without(one):
        done = accounts.chaos(small(one.file))
    assert done.code == 1
    assert done.outcome != "HELD", done.output
    assert f"{one.verb} pods in namespace pets" in done.output
    assert f"deploy/rbac/{one.file}.yaml" in done.output
    assert (accounts.versions(), accounts.pods()) == (before, pods)
    assert accounts.records() == []


@pytest.mark.parametrize("tier", loop(ROLES))
def test_with_all_of_them_it_holds(accounts: Accounts, tier: str) -> None:
    """So it is the missing verb that the others are refused for."""
    with accounts.bound(EXPERIMENTER, ROLES[tier]):
        done = accounts.chaos(small(tier))
    assert (done.code, done.outcome) == (0, "HELD"), done.output


@pytest.mark.full
def test_without_one_verb_the_janitor_says_what_it_leaves(accounts: Accounts) -> None:
    """The record stands until somebody binds all of its role; then the pod goes."""
    number = len(accounts.pods())
    leave_a_prober(accounts)
    verbs = [one for one in granted("prober") if one.role[2] == OF_JANITOR]
    assert {one.verb for one in verbs} == {"get", "delete"}
    with accounts.bound(JANITOR, OF_JANITOR):
        for one in verbs:
            with accounts.without(one):
                assert wait_until(lambda: failed(accounts), 20, 0.5), str(one)
            assert len(accounts.pods()) == number + 1, str(one)
            assert len(accounts.records()) == 1, str(one)
        accounts.restore()
    assert wait_until(lambda: len(accounts.pods()) == number, 10)
    assert accounts.records() == []


def failed(accounts: Accounts) -> str:
    """What the janitor says when it cannot do its work, "" while it finds nothing that is due."""
    done = accounts.restore()
    return done.stdout + done.stderr if done.returncode else ""


def leave_a_prober(accounts: Accounts) -> None:
    """Kill a run and its watchdog while their prober stands."""
    number = len(accounts.pods())
    waits = {**asking(), "pauses": {"after": 60}}
    with accounts.bound(EXPERIMENTER, ROLES["prober"]):
        chaos = Chaos(own(), accounts.folder, None)
        found = experiment(waits, restore(), fault_deadline=2)
        started = chaos.start(found, **accounts.environ(EXPERIMENTER))
        assert wait_until(lambda: len(accounts.pods()) > number, 60, 0.01)
        # The watchdog first: it would tidy up after the other.
        for pid in children_of(started[0].pid):
            if "faults.watchdog" in command_of(pid):
                os.kill(pid, signal.SIGKILL)
        started[0].kill()
        chaos.finish(started)
