"""The janitor, as it is deployed: the command of its CronJob with a token of its account.

Somebody's run died and left a fault with its record; the janitor is all that is left.
"""

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from acns_chaos.cluster.kube import Api
from acns_chaos.cluster.kubeconfig import kubeconfig_api
from acns_chaos.cluster.leases import Leases
from acns_chaos.cluster.policies import content, policy_ref
from acns_chaos.cluster.records import Record
from acns_chaos.cluster.target import describe
from acns_chaos.cluster.waiting import wait_until
from acns_chaos.errors import NotFound
from acns_chaos.faults.change import Change, by_documents, by_operator
from acns_chaos.faults.clusterledger import ClusterLedger
from acns_chaos.faults.inject import inject
from acns_chaos.faults.interlock import DEADLINE
from acns_chaos.faults.janitor import SEEN_SECONDS
from acns_chaos.faults.plan import Limits
from acns_chaos.faults.recovery import Keeper
from acns_chaos.faults.runcontext import RunContext, new_run_id
from acns_chaos.faults.undo import fresh
from tests.failures.runner import REF, NoWatch
from tests.journeys.conftest import Lab
from tests.journeys.hosts import ROOT, own
from tests.journeys.labs import end_lab, start_lab
from tests.journeys.rbac import CRON_JOB, Accounts, Granted, documents, one_by_one
from tests.tiers import loop

pytestmark = [
    pytest.mark.journey,
    pytest.mark.slow,
    # Connections of clients that this process opened are closed when they are collected.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

POLICY = "/apis/cilium.io/v2/namespaces/pets/ciliumnetworkpolicies/allow-store-front-traffic"
BYSTANDER = "/apis/networking.k8s.io/v1/namespaces/pets/networkpolicies/bystander"
CONFIG_MAPS = "/api/v1/namespaces/pets/configmaps"
LEASE = "/apis/coordination.k8s.io/v1/namespaces/acns-chaos/leases/acns-chaos.pets"
EVENTS = "/api/v1/namespaces/pets/events"
NOT_RESTORED, DRIFTED = 7, 9
MADE = "made-by-the-fault"


@pytest.fixture(scope="module")
def accounts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Accounts]:
    """A cluster on which deploy/ was applied."""
    home = tmp_path_factory.mktemp("lab")
    process, ready = start_lab(home, "--git-version", "v1.33.5")
    api, _ = kubeconfig_api("", ready["kubeconfig"])
    found = Accounts(Lab(ready, home, api), tmp_path_factory.mktemp("accounts"))
    try:
        found.apply_all()
        api.post(BYSTANDER.rpartition("/")[0], bystander())
        yield found
    finally:
        api.close()
        end_lab(process)


@pytest.fixture
def original(accounts: Accounts) -> Iterator[dict[str, Any]]:
    """The policy as it is before; put back, with everything of ours removed, at the end."""
    api = accounts.lab.api
    before = {place: api.get(place) for place in (POLICY, BYSTANDER)}
    yield content(before[POLICY])
    for name in accounts.records():
        there = api.get(f"{CONFIG_MAPS}/{name}")
        there["metadata"]["finalizers"] = []
        api.put(f"{CONFIG_MAPS}/{name}", there)
        api.delete(f"{CONFIG_MAPS}/{name}")
    lease = api.get(LEASE)
    lease["metadata"]["annotations"] = {}
    lease["spec"] = {}
    api.put(LEASE, lease)
    for place, there in before.items():
        collection = place.rpartition("/")[0]
        if MADE in names(api, place):
            api.delete(f"{collection}/{MADE}")
        document = fresh(there)
        try:
            document["metadata"]["resourceVersion"] = api.get(place)["metadata"]["resourceVersion"]
            api.put(place, document)
        except NotFound:
            api.post(collection, document)


def names(api: Api, place: str) -> list[str]:
    """The names of the policies that lie beside one."""
    return [one["metadata"]["name"] for one in api.get(place.rpartition("/")[0])["items"]]


def left_behind(accounts: Accounts, seconds: float = 3.0, change: Change | None = None) -> str:
    """Break a policy as a run does that is killed right afterwards; returns the run's id.

    Its Lease has lapsed. It must be written within so many seconds; then its deadline has passed.
    """
    api = accounts.lab.api
    target = describe(api, accounts.lab.ready["context"], "pets")
    run = RunContext(new_run_id(), target, api, {}, {}, owner="dead@host process 1")
    keeper = Keeper(run.run, run.owner, target.uid, "pets", seconds)
    Leases(api, "pets").acquire(keeper.holder, 1)
    run.ledger = ClusterLedger(api, keeper, NoWatch())  # type: ignore[arg-type]
    inject(run, change or by_operator("ingress-from-nobody", REF), Limits(ignored=True), 0.0)
    return run.run


