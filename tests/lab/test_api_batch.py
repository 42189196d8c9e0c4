"""Jobs and CronJobs: stored, filled in and refused as an API server does it, and never run."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import InProcessLab, Reply
from kubernetes.client import models

from acns_chaos.lab.api.kinds.batch_kinds import CRON_JOB, JOB, wrong_schedule
from acns_chaos.lab.api.kinds.resources import BY_KIND
from acns_chaos.lab.api.reading.columns import columns_of
from acns_chaos.policy.schema import Field

CRON_JOBS = "/apis/batch/v1/namespaces/pets/cronjobs"
JOBS = "/apis/batch/v1/namespaces/pets/jobs"
DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
APPLY = "application/apply-patch+yaml"


ONE = {"name": "one", "image": "busybox:1.36", "command": ["date"]}


def pod_spec(**more: Any) -> dict[str, Any]:
    """The spec of a pod that runs one command."""
    return {"restartPolicy": "Never", "containers": [dict(ONE)], **more}


def job(name: str = "once", **spec: Any) -> dict[str, Any]:
    """A Job."""
    filled = {"template": {"spec": pod_spec()}, **spec}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name}, "spec": filled}


def cron_job(name: str = "often", **spec: Any) -> dict[str, Any]:
    """A CronJob."""
    filled = {"schedule": "* * * * *", "jobTemplate": {"spec": job()["spec"]}, **spec}
    return {"apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": name}, "spec": filled}


def with_container(**more: Any) -> dict[str, Any]:
    """A CronJob whose container has something else."""
    found = cron_job()
    found["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"][0].update(more)
    return found


# ---------------------------------------------------------------------- stored and filled in


async def test_a_cron_job_is_stored_with_a_server_s_defaults(lab: InProcessLab) -> None:
    """What is left out is filled in, in the CronJob and in its pod, but not in its Job."""
    reply = await lab.call("POST", CRON_JOBS, cron_job())
    assert (reply.code, reply.body["metadata"]["generation"]) == (201, 1)
    spec = reply.body["spec"]
    assert {key: value for key, value in spec.items() if key != "jobTemplate"} == {
        "schedule": "* * * * *",
        "concurrencyPolicy": "Allow",
        "suspend": False,
        "successfulJobsHistoryLimit": 3,
        "failedJobsHistoryLimit": 1,
    }
    assert spec["jobTemplate"]["spec"] == {
        "template": {
            "spec": {
                "containers": [
                    {
                        "name": "one",
                        "image": "busybox:1.36",
                        "command": ["date"],
                        "imagePullPolicy": "IfNotPresent",
                        "resources": {},
                        "terminationMessagePath": "/dev/termination-log",
                        "terminationMessagePolicy": "File",
                    }
                ],
                "dnsPolicy": "ClusterFirst",
                "restartPolicy": "Never",
                "schedulerName": "default-scheduler",
                "securityContext": {},
                "terminationGracePeriodSeconds": 30,
            }
        }
    }
    assert reply.body["status"] == {}


async def test_a_job_claims_its_pods_by_its_uid(lab: InProcessLab) -> None:
    """Selector and labels come from the server, are owned by nobody, and stay."""
    made = (await lab.call("POST", JOBS, job())).body
    uid = made["metadata"]["uid"]
    assert made["spec"]["selector"] == {"matchLabels": {"batch.kubernetes.io/controller-uid": uid}}
    assert made["spec"]["template"]["metadata"]["labels"] == {
        "batch.kubernetes.io/controller-uid": uid,
        "batch.kubernetes.io/job-name": "once",
        "controller-uid": uid,
        "job-name": "once",
    }
    assert "f:selector" not in str(made["metadata"]["managedFields"])
    assert made["spec"]["backoffLimit"] == 6
    assert (made["spec"]["completions"], made["spec"]["parallelism"]) == (1, 1)


async def test_nobody_runs_a_job(lab: InProcessLab) -> None:
    """No pod comes, and the status stays empty, until a client writes one."""
    await lab.call("POST", JOBS, job())
    before = len(lab.store.list("Pod", "pets"))
    found = (await lab.call("GET", f"{JOBS}/once")).body
    assert found["status"] == {}
    assert len(lab.store.list("Pod", "pets")) == before
    await lab.patch(f"{JOBS}/once/status", {"status": {"succeeded": 1}})
    await lab.patch(f"{JOBS}/once", {"status": {"succeeded": 5}})
    assert (await lab.call("GET", f"{JOBS}/once")).body["status"] == {"succeeded": 1}


async def test_what_a_job_is_made_of_cannot_change(lab: InProcessLab) -> None:
    """The template is immutable; how many run at once is not."""
    await lab.call("POST", JOBS, job())
    reply = await lab.patch(f"{JOBS}/once", {"spec": {"parallelism": 3}})
    assert (reply.code, reply.body["metadata"]["generation"]) == (200, 2)
    spec = {"template": {"spec": {"restartPolicy": "OnFailure"}}}
    reply = await lab.patch(f"{JOBS}/once", {"spec": spec})
    assert reply.code == 422
    assert "spec.template: Invalid value" in reply.message
    assert reply.message.endswith("field is immutable")


async def test_containers_merge_by_their_names(lab: InProcessLab) -> None:
    """A strategic merge and two appliers change one container and leave the other."""
    two = cron_job()
    spec = two["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    spec["containers"].append({"name": "two", "image": "busybox:1.36"})
    await lab.call("POST", CRON_JOBS, two)

    def change(**more: Any) -> dict[str, Any]:
        inner = {"containers": [{"name": "two", **more}]}
        return {"spec": {"jobTemplate": {"spec": {"template": {"spec": inner}}}}}

    kind = "strategic-merge-patch+json"
    reply = await lab.patch(f"{CRON_JOBS}/often", change(image="busybox:1.37"), kind)
    assert _images(reply) == {"one": "busybox:1.36", "two": "busybox:1.37"}
    config = {"apiVersion": "batch/v1", "kind": "CronJob", **change(workingDir="/tmp")}
    path = f"{CRON_JOBS}/often?fieldManager=a"
    reply = await lab.call("PATCH", path, yaml.safe_dump(config).encode(), Content_Type=APPLY)
    assert reply.code == 200, reply.message
    assert _images(reply) == {"one": "busybox:1.36", "two": "busybox:1.37"}
    (mine,) = [one for one in reply.body["metadata"]["managedFields"] if one["manager"] == "a"]
    assert '{"name":"two"}' in str(mine["fieldsV1"])
    assert '{"name":"one"}' not in str(mine["fieldsV1"])


def _images(reply: Reply) -> dict[str, str]:
    spec = reply.body["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    return {one["name"]: one["image"] for one in spec["containers"]}


async def test_what_ships_is_stored_as_it_is_written(lab: InProcessLab) -> None:
    """Every CronJob of deploy/ is taken in strictly; nothing that it says is lost or changed."""
    shipped = [
        one
        for file in sorted(DEPLOY.rglob("*.yaml"))
        # An overlay only says what is different.
        if file.name != "sidecar.yaml"
        for one in yaml.safe_load_all(file.read_text())
        if one.get("kind") in ("CronJob", "Job")
    ]
    assert shipped
    for one in shipped:
        one["metadata"]["namespace"] = "pets"
        reply = await lab.call("POST", f"{CRON_JOBS}?fieldValidation=Strict", one)
        assert reply.code == 201, reply.message
        assert _lost(one["spec"], reply.body["spec"]) == []


def _lost(asked: Any, stored: Any, path: str = "") -> list[str]:
    """Where something that was asked for is not stored."""
    if isinstance(asked, dict):
        return [
            lost
            for key, value in asked.items()
            for lost in _lost(value, (stored or {}).get(key), f"{path}.{key}")
        ]
    if isinstance(asked, list) and len(asked) == len(stored or ()):
        pairs = zip(asked, stored, strict=True)
        return [lost for one, other in pairs for lost in _lost(one, other, f"{path}[]")]
    return [] if asked == stored else [path]


# ---------------------------------------------------------------------- refused

POD = "spec.jobTemplate.spec.template.spec"
WRONG: list[tuple[dict[str, Any], str]] = [
    (cron_job(schedule=""), "spec.schedule: Required value"),
    (cron_job(schedule="61 * * * *"), 'spec.schedule: Invalid value: "61 * * * *": end of range'),
    (
        cron_job(concurrencyPolicy="Never"),
        'spec.concurrencyPolicy: Unsupported value: "Never": supported values: "Allow", "Forbid"',
    ),
    (
        cron_job(startingDeadlineSeconds=-1),
        "spec.startingDeadlineSeconds: Invalid value: -1: must be greater than or equal to 0",
    ),
    (cron_job("x" * 53), "must be no more than 52 characters"),
    (
        cron_job(jobTemplate={"spec": {"template": {"spec": pod_spec(restartPolicy="Always")}}}),
        f'{POD}.restartPolicy: Required value: valid values: "OnFailure", "Never"',
    ),
    (
        cron_job(jobTemplate={"spec": {"template": {"spec": pod_spec(containers=[])}}}),
        f"{POD}.containers: Required value",
    ),
    (
        cron_job(jobTemplate={"spec": {"template": {"spec": pod_spec(volumes=[{"name": "V"}])}}}),
        f'{POD}.volumes[0].name: Invalid value: "V"',
    ),
    (with_container(image=""), f"{POD}.containers[0].image: Required value"),
    (with_container(name=""), f"{POD}.containers[0].name: Required value"),
    (
        with_container(volumeMounts=[{"name": "tmp", "mountPath": "/tmp"}]),
        f'{POD}.containers[0].volumeMounts[0].name: Not found: "tmp"',
    ),
    (
        cron_job(
            jobTemplate={"spec": {"template": {"spec": pod_spec(containers=[ONE, dict(ONE)])}}}
        ),
        f'{POD}.containers[1].name: Duplicate value: "one"',
    ),
    (
        with_container(imagePullPolicy="Often"),
        f'{POD}.containers[0].imagePullPolicy: Unsupported value: "Often"',
    ),
    (with_container(env=[{"value": "x"}]), f"{POD}.containers[0].env[0].name: Required value"),
    (
        with_container(resources={"limits": {"memory": "much"}}),
        f'{POD}.containers[0].resources.limits[memory]: Invalid value: "much": quantities must',
    ),
    (
        with_container(ports=[{"containerPort": 99999}]),
        f"{POD}.containers[0].ports[0].containerPort: Invalid value: 99999",
    ),
]


@pytest.mark.parametrize(("wrong", "said"), WRONG, ids=lambda one: one if type(one) is str else "")
async def test_a_wrong_cron_job_is_refused(
    lab: InProcessLab, wrong: dict[str, Any], said: str
) -> None:
    """422 with the place and the reason, and nothing is stored."""
    reply = await lab.call("POST", CRON_JOBS, wrong)
    assert reply.code == 422
    assert said in reply.message
    assert lab.store.list("CronJob", "pets") == []


async def test_a_misspelt_field_deep_inside_is_named(lab: InProcessLab) -> None:
    """Strict validation looks into the pod's template."""
    wrong = with_container(securityContext={"runAsNonroot": True})
    reply = await lab.call("POST", f"{CRON_JOBS}?fieldValidation=Strict", wrong)
    assert reply.code == 400
    assert f'unknown field "{POD}.containers[0].securityContext.runAsNonroot"' in reply.message


