"""Creating, reading, replacing and deleting objects, as an API server does it."""

import asyncio
import base64
from typing import Any

import pytest
from conftest import CNP, CONFIG_MAPS, InProcessLab, config_map, policy

LEASES = "/apis/coordination.k8s.io/v1/namespaces/pets/leases"


async def test_create_sets_what_only_the_server_sets(lab: InProcessLab) -> None:
    """uid, resourceVersion, creationTimestamp and generation come from the server."""
    body = policy()
    body["metadata"] |= {
        "uid": "mine",
        "generation": 7,
        "deletionTimestamp": "2001-01-01T00:00:00Z",
    }
    body["status"] = {"conditions": []}
    reply = await lab.call("POST", CNP, body)
    metadata = reply.body["metadata"]
    assert reply.code == 201
    assert len(metadata["uid"]) == 36
    assert int(metadata["resourceVersion"]) == lab.store.revision
    assert metadata["creationTimestamp"] > "2026-01-01T00:00:00Z"
    assert metadata["generation"] == 1
    assert metadata["namespace"] == "pets"
    assert "deletionTimestamp" not in metadata
    assert "status" not in reply.body


async def test_create_again_is_already_there(lab: InProcessLab) -> None:
    """A second create of the same name is a 409 with the server's wording."""
    await lab.call("POST", CNP, policy())
    reply = await lab.call("POST", CNP, policy())
    assert (reply.code, reply.body["reason"]) == (409, "AlreadyExists")
    assert reply.message == 'ciliumnetworkpolicies.cilium.io "open" already exists'
    assert reply.body["details"] == {
        "name": "open",
        "group": "cilium.io",
        "kind": "ciliumnetworkpolicies",
    }


async def test_generate_name_adds_five_characters(lab: InProcessLab) -> None:
    """metadata.generateName makes a new name each time."""
    body = config_map()
    body["metadata"] = {"generateName": "run-"}
    names = {(await lab.call("POST", CONFIG_MAPS, body)).body["metadata"]["name"] for _ in "ab"}
    assert len(names) == 2
    assert all(name.startswith("run-") and len(name) == 9 for name in names)


async def test_create_in_a_missing_namespace(lab: InProcessLab) -> None:
    """The namespace must exist: the 404 names it."""
    reply = await lab.call("POST", CONFIG_MAPS.replace("pets", "nowhere"), config_map())
    assert (reply.code, reply.message) == (404, 'namespaces "nowhere" not found')


async def test_create_with_a_resource_version(lab: InProcessLab) -> None:
    """An object that carries a resourceVersion cannot be created."""
    body = config_map()
    body["metadata"]["resourceVersion"] = "7"
    reply = await lab.call("POST", CONFIG_MAPS, body)
    assert reply.code == 500
    assert reply.message == "resourceVersion should not be set on objects to be created"


async def test_get_of_a_missing_object(lab: InProcessLab) -> None:
    """A 404 names resource, group and object."""
    reply = await lab.call("GET", f"{CNP}/none")
    assert (reply.code, reply.body["reason"]) == (404, "NotFound")
    assert reply.message == 'ciliumnetworkpolicies.cilium.io "none" not found'
    assert (await lab.call("GET", f"{CONFIG_MAPS}/none")).message == 'configmaps "none" not found'


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"apiVersion": "cilium.io/v1"},
            (
                "the API version in the data (cilium.io/v1) does not match the expected API "
                "version (cilium.io/v2)"
            ),
        ),
        (
            {"kind": "CiliumEndpoint"},
            'CiliumEndpoint.cilium.io "open" is invalid',
        ),
        (
            {"metadata": {"name": "open", "namespace": "other"}},
            "the namespace of the provided object does not match the namespace sent on the request",
        ),
        ({"metadata": {}}, "metadata.name: Required value: name or generateName is required"),
        (
            {"metadata": {"name": "open", "labels": {"tier": "a b"}}},
            'metadata.labels: Invalid value: "a b": a valid label must be an empty string',
        ),
        (
            {"metadata": {"name": "open", "annotations": {"big": "x" * 262144}}},
            "metadata.annotations: Too long: may not be more than 262144 bytes",
        ),
        (
            {"metadata": {"name": "open", "labels": {"tier": 1}}},
            (
                "json: cannot unmarshal number into Go struct field ObjectMeta.metadata.labels of "
                "type string"
            ),
        ),
    ],
)
async def test_what_does_not_fit_the_path_or_the_rules(
    lab: InProcessLab, change: dict[str, Any], message: str
) -> None:
    """Another version, kind, namespace, or bad metadata is refused with the server's reason."""
    reply = await lab.call("POST", CNP, {**policy(), **change})
    assert reply.code in {400, 422}
    if change.get("kind"):
        message = 'kind: Invalid value: "CiliumEndpoint": must be CiliumNetworkPolicy'
    assert message in reply.message


