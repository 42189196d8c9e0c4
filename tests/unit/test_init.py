"""What `acns-chaos init` proposes: chosen on a small world, written as files that can be run."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from chaoslib.experiment import ensure_experiment_is_valid
from click.testing import CliRunner

from acns_chaos.cli import main
from acns_chaos.cli.check import findings as check_findings
from acns_chaos.cluster import pods
from acns_chaos.cluster.hubble import Peer, SeenFlow
from acns_chaos.cluster.inventory import Inventory
from acns_chaos.cluster.pods import Ran
from acns_chaos.errors import ApiError, ArgumentError
from acns_chaos.faults.proposing import trying
from acns_chaos.faults.proposing.asks import (
    CLOSED,
    CUSTOMER,
    NAME,
    OPEN,
    STRANGER,
    WORLD,
    Ask,
    host_of,
)
from acns_chaos.faults.proposing.choosing import Chooser
from acns_chaos.faults.proposing.folder import files_of, write_files
from acns_chaos.faults.proposing.in_use import matched
from acns_chaos.faults.proposing.outline import (
    BY_NAME,
    LINGERS,
    NO_CLOSED,
    NO_EFFECT,
    ONE_CLIENT,
    UNCOUNTED,
    Proposal,
    Skipped,
)
from acns_chaos.faults.proposing.proposal import (
    Findings,
    _policies,
    _settled,
    _without_effect,
    not_ours,
)
from acns_chaos.faults.proposing.roster import Roster
from acns_chaos.faults.proposing.trying import Trier
from acns_chaos.policy import Endpoint, Engine, World
from acns_chaos.policy.blast import Outlook
from acns_chaos.policy.known import known_world
from acns_chaos.policy.model import ObjectRef
from acns_chaos.policy.mutants import mutants

Json = dict[str, Any]

WEB_API = Ask("shop/web", "shop/api", 80)
LOG_API, JOB_API = Ask("shop/log", "shop/api", 80), Ask("shop/job", "shop/api", 80)
FAR_API = Ask("far/caller", "shop/api", 80)
BOUGHT = Ask("shop/web", "pay.example.com", 443, NAME)
NOBODY = Ask("shop/", "shop/api", 80, STRANGER)
SHOP = Ask(WORLD, "shop/web", 80, CUSTOMER)
API = ObjectRef("CiliumNetworkPolicy", "shop", "api")


def pod(app: str, number: int, namespace: str = "shop", *, owned: bool = True) -> Json:
    """A running pod of a Deployment, or of nobody."""
    owner = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": f"{app}-5d", "uid": "u"}
    return {
        "kind": "Pod",
        "metadata": {
            "name": f"{app}-5d-{number}",
            "namespace": namespace,
            "labels": {"app": app, "pod-template-hash": "5d"},
            "ownerReferences": [owner] if owned else [],
        },
        "spec": {"containers": [{"name": app, "ports": [{"containerPort": 8080}]}]},
        "status": {"phase": "Running", "podIP": f"10.1.0.{number}"},
    }


def service(name: str, app: str = "", **spec: Any) -> Json:
    """A Service of port 80 that leads to 8080."""
    ports = [{"port": 80, "targetPort": 8080, "protocol": "TCP"}]
    given = {"clusterIP": "10.2.0.1", "selector": {"app": app or name}, "ports": ports, **spec}
    return {
        "kind": "Service",
        "metadata": {"name": name, "namespace": "shop"},
        "spec": given,
    }


def policy(name: str, **sections: Any) -> Json:
    """A policy of the workload of its name."""
    return {
        "apiVersion": "cilium.io/v2",
        "kind": "CiliumNetworkPolicy",
        "metadata": {"name": name, "namespace": "shop"},
        "spec": {"endpointSelector": {"matchLabels": {"app": name}}, **sections},
    }


FROM_WEB: Json = {
    "fromEndpoints": [{"matchLabels": {"app": "web"}}],
    "toPorts": [{"ports": [{"port": "8080", "protocol": "TCP"}]}],
}
PODS = [pod(app, number) for number, app in enumerate(("web", "api", "log", "job"), 1)]
ANYBODY, EVERYWHERE = {"fromEntities": ["all"]}, {"toEntities": ["all"]}
API_POLICY = policy("api", ingress=[FROM_WEB], egress=[EVERYWHERE])


class Small:
    """A small cluster: web may reach api, log and job may not, a caller is elsewhere."""

    def __init__(
        self,
        *operators: str,
        policies: tuple[Json, ...] = (API_POLICY,),
        services: tuple[Json, ...] = (service("api"), service("web", type="LoadBalancer")),
        pods: tuple[Json, ...] = (*PODS, pod("caller", 9, "far")),
        in_use: tuple[Ask, ...] = (),
        hubble: bool = False,
    ) -> None:
        places = ("shop", "far", "kube-system")
        spaces = {name: {"kubernetes.io/metadata.name": name} for name in places}
        ends = tuple(
            Endpoint.from_pod(
                one, {"metadata": {"labels": spaces[str(one["metadata"]["namespace"])]}}
            )
            for one in pods
        )
        engine = Engine(policies, namespaces=spaces, endpoints=ends, services=services)
        self.inventory = Inventory(ends, policies, services, engine)
        known = known_world(policies, ends, services)
        self.roster = Roster(self.inventory, pods, known.servers)
        objects = [*policies, *services, *pods]
        namespaces = [
            {"kind": "Namespace", "metadata": {"name": name, "labels": labels}}
            for name, labels in spaces.items()
        ]
        self.world = World.of([*objects, *namespaces], complete=True)
        made = mutants(self.world, operators=operators or ("ingress-from-nobody",))
        self.mutants = made
        asks = self.roster.asks(["shop"])
        self.chooser = Chooser(
            self.roster, Outlook(engine, known), made, asks, in_use, 1 if hubble else 2
        )

    def proposal(self, tried: Mapping[Ask, str] | None = None) -> Proposal:
        """The only experiment."""
        (found,), _ = self.chooser.choose(tried or {})
        return found


class Pretending(Trier):
    """Tries nothing: what is named here behaves otherwise than the policies say."""

    def __init__(self, roster: Roster, wrong: Mapping[Ask, str], step: int = 9) -> None:
        super().__init__(None, {}, roster, 0.0)  # type: ignore[arg-type]
        self.asked: list[Ask] = []
        self._wrong, self._step, self._count = wrong, step, 0.0

    def _try(self, ask: Ask, wanted: str) -> str:
        self.asked.append(ask)
        return self._wrong.get(ask, "")

    def _drops(self, end: tuple[str, str]) -> float:
        self._count += self._step
        return self._count


# ---------------------------------------------------------------------- who can ask


def test_workloads_of_the_named_namespaces_ask_and_nobody_else():
    """No command is run in somebody else's pod; customers ask the Service with a load balancer."""
    asks = Small().roster.asks(["shop"])

    assert {WEB_API, LOG_API, JOB_API, SHOP} <= set(asks)
    assert FAR_API not in asks
    assert FAR_API in Small().roster.asks(["shop", "far"])


