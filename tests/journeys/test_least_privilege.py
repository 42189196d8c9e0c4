"""The roles of deploy/rbac: enough for everything that ships, and nothing to spare.

They are applied with the real kubectl, and what runs carries a token of the shipped accounts, on a
lab that does not say that it is one.
"""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from acns_chaos.cli.catalogue import entries
from acns_chaos.cluster.kubeconfig import kubeconfig_api
from acns_chaos.cluster.permissions import NEEDS, TIERS
from acns_chaos.cluster.policies import policy_ref
from acns_chaos.cluster.target import Choice, connect, describe
from acns_chaos.errors import Forbidden, NotFound, TargetRefused
from acns_chaos.faults.change import by_documents, by_operator
from acns_chaos.faults.inject import inject
from acns_chaos.faults.interlock import Interlock, whoami
from acns_chaos.faults.ledger import Debt
from acns_chaos.faults.plan import Limits
from acns_chaos.faults.recovery import sweep
from acns_chaos.faults.restore import restore_all
from acns_chaos.faults.runcontext import RunContext, new_run_id
from tests.journeys.conftest import Done, Lab
from tests.journeys.hosts import ROOT
from tests.journeys.labs import end_lab, start_lab
from tests.journeys.rbac import (
    LOOKER,
    Accounts,
    Granted,
    documents,
    granted,
    one_by_one,
)
from tests.lab.misbehaving import orders_for
from tests.tiers import loop

pytestmark = [
    pytest.mark.journey,
    pytest.mark.slow,
    # Connections of clients that this process opened are closed when they are collected.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

POLICY = "allow-store-front-traffic"
FLAGSHIP = "experiments/storefront-ingress.json"
EXPERIMENTS = {one.file: one for one in entries(sorted(ROOT.glob("experiments/*.json")))}
# What needs rights that are bound nowhere by themselves (test_least_privilege_pods); what is
# clusterwide is refused before anybody asks for rights.
MORE = {
    file: tier
    for file, one in sorted(EXPERIMENTS.items())
    for tier in ("prober", "restart")
    if tier in one.needs.split(", ")
}
PLAIN = [FLAGSHIP, *sorted(EXPERIMENTS.keys() - MORE.keys() - {FLAGSHIP})]
CLAIMS = sorted(str(path.relative_to(ROOT)) for path in ROOT.glob("probes/*.json"))


@pytest.fixture(scope="module")
def accounts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Accounts]:
    """A cluster on which deploy/ was applied, and an account that may only look."""
    home = tmp_path_factory.mktemp("lab")
    # The first version that asks for every verb that is granted.
    process, ready = start_lab(home, "--git-version", "v1.35.0")
    api, _ = kubeconfig_api("", ready["kubeconfig"])
    found = Accounts(Lab(ready, home, api), tmp_path_factory.mktemp("accounts"))
    try:
        prepare(found)
        yield found
    finally:
        api.close()
        end_lab(process)


def prepare(found: Accounts) -> None:
    """Apply everything, bind what is not bound in deploy/, and make policies to break."""
    found.apply_all()
    for kind in ("NetworkPolicy", "CiliumClusterwideNetworkPolicy"):
        found.kubectl("apply", "-f", "-", stdin=json.dumps(bystander(kind)))
    found.kubectl("create", "serviceaccount", LOOKER, "-n", "acns-chaos")
    found.bind(LOOKER, "ClusterRole", "acns-chaos-look")
    found.bind(LOOKER, "Role", "acns-chaos-look", "pets")
    found.bind(LOOKER, "Role", "acns-chaos-look", "kube-system")
    found.kubectl("create", "configmap", "acns-chaos-allowed", "-n", "acns-chaos")
    for account in ("acns-chaos", "acns-chaos-janitor"):
        found.bind(account, "ClusterRole", "acns-chaos-clusterwide")
        found.bind(account, "Role", "acns-chaos-clusterwide", "default")
    found.bind("acns-chaos", "Role", "acns-chaos-clusterwide", "acns-chaos")