async def test_nulls_are_dropped_and_empty_lists_stay(lab: InProcessLab) -> None:
    """A null equals absence in a custom resource; an empty list is kept, because it means deny."""
    await lab.call("POST", CNP, policy(ingress=[{"fromEndpoints": [], "toPorts": None}]))
    stored = lab.store.get("CiliumNetworkPolicy", "pets", "open")
    assert stored["spec"]["ingress"] == [{"fromEndpoints": []}]
    reply = await lab.call("POST", CNP, policy("other", ingress=[None]))
    assert reply.code == 422
    assert 'spec.ingress[0] in body must be of type object: "null"' in reply.message


async def test_defaults_of_the_definition_are_stored(lab: InProcessLab) -> None:
    """An ICMP field without a family is stored as IPv4."""
    await lab.call("POST", CNP, policy(ingress=[{"icmps": [{"fields": [{"type": 8}]}]}]))
    stored = lab.store.get("CiliumNetworkPolicy", "pets", "open")
    assert stored["spec"]["ingress"][0]["icmps"] == [{"fields": [{"type": 8, "family": "IPv4"}]}]


async def test_unknown_fields_can_be_ignored_silently(lab: InProcessLab) -> None:
    """fieldValidation=Ignore drops unknown fields without a warning."""
    reply = await lab.call(
        "POST", f"{CNP}?fieldValidation=Ignore", policy(ingress=[{"fromEntitys": ["world"]}])
    )
    assert (reply.code, reply.body["spec"]["ingress"]) == (201, [{}])
    assert "Warning" not in reply.headers


async def test_each_unknown_field_has_its_own_warning(lab: InProcessLab) -> None:
    """Two unknown fields make two Warning headers, one of them about metadata."""
    body = policy(ingress=[{}], ingresss=[])
    body["metadata"]["color"] = "red"
    reply = await lab.call("POST", CNP, body)
    assert reply.headers.getall("Warning") == [
        '299 - "unknown field \\"spec.ingresss\\""',
        '299 - "unknown field \\"metadata.color\\""',
    ]
    assert "color" not in lab.store.get("CiliumNetworkPolicy", "pets", "open")["metadata"]


async def test_built_in_kinds_refuse_unknown_fields_too(lab: InProcessLab) -> None:
    """A misspelt member of a ConfigMap is dropped with a warning, or refused under Strict."""
    body = {**config_map(), "dataa": {"x": "y"}}
    reply = await lab.call("POST", f"{CONFIG_MAPS}?fieldValidation=Strict", body)
    assert reply.message == (
        'ConfigMap in version "v1" cannot be handled as a ConfigMap: strict decoding error: '
        'unknown field "dataa"'
    )
    reply = await lab.call("POST", CONFIG_MAPS, body)
    assert (reply.code, "dataa" in reply.body) == (201, False)
    assert reply.headers["Warning"] == '299 - "unknown field \\"dataa\\""'


async def test_built_in_kinds_refuse_wrong_types(lab: InProcessLab) -> None:
    """A number where a string belongs is a decoding error that names the field."""
    reply = await lab.call("POST", CONFIG_MAPS, {**config_map(), "data": {"x": 1}})
    assert (reply.code, reply.message) == (
        400,
        (
            'ConfigMap in version "v1" cannot be handled as a ConfigMap: json: cannot unmarshal '
            "number into Go struct field ConfigMap.data of type string"
        ),
    )


async def test_a_config_map_has_a_size(lab: InProcessLab) -> None:
    """More than 1 MiB of data is too long, one byte less than that is not."""
    reply = await lab.call("POST", CONFIG_MAPS, config_map(big="x" * (1024 * 1024 + 1)))
    assert reply.code == 422
    assert reply.message.endswith("[]: Too long: may not be more than 1048576 bytes")
    reply = await lab.call("POST", CONFIG_MAPS, config_map(big="x" * (1024 * 1024)))
    assert reply.code == 201


async def test_a_body_has_a_size(lab: InProcessLab) -> None:
    """A body above 3 MiB is refused before it is read."""
    reply = await lab.call("POST", CONFIG_MAPS, b" " * (3 * 1024 * 1024 + 1))
    assert (reply.code, reply.message) == (
        413,
        "Request entity too large: limit is 3145728",
    )


