"""Authentication, discovery, and refusals: what is not there says so, by name."""

from typing import Any

import pytest
from conftest import CNP, CONFIG_MAPS, InProcessLab, config_map, policy

PODS = "/api/v1/namespaces/pets/pods"


@pytest.mark.parametrize("token", ["wrong", "the-token-and-more", "\xfc"])
async def test_no_token_no_answer(lab: InProcessLab, token: str) -> None:
    """Every path answers 401 without the token of the kubeconfig."""
    for path in ("/version", "/healthz", "/api", CNP, "/nonsense"):
        reply = await lab.call("GET", path, token=token)
        assert reply.code == 401
        assert reply.body == {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": "Unauthorized",
            "reason": "Unauthorized",
            "code": 401,
        }


async def test_the_version_says_that_it_is_a_lab(lab: InProcessLab) -> None:
    """/version carries the gitVersion that the lab was started with."""
    found = (await lab.call("GET", "/version")).body
    assert (found["major"], found["minor"]) == ("1", "33")
    assert found["gitVersion"] == "v1.33.5+acns-chaos-lab"


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/livez"])
async def test_health(lab: InProcessLab, path: str) -> None:
    """The health paths answer ok."""
    reply = await lab.call("GET", path)
    assert (reply.code, reply.body) == (200, "ok")


async def test_discovery_lists_what_is_served(lab: InProcessLab) -> None:
    """Groups, versions and resources follow from the table, subresources included."""
    assert (await lab.call("GET", "/api")).body["versions"] == ["v1"]
    groups = (await lab.call("GET", "/apis")).body["groups"]
    assert [group["name"] for group in groups] == [
        "apps",
        "authentication.k8s.io",
        "authorization.k8s.io",
        "autoscaling",
        "batch",
        "networking.k8s.io",
        "policy",
        "rbac.authorization.k8s.io",
        "apiextensions.k8s.io",
        "coordination.k8s.io",
        "discovery.k8s.io",
        "events.k8s.io",
        "cilium.io",
    ]
    cilium = (await lab.call("GET", "/apis/cilium.io")).body
    assert cilium["preferredVersion"] == {"groupVersion": "cilium.io/v2", "version": "v2"}
    listed = (await lab.call("GET", "/apis/cilium.io/v2")).body["resources"]
    by_name = {resource["name"]: resource for resource in listed}
    assert set(by_name) == {
        "ciliumnetworkpolicies",
        "ciliumnetworkpolicies/status",
        "ciliumclusterwidenetworkpolicies",
        "ciliumclusterwidenetworkpolicies/status",
        "ciliumendpoints",
    }
    assert by_name["ciliumnetworkpolicies"] == {
        "name": "ciliumnetworkpolicies",
        "singularName": "ciliumnetworkpolicy",
        "namespaced": True,
        "kind": "CiliumNetworkPolicy",
        "verbs": [
            "create",
            "delete",
            "deletecollection",
            "get",
            "list",
            "patch",
            "update",
            "watch",
        ],
        "shortNames": ["cnp", "ciliumnp"],
        "categories": ["cilium", "ciliumpolicy"],
    }
    core = (await lab.call("GET", "/api/v1")).body["resources"]
    assert {"pods", "pods/exec", "pods/status", "secrets"} <= {one["name"] for one in core}