def bystander(kind: str = "NetworkPolicy", name: str = "bystander") -> dict[str, Any]:
    """A policy about nobody, which a test may break and nobody feels."""
    about: dict[str, Any] = {"name": name}
    if kind != "CiliumClusterwideNetworkPolicy":
        about["namespace"] = "pets"
    if kind == "NetworkPolicy":
        spec: dict[str, Any] = {
            "podSelector": {"matchLabels": {"app": "nobody"}},
            "ingress": [{}],
            "policyTypes": ["Ingress"],
        }
        return {"apiVersion": "networking.k8s.io/v1", "kind": kind, "metadata": about, "spec": spec}
    selector = {"matchLabels": {"app": "nobody"}}
    spec = {"endpointSelector": selector, "ingress": [{"fromEntities": ["world"]}]}
    return {"apiVersion": "cilium.io/v2", "kind": kind, "metadata": about, "spec": spec}


def fault(kind: str, change: str) -> dict[str, Any]:
    """Arguments of inject_fault that do one thing to one policy of a kind."""
    if change == "create":
        document = bystander(kind, "made-by-the-fault")
        return {"document": document, "create": True, "ignored": True, "timeout": 0}
    name = POLICY if kind == "CiliumNetworkPolicy" else "bystander"
    about = {"kind": kind, "policy": name, "ignored": True, "timeout": 0}
    if change == "delete":
        return {**about, "operator": "object-deleted"}
    changed = bystander(kind, name)
    changed["spec"].pop("ingress")
    changed["spec"]["egress"] = [{}] if kind == "NetworkPolicy" else [{"toEntities": ["world"]}]
    if kind == "NetworkPolicy":
        changed["spec"]["policyTypes"] = ["Egress"]
    return {**about, "document": changed}


def minimal(kind: str, change: str, probes: bool = False) -> dict[str, Any]:
    """An experiment that injects and restores; with probes it would ask first."""

    def action(name: str, func: str, module: str = "actions", **arguments: Any) -> dict[str, Any]:
        provider = {"type": "python", "module": f"acns_chaos.{module}", "func": func}
        what = "action" if module == "actions" else "probe"
        return {"type": what, "name": name, "provider": {**provider, "arguments": arguments}}

    asked = [
        action("shop", "read_storefront", "probes"),
        action(
            "egress",
            "read_connection",
            "probes",
            workload="store-front",
            service="rabbitmq",
            port=5672,
        ),
        action("ready", "read_readiness", "probes", workload="store-front"),
    ]
    guard = {"type": "python", "module": "acns_chaos.controls.guard"}
    return {
        "title": "Is it put back?",
        "description": "Injects and restores.",
        "configuration": {"namespace": "pets"},
        "controls": [{"name": "guard", "provider": guard}],
        "runtime": {"rollbacks": {"strategy": "always"}},
        "method": [
            *(asked if probes else []),
            action("break", "inject_fault", **fault(kind, change)),
            action("mend", "restore_policies", timeout=0),
        ],
        "rollbacks": [action("mend again", "restore_policies", timeout=0)],
    }


# ---------------------------------------------------------------------- the table is what ships


def declared() -> set[tuple[str, str, str, str, str, str]]:
    """Tier, place, group, resource, verb and name of every permission of the table."""
    return {
        (one.tier, one.where.replace("NAMESPACE", "pets"), one.group, one.resource, verb, name)
        for one in NEEDS
        for verb in one.verbs
        for name in [each.replace("NAMESPACE", "pets") for each in one.names] or [""]
    }


def test_the_shipped_roles_are_the_table() -> None:
    """deploy/rbac grants each permission of the table, in its tier's file, and no other."""
    shipped = {
        (
            tier,
            one.role[1] if one.role[0] == "Role" else "",
            one.group,
            one.resource,
            one.verb,
            one.name,
        )
        for tier in TIERS
        for one in granted(tier)
    }
    assert shipped == declared()
    assert "*" not in {text for row in shipped for text in row}


# ---------------------------------------------------------------------- enough