async def test_string_data_of_a_secret_is_encoded(lab: InProcessLab) -> None:
    """The stringData of a Secret becomes base64 data, and the type Opaque is filled in."""
    body = {"metadata": {"name": "key"}, "stringData": {"word": "geheim"}}
    reply = await lab.call("POST", "/api/v1/namespaces/pets/secrets", body)
    assert reply.body["data"] == {"word": base64.b64encode(b"geheim").decode()}
    assert reply.body["type"] == "Opaque"
    assert "stringData" not in reply.body


async def test_an_immutable_config_map_stays(lab: InProcessLab) -> None:
    """A ConfigMap that says immutable cannot get other data."""
    await lab.call("POST", CONFIG_MAPS, {**config_map(), "immutable": True})
    reply = await lab.patch(f"{CONFIG_MAPS}/settings", {"data": {"colour": "red"}})
    assert reply.code == 422
    assert "data: Forbidden: field is immutable when `immutable` is set" in reply.message


async def test_generation_counts_changes_of_the_spec_only(lab: InProcessLab) -> None:
    """A label leaves generation alone, a new spec adds one."""
    await lab.call("POST", CNP, policy())
    reply = await lab.patch(f"{CNP}/open", {"metadata": {"labels": {"tier": "front"}}})
    assert reply.body["metadata"]["generation"] == 1
    reply = await lab.patch(f"{CNP}/open", {"spec": {"description": "x"}})
    assert reply.body["metadata"]["generation"] == 2


async def test_put_keeps_what_only_the_server_sets(lab: InProcessLab) -> None:
    """A PUT cannot change uid, creationTimestamp, generation or status, only spec and labels."""
    created = (await lab.call("POST", CNP, policy())).body
    lab.store.write_status("CiliumNetworkPolicy", "pets", "open", {"conditions": []})
    body = lab.store.get("CiliumNetworkPolicy", "pets", "open")
    body["metadata"] |= {"creationTimestamp": "2001-01-01T00:00:00Z", "generation": 99}
    body["metadata"]["labels"] = {"tier": "front"}
    body["status"] = {"conditions": [{"type": "Valid", "status": "False"}]}
    reply = await lab.call("PUT", f"{CNP}/open", body)
    for key in ("uid", "creationTimestamp", "generation"):
        assert reply.body["metadata"][key] == created["metadata"][key]
    assert reply.body["metadata"]["labels"] == {"tier": "front"}
    assert reply.body["status"] == {"conditions": []}


async def test_put_with_another_uid_is_a_conflict(lab: InProcessLab) -> None:
    """A body of an object that was deleted and made again is refused."""
    body = (await lab.call("POST", CONFIG_MAPS, config_map())).body
    body["metadata"]["uid"] = "another"
    reply = await lab.call("PUT", f"{CONFIG_MAPS}/settings", body)
    assert reply.code == 409
    assert "Precondition failed: UID in precondition: another, UID in object meta:" in reply.message


async def test_put_under_another_name_is_refused(lab: InProcessLab) -> None:
    """The name of the body must be the name of the URL."""
    await lab.call("POST", CONFIG_MAPS, config_map())
    reply = await lab.call("PUT", f"{CONFIG_MAPS}/settings", config_map("others"))
    assert (reply.code, reply.message) == (
        400,
        "the name of the object (others) does not match the name on the URL (settings)",
    )


async def test_some_built_in_kinds_update_without_a_version(lab: InProcessLab) -> None:
    """A ConfigMap may be replaced blindly, a Lease may not; PUT creates a missing Lease."""
    await lab.call("POST", CONFIG_MAPS, config_map())
    reply = await lab.call("PUT", f"{CONFIG_MAPS}/settings", config_map(colour="red"))
    assert (reply.code, reply.body["data"]) == (200, {"colour": "red"})
    lease = {"metadata": {"name": "lock"}, "spec": {"holderIdentity": "me"}}
    assert (await lab.call("PUT", f"{LEASES}/lock", lease)).code == 201
    reply = await lab.call("PUT", f"{LEASES}/lock", lease)
    assert reply.message == (
        'leases.coordination.k8s.io "lock" is invalid: metadata.resourceVersion: Invalid value: '
        "0: must be specified for an update"
    )
    assert (await lab.call("PUT", f"{CONFIG_MAPS}/none", config_map("none"))).code == 404


async def test_a_lease_must_last(lab: InProcessLab) -> None:
    """A leaseDurationSeconds below one is invalid."""
    body = {"metadata": {"name": "lock"}, "spec": {"leaseDurationSeconds": 0}}
    reply = await lab.call("POST", LEASES, body)
    assert reply.message == (
        'Lease.coordination.k8s.io "lock" is invalid: spec.leaseDurationSeconds: Invalid value: '
        "0: must be greater than 0"
    )