def test_a_pod_of_nobody_does_not_ask():
    """Its own name changes and belongs in no file."""
    asks = Small(pods=(*PODS, pod("bare", 7, owned=False))).roster.asks(["shop"])

    assert not [ask for ask in asks if "bare" in ask.source]


@pytest.mark.parametrize("spec", [{"clusterIP": "None"}, {"selector": {}}, {"ports": []}])
def test_a_service_that_leads_nowhere_is_not_asked(spec: Json):
    """Headless, without a selector, without a port."""
    asks = Small(services=(service("api", **spec),)).roster.asks(["shop"])

    assert asks == []


def test_an_outside_name_is_asked_when_a_policy_writes_it_in_full():
    """A pattern tells no name that exists."""
    names = [{"matchName": "Pay.example.com."}, {"matchPattern": "*.example.org"}]
    https = [{"ports": [{"port": "443", "protocol": "TCP"}]}]
    out = policy("web", egress=[{"toFQDNs": names, "toPorts": https}])
    asks = Small(policies=(API_POLICY, out)).roster.asks(["shop"])

    assert BOUGHT in asks
    assert {ask.target for ask in asks if ask.way == NAME} == {"pay.example.com"}


@pytest.mark.parametrize("name", ["../../x.com", "a b.com", "-o.com", "${x}.com", "host", "", "*"])
def test_what_is_no_host_name_is_not_taken(name: str):
    """A client may look up anything, and Hubble tells it."""
    assert host_of(name) == ""