async def test_a_value_of_the_wrong_type_is_refused(lab: InProcessLab) -> None:
    """Unlike a text where a number belongs, a quantity may be written as either."""
    reply = await lab.call("POST", JOBS, job(backoffLimit="6"))
    assert (reply.code, "cannot unmarshal string" in reply.message) == (400, True)
    for number, amount in enumerate(("0.5", 0.5, 1, "500m", "1Gi", "1e3")):
        asked = with_container(resources={"requests": {"cpu": amount}})
        asked["metadata"]["name"] = f"q{number}"
        assert (await lab.call("POST", CRON_JOBS, asked)).code == 201, amount


@pytest.mark.parametrize(
    ("schedule", "why"),
    [
        ("* * * * *", ""),
        ("0 10 * * 1-5", ""),
        ("*/5 0-12/3 1,15 jan-Mar SUN", ""),
        ("? ? ? ? ?", ""),
        ("@hourly", ""),
        ("@every 1h30m", ""),
        ("@never", "unrecognized descriptor: @never"),
        ("@every day", "unrecognized descriptor: @every day"),
        ("* * * *", "expected exactly 5 fields, found 4: [* * * *]"),
        ("TZ=UTC * * * * *", "cannot use TZ or CRON_TZ in schedule, use timeZone field instead"),
        ("* 24 * * *", "end of range (24) above maximum (23): 24"),
        ("* * 0 * *", "beginning of range (0) below minimum (1): 0"),
        ("5-1 * * * *", "beginning of range (5) beyond end of range (1): 5-1"),
        ("*/0 * * * *", "step of range should be a positive number: */0"),
        ("* * * * someday", 'failed to parse int from someday: strconv.Atoi: parsing "someday"'),
        ("a-b-c * * * *", "failed to parse int from a-b-c: invalid syntax"),
    ],
)
def test_a_schedule_is_read_as_cron_reads_it(schedule: str, why: str) -> None:
    """Five fields with ranges, steps, lists and names, or a word."""
    assert wrong_schedule(schedule) == why