async def test_the_definitions_of_the_custom_kinds_are_there(lab: InProcessLab) -> None:
    """The Cilium definitions can be read, with the schema that the lab validates by."""
    path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    listed = (await lab.call("GET", path)).body["items"]
    assert [item["metadata"]["name"] for item in listed] == [
        "ciliumclusterwidenetworkpolicies.cilium.io",
        "ciliumendpoints.cilium.io",
        "ciliumnetworkpolicies.cilium.io",
    ]
    found = (await lab.call("GET", f"{path}/ciliumnetworkpolicies.cilium.io")).body
    schema = found["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    spec = schema["properties"]["spec"]
    assert spec["oneOf"] == [{"required": ["endpointSelector"]}, {"required": ["nodeSelector"]}]
    entity = spec["properties"]["ingress"]["items"]["properties"]["fromEntities"]["items"]
    assert entity["enum"][:2] == ["all", "world"]
    assert found["status"]["conditions"][1]["type"] == "Established"


async def test_openapi_says_that_fields_are_validated(lab: InProcessLab) -> None:
    """A client finds fieldValidation for a custom kind, in the newer document."""
    index = (await lab.call("GET", "/openapi/v3")).body["paths"]
    url = index["apis/cilium.io/v2"]["serverRelativeURL"]
    paths = (await lab.call("GET", url)).body["paths"]
    patch = paths["/apis/cilium.io/v2/namespaces/{namespace}/ciliumnetworkpolicies/{name}"]["patch"]
    assert patch["x-kubernetes-group-version-kind"]["kind"] == "CiliumNetworkPolicy"
    assert "fieldValidation" in [one["name"] for one in patch["parameters"]]


async def test_everything_is_allowed_to_the_one_user(lab: InProcessLab) -> None:
    """A SelfSubjectAccessReview is answered with allowed, and cannot be listed."""
    path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
    body = {"spec": {"resourceAttributes": {"verb": "delete", "resource": "pods"}}}
    reply = await lab.call("POST", path, body)
    assert (reply.code, reply.body["status"]["allowed"]) == (201, True)
    assert (await lab.call("GET", path)).code == 405


@pytest.mark.parametrize(
    "path",
    [
        "/nonsense",
        "/api/v2",
        "/api/v1/gadgets",
        "/apis/cilium.io/v1/ciliumnetworkpolicies",
        "/apis/none.io/v1",
        "/api/v1/pods/shop",
        f"{PODS}/shop/nonsense",
        f"{PODS}/shop/exec/more",
        f"{CNP}/open/scale",
        "/api/v1/namespaces/pets/nodes",
    ],
)
async def test_an_unknown_path(lab: InProcessLab, path: str) -> None:
    """A path that no resource has is the server's 404."""
    reply = await lab.call("GET", path)
    assert (reply.code, reply.body["reason"]) == (404, "NotFound")
    assert reply.message == "the server could not find the requested resource"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("PUT", CONFIG_MAPS),
        ("PATCH", CONFIG_MAPS),
        ("POST", f"{CONFIG_MAPS}/x"),
        ("POST", "/api/v1/configmaps"),
        ("DELETE", f"{CNP}/open/status"),
        ("DELETE", f"{PODS}/shop/exec"),
        ("POST", "/version"),
        ("POST", "/api/v1"),
        ("OPTIONS", CONFIG_MAPS),
    ],
)
async def test_a_method_that_does_not_fit(lab: InProcessLab, method: str, path: str) -> None:
    """A method that the path does not know is a 405."""
    reply = await lab.call(method, path)
    assert (reply.code, reply.body["reason"]) == (405, "MethodNotAllowed")
    assert reply.message == "the server does not allow this method on the requested resource"


@pytest.mark.parametrize(
    ("method", "path", "message"),
    [
        ("DELETE", "/api/v1/namespaces/pets/services", "deletecollection of services"),
        ("GET", f"{PODS}/shop/attach", "pods/attach"),
        ("GET", "/apis/apps/v1/namespaces/pets/deployments/shop/scale", "deployments.apps/scale"),
        ("GET", f"{CONFIG_MAPS}?colour=red", "the parameter colour=red of list"),
        ("GET", f"{PODS}/shop?export=true", "the parameter export=true of get"),
        ("POST", f"{CONFIG_MAPS}?fieldmanager=x", "the parameter fieldmanager=x of create"),
        (
            "DELETE",
            f"{CONFIG_MAPS}/x?propagationPolicy=Foreground",
            "deletion with propagationPolicy=Foreground: it has no dependents",
        ),
        ("DELETE", f"{CONFIG_MAPS}/x?force=1", "the parameter force=1 of delete"),
        ("GET", "/healthz?verbose=1", "the parameter verbose=1 of /healthz"),
    ],
)
async def test_what_is_not_modelled_is_named(
    lab: InProcessLab, method: str, path: str, message: str
) -> None:
    """What a real server would do and the lab does not is a 501 that names it."""
    reply = await lab.call(method, path, {})
    assert (reply.code, reply.body["reason"]) == (501, "NotImplemented")
    assert reply.message == f"the lab does not model {message}"


async def test_the_spec_of_the_worlds_objects_cannot_be_changed(lab: InProcessLab) -> None:
    """A pod may be relabelled; a change that a controller would act on is refused by name."""
    reply = await lab.patch(f"{PODS}/shop", {"metadata": {"labels": {"tier": "front"}}})
    assert (reply.code, reply.body["metadata"]["labels"]["tier"]) == (200, "front")
    reply = await lab.patch(
        "/apis/apps/v1/namespaces/pets/deployments/shop", {"spec": {"replicas": 0}}
    )
    assert (reply.code, reply.message) == (
        501,
        (
            "the lab does not model changes of deployments.apps beyond their metadata: nothing "
            "would act on them"
        ),
    )
    assert lab.store.get("Deployment", "pets", "shop")["spec"] == {"replicas": 1}