# ---------------------------------------------------------------------- what Hubble saw


def seen(source: Peer, destination: Peer, port: int, *, reply: bool | None = False) -> SeenFlow:
    """A flow that was let through."""
    return SeenFlow(
        1.0, "n", "FORWARDED", "", "trace", "egress", source, destination, "TCP", port, 40000,
        "SYN", reply, (), (), "", 0, "", 0.0,
    )  # fmt: skip


def peer(workload: str = "", *names: str, labels: tuple[str, ...] = ()) -> Peer:
    """A workload of the shop, or somebody outside."""
    place = "shop" if workload else ""
    return Peer(
        place, f"{workload}-5d-1" if workload else "", workload, 7, labels, "1.2.3.4", names
    )


@pytest.mark.parametrize("label", ["world", "world-ipv4", "world-ipv6"])
def test_flows_are_matched_with_what_can_be_asked(label: str):
    """By the pod's port, a customer by the load balancer, an outside name by https; no answers."""
    world = peer(labels=(f"reserved:{label}",))
    flows = [
        seen(peer("web"), peer("api"), 8080),
        seen(world, peer("web"), 8080),
        seen(world, peer("api"), 8080),
        seen(peer("web"), peer("", "pay.example.com.", "../x"), 443),
        seen(peer("log"), peer("api"), 9999),
        seen(peer("job"), peer("api"), 8080, reply=True),
        seen(peer("job"), peer("api"), 8080, reply=None),
    ]

    assert matched(Small().roster, flows) == {WEB_API, SHOP, BOUGHT}


# ---------------------------------------------------------------------- what is chosen


def test_a_fault_that_closes_is_seen_by_the_flow_it_cuts():
    """The cut flow is the open claim, a denied one the closed claim, the drop at its own end."""
    found = Small().proposal()

    assert (found.opens, found.turned, found.open_claim) == (False, (WEB_API,), WEB_API)
    assert found.closed_claim in {LOG_API, JOB_API}
    assert found.dropped == ("ingress", "shop/api")
    assert found.limit == ("shop/api", "shop/web")
    assert found.named == "web -> api.shop.svc.cluster.local:80"


def test_a_fault_that_opens_needs_two_clients():
    """And its closed claim is one of the flows that it opens."""
    found = Small("ingress-removed").proposal()

    assert (found.opens, set(found.turned)) == (True, {LOG_API, JOB_API})
    assert found.closed_claim == found.turned[0]
    assert "shop/api" in {found.open_claim.source, found.open_claim.target}


def test_who_can_ask_by_name_is_the_faults_own_witness():
    """The other one cannot look the Service up, which is no reason to give the mistake up."""
    first = Small("ingress-removed").proposal().turned[0]
    deaf = Ask(first.source, first.target, first.port, BY_NAME)
    found = Small("ingress-removed").proposal({deaf: "bad address"})

    assert found.turned[1] == first
    assert found.named.startswith(f"{found.turned[0].source.removeprefix('shop/')} -> api.shop.")


def test_a_stranger_is_the_second_client():
    """A pod that the run makes; after those that are there."""
    small = Small("ingress-removed", pods=tuple(one for one in PODS if one is not PODS[3]))

    assert small.proposal().turned == (LOG_API, NOBODY)


def test_with_one_client_a_fault_that_opens_is_an_experiment_where_hubble_sees_it():
    """Without Hubble it is named with the reason."""
    alone = tuple(PODS[:2])
    experiments, skipped = Small("ingress-removed", pods=alone).chooser.choose({})
    found = Small("ingress-removed", pods=alone, hubble=True).proposal()

    assert experiments == []
    assert skipped == [Skipped(API, "direction", ONE_CLIENT, opens=True)]
    assert (found.turned, found.closed_claim) == ((NOBODY,), NOBODY)
    assert found.sender == "shop/acns-chaos-prober"
    assert found.arrives == ("shop/api", 8080)
    assert found.named == "a stranger -> api.shop.svc.cluster.local:80"


