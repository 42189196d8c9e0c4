"""A fleet's game day: clusters in, manifests out; and what each of its pods becomes."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from acns_chaos.cli.gameday.render import render
from acns_chaos.cli.gameday.shard import shard
from acns_chaos.errors import AcnsChaosError
from acns_chaos.gameday.plan import plan_of
from acns_chaos.gameday.plan_checks import KEYWORDS, breach
from acns_chaos.gameday.render import fleet as fleets
from acns_chaos.gameday.render import reaching
from acns_chaos.gameday.render.argo import argo
from acns_chaos.gameday.render.cost import ONE, cost, table
from acns_chaos.gameday.render.fleet import Cluster, Fleet, clusters_schema, name_of, read_fleet
from acns_chaos.gameday.render.jobs import jobs
from acns_chaos.gameday.render.pods import Settings
from acns_chaos.gameday.render.sizes import longest, merging_memory, mutants_of
from acns_chaos.gameday.scoring import write_whole
from tests.unit.json_schema import faults_of

ROOT = Path(__file__).resolve().parents[2]
PLAN = ROOT / "deploy/gameday/plan.yaml"
CLUSTERS = """\
schema: 1
clusters:
  - name: shop-eu
    context: aks-shop-eu
    uid: 6a1c0b6e-0000-4000-8000-000000000001
    env: {ACNS_CHAOS_PROMETHEUS_URL: "https://prometheus.eu.example.com"}
  - name: shop-us
    namespaces: [pets, checkout, billing]
"""
SETTINGS = Settings(day="day-1")


@pytest.fixture
def clusters(tmp_path: Path) -> Path:
    """A file of two clusters."""
    file = tmp_path / "clusters.yaml"
    file.write_text(CLUSTERS)
    return file


@pytest.fixture
def reached(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A cluster that every kubeconfig leads to, with the uid that it says it has."""
    found = SimpleNamespace(uid="6a1c0b6e-0000-4000-8000-000000000001", asked=[])

    def connect(choice: Any, kubeconfig: str) -> Any:
        found.asked.append((choice.context, kubeconfig))
        return SimpleNamespace(close=lambda: None), choice.context

    monkeypatch.setattr(reaching, "connect", connect)
    monkeypatch.setattr(reaching, "describe", lambda *_: found)
    return found


@pytest.fixture
def fleet(clusters: Path) -> Fleet:
    """Two clusters with four namespaces in all."""
    return read_fleet(PLAN, clusters)


def many(fleet: Fleet, clusters: int, namespaces: int, per_pod: int = 1) -> Fleet:
    """The same plan for many clusters."""
    names = tuple(f"namespace-{number:03d}" for number in range(namespaces))
    made = (f"cluster-{number:04d}" for number in range(clusters))
    found = tuple(Cluster(one, one, f"kubeconfig-{one}", names) for one in made)
    return Fleet(fleet.plan, fleet.text, fleet.claims, found, per_pod)