# ---------------------------------------------------------------------- told


def test_every_field_of_a_server_is_known() -> None:
    """Names and types are those of the official client, but for what came after 1.33."""
    later = {
        *("evictionResponders", "fileKeyRef", "hostnameOverride", "restartPolicyRules"),
        *("scheduling", "schedulingGroup", "podCertificate", "bindMountOptions"),
        *("defaultUser", "user", "emptyDir.mode", "grpc.mode", "httpGet.protocol"),
    }
    missing = [
        place
        for schema, model in ((JOB, "V1Job"), (CRON_JOB, "V1CronJob"))
        for place in _differences(schema, model, "")
        if not any(place.endswith(f".{one}") for one in later)
    ]
    assert missing == []


PLAIN = {"str": "string", "int": "integer", "bool": "boolean"}


def _differences(schema: Field, model: str, path: str) -> Iterator[str]:
    """Where a schema differs from a model of the client."""
    found = getattr(models, model)
    for member, kind in found.openapi_types.items():
        name = found.attribute_map[member]
        place, described = f"{path}.{name}", schema.fields.get(name)
        if described is None:
            yield place
            continue
        inner = re.search(r"(Core)?V1\w+", kind)
        if described.type == "any" or kind == "V1ObjectMeta":
            continue
        if inner:
            if kind.startswith(("List", "list")):
                assert described.items is not None, place
                described = described.items
            if described.type == "any":
                continue
            yield from _differences(described, inner[0], place)
        elif kind in PLAIN and described.type != PLAIN[kind]:
            yield f"{place} is {described.type}, not {kind}"