def test_a_family_that_closes_and_opens_gives_both():
    """Otherwise the one that everybody notices would always be taken."""
    experiments, _ = Small("ingress-from-nobody", "section-emptied").chooser.choose({})

    assert [(one.mutant.family, one.opens) for one in experiments] == [
        ("empties", False),
        ("empties", True),
    ]


def test_few_experiments_are_of_both_kinds():
    """Policies take turns, and each has one before any has two."""
    policies = (API_POLICY, policy("log", ingress=[FROM_WEB], egress=[EVERYWHERE]))
    services = (service("api"), service("log"))
    small = Small("ingress-from-nobody", "ingress-removed", policies=policies, services=services)
    experiments, _ = small.chooser.choose({}, most=2)

    assert [(one.mutant.policy.name, one.opens) for one in experiments] == [
        ("api", False),
        ("log", True),
    ]


HTTPS_PORT = [{"ports": [{"port": "443", "protocol": "TCP"}]}]
DNS: Json = {
    "toEndpoints": [{"matchLabels": {"k8s:io.kubernetes.pod.namespace": "shop", "app": "job"}}],
    "toPorts": [
        {
            "ports": [{"port": "53", "protocol": "ANY"}],
            "rules": {"dns": [{"matchPattern": "*"}]},
        }
    ],
}
PAYS = policy(
    "web",
    egress=[
        {"toFQDNs": [{"matchName": "pay.example.com"}], "toPorts": HTTPS_PORT},
        DNS,
    ],
)


def test_who_may_go_out_to_nobody_is_kept_from_what_others_reach():
    """A lost egress policy is seen by an outside name, which somebody else shows to be there."""
    policies = (PAYS, policy("log", ingress=[ANYBODY], egress=[DNS]))
    small = Small("egress-removed", policies=policies, services=(service("web"),))
    (found,) = [one for one in small.chooser.choose({})[0] if one.mutant.policy.name == "log"]
    out = Ask("shop/log", "pay.example.com", 443, NAME)

    assert out in found.turned
    (reached,) = found.reached
    assert (reached.target, reached.source == out.source) == (out.target, False)
    assert found.asks[reached] == OPEN
    assert found.asks[out] == CLOSED


def test_a_name_that_nobody_reaches_is_no_client():
    """It may be away, so that its silence says nothing."""
    policies = (PAYS, policy("log", ingress=[ANYBODY], egress=[DNS]))
    small = Small("egress-removed", policies=policies, services=(service("web"),), hubble=True)
    away = {ask: "bad address" for ask in small.roster.asks(["shop"]) if ask.way == NAME}
    of_log = [one for one in small.chooser.choose(away)[0] if one.mutant.policy.name == "log"]

    assert [one.turned for one in of_log] == [(Ask("shop/log", "shop/web", 80),)]


def test_a_name_whose_network_decides_is_not_judged():
    """Nobody knows its address before it is looked up."""
    names = policy("log", egress=[DNS, {"toCIDR": ["198.18.0.0/15"], "toPorts": HTTPS_PORT}])
    small = Small(policies=(API_POLICY, PAYS, names))
    out = Ask("shop/log", "pay.example.com", 443, NAME)

    assert small.roster.state(small.inventory.engine, BOUGHT) == OPEN
    assert small.roster.state(small.inventory.engine, out) == ""


def test_drops_that_nobody_finds_are_no_witness():
    """`read_connection` looks for pods that are named like the Service."""
    small = Small(services=(service("backend", "api"),))
    experiments, skipped = small.chooser.choose({})

    assert experiments == []
    assert [one.reason for one in skipped] == [UNCOUNTED]


def test_where_nobody_is_denied_a_stranger_is_the_closed_claim():
    """Nobody but web is there; who else would come is kept out."""
    found = Small(pods=tuple(PODS[:2])).proposal()

    assert (found.opens, found.closed_claim) == (False, NOBODY)


def test_without_a_denied_flow_there_is_no_closed_claim():
    """Strangers may come in as well."""
    every = policy("api", ingress=[{**FROM_WEB, "fromEndpoints": [{}]}], egress=[EVERYWHERE])
    _, skipped = Small(policies=(every,), pods=tuple(PODS[:2])).chooser.choose({})

    assert [one.reason for one in skipped] == [NO_CLOSED]


