"""Baselines: what is content, what differs, what is refused, and how a set is put in place."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from acns_chaos.cli import main
from acns_chaos.cluster import opening
from acns_chaos.cluster.allowed import ALLOWED
from acns_chaos.cluster.clusters import read_objects
from acns_chaos.cluster.leases import Leases
from acns_chaos.cluster.opening import Opened
from acns_chaos.cluster.pods import Ran
from acns_chaos.cluster.policies import policy_ref
from acns_chaos.cluster.stop import STOP
from acns_chaos.cluster.target import Target
from acns_chaos.errors import (
    ApiError,
    Conflict,
    DocumentError,
    FaultRefused,
    FaultUncertain,
    Forbidden,
    LeaseHeld,
    TargetRefused,
)
from acns_chaos.evidence import baseline as behaving
from acns_chaos.evidence.readings import DENIED, OPEN, UNKNOWN, reading
from acns_chaos.faults.baseline import (
    LAST_APPLIED,
    captured,
    comparable,
    compare,
    read_known_good,
    read_live,
)
from acns_chaos.faults.baseline_apply import put_in_place, rehearsed, steps
from tests.unit.fakes import STOREFRONT, FakeApi, pod, storefront_policy

FRONT = policy_ref("CiliumNetworkPolicy", "pets", "allow-store-front-traffic")
NATIVE = "/apis/networking.k8s.io/v1/namespaces/pets/networkpolicies"
CONFIG_MAPS = "/api/v1/namespaces/pets/configmaps"
LAB = Target("lab", "test", "https://10.0.0.1", "uid", "pets", "1.19.4", "v1.33.5")
REAL = Target("cluster", "prod", "https://10.0.0.1", "uid", "pets", "1.19.4", "v1.33.5")
BROKEN = [{"fromEndpoints": []}]

OTHERS = """
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: a, namespace: other}
spec: {endpointSelector: {}, ingress: [{}]}
"""
CLUSTERWIDE = """
apiVersion: cilium.io/v2
kind: CiliumClusterwideNetworkPolicy
metadata: {name: a}
spec: {endpointSelector: {}, ingress: [{}]}
"""


def native(**spec: Any) -> dict[str, Any]:
    """A NetworkPolicy as a server would list it."""
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "native", "namespace": "pets", "resourceVersion": "5", "uid": "n"},
        "spec": {"podSelector": {}, **spec},
    }


@pytest.fixture
def api() -> FakeApi:
    """A server on which nothing of ours stands."""
    found = FakeApi()
    found.objects["/version"] = {"gitVersion": "v1.33.5+acns-chaos-lab"}
    return found


@pytest.fixture
def place(api: FakeApi, tmp_path: Path) -> Path:
    """A folder with what is live captured."""
    for name, text in captured(read_live(api, "pets").values()).items():  # type: ignore[arg-type]
        (tmp_path / name).write_text(text)
    return tmp_path


@pytest.fixture
def run(api: FakeApi, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Calls `acns-chaos baseline` on the server in memory."""

    @contextmanager
    def there(*_: object, **__: object) -> Iterator[Opened]:
        yield Opened(api, "the lab (world pets)", "test", {})  # type: ignore[arg-type]

    monkeypatch.setattr(opening, "opened", there)

    def called(*arguments: object, given: str = "") -> Result:
        words = ["baseline", arguments[0], "-n", "pets", *arguments[1:]]
        return CliRunner().invoke(main, [str(word) for word in words], input=given)

    return called


def applied(api: FakeApi, place: Path, target: Target = LAB, prune: bool = False) -> list[str]:
    """Put a set in place as the command does; returns what it told."""
    told: list[str] = []
    live = read_live(api, "pets")  # type: ignore[arg-type]
    planned = steps(read_known_good(str(place), "pets").policies, live, prune)
    rehearsed(api, target, planned, live)  # type: ignore[arg-type]
    put_in_place(api, target, planned, "baseline me", told.append)  # type: ignore[arg-type]
    return told


def policy_writes(api: FakeApi) -> list[tuple[str, str]]:
    """Method and name of each policy that was written."""
    return [(how, path.rpartition("/")[2]) for how, path, _ in api.writes if "policies" in path]