@pytest.mark.parametrize(
    ("parameter", "message"),
    [
        ("dryRun=Some", 'dryRun: Unsupported value: "Some": supported values: "All"'),
        (
            "fieldValidation=Maybe",
            (
                'fieldValidation: Unsupported value: "Maybe": supported values: "", "Ignore", '
                '"Strict", "Warn"'
            ),
        ),
        ("fieldManager=" + "x" * 129, "fieldManager: Too long: may not be more than 128 bytes"),
    ],
)
async def test_values_of_parameters(lab: InProcessLab, parameter: str, message: str) -> None:
    """A value that the server does not know is a 422 about the options."""
    reply = await lab.call("POST", f"{CNP}?{parameter}", policy())
    assert reply.code == 422
    assert reply.message == f'CreateOptions.meta.k8s.io "" is invalid: {message}'


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"{", "the body of the request is not JSON"),
        (b"\xff", "the body of the request is not JSON"),
        (b"[]", "json: cannot unmarshal array into an object"),
        (b"[" * 100000, "the body of the request is not JSON"),
        (b'{"metadata": {"name": "x"}, "spec": {}}', "Object 'Kind' is missing in"),
    ],
)
async def test_bodies_that_are_no_objects(lab: InProcessLab, body: bytes, message: str) -> None:
    """What is not a JSON object of a kind is a 400."""
    reply = await lab.call("POST", CNP, body)
    assert (reply.code, reply.body["reason"]) == (400, "BadRequest")
    assert message in reply.message


async def test_a_member_that_stands_twice(lab: InProcessLab) -> None:
    """Of a duplicate member the last one counts; it is warned about, and refused under Strict."""
    body = b'{"metadata": {"name": "x"}, "data": {}, "data": {"a": "b", "a": "c"}}'
    reply = await lab.call("POST", f"{CONFIG_MAPS}?fieldValidation=Strict", body)
    assert (reply.code, reply.message) == (
        400,
        (
            'ConfigMap in version "v1" cannot be handled as a ConfigMap: strict decoding error: '
            'duplicate field "data", duplicate field "data.a"'
        ),
    )
    reply = await lab.call("POST", CONFIG_MAPS, body)
    assert (reply.code, reply.body["data"]) == (201, {"a": "c"})
    assert reply.headers.getall("Warning") == [
        '299 - "duplicate field \\"data\\""',
        '299 - "duplicate field \\"data.a\\""',
    ]


@pytest.mark.parametrize(
    ("content_type", "code", "message"),
    [
        ("application/cbor", 415, "accepted media types include: application/json, "),
        ("text/plain", 415, "accepted media types include: application/json, application/yaml"),
    ],
)
async def test_bodies_of_another_type(
    lab: InProcessLab, content_type: str, code: int, message: str
) -> None:
    """A type that a server reads and the lab does not is named; others are a 415."""
    reply = await lab.call("POST", CONFIG_MAPS, config_map(), Content_Type=content_type)
    assert (reply.code, message in reply.message) == (code, True)


async def test_answers_of_another_type(lab: InProcessLab) -> None:
    """A client that takes only protobuf gets a 406; one that also takes JSON gets JSON."""
    reply = await lab.call("GET", CONFIG_MAPS, Accept="application/vnd.kubernetes.protobuf")
    assert (reply.code, reply.message) == (
        406,
        "only the following media types are accepted: application/json",
    )
    both = "application/vnd.kubernetes.protobuf,application/json"
    assert (await lab.call("GET", CONFIG_MAPS, Accept=both)).code == 200


async def test_a_world_can_be_loaded_over(lab: InProcessLab) -> None:
    """Store.put keeps uid and creation time, and counts a generation when the spec changes."""
    obj: dict[str, Any] = lab.store.get("Deployment", "pets", "shop")
    again = {**obj, "spec": {"replicas": 2}}
    del again["metadata"]
    again["metadata"] = {"name": "shop", "namespace": "pets"}
    stored = lab.store.put(again)
    assert stored["metadata"]["uid"] == obj["metadata"]["uid"]
    assert stored["metadata"]["generation"] == 2
    assert stored["metadata"]["managedFields"][0]["manager"] == "lab-world"