async def test_status_is_written_through_its_own_path(lab: InProcessLab) -> None:
    """PUT of …/status changes the status and nothing else."""
    body = (await lab.call("POST", CNP, policy())).body
    body["status"] = {"conditions": [{"type": "Seen", "status": "True"}]}
    body["spec"] = policy(ingress=[{}])["spec"]
    body["metadata"]["labels"] = {"tier": "front"}
    reply = await lab.call("PUT", f"{CNP}/open/status", body)
    assert reply.body["status"]["conditions"] == [{"type": "Seen", "status": "True"}]
    assert reply.body["spec"]["ingress"] == [{"fromEntities": ["world"]}]
    assert "labels" not in reply.body["metadata"]
    assert reply.body["metadata"]["generation"] == 1


async def test_dry_runs_store_nothing(lab: InProcessLab) -> None:
    """dryRun=All validates and answers like the real write, on every writing verb."""
    reply = await lab.call("POST", f"{CNP}?dryRun=All", policy())
    assert (reply.code, reply.body["metadata"]["generation"]) == (201, 1)
    assert "resourceVersion" not in reply.body["metadata"]
    assert lab.store.find("CiliumNetworkPolicy", "pets", "open") is None
    assert (await lab.call("POST", f"{CNP}?dryRun=All", policy(ingress=7))).code == 422
    await lab.call("POST", CNP, policy())
    async with asyncio.timeout(5):  # the operator writes the status a moment later
        while "status" not in lab.store.get("CiliumNetworkPolicy", "pets", "open"):
            await asyncio.sleep(0.005)
    before, revision = lab.store.get("CiliumNetworkPolicy", "pets", "open"), lab.store.revision
    denied = {**before, "spec": policy(ingress=[{}])["spec"]}
    reply = await lab.call("PUT", f"{CNP}/open?dryRun=All", denied)
    assert (reply.body["spec"]["ingress"], reply.body["metadata"]["generation"]) == ([{}], 2)
    assert (await lab.patch(f"{CNP}/open?dryRun=All", {"spec": {"ingress": []}})).code == 200
    assert (await lab.call("DELETE", f"{CNP}/open?dryRun=All")).code == 200
    assert (await lab.call("DELETE", f"{CNP}?dryRun=All")).code == 200
    assert (await lab.call("DELETE", f"{CNP}/open", {"dryRun": ["All"]})).code == 200
    assert lab.store.get("CiliumNetworkPolicy", "pets", "open") == before
    assert lab.store.revision == revision


async def test_managed_fields_name_the_writer(lab: InProcessLab) -> None:
    """fieldManager, or else the User-Agent, owns the fields that it wrote last."""
    await lab.call("POST", f"{CNP}?fieldManager=author", policy())
    denied = {"spec": {"ingress": [{}]}, "metadata": {"labels": {"broken-by": "chaos"}}}
    reply = await lab.patch(f"{CNP}/open?fieldManager=chaos", denied)
    entries = {entry["manager"]: entry for entry in reply.body["metadata"]["managedFields"]}
    assert entries["chaos"]["fieldsV1"] == {
        "f:metadata": {"f:labels": {".": {}, "f:broken-by": {}}},
        "f:spec": {"f:ingress": {}},
    }
    assert entries["author"]["fieldsV1"] == {"f:spec": {".": {}, "f:endpointSelector": {}}}
    assert entries["author"]["operation"] == "Update"
    reply = await lab.call("POST", CONFIG_MAPS, config_map())
    assert reply.body["metadata"]["managedFields"][0]["manager"] == "tests"


async def test_delete_answers_and_removes(lab: InProcessLab) -> None:
    """DELETE answers Success with the uid; a second one is a 404."""
    created = (await lab.call("POST", CNP, policy())).body
    reply = await lab.call("DELETE", f"{CNP}/open")
    assert (reply.code, reply.body["status"]) == (200, "Success")
    assert reply.body["details"]["uid"] == created["metadata"]["uid"]
    assert (await lab.call("DELETE", f"{CNP}/open")).code == 404


async def test_delete_holds_its_preconditions(lab: InProcessLab) -> None:
    """A uid or resourceVersion that is not the object's is a 409, and the object stays."""
    created = (await lab.call("POST", CNP, policy())).body["metadata"]
    reply = await lab.call("DELETE", f"{CNP}/open", {"preconditions": {"uid": "another"}})
    assert reply.code == 409
    assert "the UID in the precondition (another) does not match the UID in record" in reply.message
    stale = {"preconditions": {"uid": created["uid"], "resourceVersion": "1"}}
    reply = await lab.call("DELETE", f"{CNP}/open", stale)
    assert reply.code == 409
    assert "the ResourceVersion in the precondition (1) does not match" in reply.message
    fresh = {"preconditions": {"uid": created["uid"]}}
    assert (await lab.call("DELETE", f"{CNP}/open", fresh)).code == 200