class TestCapture:
    """What is live as the known-good set."""

    def test_what_the_server_owns_and_kubectls_note_are_left_out(self) -> None:
        """Spec, labels and annotations stay, as they are."""
        policy = storefront_policy()
        policy["metadata"]["annotations"][LAST_APPLIED] = "{}"
        policy["metadata"]["managedFields"] = [{"manager": "kubectl"}]
        policy["metadata"]["labels"] = {"tier": "8080"}
        policy["status"] = {"conditions": []}
        (text,) = captured([policy]).values()
        kept = yaml.safe_load(text)
        assert kept["metadata"] == {
            "name": "allow-store-front-traffic",
            "namespace": "pets",
            "labels": {"tier": "8080"},
            "annotations": {"team": "shop"},
        }
        assert sorted(kept) == ["apiVersion", "kind", "metadata", "spec"]
        assert kept["spec"] == policy["spec"]

    @pytest.mark.parametrize("ingress", [[], [{}], [{"fromEndpoints": []}], None])
    def test_an_empty_list_stays_one_and_an_absent_field_stays_absent(
        self, api: FakeApi, tmp_path: Path, ingress: Any
    ) -> None:
        """From live to file to live to file, nothing is lost and nothing made up."""
        spec = {"endpointSelector": {}, "egress": [{"toEndpoints": [{}]}]}
        api.objects[STOREFRONT]["spec"] = spec if ingress is None else {**spec, "ingress": ingress}
        first = captured(read_live(api, "pets").values())  # type: ignore[arg-type]
        for name, text in first.items():
            (tmp_path / name).write_text(text)
        api.edit(ingress=[{"fromEntities": ["all"]}])
        applied(api, tmp_path)
        assert captured(read_live(api, "pets").values()) == first  # type: ignore[arg-type]
        assert ("ingress" in api.objects[STOREFRONT]["spec"]) is (ingress is not None)

    def test_two_kinds_of_one_name_are_two_files(self) -> None:
        """Neither overwrites the other."""
        other = native()
        other["metadata"]["name"] = "allow-store-front-traffic"
        assert list(captured([storefront_policy(), other])) == [
            "allow-store-front-traffic.ciliumnetworkpolicy.yaml",
            "allow-store-front-traffic.networkpolicy.yaml",
        ]

    def test_it_prints_without_a_place(self, run: Any) -> None:
        """Ready to be read back from stdin."""
        done = run("capture")
        assert done.exit_code == 0
        assert yaml.safe_load(done.stdout)["metadata"]["name"] == "allow-store-front-traffic"

    def test_marks_of_a_fault_are_refused(self, run: Any, api: FakeApi, tmp_path: Path) -> None:
        """A fault must not become known-good; the file is not made."""
        api.objects[STOREFRONT]["metadata"]["annotations"]["acns-chaos/run"] = "run-\x1b[2J7"
        done = run("capture", "-o", tmp_path / "set")
        assert done.exit_code == 1
        assert "is broken on purpose by run run-[2J7" in done.stderr
        assert not (tmp_path / "set").exists()

    def test_a_record_that_stands_is_refused(self, run: Any, api: FakeApi) -> None:
        """Also when no policy carries marks: it may be one that is deleted."""
        api.lists[CONFIG_MAPS] = [{"metadata": {"name": "acns-chaos-run-7-f1"}}]
        done = run("capture")
        assert done.exit_code == 1
        assert "Record acns-chaos-run-7-f1 stands" in done.stderr

    def test_an_experiment_at_work_is_refused(self, run: Any, api: FakeApi) -> None:
        """Its fault may come any moment."""
        Leases(api, "pets").acquire("run-7 me", 15)  # type: ignore[arg-type]
        done = run("capture")
        assert done.exit_code == 1
        assert "An experiment is at work in namespace pets (run-7 me)" in done.stderr

    def test_not_being_allowed_to_look_for_a_fault_is_not_told(
        self, run: Any, api: FakeApi
    ) -> None:
        """Code 3, not a capture."""
        api.refuse[("GET", CONFIG_MAPS)] = Forbidden("configmaps is forbidden", 403)
        done = run("capture")
        assert (done.exit_code, done.stdout) == (3, "")

    def test_what_is_there_is_not_overwritten_unasked(self, run: Any, tmp_path: Path) -> None:
        """With --replace it is, but no other policy's file may stay."""
        assert run("capture", "-o", tmp_path).exit_code == 0
        again = run("capture", "-o", tmp_path)
        assert (again.exit_code, "give --replace" in again.stderr) == (2, True)
        assert run("capture", "-o", tmp_path, "--replace").exit_code == 0
        (tmp_path / "old.yaml").write_text("")
        stale = run("capture", "-o", tmp_path, "--replace")
        assert (stale.exit_code, "old.yaml is of no policy that is live" in stale.stderr) == (
            2,
            True,
        )
        single = tmp_path / "new" / "set.yaml"
        assert run("capture", "-o", single).exit_code == 0
        assert single.stat().st_mode & 0o400
        assert [one.name for one in single.parent.iterdir()] == ["set.yaml"]