def needing(verb: str, place: str = POLICY) -> Change:
    """A fault in a kind of policy whose restore needs a verb."""
    native = place == BYSTANDER
    if verb == "delete":
        return by_documents([bystander(MADE) if native else made()], "pets", True)
    ref = policy_ref("NetworkPolicy", "pets", "bystander") if native else REF
    if verb == "create":
        return by_operator("object-deleted", ref)
    if not native:
        return by_operator("ingress-from-nobody", ref)
    changed = bystander()
    changed["spec"] = {**changed["spec"], "policyTypes": ["Egress"], "egress": [{}]}
    del changed["spec"]["ingress"]
    return by_documents([changed], "pets")


def made() -> dict[str, Any]:
    """A policy about nobody, for a fault that creates one."""
    spec = {"endpointSelector": {"matchLabels": {"app": "nobody"}}, "ingress": []}
    about = {"name": MADE, "namespace": "pets"}
    spec["ingress"] = [{"fromEntities": ["world"]}]
    return {"apiVersion": "cilium.io/v2", "kind": REF.kind, "metadata": about, "spec": spec}


def bystander(name: str = "bystander") -> dict[str, Any]:
    """A NetworkPolicy about nobody."""
    selector = {"matchLabels": {"app": "nobody"}}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": name, "namespace": "pets"},
        "spec": {"podSelector": selector, "ingress": [{}], "policyTypes": ["Ingress"]},
    }


def overdue(accounts: Accounts) -> None:
    """Wait until every record of the namespace is past its deadline."""
    api = accounts.lab.api

    def due() -> bool:
        found = [api.get(f"{CONFIG_MAPS}/{name}") for name in accounts.records()]
        return all(
            api.now() - timedelta(seconds=1)
            > _moment(one["metadata"]["annotations"]["acns-chaos/deadline"])
            for one in found
        )

    assert wait_until(due, 10)


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


# ---------------------------------------------------------------------- it restores


def test_the_cron_job_restores_with_its_own_account(
    accounts: Accounts, original: dict[str, Any]
) -> None:
    """The manifest's own command, with nothing but its account's token, puts everything back."""
    left_behind(accounts)
    assert content(accounts.lab.api.get(POLICY)) != original
    overdue(accounts)

    done = accounts.restore()

    assert (done.returncode, done.stderr) == (0, "")
    assert "pets/allow-store-front-traffic is as it was" in done.stdout
    assert content(accounts.lab.api.get(POLICY)) == original
    assert accounts.records() == []
    assert "acns-chaos/records" not in (
        accounts.lab.api.get(LEASE)["metadata"]["annotations"] or {}
    )


PAGE = (ROOT / "docs/restoring.md").read_text()


def worst() -> dict[str, int]:
    """The seconds of which docs/restoring.md adds up the time to the CronJob's restore."""
    told = PAGE[PAGE.index("The last line: a CronJob") :]
    found = {
        "start": r"at most (\d+) s after the deadline",
        "pod": r"takes up to (\d+) s on a node",
        "command": r"the command, (\d+) s at most",
        "deadline": r"With a deadline of (\d+) s",
        "sum": r"stands for (\d+) s at worst",
    }
    seconds = {name: re.search(pattern, told) for name, pattern in found.items()}
    return {name: int(match[1]) for name, match in seconds.items() if match}


def test_the_page_adds_up(accounts: Accounts) -> None:
    """The seconds told are what the applied CronJob and the product's own numbers make of it."""
    told = worst()
    later = told["start"] + told["pod"] + told["command"]
    assert f"| run and watchdog, the CronJob | the deadline + {later} s |" in PAGE
    assert told["sum"] == told["deadline"] + later
    assert told["deadline"] == DEADLINE
    spec = accounts.lab.api.get(CRON_JOB)["spec"]
    # Every minute; a round that starts late is within what the pod may take.
    assert (spec["schedule"], told["start"]) == ("* * * * *", 60)
    assert spec["startingDeadlineSeconds"] <= 30
    assert 2 * told["start"] + told["pod"] <= SEEN_SECONDS