def test_a_service_without_a_ready_pod_is_not_asked():
    """It refuses everybody, which no policy does."""
    api = pod("api", 2)
    api["status"]["conditions"] = [{"type": "Ready", "status": "False"}]
    asks = Small(pods=(PODS[0], api)).roster.asks(["shop"])

    assert "shop/api" not in {ask.target for ask in asks}


def test_what_did_otherwise_is_not_built_on():
    """Another flow is taken; where there is none, the reason is told."""
    first = Small().proposal().closed_claim
    other = Small().proposal({first: "it is open"}).closed_claim
    _, skipped = Small().chooser.choose({WEB_API: "the image of shop/web has no nc"})

    assert {first, other} == {LOG_API, JOB_API}
    assert [one.reason for one in skipped] == ["the image of shop/web has no nc"]


def test_a_service_that_is_not_found_by_name_is_left_to_inject_fault():
    """It tries addresses from the experiment's own namespace."""
    named = Ask("shop/web", "shop/api", 80, BY_NAME)

    assert Small().proposal({named: "bad address"}).named == ""


def test_flows_in_use_are_preferred():
    """A fault in what nobody uses is noticed by nobody."""
    second = {**FROM_WEB, "fromEndpoints": [{"matchLabels": {"app": "log"}}]}
    policies = (policy("api", ingress=[FROM_WEB, second]),)

    assert Small(policies=policies).proposal().turned == (LOG_API,)
    assert Small(policies=policies, in_use=(WEB_API,)).proposal().turned == (WEB_API,)


def test_each_policy_has_its_first_experiment_before_any_has_a_second():
    """So a limit leaves none without."""
    small = Small(
        *("ingress-from-nobody", "rule-removed", "port-mistyped"),
        policies=(API_POLICY, policy("web", ingress=[{}])),
        services=(service("api"), service("web")),
    )
    every, _ = small.chooser.choose({})
    one, _ = small.chooser.choose({}, 1)

    assert len(every) > len(one) == 1
    assert {each.mutant.policy for each in every} == {API}


def test_only_non_equivalent_mistakes_are_proposed():
    """Mistakes that change no verdict, and those that agents refuse, are neither here nor there."""
    small = Small("port-out-of-range", "empty-rule-added")

    assert small.chooser.choose({}) == ([], [])


# ---------------------------------------------------------------------- what was tried


def test_everything_that_is_chosen_was_tried():
    """Once each: nothing in a file rests on the engine alone."""
    small = Small()
    trier = Pretending(small.roster, {})
    (found,), _ = _settled(small.chooser, trier, 0, lambda _: None)

    assert set(found.asks) <= set(trier.asked)
    assert Ask("shop/web", "shop/api", 80, BY_NAME) in trier.asked
    assert len(trier.asked) == len(set(trier.asked))


def test_a_counter_must_move_once_for_each_denial():
    """One drop is no witness of two silences of the same workload."""
    two = {LOG_API: CLOSED, JOB_API: CLOSED}
    small = Small()
    enough, less = Pretending(small.roster, {}, step=2), Pretending(small.roster, {}, step=1)
    enough.try_all(two)
    less.try_all(two)

    assert [enough.tried[ask] for ask in two] == ["", ""]
    assert all("no policy drop" in less.tried[ask] for ask in two)


def test_no_pod_is_made_to_try_a_stranger():
    """What it would meet rests on the policies, and the files say so."""
    trier = Pretending(Small().roster, {})
    trier.try_all({NOBODY: CLOSED})

    assert (trier.tried, trier.asked) == ({NOBODY: ""}, [])


def test_a_silence_that_is_not_counted_is_no_denial():
    """One witness is not enough, so no closed claim can be built on it."""
    small = Small()
    trier = Pretending(small.roster, {}, step=0)
    (found,), _ = _settled(small.chooser, trier, 0, lambda _: None)

    assert found.closed_claim == NOBODY
    assert "no policy drop was counted" in trier.tried[LOG_API]


