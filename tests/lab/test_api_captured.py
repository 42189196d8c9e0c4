"""What a real API server answered to awkward policies, held against the lab's answers.

`captured_writes.json` holds the facts: spec sent by a plain POST, code, message, Warning header,
stored spec, message of the Valid condition.
"""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from conftest import CNP, InProcessLab, policy

CASES = json.loads((Path(__file__).parent / "captured_writes.json").read_text())


async def condition(lab: InProcessLab, name: str) -> dict[str, Any]:
    """The Valid condition of a policy, once the operator has written it."""
    async with asyncio.timeout(2):
        while True:
            found = lab.store.get("CiliumNetworkPolicy", "pets", name)
            for one in found.get("status", {}).get("conditions", []):
                return dict(one)
            await asyncio.sleep(0.002)


@pytest.mark.parametrize("case", CASES, ids=[case["case"] for case in CASES])
async def test_answers_as_the_real_server_did(lab: InProcessLab, case: dict[str, Any]) -> None:
    """Code, message, warning, stored spec and condition are those that a real cluster gave."""
    body = policy(case["case"])
    del body["spec"]
    if case["spec"] is not None:
        body["spec"] = case["spec"]
    reply = await lab.call("POST", CNP, body)
    assert reply.code == case["code"]
    assert reply.body.get("message") == case["message"]
    assert reply.headers.get("Warning") == case["warning"]
    if case["code"] == 201:
        stored = lab.store.get("CiliumNetworkPolicy", "pets", case["case"])
        assert stored.get("spec") == case["stored"]
        assert (await condition(lab, case["case"]))["message"] == case["condition"]
        wanted = "True" if case["condition"] == "Policy validation succeeded" else "False"
        assert (await condition(lab, case["case"]))["status"] == wanted
    else:
        assert lab.store.find("CiliumNetworkPolicy", "pets", case["case"]) is None


@pytest.mark.parametrize(
    "case", [case for case in CASES if case["warning"]], ids=lambda case: str(case["case"])
)
async def test_strict_refuses_what_would_be_dropped(
    lab: InProcessLab, case: dict[str, Any]
) -> None:
    """Under fieldValidation=Strict each field that would vanish is an error that names it."""
    body = {**policy(case["case"]), "spec": case["spec"]}
    reply = await lab.call("POST", f"{CNP}?fieldValidation=Strict", body)
    field = case["warning"].split('\\"')[1]
    assert reply.code == 400
    assert reply.message == (
        'CiliumNetworkPolicy in version "v2" cannot be handled as a CiliumNetworkPolicy: '
        f'strict decoding error: unknown field "{field}"'
    )
    assert lab.store.find("CiliumNetworkPolicy", "pets", case["case"]) is None


async def test_a_put_that_turns_out_invalid_flips_the_condition(lab: InProcessLab) -> None:
    """The status goes to False within a second, and the time moves only when the status flips."""
    await lab.call("POST", CNP, policy())
    first = await condition(lab, "open")
    assert (first["status"], first["message"]) == ("True", "Policy validation succeeded")
    lab.store.write_status(
        "CiliumNetworkPolicy",
        "pets",
        "open",
        {"conditions": [{**first, "lastTransitionTime": "2020-01-01T00:00:00Z"}]},
    )
    stored = lab.store.get("CiliumNetworkPolicy", "pets", "open")
    stored["spec"]["description"] = "still valid"
    await lab.call("PUT", f"{CNP}/open", stored)
    await asyncio.sleep(0.05)  # long enough for the operator to have judged twice
    assert (await condition(lab, "open"))["lastTransitionTime"] == "2020-01-01T00:00:00Z"
    stored = lab.store.get("CiliumNetworkPolicy", "pets", "open")
    stored["spec"]["ingress"][0]["toPorts"] = [{"ports": [{"port": "70000", "protocol": "TCP"}]}]
    reply = await lab.call("PUT", f"{CNP}/open", stored)
    assert reply.code == 200
    async with asyncio.timeout(1):
        while (await condition(lab, "open"))["status"] == "True":
            await asyncio.sleep(0.002)
    flipped = await condition(lab, "open")
    assert flipped["message"] == (
        'unable to parse port: strconv.ParseUint: parsing "70000": value out of range'
    )
    assert flipped["lastTransitionTime"] > "2026-01-01T00:00:00Z"