def test_the_command_takes_no_longer_than_told(
    accounts: Accounts, original: dict[str, Any]
) -> None:
    """From the start of the process to the policy as it was, of which the page adds up the rest."""
    left_behind(accounts)
    overdue(accounts)
    began = time.monotonic()
    done = accounts.restore()
    seconds = time.monotonic() - began
    assert done.returncode == 0, done.stderr
    assert content(accounts.lab.api.get(POLICY)) == original
    assert seconds <= worst()["command"]


@pytest.mark.full
def test_by_the_clock_a_fault_is_gone_when_told(
    accounts: Accounts, original: dict[str, Any]
) -> None:
    """Who starts the command on each full minute, as a CronJob does, is in time."""
    api, told = accounts.lab.api, worst()
    left_behind(accounts, 2.0)
    (name,) = accounts.records()
    record = api.get(f"{CONFIG_MAPS}/{name}")
    deadline = _moment(record["metadata"]["annotations"]["acns-chaos/deadline"])

    def played() -> bool:
        minute = datetime.now(UTC).replace(second=0, microsecond=0) + timedelta(minutes=1)
        assert wait_until(lambda: datetime.now(UTC) >= minute, 61)
        assert accounts.restore().returncode == 0
        return content(api.get(POLICY)) == original

    assert wait_until(played, 125)
    assert datetime.now(UTC) - deadline <= timedelta(seconds=told["start"] + told["command"])