def test_an_open_flow_that_should_be_closed_is_told(monkeypatch: pytest.MonkeyPatch):
    """As a reason, without an address or a pod's name."""
    small = Small()
    monkeypatch.setattr(trying, "pods_of", lambda *_: [PODS[2]])
    monkeypatch.setattr(trying, "service_address", lambda *_: "10.2.0.1")
    ran = Ran(0, "10.2.0.1 (10.2.0.1:80) open\x1b[2J\n", 0.1)
    monkeypatch.setattr(trying, "run_in", lambda *_: ran)
    monkeypatch.setattr(Trier, "_drops", lambda *_: 0.0)
    trier = Trier(None, {}, small.roster, 0.0)  # type: ignore[arg-type]
    trier.try_all({LOG_API: CLOSED, Ask("shop/log", "shop/api", 80, BY_NAME): OPEN})

    why = trier.tried[LOG_API]
    assert why.startswith("shop/log -> shop/api:80 is OPEN now and the policies say DENIED")
    assert "10.2" not in why
    assert why.isprintable()
    assert trier.tried[Ask("shop/log", "shop/api", 80, BY_NAME)] == ""


def test_an_image_without_the_tool_is_told(monkeypatch: pytest.MonkeyPatch):
    """And a pod that cannot be entered is told by its workload's name."""
    small = Small()
    monkeypatch.setattr(trying, "pods_of", lambda *_: [PODS[0]])
    monkeypatch.setattr(trying, "service_address", lambda *_: "10.2.0.1")
    monkeypatch.setattr(trying, "run_in", lambda *_: Ran(126, "", 0.1))
    trier = Trier(None, {}, small.roster, 0.0)  # type: ignore[arg-type]
    trier.try_all({WEB_API: OPEN})

    def forbidden(*_: object) -> Ran:
        raise ApiError("cannot run 'nc' in shop/web-5d-1 (web): Forbidden")

    monkeypatch.setattr(trying, "run_in", forbidden)
    closed = Trier(None, {}, small.roster, 0.0)  # type: ignore[arg-type]
    closed.try_all({WEB_API: OPEN})

    assert trier.tried[WEB_API] == "the image of shop/web has no nc"
    assert closed.tried[WEB_API] == "cannot run 'nc' in shop/web (web): Forbidden"


def test_why_a_command_is_refused_is_said_without_the_answers_headers():
    """It ends up in a README."""
    raised = OSError("Handshake status 403 Forbidden -+-+- {'date': 'today'} -+-+- b'{}'")

    assert pods._why(raised) == "Handshake status 403 Forbidden"


# ---------------------------------------------------------------------- which policies


def test_policies_that_others_reconcile_or_agents_refuse_are_left_alone():
    """A fault in one would be undone by somebody, or by nobody."""
    flux = policy("api")
    flux["metadata"]["labels"] = {"kustomize.toolkit.fluxcd.io/name": "shop"}
    bad = policy("bad", ingress=[])
    refs = [ObjectRef.of(one) for one in (flux, bad)]
    told = not_ours([flux, bad], {refs[1]: ("everything is empty.",)}, refs)

    assert [(one.policy.name, one.family) for one in told] == [("bad", ""), ("api", "")]
    assert "Flux" in told[1].reason
    assert told[0].reason == "the agents refuse it as it is (everything is empty)"


def test_the_system_is_not_proposed_by_itself():
    """And a cluster-wide policy never; it is named in a note."""
    system = {**policy("dns"), "metadata": {"name": "dns", "namespace": "kube-system"}}
    wide = {
        **policy("wide"),
        "kind": "CiliumClusterwideNetworkPolicy",
        "metadata": {"name": "wide"},
    }
    every, notes = [API_POLICY, system, wide], list[str]()

    assert _policies(every, ["shop"], [], notes) == [API]
    assert _policies(every, ["shop"], ["kube-system"], []) == [ObjectRef.of(system)]
    assert "wide" in notes[0]
    with pytest.raises(ArgumentError, match="no namespace 'nowhere'"):
        _policies(every, ["shop"], ["nowhere"], [])
    with pytest.raises(ArgumentError, match="no policy in namespace empty"):
        _policies(every, ["shop", "empty"], ["empty"], [])


