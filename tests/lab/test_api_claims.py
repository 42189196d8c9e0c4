"""Claims of volumes, and Jobs whose pods have an index: stored and refused as a server does it."""

from typing import Any

import pytest
from conftest import InProcessLab, Reply
from kubernetes.client import models

from acns_chaos.lab.api.kinds.resources import BY_KIND
from acns_chaos.lab.api.kinds.volume_kinds import CLAIM
from acns_chaos.lab.api.reading.columns import columns_of

CLAIMS = "/api/v1/namespaces/pets/persistentvolumeclaims"
JOBS = "/apis/batch/v1/namespaces/pets/jobs"


def claim(**spec: Any) -> dict[str, Any]:
    """A claim of 1 GiB."""
    filled = {
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": "1Gi"}},
        **spec,
    }
    kind = "PersistentVolumeClaim"
    return {"apiVersion": "v1", "kind": kind, "metadata": {"name": "days"}, "spec": filled}


def indexed(name: str = "shards", restart: str = "Never", **spec: Any) -> dict[str, Any]:
    """A Job of three indices."""
    pod = {"restartPolicy": restart, "containers": [{"name": "one", "image": "busybox:1.36"}]}
    filled = {"completionMode": "Indexed", "completions": 3, "template": {"spec": pod}, **spec}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name}, "spec": filled}


def said(reply: Reply) -> str:
    """What a refusal says, in one text."""
    return str(reply.body["message"])


async def test_a_claim_waits_for_ever(lab: InProcessLab) -> None:
    """It is stored, filled in and Pending; no volume comes in the lab."""
    made = (await lab.call("POST", CLAIMS, claim())).body
    assert made["spec"]["volumeMode"] == "Filesystem"
    assert made["status"] == {"phase": "Pending"}
    columns = {one.name: one.cell(made) for one in columns_of(BY_KIND["PersistentVolumeClaim"])}
    assert (columns["Status"], columns["Access Modes"]) == ("Pending", "")


async def test_a_claim_may_only_grow(lab: InProcessLab) -> None:
    """How much is asked for may change, of which kind may not."""
    await lab.call("POST", CLAIMS, claim())
    more = claim(resources={"requests": {"storage": "2Gi"}})
    assert (await lab.call("PUT", f"{CLAIMS}/days", more)).code == 200
    reply = await lab.call("PUT", f"{CLAIMS}/days", claim(accessModes=["ReadWriteMany"]))
    assert (reply.code, "spec is immutable after creation" in said(reply)) == (422, True)


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"accessModes": []}, "spec.accessModes: Required value"),
        ({"accessModes": ["ReadWriteTwice"]}, "spec.accessModes: Unsupported value"),
        ({"resources": {}}, "spec.resources[storage]: Required value"),
        ({"resources": {"requests": {"storage": "0"}}}, "must be greater than zero"),
        ({"volumeMode": "Heap"}, "spec.volumeMode: Unsupported value"),
    ],
)
async def test_a_wrong_claim_is_refused(
    lab: InProcessLab, wrong: dict[str, Any], told: str
) -> None:
    """What people get wrong is named, in a server's words."""
    reply = await lab.call("POST", CLAIMS, claim(**wrong))
    assert (reply.code, told in said(reply)) == (422, True), said(reply)


def test_every_field_of_a_claim_is_known() -> None:
    """The schema has the members that the official client has, and no other."""
    for schema, model in (
        (CLAIM.fields["spec"], models.V1PersistentVolumeClaimSpec),
        (CLAIM.fields["spec"].fields["resources"], models.V1VolumeResourceRequirements),
    ):
        assert set(schema.fields) == set(model.attribute_map.values())


async def test_what_may_fail_index_by_index_has_no_limit_as_a_whole(lab: InProcessLab) -> None:
    """`backoffLimitPerIndex` without `backoffLimit`: the largest there is, not 6."""
    made = await lab.call("POST", JOBS, indexed(backoffLimitPerIndex=0))
    assert (made.code, made.body["spec"]["backoffLimit"]) == (201, 2147483647)


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (indexed(completions=None, parallelism=2), "spec.completions: Required value"),
        (indexed(parallelism=100_001), "must be less than or equal to 100000"),
        (indexed(name="s" * 62), "invalid DNS label"),
        (
            indexed(completionMode="NonIndexed", backoffLimitPerIndex=0),
            "requires indexed completion mode",
        ),
        (
            indexed(
                restart="OnFailure",
                podFailurePolicy={
                    "rules": [
                        {"action": "FailJob", "onExitCodes": {"operator": "In", "values": [7]}}
                    ]
                },
            ),
            'only "Never" is supported when podFailurePolicy is specified',
        ),
    ],
)
async def test_a_wrong_indexed_job_is_refused(
    lab: InProcessLab, wrong: dict[str, Any], told: str
) -> None:
    """What a shard's Job must not be is refused."""
    reply = await lab.call("POST", JOBS, wrong)
    assert (reply.code, told in said(reply)) == (422, True), said(reply)