async def test_a_finalizer_holds_an_object(lab: InProcessLab) -> None:
    """A deleted object with a finalizer stays, marked, until the finalizer is taken away."""
    body = config_map()
    body["metadata"]["finalizers"] = ["example.com/hold"]
    await lab.call("POST", CONFIG_MAPS, body)
    reply = await lab.call("DELETE", f"{CONFIG_MAPS}/settings")
    assert reply.body["metadata"]["deletionTimestamp"] > "2026"
    assert (await lab.call("GET", f"{CONFIG_MAPS}/settings")).code == 200
    await lab.patch(f"{CONFIG_MAPS}/settings", {"metadata": {"finalizers": None}})
    assert (await lab.call("GET", f"{CONFIG_MAPS}/settings")).code == 404


async def test_delete_collection_deletes_what_is_selected(lab: InProcessLab) -> None:
    """DELETE of a collection honours labelSelector."""
    for name in ("one", "two"):
        body = config_map(name)
        body["metadata"]["labels"] = {"name": name}
        await lab.call("POST", CONFIG_MAPS, body)
    reply = await lab.call("DELETE", f"{CONFIG_MAPS}?labelSelector=name%3Done")
    assert [item["metadata"]["name"] for item in reply.body["items"]] == ["one"]
    assert [obj["metadata"]["name"] for obj in lab.store.list("ConfigMap")] == ["two"]


async def test_a_namespace_takes_its_contents_along(lab: InProcessLab) -> None:
    """Deleting a namespace deletes what is in it; kube-system cannot be deleted."""
    await lab.call("POST", CONFIG_MAPS.replace("pets", "other"), config_map())
    await lab.call("POST", CONFIG_MAPS, config_map())
    reply = await lab.call("DELETE", "/api/v1/namespaces/other")
    assert reply.body["status"]["phase"] == "Terminating"
    assert [obj["metadata"]["namespace"] for obj in lab.store.list("ConfigMap")] == ["pets"]
    reply = await lab.call("DELETE", "/api/v1/namespaces/kube-system")
    assert (reply.code, reply.message) == (
        403,
        'namespaces "kube-system" is forbidden: this namespace may not be deleted',
    )


async def test_a_namespace_with_pods_stays(lab: InProcessLab) -> None:
    """Pods cannot be deleted here, so neither can what they are in: nothing is done by halves."""
    reply = await lab.call("DELETE", "/api/v1/namespaces/pets")
    assert (reply.code, reply.message) == (
        501,
        "the lab does not model delete of a namespace with pods in it",
    )
    assert len(lab.store.list("Pod", "pets")) == 2


async def test_a_new_namespace_is_active_and_named(lab: InProcessLab) -> None:
    """A namespace gets its phase and the label with its name."""
    reply = await lab.call("POST", "/api/v1/namespaces", {"metadata": {"name": "fresh"}})
    assert reply.body["status"] == {"phase": "Active"}
    assert reply.body["metadata"]["labels"] == {"kubernetes.io/metadata.name": "fresh"}
    reply = await lab.call("POST", "/api/v1/namespaces", {"metadata": {"name": "a.b"}})
    assert "a lowercase RFC 1123 label must consist of" in reply.message


async def test_a_network_policy_gets_its_types(lab: InProcessLab) -> None:
    """The policyTypes follow from the sections, and a port without a protocol is TCP."""
    body = {
        "metadata": {"name": "np"},
        "spec": {"podSelector": {}, "egress": [{"ports": [{"port": 53}]}]},
    }
    path = "/apis/networking.k8s.io/v1/namespaces/pets/networkpolicies"
    reply = await lab.call("POST", path, body)
    assert reply.body["spec"]["policyTypes"] == ["Ingress", "Egress"]
    assert reply.body["spec"]["egress"] == [{"ports": [{"port": 53, "protocol": "TCP"}]}]


async def test_a_status_can_be_taken_away(lab: InProcessLab) -> None:
    """PUT of …/status without a status removes it."""
    await lab.call("POST", CNP, policy())
    lab.store.write_status("CiliumNetworkPolicy", "pets", "open", {"conditions": []})
    body = lab.store.get("CiliumNetworkPolicy", "pets", "open")
    del body["status"]
    assert "status" not in (await lab.call("PUT", f"{CNP}/open/status", body)).body