@pytest.mark.parametrize("experiment", loop(PLAIN))
def test_an_experiment_ends_as_it_should_with_its_shipped_roles(
    accounts: Accounts, experiment: str
) -> None:
    """As the account of deploy/cronjob.yaml it breaks, notices and restores; the version aside."""
    before = accounts.lab.policies()
    heals = "selfheal" in experiment
    if heals:
        # On a cluster somebody else's controller does this; the lab's must be told.
        number = orders_for(accounts.lab.home).inject("gitops", policy=f"pets/{POLICY}", after=6)
    done = accounts.chaos(experiment)
    if heals:
        orders_for(accounts.lab.home).clear(number)
    assert done.outcome == EXPERIMENTS[experiment].outcome, done.output
    assert accounts.lab.policies() == before
    assert done.section["target"]["kind"] == "cluster"
    by = "others" if heals else "method"
    assert {one["restored"]["by"] for one in done.section["faults"]} <= {by}


@pytest.mark.parametrize(("experiment", "tier"), loop(MORE.items()))
def test_what_needs_more_says_so_and_changes_nothing(
    accounts: Accounts, experiment: str, tier: str
) -> None:
    """With the account of deploy/cronjob.yaml alone, the file that grants the rest is named."""
    before, pods = accounts.versions(), accounts.pods()
    done = accounts.chaos(experiment)
    assert done.code == 1
    assert f"deploy/rbac/{tier}.yaml" in done.output
    assert (accounts.versions(), accounts.pods()) == (before, pods)


@pytest.mark.parametrize("claim", loop(CLAIMS))
def test_a_claim_holds_with_the_look_role(accounts: Accounts, claim: str) -> None:
    """Whoever may only look can run every claim."""
    done = accounts.chaos(claim, LOOKER)
    assert (done.code, done.outcome) == (0, "HELD"), done.output


def test_whoever_may_only_look_changes_nothing(accounts: Accounts) -> None:
    """An experiment names what the account lacks, and the file that grants it."""
    before = accounts.versions()
    done = accounts.chaos(minimal("CiliumNetworkPolicy", "modify"), LOOKER)
    assert (done.code, done.outcome) == (1, "NOT_INJECTED"), done.output
    sentence = done.section["refused"]
    assert "get configmaps in namespace pets" in sentence
    assert sentence.endswith(
        "(deploy/rbac/experiment.yaml): let somebody apply that file and bind its roles. "
        "Nothing was changed."
    )
    assert accounts.versions() == before


# ---------------------------------------------------------------------- nothing to spare

KINDS = {
    "ciliumnetworkpolicies": "CiliumNetworkPolicy",
    "networkpolicies": "NetworkPolicy",
    "ciliumclusterwidenetworkpolicies": "CiliumClusterwideNetworkPolicy",
}
CHANGES = {"update": "modify", "get": "modify", "create": "create", "delete": "delete"}
# Older API servers ask for less, or it is asked for by the control `timeline`, which
# insists on nothing: a run does not insist on these.
LATER = {
    *(("pods/exec", "create"), ("pods/portforward", "create")),
    *(("ciliumnetworkpolicies", "watch"), ("networkpolicies", "watch")),
    ("ciliumclusterwidenetworkpolicies", "watch"),
}
PROBES = {"read_storefront", "read_connection", "read_readiness", "relay_is_healthy"}


def insisted(*files: str) -> list[Granted]:
    """The grants of manifests without which no run begins."""
    found = [one for file in files for one in one_by_one(file)]
    return [one for one in found if (one.resource, one.verb) not in LATER]


def attempt(
    accounts: Accounts, kind: str, change: str, require_janitor: bool = False
) -> list[Debt]:
    """Do in this process what the guard and the two actions do: engage, inject, restore, let go."""
    context, file = accounts.lab.ready["context"], str(accounts.kubeconfig("acns-chaos"))
    choice = Choice("context", context)
    api, _ = connect(choice, file)
    target = describe(api, context, "pets")
    run = RunContext(new_run_id(), target, api, {}, {}, owner=whoami())
    interlock = Interlock(run, choice, file, probes=PROBES, require_janitor=require_janitor)
    try:
        interlock.engage()
        given = fault(kind, change)
        if "document" in given:
            planned = by_documents([given["document"]], "pets", change == "create")
        else:
            planned = by_operator(given["operator"], policy_ref(kind, "pets", given["policy"]))
        inject(run, planned, Limits(ignored=True), 0.0)
        return restore_all(run, timeout=0.0)
    finally:
        interlock.release()
        api.close()