def of_kind(objects: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    """The objects of one kind."""
    return [one for one in objects if one["kind"] == kind]


def pods(objects: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What runs in pods: specs of Jobs' pods, templates of a workflow with a container."""
    found = [one["spec"]["template"]["spec"] for one in of_kind(objects, "Job")]
    return found + [
        {**one["spec"], **template, "containers": [template["container"]]}
        for one in of_kind(objects, "WorkflowTemplate")
        for template in one["spec"]["templates"]
        if "container" in template
    ]


# ---------------------------------------------------------------------- clusters


def test_what_a_cluster_does_not_say_comes_from_the_plan(fleet: Fleet) -> None:
    """Namespaces are the plan's; context and Secret follow from the name."""
    eu, us = fleet.clusters
    assert (eu.context, eu.secret, eu.namespaces) == (
        "aks-shop-eu",
        "kubeconfig-shop-eu",
        ("pets",),
    )
    assert (us.context, us.secret, us.namespaces) == (
        *("shop-us", "kubeconfig-shop-us"),
        ("pets", "checkout", "billing"),
    )
    assert fleet.expected() == "6a1c0b6e-0000-4000-8000-000000000001/pets\n"


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ("clusters: []", "line 1"),
        ("schema: 1\nclusters: [{nam: a}]", "name"),
        ("schema: 1\nclusters: [{name: A}]", "line 2"),
        ("schema: 1\nclusters: [{name: a}, {name: a}]", "two clusters are called a"),
        ("schema: 1\nclusters: [{name: lab}]", "by a kube context"),
        ("schema: 1\nclusters: [{name: a, context: in-cluster}]", "by a kube context"),
        ('schema: 1\nclusters: [{name: a, context: "{{x}}"}]', "context"),
        ("schema: 1\nclusters: [{name: a, env: {PATH: x}}]", "env"),
        ("schema: 1\nclusters: [{name: a, env: {ACNS_CHAOS_CLUSTER: x}}]", "leave it out"),
        ("schema: 1\nclusters: [{name: a, env: {ACNS_CHAOS_GRAFANA_TOKEN: x}}]", "into the Secret"),
        ("schema: 1\n---\nschema: 1", "one document"),
        ("", "one document"),
    ],
)
def test_what_is_wrong_with_clusters_is_a_sentence(tmp_path: Path, wrong: str, told: str) -> None:
    """With the file, and what to do."""
    file = tmp_path / "clusters.yaml"
    file.write_text(wrong)
    with pytest.raises(AcnsChaosError, match=r"\.$") as error:
        read_fleet(PLAN, file)
    assert told in str(error.value)
    assert str(file) in str(error.value)
    assert "\n" not in str(error.value)


def test_the_schema_of_clusters_is_one_that_is_enforced() -> None:
    """Each keyword in it is known to what reads it, and it takes the example."""

    def keywords(schema: Any) -> set[str]:
        found = set(schema)
        for key in ("properties", "$defs"):
            for one in schema.get(key, {}).values():
                found |= keywords(one)
        for key in ("items", "additionalProperties", "propertyNames"):
            if isinstance(schema.get(key), dict):
                found |= keywords(schema[key])
        return found

    assert keywords(clusters_schema()) <= KEYWORDS
    assert breach(yaml.safe_load(CLUSTERS), clusters_schema()) is None


def test_a_plan_for_the_lab_is_no_fleets(clusters: Path) -> None:
    """And a plan that names files elsewhere cannot go into a ConfigMap."""
    with pytest.raises(AcnsChaosError, match="is for the lab"):
        read_fleet(ROOT / "gamedays/pets.yaml", clusters)


def test_files_outside_the_plans_folder_are_refused(tmp_path: Path, clusters: Path) -> None:
    """A pod has the plan's folder, not the one above it."""
    folder = tmp_path / "inner"
    folder.mkdir()
    claim = "rabbitmq-kept-from-product-service.json"
    (tmp_path / claim).write_text((PLAN.parent / claim).read_text())
    (folder / "plan.yaml").write_text(PLAN.read_text().replace(claim, f"../{claim}"))
    with pytest.raises(AcnsChaosError, match="not beside it"):
        read_fleet(folder / "plan.yaml", clusters)


# ---------------------------------------------------------------------- shards


@pytest.mark.parametrize("per_pod", [1, 2, 3, 7])
def test_shards_part_the_namespaces(fleet: Fleet, per_pod: int) -> None:
    """Each namespace of a cluster is in just one shard, whatever a pod takes on."""
    one = Cluster("a", "a", "a", tuple(f"n{number}" for number in range(7)))
    told, document = one.as_json(per_pod), fleet.plan.document
    found = [
        fleets.shard_document(document, told, index, PLAN.parent)["target"]["namespaces"]
        for index in range(one.shards(per_pod))
    ]
    assert [name for names in found for name in names] == list(one.namespaces)
    assert max(map(len, found)) <= per_pod
    for index in (-1, one.shards(per_pod)):
        with pytest.raises(AcnsChaosError, match="render the manifests again"):
            fleets.shard_document(document, told, index, PLAN.parent)