class TestContent:
    """What is the same, and what is not."""

    def test_a_cilium_policys_empty_list_is_not_an_absent_field(self) -> None:
        """They mean opposite things."""
        one, other = storefront_policy(), storefront_policy()
        one["spec"]["ingress"] = [{"fromEndpoints": [], "toPorts": []}]
        other["spec"]["ingress"] = [{"toPorts": []}]
        assert comparable(one) != comparable(other)

    def test_a_networkpolicys_defaults_are_no_difference(self) -> None:
        """As the server would store it."""
        written = native(ingress=[{"ports": [{"port": 80}], "from": []}], egress=[])
        stored = native(
            ingress=[{"ports": [{"port": 80, "protocol": "TCP"}]}], policyTypes=["Ingress"]
        )
        assert comparable(written) == comparable(stored)

    @pytest.mark.parametrize(
        "spec",
        [
            {"policyTypes": ["Ingress", "Egress"]},
            {"ingress": [{}]},
            {"ingress": [{"ports": [{"port": 80, "protocol": "UDP"}]}]},
            {"podSelector": {"matchLabels": {"app": "a"}}},
        ],
    )
    def test_what_is_no_default_is_a_difference(self, spec: dict[str, Any]) -> None:
        """A direction, a rule, a protocol, a selector."""
        plain = native(ingress=[{"ports": [{"port": 80}]}])
        assert comparable({**plain, "spec": {**plain["spec"], **spec}}) != comparable(plain)

    def test_each_deviation_has_its_word(self) -> None:
        """Missing, extra, different, refused by the agents, broken on purpose."""
        wanted, there, gone = storefront_policy(), storefront_policy(), native()
        there["metadata"]["annotations"]["acns-chaos/run"] = "run-7"
        invalid = {"type": "Valid", "status": "False", "message": "no\x1b[2J such"}
        there["status"] = {"conditions": [invalid]}
        missing = policy_ref("NetworkPolicy", "pets", "native")
        extra = policy_ref("NetworkPolicy", "pets", "more")
        found = compare({FRONT: wanted, missing: gone}, {FRONT: there, extra: native()})
        assert [one.state for one in found] == [
            "broken",
            "different",
            "invalid",
            "missing",
            "extra",
        ]
        assert "+  acns-chaos/run: run-7" in found[1].difference
        assert found[2].sentence.endswith("refuse it: no[2J such")
        assert compare({FRONT: wanted}, {FRONT: storefront_policy()}) == []

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("kind: List\napiVersion: v1\nitems: []\n", "holds no policy"),
            (OTHERS, "is of namespace other, and the baseline is that of pets"),
            (CLUSTERWIDE, "is of no namespace"),
        ],
    )
    def test_a_set_is_of_one_namespace(self, tmp_path: Path, text: str, said: str) -> None:
        """An empty one is none: with --prune it would delete everything."""
        (tmp_path / "set.yaml").write_text(text)
        with pytest.raises(DocumentError, match=said):
            read_known_good(str(tmp_path / "set.yaml"), "pets")

    def test_a_set_that_holds_a_fault_is_none(self, tmp_path: Path) -> None:
        """Dumped with kubectl while it stood: put in place, it would stay broken for ever."""
        policy = storefront_policy()
        policy["metadata"]["annotations"] = {"acns-chaos/run": "r-7"}
        (tmp_path / "x.yaml").write_text(yaml.safe_dump(policy))
        with pytest.raises(DocumentError, match="marks of a fault, of run r-7"):
            read_known_good(str(tmp_path), "pets")