@pytest.mark.parametrize("one", loop(insisted("experiment", "clusterwide", "look")), ids=str)
def test_without_one_verb_nothing_is_written(accounts: Accounts, one: Granted) -> None:
    """A run whose account lacks one verb of its roles is refused before anything is written."""
    kind, change = "CiliumNetworkPolicy", "modify"
    if one.file == "clusterwide":
        kind = "CiliumClusterwideNetworkPolicy"
    if one.resource in KINDS and one.file != "look":
        kind, change = KINDS[one.resource], CHANGES[one.verb]
    before = accounts.versions()
    with accounts.without(one), pytest.raises((TargetRefused, Forbidden)) as refused:
        attempt(accounts, kind, change)
    told = str(refused.value)
    if one.resource == "namespaces" and one.verb == "get":
        assert "The UID of namespace kube-system cannot be read" in told
    elif one.resource in KINDS and one.verb == "get":
        assert "cannot get resource" in told
    else:
        assert f"may not {one.verb} {one.resource}" in told
        assert f"(deploy/rbac/{one.file}.yaml)" in told
    assert accounts.versions() == before
    assert accounts.records() == []


def pillars() -> list[dict[str, Any]]:
    """The objects of deploy/ besides its roles that a run stands on: bindings and Leases."""
    files = ("cronjob.yaml", "rbac/experiment.yaml", "rbac/clusterwide.yaml")
    kinds = ("RoleBinding", "ClusterRoleBinding", "Lease")
    return [one for one in documents(*files) if one["kind"] in kinds]


def called(document: dict[str, Any]) -> str:
    """Kind and name of an object."""
    about = document["metadata"]
    return f"{document['kind']} {about.get('namespace', '')}/{about['name']}"


@pytest.mark.parametrize("one", loop(pillars()), ids=called)
def test_without_one_object_nothing_is_written(accounts: Accounts, one: dict[str, Any]) -> None:
    """A run that finds a binding or a Lease of deploy/ missing is refused, and says what it is."""
    kind = "CiliumNetworkPolicy"
    if "clusterwide" in one["metadata"]["name"]:
        kind = "CiliumClusterwideNetworkPolicy"
    before = accounts.versions()
    with (
        accounts.without_object(one),
        pytest.raises((TargetRefused, Forbidden, NotFound)) as refused,
    ):
        attempt(accounts, kind, "modify")
    told = str(refused.value)
    if one["kind"] == "Lease":
        assert f"Lease {one['metadata']['name']}" in told
    else:
        tier = one["roleRef"]["name"].split("-")[2]
        # With the ClusterRole goes what tells one cluster from another, which is asked first.
        unknown = "The UID of namespace kube-system cannot be read"
        assert any(
            said in told for said in (f"(deploy/rbac/{tier}.yaml)", "cannot get resource", unknown)
        )
    assert accounts.versions() == before
    assert accounts.records() == []


@pytest.mark.parametrize("one", loop(one_by_one("look")), ids=str)
def test_without_one_verb_a_claim_does_not_hold(accounts: Accounts, one: Granted) -> None:
    """Whoever may not see is told so; what was not seen never counts as fine."""
    experiment = looking()
    with accounts.without(one):
        done = accounts.chaos(experiment, LOOKER)
    if (one.resource, one.verb) == ("namespaces", "get"):
        assert done.section["target"]["uid"] == ""
    elif one.verb == "watch":
        # Nothing but the timeline watches: who changes policies besides the run is then not known.
        assert done.outcome == "HELD", done.output
        kind = next(kind for plural, kind in KINDS.items() if plural == one.resource)
        assert "cannot watch resource" in unseen(done)[f"policies-{kind}"], unseen(done)
    else:
        assert done.outcome != "HELD", done.output
        assert f"cannot {one.verb} resource" in done.output or "403" in done.output