async def test_the_condition_comes_after_the_write_and_not_with_it(lab: InProcessLab) -> None:
    """The answer to a create has no status; the operator adds it some milliseconds later."""
    started = asyncio.get_running_loop().time()
    reply = await lab.call("POST", CNP, policy())
    assert "status" not in reply.body
    await condition(lab, "open")
    assert 0.009 <= asyncio.get_running_loop().time() - started < 1


async def test_merge_patch_merges_and_put_replaces(lab: InProcessLab) -> None:
    """A merge patch leaves the old sections beside the new one; a PUT puts exactly its contents."""
    sections = {"ingress": [{"fromEntities": ["world"]}], "egress": [{"toEntities": ["all"]}]}
    denied = {"ingressDeny": [{"fromEntities": ["world"]}]}
    await lab.call("POST", CNP, policy(**sections))
    reply = await lab.patch(f"{CNP}/open", {"spec": policy(**denied)["spec"]})
    assert sorted(reply.body["spec"]) == ["egress", "endpointSelector", "ingress", "ingressDeny"]
    assert reply.body["metadata"]["generation"] == 2
    replacement = policy(**denied)
    stored = lab.store.get("CiliumNetworkPolicy", "pets", "open")
    replacement["metadata"]["resourceVersion"] = stored["metadata"]["resourceVersion"]
    reply = await lab.call("PUT", f"{CNP}/open", replacement)
    assert sorted(reply.body["spec"]) == ["endpointSelector", "ingressDeny"]
    assert reply.body["metadata"]["generation"] == 3


async def test_a_put_with_a_stale_version_is_a_conflict(lab: InProcessLab) -> None:
    """A PUT with an old resourceVersion is refused with 409 and changes nothing."""
    await lab.call("POST", CNP, policy())
    stale = lab.store.get("CiliumNetworkPolicy", "pets", "open")
    await condition(lab, "open")
    stale["spec"]["ingress"] = [{}]
    reply = await lab.call("PUT", f"{CNP}/open", stale)
    assert (reply.code, reply.body["reason"]) == (409, "Conflict")
    assert reply.message == (
        'Operation cannot be fulfilled on ciliumnetworkpolicies.cilium.io "open": the object has '
        "been modified; please apply your changes to the latest version and try again"
    )
    now = lab.store.get("CiliumNetworkPolicy", "pets", "open")
    assert now["spec"]["ingress"] == [{"fromEntities": ["world"]}]


async def test_a_put_without_a_version_is_refused(lab: InProcessLab) -> None:
    """A custom resource must be updated with a resourceVersion: 422 says so."""
    await lab.call("POST", CNP, policy())
    reply = await lab.call("PUT", f"{CNP}/open", policy(ingress=[{}]))
    assert (reply.code, reply.body["reason"]) == (422, "Invalid")
    assert reply.message == (
        'ciliumnetworkpolicies.cilium.io "open" is invalid: metadata.resourceVersion: Invalid '
        "value: 0: must be specified for an update"
    )


async def test_a_put_of_the_same_changes_nothing(lab: InProcessLab) -> None:
    """A PUT of equal contents keeps generation and resourceVersion, and makes no event."""
    await lab.call("POST", CNP, policy())
    await condition(lab, "open")
    stored = lab.store.get("CiliumNetworkPolicy", "pets", "open")
    revision = lab.store.revision
    reply = await lab.call("PUT", f"{CNP}/open", stored)
    assert reply.code == 200
    assert reply.body["metadata"]["generation"] == 1
    assert reply.body["metadata"]["resourceVersion"] == stored["metadata"]["resourceVersion"]
    assert lab.store.revision == revision