class TestApply:
    """Putting a set in place."""

    def test_only_what_differs_is_written_and_by_content(self, api: FakeApi, place: Path) -> None:
        """A fault's ingressDeny goes, as no merge would have it."""
        api.objects[f"{NATIVE}/native"] = native()
        good = deepcopy(api.objects[STOREFRONT]["spec"])
        (place / "native.yaml").write_text(captured([native()])["native.yaml"])
        api.edit(ingress=BROKEN, ingressDeny=[{"fromEntities": ["world"]}])
        api.objects[STOREFRONT]["metadata"].update(finalizers=["keep"], managedFields=[])
        told = applied(api, place)
        assert told == [f"Replaced CiliumNetworkPolicy {FRONT}, read back as the set has it."]
        assert policy_writes(api) == [("PUT", "allow-store-front-traffic")]
        assert api.objects[STOREFRONT]["spec"] == good
        assert api.objects[STOREFRONT]["metadata"]["finalizers"] == ["keep"]
        assert Leases(api, "pets").read().holder == ""  # type: ignore[arg-type, union-attr]

    def test_kubectls_note_is_renewed_where_there_was_one(self, api: FakeApi, place: Path) -> None:
        """A stale one would have its next merge keep what the set does not name."""
        api.edit(ingress=BROKEN)
        api.objects[STOREFRONT]["metadata"]["annotations"][LAST_APPLIED] = '{"spec":{}}'
        applied(api, place)
        note = yaml.safe_load(api.objects[STOREFRONT]["metadata"]["annotations"][LAST_APPLIED])
        assert note["spec"] == storefront_policy()["spec"]
        assert note["metadata"]["annotations"] == {"team": "shop"}
        assert "resourceVersion" not in note["metadata"]

    def test_what_the_set_does_not_have_goes_with_prune_only(
        self, api: FakeApi, place: Path
    ) -> None:
        """And what is missing is created."""
        del api.objects[STOREFRONT]
        api.objects[f"{NATIVE}/native"] = native()
        assert applied(api, place) == [
            f"Created CiliumNetworkPolicy {FRONT}, read back as the set has it."
        ]
        assert f"{NATIVE}/native" in api.objects
        assert applied(api, place, prune=True) == [
            "Deleted NetworkPolicy pets/native, and it is gone."
        ]
        assert f"{NATIVE}/native" not in api.objects

    @pytest.mark.parametrize(
        ("owner", "said"),
        [
            ({"labels": {"argocd.argoproj.io/instance": "shop"}}, "belongs to Argo CD"),
            ({"deletionTimestamp": "2026-01-01T00:00:00Z"}, "is being deleted"),
            ({"annotations": {"acns-chaos/run": "run-7"}}, "is broken on purpose by run run-7"),
        ],
    )
    def test_an_object_of_somebody_else_is_refused(
        self, api: FakeApi, place: Path, owner: dict[str, Any], said: str
    ) -> None:
        """GitOps would undo it; one that goes, or is broken on purpose, is left alone."""
        api.objects[STOREFRONT]["metadata"].update(owner)
        api.edit(ingress=BROKEN)
        with pytest.raises(TargetRefused, match=said):
            applied(api, place)
        assert policy_writes(api) == []

    def test_a_real_namespace_must_have_opted_in(self, api: FakeApi, place: Path) -> None:
        """And what it opted in to counts, and so does the stop object."""
        api.edit(ingress=BROKEN)
        with pytest.raises(TargetRefused, match="has not opted in"):
            applied(api, place, REAL)
        opted = {"metadata": {"name": ALLOWED}, "data": {"kinds": "NetworkPolicy"}}
        api.objects[f"{CONFIG_MAPS}/{ALLOWED}"] = opted
        with pytest.raises(TargetRefused, match="allows NetworkPolicy only"):
            applied(api, place, REAL)
        opted["data"] = {}
        api.objects[f"{CONFIG_MAPS}/{STOP}"] = {"metadata": {"name": STOP}}
        with pytest.raises(TargetRefused, match=STOP):
            applied(api, place, REAL)
        del api.objects[f"{CONFIG_MAPS}/{STOP}"]
        assert policy_writes(api) == []
        assert len(applied(api, place, REAL)) == 1

    def test_the_server_is_asked_about_all_before_any_is_written(
        self, api: FakeApi, place: Path
    ) -> None:
        """One refusal, and nothing was changed."""
        (place / "native.yaml").write_text(captured([native()])["native.yaml"])
        api.edit(ingress=BROKEN)
        api.refuse["DRY", STOREFRONT] = ApiError("denied by a webhook", 403)
        with pytest.raises(FaultRefused, match=r"refuse to replace .* denied by a webhook"):
            applied(api, place)
        assert policy_writes(api) == []

    def test_what_would_be_stored_otherwise_is_refused(
        self, api: FakeApi, place: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A webhook that adds a label makes another policy of it."""
        api.edit(ingress=BROKEN)
        put = api.put

        def changed(path: str, body: Any, query: Any = None) -> dict[str, Any]:
            return put(
                path, {**body, "metadata": {**body["metadata"], "labels": {"a": "b"}}}, query
            )

        monkeypatch.setattr(api, "put", changed)
        with pytest.raises(FaultRefused, match=r"store .* otherwise than it is written"):
            applied(api, place)
        assert policy_writes(api) == []

    def test_what_the_agents_would_refuse_is_not_written(self, api: FakeApi, place: Path) -> None:
        """It would be stored, Valid=False, and the fault would stay in force."""
        policy = storefront_policy()
        policy["spec"]["ingress"][0]["toPorts"][0]["ports"][0]["port"] = "0"
        policy["spec"]["ingress"][0]["fromCIDR"] = ["10.0.0.0/8"]
        (place / "allow-store-front-traffic.yaml").write_text(
            next(iter(captured([policy]).values()))
        )
        with pytest.raises(FaultRefused, match="The agents would refuse"):
            applied(api, place)
        assert policy_writes(api) == []

    def test_an_experiment_that_began_meanwhile_wins(self, api: FakeApi, place: Path) -> None:
        """The Lease is asked for last, right before the first write."""
        api.edit(ingress=BROKEN)
        live = read_live(api, "pets")  # type: ignore[arg-type]
        planned = steps(read_known_good(str(place), "pets").policies, live)
        rehearsed(api, LAB, planned, live)  # type: ignore[arg-type]
        Leases(api, "pets").acquire("run-7 me", 15)  # type: ignore[arg-type]
        with pytest.raises(LeaseHeld):
            put_in_place(api, LAB, planned, "baseline me", print)  # type: ignore[arg-type]
        assert policy_writes(api) == []
        assert Leases(api, "pets").read().holder == "run-7 me"  # type: ignore[arg-type, union-attr]

    def test_somebody_elses_write_is_not_overwritten(self, api: FakeApi, place: Path) -> None:
        """It stops there, says how far it came, and lets the Lease go."""
        (place / "native.yaml").write_text(captured([native()])["native.yaml"])
        api.edit(ingress=BROKEN)
        live = read_live(api, "pets")  # type: ignore[arg-type]
        planned = steps(read_known_good(str(place), "pets").policies, live)
        api.edit(ingress=[])
        with pytest.raises(FaultUncertain, match=r"1 of 2 writes .* somebody else changed"):
            put_in_place(api, LAB, planned, "baseline me", lambda _: None)  # type: ignore[arg-type]
        assert api.objects[STOREFRONT]["spec"]["ingress"] == []
        assert Leases(api, "pets").read().holder == ""  # type: ignore[arg-type, union-attr]

    def test_an_interruption_says_how_far_it_came(
        self, api: FakeApi, place: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """And lets the Lease go, so that the same command can be given again at once."""
        api.edit(ingress=BROKEN)
        put = api.put

        def interrupted(path: str, body: Any, query: Any = None) -> dict[str, Any]:
            if path == STOREFRONT and not (query or {}).get("dryRun"):
                raise KeyboardInterrupt
            return put(path, body, query)

        monkeypatch.setattr(api, "put", interrupted)
        with pytest.raises(FaultUncertain, match=r"Interrupted: 0 of 1 writes .* not known"):
            applied(api, place)
        assert Leases(api, "pets").read().holder == ""  # type: ignore[arg-type, union-attr]

    def test_an_answer_that_is_lost_is_looked_up(
        self, api: FakeApi, place: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Stored is stored."""
        api.edit(ingress=BROKEN)
        put = api.put

        def lost(path: str, body: Any, query: Any = None) -> dict[str, Any]:
            stored = put(path, body, query)
            if path == STOREFRONT and not (query or {}).get("dryRun"):
                raise ApiError("no answer")
            return stored

        monkeypatch.setattr(api, "put", lost)
        assert len(applied(api, place)) == 1

    def test_a_write_that_is_refused_is_no_success(self, api: FakeApi, place: Path) -> None:
        """Though its dry run went well."""
        api.edit(ingress=BROKEN)
        api.refuse["PUT", STOREFRONT] = Conflict("the object has been modified", 409)
        with pytest.raises(FaultUncertain, match="0 of 1 writes were done"):
            applied(api, place)


class TestApplyCommand:
    """What a person meets."""

    def test_a_signal_from_outside_is_an_interruption(
        self, run: Any, api: FakeApi, place: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """CI ends a job with SIGTERM: the Lease must not be left behind."""
        api.edit(ingress=BROKEN)
        put = api.put

        def ended(path: str, body: Any, query: Any = None) -> dict[str, Any]:
            if path == STOREFRONT and not (query or {}).get("dryRun"):
                signal.raise_signal(signal.SIGTERM)
            return put(path, body, query)

        monkeypatch.setattr(api, "put", ended)
        before = signal.getsignal(signal.SIGTERM)
        done: Result = run("apply", "--from", str(place), "--yes")
        assert done.exit_code == 1
        assert "Interrupted: 0 of 1 writes were done" in done.output
        assert Leases(api, "pets").read().holder == ""  # type: ignore[arg-type, union-attr]
        assert signal.getsignal(signal.SIGTERM) is before

    def test_a_dry_run_says_all_and_writes_nothing(
        self, run: Any, api: FakeApi, place: Path
    ) -> None:
        """Not even a Lease."""
        api.edit(ingress=BROKEN)
        done = run("apply", "--from", place, "--dry-run")
        assert done.exit_code == 0, done.output
        assert f"Will replace CiliumNetworkPolicy {FRONT}." in done.output
        assert "+  - fromEntities:" in done.output
        assert "Opened:\n  world -> pets/store-front: 8080/TCP" in done.output
        assert api.writes == []

    def test_nothing_to_do_is_said(self, run: Any, place: Path, api: FakeApi) -> None:
        """Equal is left alone."""
        done = run("apply", "--from", place)
        assert (done.exit_code, done.output.startswith("Nothing to do: 1 policy of")) == (0, True)
        assert api.writes == []

    def test_pruning_unasked_needs_yes(self, run: Any, api: FakeApi, place: Path) -> None:
        """What would be deleted is listed first."""
        api.objects[f"{NATIVE}/native"] = native()
        done = run("apply", "--from", place, "--prune")
        assert (done.exit_code, "--prune needs --yes" in done.stderr) == (2, True)
        assert "Will delete NetworkPolicy pets/native." in done.stdout
        assert f"{NATIVE}/native" in api.objects
        assert run("apply", "--from", place, "--prune", "--yes").exit_code == 0
        assert f"{NATIVE}/native" not in api.objects

    def test_a_refusal_has_its_code(self, run: Any, api: FakeApi, place: Path) -> None:
        """1, and one sentence."""
        api.edit(ingress=BROKEN)
        api.lists[CONFIG_MAPS] = [{"metadata": {"name": "acns-chaos-run-7-f1"}}]
        done = run("apply", "--from", place)
        assert done.exit_code == 1
        assert done.stderr.startswith("Error: Record acns-chaos-run-7-f1 stands in namespace pets")


def service(name: str, port: int, kind: str = "ClusterIP") -> dict[str, Any]:
    """A Service of namespace pets."""
    return {
        "kind": "Service",
        "metadata": {"name": name, "namespace": "pets"},
        "spec": {
            "type": kind,
            "clusterIP": "10.0.0.7",
            "selector": {"app": name},
            "ports": [{"port": 80, "targetPort": port}],
        },
    }


class TestBehaviour:
    """Which flows are tried, and what is made of the answers."""

    def world(self, api: FakeApi) -> Any:
        """The shop and a neighbour, the known-good policy in place of the faulty one."""
        api.lists["/api/v1/pods"].append(pod("order-service-1", "order-service", 3000))
        api.lists["/api/v1/services"] = [
            service("store-front", 8080, "LoadBalancer"),
            service("order-service", 3000),
        ]
        api.edit(ingress=BROKEN)
        there = read_objects(api, "test")  # type: ignore[arg-type]
        return behaving.world_with(there, "pets", [storefront_policy()])

    def test_what_the_set_opens_and_closes_is_foreseen(self, api: FakeApi) -> None:
        """From the set, not from what is live; what nothing restricts is left out."""
        found = behaving.expected_flows(self.world(api), "pets")
        assert {(one.source, one.service, one.port): one.expect for one in found} == {
            ("world", "store-front", 80): OPEN,
            ("order-service", "store-front", 80): DENIED,
        }

    def tried(
        self, monkeypatch: pytest.MonkeyPatch, code: int | None = 1
    ) -> tuple[list[dict[str, Any]], list[str]]:
        """Try two open and two closed flows, each from a workload of its own."""
        monkeypatch.setattr(behaving, "pods_of", lambda _, __, name: [pod(f"{name}-1", name, 80)])
        monkeypatch.setattr(behaving, "run_in", lambda *_: Ran(code, "", 0.1))
        monkeypatch.setattr(
            behaving,
            "read_connection",
            lambda *given: reading(given[7], "flow", "said", True, given[7], {}),
        )
        flows = [
            behaving.Expected(source, "store-front", 80, expect, "why")
            for source, expect in (("a", OPEN), ("a", DENIED), ("b", OPEN), ("b", DENIED))
        ]
        return behaving.behaviour(FakeApi(), {}, "pets", flows, 1.0)  # type: ignore[arg-type]

    def test_both_kinds_are_tried(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """From each workload that can."""
        found, notes = self.tried(monkeypatch)
        assert [(one["what"], one["reading"]) for one in found] == [
            ("a -> store-front:80", OPEN),
            ("b -> store-front:80", OPEN),
            ("a -> store-front:80", DENIED),
            ("b -> store-front:80", DENIED),
        ]
        assert notes == []

    def test_images_without_the_tool_leave_it_untold(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Neither open nor closed, and each image is named."""
        found, notes = self.tried(monkeypatch, code=127)
        assert [(one["reading"], one["met"]) for one in found] == [(UNKNOWN, None)] * 2
        assert "Nothing was tried from pets/a: its image has no nc." in notes
        assert len(notes) == 2

    def test_no_flow_at_all_is_untold(self) -> None:
        """Nothing tried is no good behaviour."""
        (found,), _ = behaving.behaviour(FakeApi(), {}, "pets", [], 1.0)  # type: ignore[arg-type]
        assert found["reading"] == UNKNOWN

    @pytest.mark.parametrize(
        ("met", "state", "broken", "code"),
        [
            (True, OPEN, False, 0),
            (False, DENIED, False, 1),
            (None, UNKNOWN, False, 3),
            (None, UNKNOWN, True, 1),
            (True, OPEN, True, 1),
        ],
    )
    def test_the_exit_code_tells(
        self,
        run: Any,
        api: FakeApi,
        place: Path,
        monkeypatch: pytest.MonkeyPatch,
        met: bool | None,
        state: str,
        broken: bool,
        code: int,
    ) -> None:
        """A difference outweighs a doubt, and a doubt is never "equal"."""
        given = reading(state, "a -> b:80", "said", met, OPEN, {})
        monkeypatch.setattr(behaving, "behaviour", lambda *_: ([given], ["Note of it."]))
        if broken:
            api.edit(ingress=BROKEN)
        done = run("verify", "--from", place)
        assert done.exit_code == code, done.output
        assert done.output.splitlines()[-1].split(":")[0] == {
            0: "EQUAL", 1: "DIFFERENT", 3: "UNKNOWN"
        }[code]  # fmt: skip
        assert ("+  - fromEndpoints: []" in done.output) is broken

    def test_content_that_cannot_be_read_is_not_told(
        self, run: Any, api: FakeApi, place: Path
    ) -> None:
        """Code 3, without a verdict."""
        api.refuse["GET", NATIVE] = ApiError("overloaded", 503)
        done = run("verify", "--from", place)
        assert (done.exit_code, done.stdout) == (3, "")

    def test_a_world_that_cannot_be_read_leaves_the_behaviour_untold(
        self, run: Any, api: FakeApi, place: Path
    ) -> None:
        """The content is still compared."""
        api.refuse["GET", "/api/v1/pods"] = ApiError("forbidden", 403)
        done = run("verify", "--from", place)
        assert done.exit_code == 3
        assert "Behaviour cannot be told: forbidden" in done.output