def test_the_cron_job_is_as_safe_as_it_can_be() -> None:
    """Every minute, never two at once, not as root, with nothing to write to."""
    (job,) = [one for one in documents("janitor/janitor.yaml") if one["kind"] == "CronJob"]
    spec = job["spec"]
    pod = spec["jobTemplate"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert (spec["schedule"], spec["concurrencyPolicy"]) == ("* * * * *", "Forbid")
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert container["securityContext"]["allowPrivilegeEscalation"] is False
    assert {one["name"]: one["value"] for one in container["env"]} == {
        "ACNS_CHAOS_CLUSTER": "in-cluster"
    }
    assert job["metadata"]["namespace"] == "acns-chaos"


def test_what_is_not_due_is_left_alone(accounts: Accounts, original: dict[str, Any]) -> None:
    """The janitor waits for the deadline; a person need not: --list, --run and --all."""
    run = left_behind(accounts, 600)

    waiting = accounts.restore()
    assert (waiting.returncode, content(accounts.lab.api.get(POLICY)) == original) == (0, False)
    listed = accounts.restore("--list", "--namespace", "pets")
    assert listed.returncode == 0
    assert f"is broken on purpose by run {run} (ingress-from-nobody) of dead@host" in listed.stdout
    other = accounts.restore("--run", "20200101T000000-0000", "--namespace", "pets")
    assert "Nothing to restore" in other.stdout
    assert content(accounts.lab.api.get(POLICY)) != original

    done = accounts.restore("--run", run, "--namespace", "pets")
    assert done.returncode == 0, done.stderr
    assert content(accounts.lab.api.get(POLICY)) == original
    assert accounts.restore("--all", "--namespace", "pets").returncode == 0


@pytest.mark.parametrize("number", loop([signal.SIGTERM, signal.SIGINT]))
def test_a_janitor_that_goes_on_ends_when_told(
    accounts: Accounts, original: dict[str, Any], number: signal.Signals
) -> None:
    """--watch restores what becomes due, and ends without a word at SIGTERM and SIGINT."""
    process = subprocess.Popen(
        [str(own().acns_chaos), "restore", "--expired", "--watch", "-n", "pets"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **accounts.environ("acns-chaos-janitor")},
    )
    left_behind(accounts, 0.7)
    there = wait_until(lambda: content(accounts.lab.api.get(POLICY)) == original, 20)
    gone = wait_until(lambda: not accounts.records(), 10)
    process.send_signal(number)
    out, errors = process.communicate(timeout=10)
    assert there, errors
    assert gone, errors
    assert (process.returncode, errors) == (0, "")
    assert "is as it was" in out


# ---------------------------------------------------------------------- it believes nobody


def removed_by_force(accounts: Accounts, name: str) -> dict[str, Any]:
    """Delete a record with its finalizer, as anybody with `edit` in the namespace may."""
    api = accounts.lab.api
    there = api.get(f"{CONFIG_MAPS}/{name}")
    api.put(f"{CONFIG_MAPS}/{name}", {**there, "metadata": {**there["metadata"], "finalizers": []}})
    api.delete(f"{CONFIG_MAPS}/{name}")
    return there


def rewritten(record: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A record with another original in it, that would open the storefront to everybody."""
    original = json.loads(record["data"]["original.json"])
    original["spec"]["ingress"] = [{"fromEntities": ["all"]}]
    metadata = {
        key: record["metadata"][key] for key in ("name", "namespace", "labels", "annotations")
    }
    data = {**record["data"], "original.json": json.dumps(original), **more}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


@pytest.mark.parametrize(
    "how", loop(["replaced", "gone", "of another cluster", "of a newer version"])
)
def test_a_record_that_somebody_touched_is_never_written(
    accounts: Accounts, original: dict[str, Any], how: str
) -> None:
    """Said, with exit code 7, and the policy is left as it is."""
    left_behind(accounts)
    overdue(accounts)
    (name,) = accounts.records()
    record = removed_by_force(accounts, name)
    if how == "replaced":
        accounts.lab.api.post(CONFIG_MAPS, rewritten(record))
    elif how == "of another cluster":
        about = {**json.loads(record["data"]["about"]), "cluster": "another-uid"}
        other = rewritten(record, about=json.dumps(about))
        accounts.lab.api.post(CONFIG_MAPS, other)
        # Even if the Lease agreed.
        lease = accounts.lab.api.get(LEASE)
        sha256 = Record.read(other["data"], name).sha256()
        from acns_chaos.cluster.records import Records

        sha256 = Records(accounts.lab.api, "pets").read(name)[1]
        lease["metadata"]["annotations"]["acns-chaos/records"] = json.dumps({name: sha256})
        accounts.lab.api.put(LEASE, lease)
    elif how == "of a newer version":
        accounts.lab.api.post(CONFIG_MAPS, rewritten(record, schema="2"))
    before = accounts.versions()

    done = accounts.restore()

    assert done.returncode == NOT_RESTORED, done.stdout
    said = {
        "gone": f"The Lease names record {name} of namespace pets, and it is gone",
        "replaced": "is not what the Lease says it is: nothing of it is believed",
        "of another cluster": "was written in another cluster (kube-system UID another-uid, here",
        "of a newer version": "has record schema '2', and this version knows 1",
    }[how]
    assert said in done.stdout
    assert accounts.versions() == before


def test_a_record_out_of_nothing_is_never_written(
    accounts: Accounts, original: dict[str, Any]
) -> None:
    """A forged record that no Lease names is removed when it is old, and nothing else happens."""
    left_behind(accounts)
    overdue(accounts)
    (name,) = accounts.records()
    record = accounts.lab.api.get(f"{CONFIG_MAPS}/{name}")
    forged = rewritten(record)
    about = json.loads(forged["data"]["about"])
    about["run"], about["deadline"] = "20200101T000000-beef", "2020-01-01T00:00:00+00:00"
    forged["data"]["about"] = json.dumps(about)
    forged["metadata"]["name"] = "acns-chaos-20200101t000000-beef-f1"
    accounts.lab.api.post(CONFIG_MAPS, forged)

    done = accounts.restore()

    assert done.returncode == 0, done.stdout + done.stderr
    assert "was never in force and was removed" in done.stdout
    assert content(accounts.lab.api.get(POLICY)) == original


def test_whoever_may_edit_the_namespace_cannot_make_the_janitor_write(
    accounts: Accounts, original: dict[str, Any]
) -> None:
    """Kubernetes' own `edit` writes Leases there; what is believed lies elsewhere."""
    accounts.kubectl("create", "serviceaccount", "editor", "-n", "acns-chaos")
    accounts.kubectl(
        *("create", "rolebinding", "editor", "--clusterrole=edit", "-n", "pets"),
        "--serviceaccount=acns-chaos:editor",
    )
    may = {
        place: accounts.kubectl(
            *("auth", "can-i", "update", "leases", "-n", place),
            *(
                "--as",
                "system:serviceaccount:acns-chaos:editor",
                "--as-group",
                "system:authenticated",
            ),
            ok=(0, 1),
        ).strip()
        for place in ("pets", "acns-chaos")
    }
    assert may == {"pets": "yes", "acns-chaos": "no"}


# ---------------------------------------------------------------------- it overwrites nobody


def test_what_somebody_wrote_meanwhile_is_shown_and_not_overwritten(
    accounts: Accounts, original: dict[str, Any]
) -> None:
    """Exit code 9 and a difference of all three; only --force puts the original back."""
    left_behind(accounts)
    overdue(accounts)
    live = accounts.lab.api.get(POLICY)
    live["spec"]["ingress"] = [{"fromEntities": ["cluster"]}]
    accounts.lab.api.put(POLICY, live)
    before = accounts.versions()

    done = accounts.restore()

    assert done.returncode == DRIFTED, done.stdout + done.stderr
    assert "is neither the fault nor the original any more" in done.stdout
    assert "--- original\n+++ fault" in done.stdout
    assert "--- original\n+++ live" in done.stdout
    assert "+    - cluster" in done.stdout
    assert accounts.versions() == before
    forced = accounts.restore("--all", "--force", "--namespace", "pets")
    assert forced.returncode == 0, forced.stdout
    assert content(accounts.lab.api.get(POLICY)) == original
    assert accounts.records() == []


# ---------------------------------------------------------------------- nothing to spare


@pytest.mark.parametrize("one", loop(one_by_one("janitor")), ids=str)
def test_without_one_verb_the_janitor_says_what_it_could_not_do(
    accounts: Accounts, original: dict[str, Any], one: Granted
) -> None:
    """Each verb of its role is needed, and with it again everything is put back."""
    place = BYSTANDER if one.resource == "networkpolicies" else POLICY
    of_policy = one.resource in ("networkpolicies", "ciliumnetworkpolicies")
    before = everything(accounts)
    left_behind(accounts, change=needing(one.verb if of_policy else "update", place))
    overdue(accounts)
    told = events(accounts)
    with accounts.without(one):
        done = accounts.restore()
    failed = done.returncode == NOT_RESTORED or "forbidden" in done.stdout + done.stderr
    assert failed or events(accounts) == told, done.stdout + done.stderr
    if of_policy:
        assert (done.returncode, everything(accounts) == before) == (NOT_RESTORED, False)
        assert f'cannot {one.verb} resource "{one.resource}"' in done.stdout
    comes_back(accounts, before)


def supports() -> list[dict[str, Any]]:
    """The objects besides roles that the janitor stands on: its bindings and both Leases."""
    files = ("janitor/janitor.yaml", "rbac/janitor.yaml", "rbac/experiment.yaml")
    return [one for one in documents(*files) if one["kind"] in ("RoleBinding", "Lease")]


@pytest.mark.parametrize(
    "one",
    loop(supports()),
    ids=lambda one: f"{one['metadata']['namespace']}/{one['metadata']['name']}",
)
def test_without_one_object_the_janitor_says_what_it_could_not_do(
    accounts: Accounts, original: dict[str, Any], one: dict[str, Any]
) -> None:
    """A binding or a Lease that is missing is told; when it is back, so is everything."""
    before = everything(accounts)
    left_behind(accounts)
    overdue(accounts)
    with accounts.without_object(one):
        done = accounts.restore()
    said = done.stdout + done.stderr
    name = one["metadata"]["name"]
    if name == LEASE.rpartition("/")[2]:
        assert (done.returncode, everything(accounts) == before) == (NOT_RESTORED, False)
        assert "so it is not believed: somebody deleted the Lease" in said
    else:
        assert "forbidden" in said or f"Lease {name}" in said, said
    comes_back(accounts, before)


def everything(accounts: Accounts) -> dict[str, Any]:
    """What the policies of both kinds hold."""
    api = accounts.lab.api
    return {
        f"{place.rpartition('/')[0]}/{one['metadata']['name']}": content(one)
        for place in (POLICY, BYSTANDER)
        for one in api.get(place.rpartition("/")[0])["items"]
    }


def comes_back(accounts: Accounts, before: dict[str, Any]) -> None:
    """Another round of the janitor, with all that it needs, leaves nothing changed."""
    again = accounts.restore()
    assert (again.returncode, again.stderr) == (0, "")
    assert everything(accounts) == before
    # A record that nobody names any more changes nothing, and is removed a minute later.
    assert not (accounts.lab.api.get(LEASE)["metadata"].get("annotations") or {}).get(
        "acns-chaos/records"
    )


def events(accounts: Accounts) -> int:
    """How many events say that something was restored."""
    found = accounts.lab.api.get(EVENTS)["items"]
    return sum(one["reason"] == "FaultRestored" for one in found)