@pytest.mark.parametrize(
    ("kind", "path"),
    [
        ("CiliumNetworkPolicy", CNP),
        (
            "CiliumClusterwideNetworkPolicy",
            "/apis/cilium.io/v2/ciliumclusterwidenetworkpolicies",
        ),
    ],
)
async def test_a_node_selector_is_valid_to_the_operator(
    lab: InProcessLab, kind: str, path: str
) -> None:
    """Both kinds with a nodeSelector are stored and Valid; only agents refuse it in the first."""
    body = {
        "apiVersion": "cilium.io/v2",
        "kind": kind,
        "metadata": {"name": "nodes"},
        "spec": {"nodeSelector": {}, "ingress": [{"fromEntities": ["cluster"]}]},
    }
    reply = await lab.call("POST", path, body)
    assert reply.code == 201
    assert reply.body["metadata"].get("namespace") == ("pets" if path == CNP else None)
    async with asyncio.timeout(2):
        while True:
            found = (await lab.call("GET", f"{path}/nodes")).body
            if "status" in found:
                break
    assert found["status"]["conditions"][0]["status"] == "True"


async def test_every_rule_of_a_list_is_validated(lab: InProcessLab) -> None:
    """The items of specs follow the same schema, and problems name their place."""
    good = policy()["spec"]
    body = {**policy(), "specs": [good, {**good, "ingress": [{"fromCIDR": ["10.0.0.1"]}]}]}
    del body["spec"]
    reply = await lab.call("POST", CNP, body)
    assert reply.message == (
        'CiliumNetworkPolicy.cilium.io "open" is invalid: specs[1].ingress[0].fromCIDR[0]: '
        'Invalid value: "10.0.0.1": specs[1].ingress[0].fromCIDR[0] in body must be of type '
        'cidr: "10.0.0.1"'
    )


@pytest.mark.parametrize(
    ("rule", "problem"),
    [
        (
            {"toPorts": [{"ports": [{"port": str(number)} for number in range(41)]}]},
            "spec.ingress[0].toPorts[0].ports: Too many: 41: must have at most 40 items",
        ),
        (
            {"fromRequires": ["x"]},
            "spec.ingress[0].fromRequires: Too many: 1: must have at most 0 items",
        ),
        (
            {"toPorts": [{"rules": {}}]},
            (
                '<nil>: Invalid value: "": "spec.ingress[0].toPorts[0].rules" must validate one '
                "and only one schema (oneOf). Found none valid"
            ),
        ),
        (
            {"toPorts": [{"serverNames": []}]},
            "spec.ingress[0].toPorts[0].serverNames in body should have at least 1 items",
        ),
        (
            {"icmps": [{"fields": [{"type": "Nonsense"}]}]},
            "spec.ingress[0].icmps[0].fields[0].type in body should match '^([0-9]|[1-9][0-9]|",
        ),
        (
            {"toPorts": [{"ports": [{"port": "1", "endPort": 65536}]}]},
            "endPort in body should be less than or equal to 65535",
        ),
        (
            {"authentication": {}},
            "spec.ingress[0].authentication.mode: Required value",
        ),
        (
            {"fromCIDRSet": [{"cidr": "10.0.0.0/8", "cidrGroupRef": "g"}]},
            (
                '"spec.ingress[0].fromCIDRSet[0]" must validate one and only one schema (oneOf). '
                "Found 2 valid alternatives"
            ),
        ),
    ],
)
async def test_other_limits_of_the_definition(
    lab: InProcessLab, rule: dict[str, Any], problem: str
) -> None:
    """Counts, alternatives, names and required members of the definition are refused with 422."""
    reply = await lab.call("POST", CNP, policy(ingress=[rule]))
    assert (reply.code, problem in reply.message) == (422, True), reply.message