def test_a_shards_plan_is_the_plan_but_for_where(fleet: Fleet) -> None:
    """Target and paths differ, so that its results can be united with the others'."""
    told = fleet.clusters[1].as_json(1)
    made = fleets.shard_document(fleet.plan.document, told, 1, PLAN.parent)
    assert made["target"] == {
        "cluster": "shop-us",
        "namespaces": ["checkout"],
        # Where other shards make mistakes at the same time.
        "beside": ["pets", "billing"],
    }
    plan_of(made, PLAN.parent, "a shard")
    claim = made["detectors"][2].pop("claim")
    assert Path(claim).is_absolute()
    assert Path(claim).is_file()
    same = {**fleet.plan.document, "target": made["target"]}
    same["detectors"] = [
        {key: value for key, value in one.items() if key != "claim"} for one in same["detectors"]
    ]
    assert made == same


def test_a_pod_becomes_a_run(
    tmp_path: Path, fleet: Fleet, monkeypatch: pytest.MonkeyPatch, reached: SimpleNamespace
) -> None:
    """With its own plan, the cluster's variables, and the index that Kubernetes tells."""
    became: list[Any] = []
    monkeypatch.setattr("os.execve", lambda *given: became.append(given))
    cluster = tmp_path / "cluster.json"
    cluster.write_text(json.dumps(fleet.clusters[0].as_json(1)))
    given = [str(PLAN), "--cluster", str(cluster), "--day", "day-1", "--out", str(tmp_path / "out")]

    done = CliRunner().invoke(shard, given, env={"JOB_COMPLETION_INDEX": "0"})

    assert done.exit_code == 0, done.output
    ((_, command, environ),) = became
    mine = tmp_path / "out/0.plan.json"
    assert command[1:] == [
        *("-m", "acns_chaos.cli", "gameday", "run", str(mine)),
        *("--out", str(tmp_path / "out/0"), "--day", "day-1", "--seed", "0"),
        *("--parallel", "1", "--no-history", "--yes"),
    ]
    assert environ["ACNS_CHAOS_CLUSTER"] == "aks-shop-eu"
    assert environ["ACNS_CHAOS_PROMETHEUS_URL"] == "https://prometheus.eu.example.com"
    assert environ["KUBECONFIG"] == "/access/kubeconfig"
    assert json.loads(mine.read_text())["target"]["cluster"] == "aks-shop-eu"
    assert reached.asked == [("aks-shop-eu", "/access/kubeconfig")]


def test_the_keys_of_another_cluster_are_refused(
    tmp_path: Path, fleet: Fleet, monkeypatch: pytest.MonkeyPatch, reached: SimpleNamespace
) -> None:
    """Where the uid is known and can be read, before anything is run; else nothing is said."""
    became: list[Any] = []
    monkeypatch.setattr("os.execve", lambda *given: became.append(given))
    cluster = tmp_path / "cluster.json"
    cluster.write_text(json.dumps(fleet.clusters[0].as_json(1)))
    given = [str(PLAN), "--cluster", str(cluster), "--day", "d", "--out", str(tmp_path / "out")]
    reached.uid = "another"
    done = CliRunner().invoke(shard, [*given, "--index", "0"])
    assert isinstance(done.exception, AcnsChaosError)
    assert "shop-eu leads to the cluster with the uid another" in str(done.exception)
    assert (became, (tmp_path / "out").exists()) == ([], False)
    reached.uid = ""
    assert CliRunner().invoke(shard, [*given, "--index", "0"]).exit_code == 0
    assert len(became) == 1