def test_the_columns_of_jobs() -> None:
    """Schedule and the last run of a CronJob; how far a Job has come, and for how long it ran."""

    def row(kind: str, obj: dict[str, Any]) -> dict[str, Any]:
        obj = {**obj, "metadata": {"name": "x"}}
        columns = columns_of(BY_KIND[kind])
        return {one.name: one.cell(obj) for one in columns if one.name not in ("Name", "Age")}

    assert row("CronJob", cron_job(suspend=True)) == {
        "Schedule": "* * * * *",
        "Timezone": "<none>",
        "Suspend": "True",
        "Active": 0,
        "Last Schedule": "<none>",
        "Containers": "one",
        "Images": "busybox:1.36",
        "Selector": "<none>",
    }
    status = {
        "conditions": [{"type": "Complete", "status": "True"}],
        "succeeded": 1,
        "startTime": "2026-01-01T00:00:00Z",
        "completionTime": "2026-01-01T00:02:05Z",
    }
    done = row("Job", {**job(completions=1), "status": status})
    assert (done["Status"], done["Completions"], done["Duration"]) == ("Complete", "1/1", "2m5s")
    fresh = row("Job", job(parallelism=2))
    assert (fresh["Status"], fresh["Completions"], fresh["Duration"]) == ("Running", "0/1 of 2", "")


async def test_clients_are_told_how_lists_merge(lab: InProcessLab) -> None:
    """OpenAPI says by what the lists of a pod's template merge, and of which types quantities."""
    found = (await lab.call("GET", "/openapi/v3/apis/batch/v1")).body
    if isinstance(found, str | bytes):
        found = yaml.safe_load(found)
    template = found["components"]["schemas"]["io.k8s.api.batch.v1.Job"]["properties"]["spec"]
    pod = template["properties"]["template"]["properties"]["spec"]["properties"]
    containers = pod["containers"]
    assert containers["x-kubernetes-list-map-keys"] == ["name"]
    assert containers["x-kubernetes-patch-merge-key"] == "name"
    assert pod["volumes"]["x-kubernetes-patch-strategy"] == "merge,retainKeys"
    limits = containers["items"]["properties"]["resources"]["properties"]["limits"]
    assert limits["additionalProperties"] == {"oneOf": [{"type": "string"}, {"type": "number"}]}