def test_a_policy_that_selects_nobody_is_told():
    """Nothing is proposed for it, and the reason is not left out."""
    made = mutants(World.of([API_POLICY], complete=True))

    assert _without_effect([API], made) == [Skipped(API, "", NO_EFFECT)]
    assert _without_effect([API], mutants(Small().world)) == []


# ---------------------------------------------------------------------- the files


def found(*operators: str, **more: Any) -> Findings:
    """What is proposed for the small cluster."""
    small = Small(*operators, **more)
    experiments, skipped = small.chooser.choose({})
    claims = {ask: state for one in experiments for ask, state in one.asks.items()}
    claims |= {SHOP: OPEN, BOUGHT: OPEN}
    skipped.append(Skipped(API, "dns", "a tool said <b>|`x`"))
    return Findings(
        *(("shop",), 1, tuple(experiments), claims, frozenset({WEB_API}), tuple(skipped)),
        ("Hubble was away.",),
    )


def test_every_file_passes_check_and_the_host():
    """Claims and experiments that close and that open, with no warning either."""
    files = files_of(found("ingress-from-nobody", "ingress-removed"))
    documents = {path: json.loads(text) for path, text in files.items() if path.endswith(".json")}

    assert len([path for path in documents if path.startswith("experiments/")]) == 2
    assert len([path for path in documents if path.startswith("probes/")]) == 6
    for path, document in documents.items():
        assert check_findings(document) == [], path
        ensure_experiment_is_valid(document)


def test_a_name_outside_is_written_without_what_nobody_reads():
    """Its denial needs no counter, so no time-out of one."""
    policies = (PAYS, policy("log", ingress=[ANYBODY], egress=[DNS]))
    small = Small("egress-removed", policies=policies, services=(service("web"),))
    experiments, _ = small.chooser.choose({})
    claims = {Ask("shop/log", "pay.example.com", 443, NAME): CLOSED}
    files = files_of(Findings(("shop",), 1, tuple(experiments), claims, frozenset(), (), ()))

    for path, text in files.items():
        if path.endswith(".json"):
            assert check_findings(json.loads(text)) == [], path


def test_no_file_names_an_address_or_a_pod():
    """So that it is right in the next cluster, and after the next deployment."""
    text = "".join(files_of(found("ingress-from-nobody", "ingress-removed")).values())

    assert not [one for one in PODS if one["metadata"]["name"] in text]
    assert not [one for one in PODS if one["status"]["podIP"] in text]


def test_what_opens_is_detected_by_its_closed_claim():
    """No drop shows it: the detector asks what a scheduled run of the claim asks."""
    files = files_of(found("ingress-removed"))
    document = json.loads(files["experiments/api-direction-opens.json"])
    closed = next(
        probe
        for probe in document["steady-state-hypothesis"]["probes"]
        if probe["provider"]["arguments"].get("expect") == "DENIED"
    )
    (name,) = document["extensions"][0]["detectors"]
    detector = next(one for one in document["method"] if one["name"] == name)
    asked = {key: closed["provider"]["arguments"][key] for key in ("workload", "service", "port")}

    assert asked.items() <= detector["provider"]["arguments"].items()
    assert detector["provider"]["arguments"]["expect"] == "OPEN"
    assert len(document["extensions"][0]["witnesses"]) == 2


def test_a_stranger_and_hubble_are_witnesses():
    """The pod is the run's own; the flow is the one that the policy let through."""
    files = files_of(found("ingress-removed", pods=tuple(PODS[:2]), hubble=True))
    document = json.loads(files["experiments/api-direction-opens.json"])
    inject, client, seen_by, missed, _ = document["method"]

    assert inject["provider"]["arguments"]["witness"].startswith("a stranger -> api.")
    assert client["provider"]["arguments"]["prober"] is True
    assert client["provider"]["arguments"]["workload"] == ""
    assert seen_by["provider"]["func"] == "read_flows"
    assert seen_by["provider"]["arguments"]["verdict"] == "FORWARDED"
    assert document["extensions"][0]["witnesses"] == [client["name"], seen_by["name"]]
    assert document["extensions"][0]["detectors"] == [missed["name"]]
    assert check_findings(document) == []
    claim = json.loads(files["probes/stranger-to-api-80-closed.json"])
    assert "no pod was made to try it" in claim["description"]