def unseen(done: Done) -> dict[str, str]:
    """What the timeline of a run says that it did not observe: source to reason."""
    return {one["source"]: one["why"] for one in done.section["timeline"]["not_observed"]}


def looking() -> dict[str, Any]:
    """An experiment that asks every kind of question, and changes nothing."""
    claims = {
        probe["name"]: probe
        for claim in CLAIMS
        for probe in json.loads((ROOT / claim).read_text())["steady-state-hypothesis"]["probes"]
    }
    tolerance = next(iter(claims.values()))["tolerance"]
    more = minimal("CiliumNetworkPolicy", "modify", probes=True)
    ready = next(one for one in more["method"] if one["name"] == "ready")
    why = json.loads(json.dumps(ready))
    why["name"] = "why"
    why["provider"]["func"] = "explain_denial"
    why["provider"]["arguments"] = {
        "workload": "rabbitmq",
        "port": 5672,
        "source": "pets/store-front",
    }
    relay = {**ready, "name": "relay"}
    relay["provider"] = {**ready["provider"], "func": "relay_is_healthy", "arguments": {}}
    asked = [
        {**relay, "tolerance": tolerance},
        claims["customers reach the shop"],
        claims["strangers are denied at rabbitmq"],
        {**ready, "tolerance": tolerance},
        {**why, "tolerance": tolerance},
    ]
    timeline = {"type": "python", "module": "acns_chaos.controls.timeline"}
    return {
        **more,
        "controls": [*more["controls"], {"name": "timeline", "provider": timeline}],
        "configuration": {"namespace": "pets", "evidence_timeout": 10, "storefront_deadline": 0},
        "method": [],
        "rollbacks": [],
        "steady-state-hypothesis": {"title": "All is seen", "probes": asked},
        "runtime": {"hypothesis": {"strategy": "after-method-only"}},
    }


# ---------------------------------------------------------------------- what is really asked for


def uncovered(asked: list[dict[str, Any]], *tiers: str) -> list[str]:
    """Requests that no permission of these tiers covers."""
    rows = [row for row in declared() if row[0] in tiers]

    def covered(one: dict[str, Any]) -> bool:
        return any(
            (resource, verb) == (one["resource"], one["verb"])
            and where in ("", one["namespace"])
            and name in ("", one["name"])
            for _, where, _, resource, verb, name in rows
        )

    return sorted(
        {
            f"{one['verb']} {one['resource']} {one['namespace']}/{one['name']}"
            for one in asked
            if one["resource"] and one["resource"] != "selfsubjectaccessreviews"
            if not covered(one)
        }
    )


def unasked(asked: list[dict[str, Any]], *tiers: str) -> list[tuple[str, ...]]:
    """Permissions of these tiers that no request needed."""
    return sorted(
        row
        for row in declared()
        if row[0] in tiers and (row[3], row[4]) not in LATER
        if not any(
            (one["resource"], one["verb"]) == (row[3], row[4])
            and row[1] in ("", one["namespace"])
            and row[5] in ("", one["name"])
            for one in asked
        )
    )


def test_a_run_asks_for_what_the_table_says(accounts: Accounts) -> None:
    """What faults of every kind ask for is in the table, and all of the table is asked for."""
    accounts.restore()
    before = accounts.lab.policies()
    with accounts.heard() as asked:
        for kind, change in changes():
            (debt,) = attempt(accounts, kind, change, require_janitor=True)
            assert (debt.change, debt.restored and debt.restored["by"]) == (change, "method")
            assert accounts.lab.policies() == before, (kind, change)
        accounts.chaos(looking())
        api, _ = connect(
            Choice("context", accounts.lab.ready["context"]), str(accounts.kubeconfig("acns-chaos"))
        )
        # What the watchdog does when its runner was killed.
        sweep(api, "pets", "nobody", "watchdog")
        api.close()
    assert uncovered(asked, "look", "experiment", "clusterwide") == []
    assert unasked(asked, "look", "experiment", "clusterwide") == []
    assert accounts.records() == []


def changes() -> list[tuple[str, str]]:
    """Every kind of policy with everything that a fault can do to it."""
    return [(kind, change) for kind in KINDS.values() for change in ("modify", "delete", "create")]