@pytest.mark.usefixtures("reached")
def test_a_pod_that_was_lost_is_gone_on_with(
    tmp_path: Path, fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it had begun is resumed: no mutant is run twice."""
    became: list[Any] = []
    monkeypatch.setattr("os.execve", lambda *given: became.append(given))
    cluster, folder = tmp_path / "cluster.json", tmp_path / "out/0"
    cluster.write_text(json.dumps(fleet.clusters[0].as_json(1)))
    folder.mkdir(parents=True)
    (folder / "plan.json").write_text("{}")
    given = [str(PLAN), "--cluster", str(cluster), "--day", "day-1", "--out", str(tmp_path / "out")]
    done = CliRunner().invoke(shard, [*given, "--index", "0"])
    assert done.exit_code == 0, done.output
    command = became[0][1]
    assert command[command.index("--resume") + 1] == str(folder)
    assert "--day" not in command


def test_a_share_that_refuses_modes_is_written_to(
    tmp_path: Path, fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over SMB only whoever mounted it may set one, and nothing rests on that."""

    def refused(file: Path, mode: int) -> None:
        raise PermissionError(1, "Operation not permitted", str(file))

    monkeypatch.setattr(Path, "chmod", refused)
    write_whole(tmp_path / "day/0.plan.json", "{}")
    assert [one.name for one in (tmp_path / "day").iterdir()] == ["0.plan.json"]


@pytest.mark.parametrize(
    "text", ["", "[]", "null", "{}", '{"schema": 2}', '{"schema": 1, "per_pod": 0}']
)
def test_a_cluster_that_is_none_is_refused(tmp_path: Path, text: str) -> None:
    """A ConfigMap of another version, or an edited one, is no traceback."""
    cluster = tmp_path / "cluster.json"
    cluster.write_text(text)
    given = [str(PLAN), "--cluster", str(cluster), "--day", "d", "--out", str(tmp_path)]
    done = CliRunner().invoke(shard, [*given, "--index", "0"])
    assert isinstance(done.exception, AcnsChaosError)
    assert "render the manifests again" in str(done.exception)


# ---------------------------------------------------------------------- manifests


def test_a_pod_has_the_keys_of_its_own_cluster_only(fleet: Fleet) -> None:
    """Of Jobs each mounts one Secret; a workflow's shard one that its item names."""
    made = {
        one["metadata"]["labels"].get("acns-chaos/cluster", "merge"): [
            volume["secret"]["secretName"]
            for volume in one["spec"]["template"]["spec"]["volumes"]
            if "secret" in volume
        ]
        for one in of_kind(jobs(fleet, SETTINGS), "Job")
    }
    assert made == {
        "shop-eu": ["kubeconfig-shop-eu"],
        "shop-us": ["kubeconfig-shop-us"],
        "merge": [],
    }
    (template,) = of_kind(argo(fleet, SETTINGS), "WorkflowTemplate")
    text = json.dumps(template["spec"]["templates"])
    assert text.count("secretName") == 1
    assert '"secretName": "{{inputs.parameters.secret}}"' in text


@pytest.mark.parametrize("engine", [jobs, argo])
def test_every_pod_is_confined(fleet: Fleet, engine: Any) -> None:
    """As the janitor's: not root, nothing writable but its volumes, no token, no privileges."""
    found = pods(engine(fleet, SETTINGS))
    assert len(found) >= 2
    for one in found:
        assert one["automountServiceAccountToken"] is False
        assert one["securityContext"]["runAsNonRoot"] is True
        assert one["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        (container,) = one["containers"]
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert container["image"] == "acns-chaos:0.1.0"
        assert {*container["resources"]} == {"requests", "limits"}
        mounted = {mount["name"] for mount in container["volumeMounts"]}
        assert mounted == {volume["name"] for volume in one["volumes"]}


def test_a_survivor_stops_nothing_and_what_is_not_restored_stops_its_cluster(
    fleet: Fleet,
) -> None:
    """No shard is run again; each index fails by itself; exit code 7 fails the whole Job."""
    for one in of_kind(jobs(fleet, SETTINGS), "Job"):
        spec = one["spec"]
        assert spec["template"]["spec"]["restartPolicy"] == "Never"
        if spec.get("suspend"):
            assert spec["backoffLimit"] == 0
            continue
        assert (spec["completionMode"], spec["backoffLimitPerIndex"]) == ("Indexed", 0)
        (rule,) = spec["podFailurePolicy"]["rules"]
        assert (rule["action"], rule["onExitCodes"]["values"]) == ("FailJob", [7])


def test_a_workflow_unites_whatever_became_of_its_shards(fleet: Fleet) -> None:
    """Both levels go on after a failure, both have a limit, and the last step waits for all."""
    (template,) = of_kind(argo(fleet, Settings(most=50, at_once=3)), "WorkflowTemplate")
    top, cluster, one, merge = template["spec"]["templates"]
    assert (template["spec"]["parallelism"], cluster["parallelism"]) == (50, 3)
    assert [top["dag"]["failFast"], cluster["dag"]["failFast"]] == [False, False]
    last = top["dag"]["tasks"][1]["depends"]
    assert last == "clusters.Succeeded || clusters.Failed || clusters.Errored"
    items = top["dag"]["tasks"][0]["withItems"]
    assert [(item["cluster"], item["shards"]) for item in items] == [
        ("shop-eu", "1"),
        ("shop-us", "3"),
    ]
    (taken,) = merge["inputs"]["artifacts"]
    assert taken["s3"]["key"] == "{{workflow.name}}/results"
    whole, *few = one["outputs"]["artifacts"]
    assert (whole["path"], whole["s3"]["key"].split("/")[1]) == ("/days", "shards")
    assert all(each["s3"]["key"].startswith(taken["s3"]["key"] + "/") for each in few)


@pytest.mark.parametrize(
    ("more", "files"),
    [
        ({}, ["plan.json", "results.jsonl"]),
        ({"experiments": ["e.json"]}, ["plan.json", "experiments.jsonl", "results.jsonl"]),
        ({"experiments": ["e.json"], "mutants": None}, ["plan.json", "experiments.jsonl"]),
    ],
)
def test_merging_gets_what_it_reads_and_no_journals(
    fleet: Fleet, more: dict[str, Any], files: list[str]
) -> None:
    """A file of each shard that such a day always writes; an optional one can hang Argo 3.7.1."""
    wanted = fleet.plan.mutants if "mutants" not in more else None
    plan = replace(fleet.plan, mutants=wanted, document={**fleet.plan.document, **more})
    (template,) = of_kind(argo(replace(fleet, plan=plan), SETTINGS), "WorkflowTemplate")
    one = template["spec"]["templates"][2]
    _, *few = one["outputs"]["artifacts"]
    shard_of = "{{inputs.parameters.cluster}}/{{inputs.parameters.index}}"
    assert [each["path"] for each in few] == [f"/days/{shard_of}/{file}" for file in files]
    keys = [each["s3"]["key"] for each in few]
    assert keys == ["{{workflow.name}}/results/" + f"{shard_of}/{file}" for file in files]
    assert not any("optional" in each for each in few)
    # Where the shard writes them.
    arguments = one["container"]["args"]
    assert arguments[arguments.index("--out") + 1] == "/days/{{inputs.parameters.cluster}}"


def test_argos_own_container_has_a_token_to_mount(fleet: Fleet) -> None:
    """Since Kubernetes 1.24 nobody makes the Secret that Argo looks for by this name."""
    made = argo(fleet, SETTINGS)
    (secret,) = of_kind(made, "Secret")
    (template,) = of_kind(made, "WorkflowTemplate")
    account = template["spec"]["executor"]["serviceAccountName"]
    assert template["spec"]["automountServiceAccountToken"] is False
    assert secret["metadata"] == {
        "name": f"{account}.service-account-token",
        "namespace": "acns-chaos-fleet",
        "annotations": {"kubernetes.io/service-account.name": account},
    }
    assert secret["type"] == "kubernetes.io/service-account-token"
    assert account in [one["metadata"]["name"] for one in of_kind(made, "ServiceAccount")]


def test_a_workflow_template_is_as_argo_describes_it(fleet: Fleet) -> None:
    """Held against the part of its schema that we wrote down, and a slip is seen by it."""
    schema = json.loads((ROOT / "tests/data/argo/workflowtemplate.json").read_text())
    (template,) = of_kind(argo(fleet, SETTINGS), "WorkflowTemplate")
    assert faults_of(template, schema, schema) == []
    template["spec"]["templates"][0]["dag"]["failfast"] = True
    template["spec"]["templates"][3]["inputs"]["artifacts"][0]["azure"] = {"blob": "x"}
    assert faults_of(template, schema, schema) == [
        "spec.templates[0].dag has failfast",
        "spec.templates[3].inputs.artifacts[0].azure lacks endpoint",
        "spec.templates[3].inputs.artifacts[0].azure lacks container",
    ]


def test_names_in_a_workflow_lead_somewhere(fleet: Fleet) -> None:
    """Templates, parameters and ConfigMaps that are named are there."""
    objects = argo(fleet, SETTINGS)
    (template,) = of_kind(objects, "WorkflowTemplate")
    spec = template["spec"]
    by_name = {one["name"]: one for one in spec["templates"]}
    assert spec["entrypoint"] in by_name
    for one in spec["templates"]:
        for task in one.get("dag", {}).get("tasks", ()):
            wanted = by_name[task["template"]].get("inputs", {}).get("parameters", [])
            given = task.get("arguments", {}).get("parameters", [])
            assert {each["name"] for each in wanted} == {each["name"] for each in given}
        own = {each["name"] for each in one.get("inputs", {}).get("parameters", ())}
        text = json.dumps(one)
        named = {part.partition("}}")[0] for part in text.split("{{inputs.parameters.")[1:]}
        assert named == own
    configs = {one["metadata"]["name"] for one in of_kind(objects, "ConfigMap")}
    items = spec["templates"][0]["dag"]["tasks"][0]["withItems"]
    assert {item["config"] for item in items} < configs


def test_long_names_fit_and_stay_apart(fleet: Fleet) -> None:
    """A Job's pods are hosts by its name and index: a label of 63 signs."""
    long = "c" * 63
    two = tuple(Cluster(f"{long[:-1]}{end}", "c", "s", ("a",)) for end in "xy")
    made = jobs(Fleet(fleet.plan, fleet.text, fleet.claims, two), SETTINGS)
    names = [(one["kind"], one["metadata"]["name"]) for one in made]
    assert len(set(names)) == len(names)
    assert all(len(f"{name}-99999") <= 63 for kind, name in names if kind == "Job")
    assert name_of("a", "", "b") == "a-b"


@pytest.mark.parametrize("name", ["merge", "ab12cd-merge"])
def test_a_cluster_may_be_called_as_the_last_step_is(fleet: Fleet, name: str) -> None:
    """Its Job and the merging one have two names."""
    one = (Cluster(name, "c", "s", ("a",)),)
    made = of_kind(jobs(replace(fleet, clusters=one), SETTINGS), "Job")
    assert len({job["metadata"]["name"] for job in made}) == len(made) == 2


def test_only_pods_have_a_deadline(fleet: Fleet) -> None:
    """A Job's own would also run while a quota of pods lets it make none."""
    for one in of_kind(jobs(fleet, Settings(day="day-1", lasts=600)), "Job"):
        assert "activeDeadlineSeconds" not in one["spec"]
        if not one["spec"].get("suspend"):
            assert one["spec"]["template"]["spec"]["activeDeadlineSeconds"] == 600


def test_one_namespace_of_a_cluster_at_a_time(fleet: Fleet) -> None:
    """Unless asked otherwise: a neighbour's alert would count as noticing."""
    assert (Settings().at_once, Settings().parallel) == (1, 1)
    found = {one.name: one.default for one in render.params}
    assert (found["at_once"], found["parallel"]) == (1, 1)


def test_jobs_of_another_day_have_other_names(fleet: Fleet) -> None:
    """A Job cannot be changed; what is the same for all days can."""
    one, other = (jobs(fleet, Settings(day=day)) for day in ("day-1", "day-2"))
    names = [{o["metadata"]["name"] for o in of_kind(made, "Job")} for made in (one, other)]
    assert not names[0] & names[1]
    assert of_kind(one, "ConfigMap") == of_kind(other, "ConfigMap")


# ---------------------------------------------------------------------- limits


def test_a_thousand_clusters_fit_in_jobs_and_in_one_workflow_with_larger_pods(
    fleet: Fleet,
) -> None:
    """200,000 pods are too many states for one workflow, and the sentence says what is not."""
    large = many(fleet, 1000, 200)
    assert large.shards == 200_000
    fleets.require_fit(large, "jobs")
    with pytest.raises(AcnsChaosError, match=r"200,000: --per-pod 40 makes few enough"):
        fleets.require_fit(large, "argo")
    made = argo(many(fleet, 1000, 200, per_pod=40), SETTINGS)
    assert len(of_kind(made, "ConfigMap")) == 1001
    assert max(len(json.dumps(one)) for one in made) < fleets.LARGEST // 3


def test_what_is_too_large_is_said(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    """One sentence for each limit, with a way out."""
    big = Fleet(fleet.plan, fleet.text + "#" * fleets.LARGEST, fleet.claims, fleet.clusters)
    with pytest.raises(AcnsChaosError, match=r"ConfigMap acns-chaos-pets-weekly would have"):
        jobs(big, SETTINGS)
    with pytest.raises(AcnsChaosError, match=r"split the clusters into several files"):
        argo(many(fleet, 4000, 1), SETTINGS)
    with pytest.raises(AcnsChaosError, match=r"--engine jobs"):
        argo(many(fleet, 6000, 1), SETTINGS)
    monkeypatch.setattr(fleets, "MOST_SHARDS", 100)
    with pytest.raises(AcnsChaosError, match=r"raise --per-pod"):
        jobs(many(fleet, 1, 101), SETTINGS)


def test_expected_shards_that_are_too_many_are_left_out(fleet: Fleet) -> None:
    """Rather than the whole: that a shard is missing is then seen by its pod alone."""
    names = tuple(f"namespace-{number:03d}" for number in range(200))
    uids = (f"{number:08d}-0000-4000-8000-000000000000" for number in range(1000))
    found = tuple(Cluster(f"c{uid[:8]}", "c", "s", names, uid) for uid in uids)
    made = jobs(Fleet(fleet.plan, fleet.text, fleet.claims, found, 200), SETTINGS)
    assert of_kind(made, "ConfigMap")[0]["data"]["shards.txt"] == ""


def test_the_volume_has_room_for_all_journals(fleet: Fleet) -> None:
    """Twice what journals took, for as many mutants as the plan allows."""
    for found, room in ((fleet, "10Gi"), (many(fleet, 100, 200), "126Gi")):
        (claim,) = of_kind(jobs(found, SETTINGS), "PersistentVolumeClaim")
        assert claim["spec"]["resources"] == {"requests": {"storage": room}}
        assert claim["spec"]["accessModes"] == ["ReadWriteMany"]


def with_mutants(fleet: Fleet, **more: Any) -> Fleet:
    """The fleet with another selection in its plan."""
    assert fleet.plan.mutants is not None
    return replace(fleet, plan=replace(fleet.plan, mutants=replace(fleet.plan.mutants, **more)))


def test_how_many_mutants_there_are_goes_by_pods(fleet: Fleet) -> None:
    """A plan's `most` is of each pod; without it each namespace has about fifty."""
    large = many(fleet, 10, 200, per_pod=40)
    assert mutants_of(with_mutants(large, most=5)) == 10 * 5 * 5
    assert mutants_of(with_mutants(large, most=0)) == 10 * 200 * 50


@pytest.mark.parametrize(("engine", "kind"), [(jobs, "Job"), (argo, "WorkflowTemplate")])
def test_merging_has_memory_for_all_results(fleet: Fleet, engine: Any, kind: str) -> None:
    """About 32 kB for each mutant, and what is too much for one pod is refused with a way out."""
    found = with_mutants(many(fleet, 100, 40, per_pod=40), most=200)
    assert merging_memory(found) == 256 + 611
    last = pods(of_kind(engine(found, SETTINGS), kind))[-1]["containers"][0]
    assert last["args"][0] == "merge"
    assert last["resources"]["limits"] == {"memory": "867Mi"}
    assert last["resources"]["requests"]["memory"] == "434Mi"
    with pytest.raises(AcnsChaosError, match=r"1,000,100 results.*: lower mutants\.most"):
        engine(with_mutants(found, most=10_001), SETTINGS)
    with pytest.raises(AcnsChaosError, match=r"10,000,000 results.*: write mutants\.most"):
        engine(with_mutants(many(fleet, 1000, 200, per_pod=40), most=0), SETTINGS)


def test_how_long_a_pod_takes_at_most_is_known(fleet: Fleet) -> None:
    """By the longest estimate of a mutant, and no longer than the plan's budget."""
    found = many(fleet, 1, 80, per_pod=40)
    assert longest(with_mutants(found, most=200, budget=0.0), 1) == 200 * ONE.most
    assert longest(with_mutants(found, most=200, budget=0.0), 4) == 50 * ONE.most
    assert longest(with_mutants(found, most=0, budget=0.0), 1) == 40 * 50 * ONE.most
    assert longest(with_mutants(found, most=200, budget=7200.0), 1) == 7200


def test_what_a_fleet_costs_is_as_the_page_tells() -> None:
    """Of docs/fleet.md each figure is computed, from inputs that it names."""
    page = (ROOT / "docs/fleet.md").read_text()
    assert table() in page
    rates = (ONE.watchdog, ONE.prometheus)
    for value in (ONE.mutants, ONE.looking, ONE.kubernetes, *rates, ONE.memory):
        assert f"| {value} " in page, value
    one = cost(ONE.mutants, 4)
    # By hand: 200 namespaces, four at once, 47 mutants of 112 s each.
    assert (one.pods, one.at_once) == (200_000, 4_000)
    assert one.hours == pytest.approx(50 * 47 * 112 / 3600)
    assert one.pod_longest == pytest.approx(47 * 346 / 3600)
    assert one.requests == pytest.approx(200_000 * (53 + 47 * (100 + 7.2 * 112)))


# ---------------------------------------------------------------------- the command


def rendered(clusters: Path, *more: str) -> Result:
    """The command, with a day so that the same comes out each time."""
    given = [str(PLAN), "--clusters", str(clusters), "--day", "day-1", *more]
    return CliRunner().invoke(render, given)


@pytest.mark.parametrize("engine", ["jobs", "argo"])
def test_it_writes_yaml_without_surprises(clusters: Path, tmp_path: Path, engine: str) -> None:
    """No anchors, the plan as it was written, the same again when asked again."""
    file = tmp_path / "out.yaml"
    done = rendered(clusters, "--engine", engine, "-o", str(file))
    assert (done.exit_code, "4 pods for 2 clusters" in done.output) == (0, True)
    assert "1 of 2 clusters have no uid" in done.output
    # Client-side, 256 KiB are the end: what was applied goes into an annotation.
    assert f"kubectl apply --server-side -f {file} applies it" in done.output
    text = file.read_text()
    assert "&id" not in text
    plan = of_kind(list(yaml.safe_load_all(text)), "ConfigMap")[0]
    assert plan["data"]["plan.yaml"] == PLAN.read_text()
    again = rendered(clusters, "--engine", engine)
    assert again.stdout.strip() == text.strip()


@pytest.mark.parametrize(
    "wrong",
    [
        ("--lasts", "6"),
        ("--lasts", "1s"),
        ("--namespace", "A b"),
        ("--image", "x y"),
        ("--storage-class", "{{x}}"),
        ("--day", "../.."),
    ],
)
def test_settings_that_kubernetes_would_refuse_are_refused(
    clusters: Path, wrong: tuple[str, str]
) -> None:
    """By the option's name."""
    done = rendered(clusters, "--engine", "jobs", *wrong)
    assert (done.exit_code, wrong[0] in done.output) == (2, True)


def test_a_pod_that_would_be_ended_early_is_told_before(clusters: Path, tmp_path: Path) -> None:
    """With the `--lasts` that would do; and that a default volume may be none of many nodes."""
    text = PLAN.read_text().replace("most: 48", "most: 200").replace("  budget: 4h\n", "")
    (tmp_path / "plan.yaml").write_text(text)
    claim = "rabbitmq-kept-from-product-service.json"
    (tmp_path / claim).write_text((PLAN.parent / claim).read_text())
    given = [str(tmp_path / "plan.yaml"), "--clusters", str(clusters), "--engine", "jobs"]
    told = CliRunner().invoke(render, given).stderr
    assert "takes about 19 h 13 min, and --lasts ends it after 6 h: write --lasts 21h" in told
    assert "name one for NFS with --storage-class" in told
    calm = [*given, "--lasts", "21h", "--storage-class", "azurefile-csi-nfs"]
    told = CliRunner().invoke(render, calm).stderr
    assert "Note: 1 of 2 clusters have no uid" in told
    assert len(told.splitlines()) == 1