def test_copies_of_claims_are_equal():
    """`acns-chaos sync --root` finds them by name and changes nothing."""
    files = files_of(found())
    claims = {
        probe["name"]: probe
        for path, text in files.items()
        if path.startswith("probes/")
        for probe in json.loads(text)["steady-state-hypothesis"]["probes"]
    }
    copies = json.loads(files["experiments/api-empties-closes.json"])["steady-state-hypothesis"][
        "probes"
    ]

    assert [claims[one["name"]] for one in copies[:2]] == copies[:2]


def test_the_readme_says_what_is_not_there():
    """With the reason, which breaks no table."""
    readme = files_of(found())["README.md"]

    assert "| shop/api | dns | a tool said /b///x/ |" in readme
    assert "- Hubble was away." in readme


def test_two_that_would_have_one_name_are_two_files():
    """Dashes may be anybody's."""
    one = Ask("a-b/c", "shop/api", 80)
    other = Ask("a/b-c", "shop/api", 80)
    claims = {one: OPEN, other: OPEN}
    files = files_of(Findings(("a", "shop"), 1, (), claims, frozenset(), (), ()))

    assert sorted(files) == [
        "README.md",
        "probes/a-b-c-to-shop-api-80-open-2.json",
        "probes/a-b-c-to-shop-api-80-open.json",
    ]


def test_no_name_leads_out_of_the_folder(tmp_path: Path):
    """Whatever a cluster calls something."""
    claims = {Ask("../../x/y", "shop/api", 80): OPEN}
    findings = Findings(("shop",), 1, (), claims, frozenset(), (), ())
    write_files(tmp_path / "new", files_of(findings))

    assert {path.parent.name for path in tmp_path.rglob("*.json")} == {"probes"}


# ---------------------------------------------------------------------- the command


def test_a_folder_that_holds_something_is_not_written_to(tmp_path: Path):
    """It is refused before a cluster is looked at."""
    (tmp_path / "mine.json").write_text("{}")
    done = CliRunner().invoke(main, ["init", "-o", str(tmp_path), "--cluster", "no-such"])

    assert done.exit_code == 2
    assert "is not empty" in done.output
    assert [path.name for path in tmp_path.iterdir()] == ["mine.json"]


def dns_pod() -> Json:
    """The cluster's DNS server."""
    one = pod("dns", 8, "far")
    one["metadata"]["labels"]["k8s-app"] = "kube-dns"
    one["metadata"]["namespace"] = "kube-system"
    one["spec"]["containers"][0]["ports"] = [
        {"name": "dns", "containerPort": 53, "protocol": "UDP"}
    ]
    return one


LOOKUPS = {
    "toEndpoints": [
        {"matchLabels": {"k8s:io.kubernetes.pod.namespace": "kube-system", "k8s-app": "kube-dns"}}
    ],
    "toPorts": DNS["toPorts"],
}


def test_a_name_that_stays_learned_is_no_witness():
    """Lookups that are inspected no more teach nobody, and what was learned before stays open."""
    names = [{"matchName": "pay.example.com"}]
    web = policy("web", egress=[{"toFQDNs": names, "toPorts": HTTPS_PORT}, LOOKUPS])
    small = Small(
        "dns-rule-forgotten", policies=(API_POLICY, web), pods=(*PODS, dns_pod()), hubble=True
    )
    experiments, skipped = small.chooser.choose({})

    assert experiments == []
    assert [one.reason for one in skipped if one.policy.name == "web"] == [LINGERS]


def test_what_a_mistake_opens_and_workloads_can_ask_is_known_beside_its_experiment():
    """What was tried first; what did otherwise, and strangers, who are made, are left out."""
    small = Small("ingress-removed", hubble=True)
    (mutant,) = [one for one in small.mutants if one.policy == API]

    assert set(small.chooser.opened(mutant, {})) == {LOG_API, JOB_API}
    assert small.chooser.opened(mutant, {LOG_API: ""})[0] == LOG_API
    assert small.chooser.opened(mutant, {LOG_API: "it is open"}) == (JOB_API,)
