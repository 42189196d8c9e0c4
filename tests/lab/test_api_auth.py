"""Who may do what in the lab: tokens, impersonation, roles, and the words of a refusal."""

import base64
import json
from typing import Any

import pytest
from conftest import CNP, CONFIG_MAPS, InProcessLab, Reply, config_map, in_process, policy

RBAC = "/apis/rbac.authorization.k8s.io/v1"
ROLES = f"{RBAC}/namespaces/pets/roles"
BINDINGS = f"{RBAC}/namespaces/pets/rolebindings"
ACCOUNTS = "/api/v1/namespaces/pets/serviceaccounts"
REVIEWS = "/apis/authorization.k8s.io/v1"
PROBE = "system:serviceaccount:pets:probe"
READ = {"apiGroups": ["cilium.io"], "resources": ["ciliumnetworkpolicies"], "verbs": ["get"]}


def role(name: str, *rules: dict[str, Any], kind: str = "Role", **metadata: Any) -> dict[str, Any]:
    """A Role or ClusterRole."""
    about = {"name": name, **metadata}
    return {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": kind, "metadata": about} | {
        "rules": list(rules)
    }


def binding(name: str, to: str, *subjects: dict[str, Any], kind: str = "Role") -> dict[str, Any]:
    """A RoleBinding."""
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": to}
    return {"kind": "RoleBinding", "metadata": {"name": name}, "roleRef": reference} | {
        "subjects": list(subjects)
    }


def account(name: str = "probe") -> dict[str, Any]:
    """A service account as the subject of a binding."""
    return {"kind": "ServiceAccount", "name": name, "namespace": "pets"}


async def created(lab: InProcessLab, path: str, body: Any, **headers: str) -> Reply:
    """POST something that is accepted."""
    reply = await lab.call("POST", path, body, **headers)
    assert reply.code == 201, reply.body
    return reply


async def token_of(lab: InProcessLab, name: str = "probe", **spec: Any) -> str:
    """A token of a service account, which is made when it is not there."""
    await lab.call("POST", ACCOUNTS, {"metadata": {"name": name}})
    reply = await created(lab, f"{ACCOUNTS}/{name}/token", {"spec": spec})
    return str(reply.body["status"]["token"])


async def probe(lab: InProcessLab, *rules: dict[str, Any]) -> str:
    """A token of an account with these rules in the namespace pets."""
    token = await token_of(lab)
    await created(lab, ROLES, role("probe", *rules))
    await created(lab, BINDINGS, binding("probe", "probe", account()))
    return token


async def allowed(lab: InProcessLab, token: str, **wish: str) -> dict[str, Any]:
    """The status of a SelfSubjectAccessReview."""
    body = {"spec": {"resourceAttributes": wish}}
    found = await created(lab, f"{REVIEWS}/selfsubjectaccessreviews", body, token=token)
    status: dict[str, Any] = found.body["status"]
    return status


async def test_without_a_token_only_health_and_version_answer(lab: InProcessLab) -> None:
    """A request without a token reads health and version, and is 401 everywhere else."""
    for path, code in (("/healthz", 200), ("/livez", 200), ("/readyz", 200), ("/version", 200)):
        async with lab.http.get(path) as response:
            assert response.status == code
    for path in ("/", "/api", "/apis", CNP, "/nonsense"):
        async with lab.http.get(path) as response:
            assert response.status == 401
            assert (await response.json())["message"] == "Unauthorized"


async def test_a_token_says_whose_it_is(lab: InProcessLab) -> None:
    """A token is a JWT of the account, and the account's groups come with it."""
    token = await token_of(lab)
    header, claims, _ = (part + "==" for part in token.split("."))
    found = json.loads(base64.urlsafe_b64decode(claims))
    uid = (await lab.call("GET", f"{ACCOUNTS}/probe")).body["metadata"]["uid"]
    assert json.loads(base64.urlsafe_b64decode(header))["alg"] == "ES256"
    assert found["sub"] == PROBE
    assert found["exp"] - found["iat"] == 3600
    assert found["kubernetes.io"]["serviceaccount"] == {"name": "probe", "uid": uid}
    me = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
    user = (await created(lab, me, {}, token=token)).body["status"]["userInfo"]
    assert user["username"] == PROBE
    assert user["uid"] == uid
    assert user["groups"] == [
        "system:serviceaccounts",
        "system:serviceaccounts:pets",
        "system:authenticated",
    ]


async def test_the_403_is_worded_as_a_servers(lab: InProcessLab) -> None:
    """A refusal names the user, the verb, the resource, the group and the namespace."""
    token = await probe(lab, READ)
    reply = await lab.call("PUT", f"{CNP}/x", policy("x"), token=token)
    assert reply.code == 403
    assert reply.body == {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": 'ciliumnetworkpolicies.cilium.io "x" is forbidden: User '
        '"system:serviceaccount:pets:probe" cannot update resource "ciliumnetworkpolicies" in API '
        'group "cilium.io" in the namespace "pets"',
        "reason": "Forbidden",
        "details": {"name": "x", "group": "cilium.io", "kind": "ciliumnetworkpolicies"},
        "code": 403,
    }


@pytest.mark.parametrize(
    ("method", "path", "message"),
    [
        ("GET", "/api/v1/nodes", 'cannot list resource "nodes" in API group "" at the cluster'),
        ("GET", "/api/v1/pods?watch=1", 'cannot watch resource "pods" in API group "" at the'),
        ("DELETE", CONFIG_MAPS, 'cannot deletecollection resource "configmaps" in API group ""'),
        ("DELETE", f"{CONFIG_MAPS}/a", 'configmaps "a" is forbidden: User'),
        ("POST", "/api/v1/namespaces/pets/pods/no/exec", 'cannot create resource "pods/exec"'),
        ("GET", "/api/v1/namespaces/pets/pods/no/exec", 'cannot get resource "pods/exec"'),
        ("GET", "/api/v1/namespaces/pets/pods/no/log", 'cannot get resource "pods/log"'),
        ("PATCH", f"{CNP}/no/status", 'cannot patch resource "ciliumnetworkpolicies/status"'),
        ("GET", "/api/v1/namespaces/no/gadgets/x", 'cannot get resource "gadgets" in API group'),
        ("GET", "/metrics", f'forbidden: User "{PROBE}" cannot get path "/metrics"'),
        ("POST", "/api", f'forbidden: User "{PROBE}" cannot post path "/api"'),
        ("GET", "/api/v1/namespaces/no", 'namespaces "no" is forbidden: User'),
    ],
)
async def test_every_verb_is_refused_before_anything_is_looked_at(
    lab: InProcessLab, method: str, path: str, message: str
) -> None:
    """What is not allowed is 403 whether or not it exists or is served at all."""
    token = await token_of(lab)
    reply = await lab.call(method, path, token=token)
    assert reply.code == 403
    assert message in reply.message


async def test_a_name_limits_a_rule(lab: InProcessLab) -> None:
    """A rule with resourceNames allows those objects, also in a list by name, and no others."""
    await created(lab, CNP, policy("mine"))
    rule = {**READ, "resourceNames": ["mine"], "verbs": ["get", "list", "watch"]}
    token = await probe(lab, rule)
    for path, code in (
        (f"{CNP}/mine", 200),
        (f"{CNP}/other", 403),
        (CNP, 403),
        (f"{CNP}?fieldSelector=metadata.name%3Dmine", 200),
    ):
        assert (await lab.call("GET", path, token=token)).code == code, path


@pytest.mark.parametrize(
    ("rule", "resource", "subresource", "expected"),
    [
        (["*"], "pods", "exec", True),
        (["pods"], "pods", "", True),
        (["pods"], "pods", "exec", False),
        (["pods/exec"], "pods", "exec", True),
        (["pods/exec"], "pods", "", False),
        (["pods/*"], "pods", "exec", False),
        (["*/status"], "pods", "status", True),
        (["*/status"], "pods", "", False),
    ],
)
async def test_resources_of_a_rule(
    lab: InProcessLab, rule: list[str], resource: str, subresource: str, expected: bool
) -> None:
    """A rule means a resource, a subresource, one subresource of all, or everything."""
    token = await probe(lab, {"apiGroups": [""], "resources": rule, "verbs": ["get"]})
    status = await allowed(
        lab, token, namespace="pets", verb="get", resource=resource, subresource=subresource
    )
    assert status["allowed"] is expected


async def test_a_review_says_which_binding_allows(lab: InProcessLab) -> None:
    """SelfSubjectAccessReview answers with the binding, and in another namespace with no."""
    token = await probe(lab, READ)
    wish = {"group": "cilium.io", "resource": "ciliumnetworkpolicies", "verb": "get"}
    assert await allowed(lab, token, namespace="pets", **wish) == {
        "allowed": True,
        "reason": 'RBAC: allowed by RoleBinding "probe/pets" of Role "probe" to ServiceAccount '
        '"probe/pets"',
    }
    assert await allowed(lab, token, namespace="other", **wish) == {"allowed": False}


async def test_a_role_that_is_missing_is_named(lab: InProcessLab) -> None:
    """The refusal of a user whose binding leads nowhere says so."""
    token = await token_of(lab)
    await created(lab, BINDINGS, binding("b", "gone", account(), kind="ClusterRole"))
    reply = await lab.call("GET", CNP, token=token)
    assert reply.message.endswith(
        'in the namespace "pets": RBAC: clusterrole.rbac.authorization.k8s.io "gone" not found'
    )


async def test_rights_change_at_once(lab: InProcessLab) -> None:
    """A binding that is removed counts from the next request on."""
    token = await probe(lab, {**READ, "verbs": ["list"]})
    assert (await lab.call("GET", CNP, token=token)).code == 200
    await lab.call("DELETE", f"{BINDINGS}/probe")
    assert (await lab.call("GET", CNP, token=token)).code == 403


async def test_a_token_ends_with_its_account(lab: InProcessLab) -> None:
    """A deleted account's token is 401, also when one of the same name comes back."""
    token = await token_of(lab)
    assert (await lab.call("GET", "/version", token=token)).code == 200
    await lab.call("DELETE", f"{ACCOUNTS}/probe")
    assert (await lab.call("GET", "/version", token=token)).code == 401
    await created(lab, ACCOUNTS, {"metadata": {"name": "probe"}})
    assert (await lab.call("GET", "/version", token=token)).code == 401


async def test_a_token_is_for_its_audience(lab: InProcessLab) -> None:
    """A token for another audience is no token for this server, but a review knows it."""
    token = await token_of(lab, audiences=["vault"])
    assert (await lab.call("GET", "/version", token=token)).code == 401
    reviews = "/apis/authentication.k8s.io/v1/tokenreviews"
    for audiences, expected in ((["vault"], True), ([], None)):
        body = {"spec": {"token": token, "audiences": audiences}}
        status = (await created(lab, reviews, body)).body["status"]
        assert status.get("authenticated") is expected


async def test_a_forged_token_is_refused(lab: InProcessLab) -> None:
    """A token whose claims or signature were changed is 401."""
    header, claims, signature = (await token_of(lab)).split(".")
    other = base64.urlsafe_b64encode(b'{"sub":"x"}').decode().rstrip("=")
    for token in (
        f"{header}.{other}.{signature}",
        f"{header}.{claims}.{signature[:-4]}AAAA",
        f"{header}.{claims}.",
        f"{header}.{claims}",
        "..",
    ):
        assert (await lab.call("GET", "/version", token=token)).code == 401, token


@pytest.mark.parametrize(
    ("spec", "code", "message"),
    [
        (
            {"expirationSeconds": 10},
            422,
            "spec.expirationSeconds: Invalid value: 10: may not specify a duration less than 10",
        ),
        ({"boundObjectRef": {"kind": "Pod", "name": "no"}}, 404, 'pods "no" not found'),
        ({"boundObjectRef": {"kind": "Node", "name": "n"}}, 501, "bound to a Node"),
        ({"colour": "red"}, 400, 'strict decoding error: unknown field "spec.colour"'),
    ],
)
async def test_a_token_request_that_makes_no_sense(
    lab: InProcessLab, spec: dict[str, Any], code: int, message: str
) -> None:
    """A duration that is too short and an object that is not there are refused."""
    path = f"{ACCOUNTS}/default/token?fieldValidation=Strict"
    reply = await lab.call("POST", path, {"spec": spec})
    assert (reply.code, message in reply.message) == (code, True), reply.body


async def test_a_token_can_end_with_a_pod(lab: InProcessLab) -> None:
    """A token that is bound to a pod is void when the pod is gone."""
    token = await token_of(lab, boundObjectRef={"kind": "Pod", "name": "shop"})
    assert (await lab.call("GET", "/version", token=token)).code == 200
    lab.store.delete("Pod", "pets", "shop")
    assert (await lab.call("GET", "/version", token=token)).code == 401


async def test_a_secret_for_an_account_gets_its_token(lab: InProcessLab) -> None:
    """A Secret of the type for tokens is filled in, and the token is void without it."""
    await created(lab, ACCOUNTS, {"metadata": {"name": "probe"}})
    about = {"name": "t", "annotations": {"kubernetes.io/service-account.name": "probe"}}
    secret = {"metadata": about, "type": "kubernetes.io/service-account-token"}
    path = "/api/v1/namespaces/pets/secrets"
    await created(lab, path, secret)
    found = (await lab.call("GET", f"{path}/t")).body
    assert set(found["data"]) == {"ca.crt", "namespace", "token"}
    token = base64.b64decode(found["data"]["token"]).decode()
    assert (await lab.call("GET", "/version", token=token)).code == 200
    await lab.call("DELETE", f"{path}/t")
    assert (await lab.call("GET", "/version", token=token)).code == 401
    about["annotations"]["kubernetes.io/service-account.name"] = "nobody"
    await created(lab, path, secret)
    assert (await lab.call("GET", f"{path}/t")).code == 404
    about["annotations"] = {}
    assert (await lab.call("POST", path, secret)).code == 422


async def test_impersonation_needs_its_verb(lab: InProcessLab) -> None:
    """--as is for those who may impersonate, part by part; the words are the server's."""
    token = await token_of(lab)
    reply = await lab.call("GET", CNP, token=token, Impersonate_User="bob")
    assert reply.code == 403
    assert reply.message == (
        f'users "bob" is forbidden: User "{PROBE}" cannot impersonate resource "users" in API '
        'group "" at the cluster scope'
    )
    reply = await lab.call("GET", CNP, Impersonate_User="bob", Impersonate_Group="readers")
    assert 'User "bob" cannot list' in reply.message
    readers = {"kind": "Group", "name": "readers", "apiGroup": "rbac.authorization.k8s.io"}
    await created(lab, ROLES, role("readers", {**READ, "verbs": ["list"]}))
    await created(lab, BINDINGS, binding("readers", "readers", readers))
    reply = await lab.call("GET", CNP, Impersonate_User="bob", Impersonate_Group="readers")
    assert reply.code == 200
    assert (await lab.call("GET", CNP, Impersonate_Group="readers")).code == 400


async def test_impersonating_an_account_brings_its_groups(lab: InProcessLab) -> None:
    """--as system:serviceaccount:… acts with the groups of that account."""
    me = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
    reply = await created(
        lab,
        me,
        {},
        Impersonate_User=PROBE,
        Impersonate_Uid="u",
        **{"Impersonate-Extra-Why%2Fit": "so"},
    )
    assert reply.body["status"]["userInfo"] == {
        "username": PROBE,
        "uid": "u",
        "groups": [
            "system:serviceaccounts",
            "system:serviceaccounts:pets",
            "system:authenticated",
        ],
        "extra": {"why/it": ["so"]},
    }


async def test_nobody_grants_what_it_does_not_hold(lab: InProcessLab) -> None:
    """A writer of roles can grant its own rights only, unless it may escalate."""
    writer = {
        "apiGroups": ["rbac.authorization.k8s.io"],
        "resources": ["roles", "rolebindings"],
        "verbs": ["create", "update"],
    }
    token = await probe(lab, READ, writer)
    assert (await lab.call("POST", ROLES, role("same", READ), token=token)).code == 201
    more = {**READ, "verbs": ["get", "delete"]}
    reply = await lab.call("POST", ROLES, role("more", more), token=token)
    assert reply.code == 403
    assert reply.message == (
        'roles.rbac.authorization.k8s.io "more" is forbidden: user '
        f'"{PROBE}" (groups=["system:serviceaccounts" "system:serviceaccounts:pets" '
        '"system:authenticated"]) is attempting to grant RBAC permissions not currently held:\n'
        '{APIGroups:["cilium.io"], Resources:["ciliumnetworkpolicies"], Verbs:["delete"]}'
    )
    reply = await lab.call("POST", BINDINGS, binding("b", "edit", account(), kind="ClusterRole"))
    assert reply.code == 201
    reply = await lab.call("POST", BINDINGS, binding("c", "cluster-admin", kind="ClusterRole"))
    assert reply.code == 201
    body = binding("d", "cluster-admin", account(), kind="ClusterRole")
    reply = await lab.call("POST", BINDINGS, body, token=token)
    assert reply.code == 403
    assert '{APIGroups:["*"], Resources:["*"], Verbs:["*"]}' in reply.message
    escalate = {**writer, "verbs": ["escalate", "bind"], "resources": ["roles", "clusterroles"]}
    await created(lab, ROLES, role("escalate", escalate))
    await created(lab, BINDINGS, binding("escalate", "escalate", account()))
    assert (await lab.call("POST", ROLES, role("more", more), token=token)).code == 201


async def test_a_role_may_be_made_of_others(lab: InProcessLab) -> None:
    """An aggregated ClusterRole follows the labels of other roles; edit includes view."""
    rule = {"apiGroups": ["cilium.io"], "resources": ["*"], "verbs": ["*"]}
    labels = {"rbac.authorization.k8s.io/aggregate-to-view": "true"}
    await created(lab, f"{RBAC}/clusterroles", role("cnp", rule, kind="ClusterRole", labels=labels))
    for name in ("view", "edit", "admin"):
        found = (await lab.call("GET", f"{RBAC}/clusterroles/{name}")).body
        assert rule in found["rules"], name
    await lab.call("DELETE", f"{RBAC}/clusterroles/cnp")
    assert rule not in (await lab.call("GET", f"{RBAC}/clusterroles/admin")).body["rules"]


@pytest.mark.parametrize(
    ("path", "body", "message"),
    [
        (ROLES, role("r", {"verbs": []}), "rules[0].verbs: Required value: verbs must contain at"),
        (
            ROLES,
            role("r", {"nonResourceURLs": ["/x"], "verbs": ["get"]}),
            'rules[0].nonResourceURLs: Invalid value: ["/x"]: namespaced rules cannot apply to',
        ),
        (ROLES, role("a/b"), "metadata.name: Invalid value: \"a/b\": may not contain '/'"),
        (
            BINDINGS,
            binding("b", "r", {"kind": "Robot", "name": "x"}),
            'subjects[0].kind: Unsupported value: "Robot": supported values: "ServiceAccount"',
        ),
        (BINDINGS, binding("b", ""), "roleRef.name: Required value"),
        (BINDINGS, {**binding("b", "r"), "subjects": [None]}, "subjects[0].name: Required value"),
        (ROLES, {**role("r"), "rules": [None]}, "rules[0].verbs: Required value"),
    ],
)
async def test_roles_and_bindings_are_validated(
    lab: InProcessLab, path: str, body: dict[str, Any], message: str
) -> None:
    """A role or a binding that makes no sense is 422 with the field."""
    reply = await lab.call("POST", path, body)
    assert reply.code == 422
    assert message in reply.message


async def test_a_binding_keeps_its_role(lab: InProcessLab) -> None:
    """The roleRef of a binding cannot be changed."""
    await created(lab, BINDINGS, binding("b", "one"))
    reply = await lab.call("PUT", f"{BINDINGS}/b", binding("b", "two"))
    assert reply.code == 422
    assert "cannot change roleRef" in reply.message


async def test_a_put_that_creates_needs_create(lab: InProcessLab) -> None:
    """PUT of a kind that it may create asks for both verbs, as does server-side apply."""
    leases = "/apis/coordination.k8s.io/v1/namespaces/pets/leases"
    rule = {
        "apiGroups": ["coordination.k8s.io", ""],
        "resources": ["leases", "configmaps"],
        "verbs": ["update", "patch"],
    }
    token = await probe(lab, rule)
    body = {"metadata": {"name": "l"}, "spec": {"holderIdentity": "me"}}
    reply = await lab.call("PUT", f"{leases}/l", body, token=token)
    assert 'cannot create resource "leases"' in reply.message
    reply = await lab.call(
        "PATCH",
        f"{CONFIG_MAPS}/c?fieldManager=me",
        config_map("c"),
        token=token,
        Content_Type="application/apply-patch+yaml",
    )
    assert 'cannot create resource "configmaps"' in reply.message


async def test_a_rules_review_lists_what_is_held(lab: InProcessLab) -> None:
    """SelfSubjectRulesReview lists the rules of all bindings that count in a namespace."""
    token = await probe(lab, READ)
    path = f"{REVIEWS}/selfsubjectrulesreviews"
    found = await created(lab, path, {"spec": {"namespace": "pets"}}, token=token)
    status = found.body["status"]
    assert READ in status["resourceRules"]
    assert status["incomplete"] is False
    urls = [url for rule in status["nonResourceRules"] for url in rule["nonResourceURLs"]]
    assert {"/api", "/openapi/*", "/version"} <= set(urls)
    reply = await lab.call("POST", path, {"spec": {}}, token=token)
    assert (reply.code, reply.message) == (400, "no namespace on request")


async def test_others_rights_are_reviewed_by_those_who_may(lab: InProcessLab) -> None:
    """SubjectAccessReview answers about anybody; one that asks nothing is refused."""
    await probe(lab, READ)
    wish = {"group": "cilium.io", "resource": "ciliumnetworkpolicies", "verb": "get"}
    spec = {"user": PROBE, "resourceAttributes": {**wish, "namespace": "pets"}}
    found = await created(lab, f"{REVIEWS}/subjectaccessreviews", {"spec": spec})
    assert found.body["status"]["allowed"] is True
    local = f"{REVIEWS}/namespaces/other/localsubjectaccessreviews"
    assert (await lab.call("POST", local, {"spec": spec})).code == 422
    for bad in ({}, {"user": "x"}, {"resourceAttributes": wish}):
        reply = await lab.call("POST", f"{REVIEWS}/subjectaccessreviews", {"spec": bad})
        assert reply.code == 422
    path = f"{REVIEWS}/selfsubjectaccessreviews"
    reply = await lab.call("POST", path, {"spec": {"nonResourceAttributes": {"path": "/x"}}})
    assert reply.body["status"] == {"allowed": True}


async def test_every_namespace_has_its_account(lab: InProcessLab) -> None:
    """A new namespace gets the service account `default`."""
    await created(lab, "/api/v1/namespaces", {"metadata": {"name": "fresh"}})
    found = await lab.call("GET", "/api/v1/namespaces/fresh/serviceaccounts")
    assert [one["metadata"]["name"] for one in found.body["items"]] == ["default"]


@pytest.mark.parametrize(
    ("version", "verbs", "code"),
    [
        ("v1.34.9", ["get"], 400),
        ("v1.35.0", ["get"], 403),
        ("v1.35.0", ["get", "create"], 400),
        ("v1.36.1+", ["get"], 403),
    ],
)
async def test_a_way_into_a_pod_wants_create_from_1_35_on(
    version: str, verbs: list[str], code: int
) -> None:
    """Whoever may, gets as far as the missing upgrade; the refusal names the verb that lacks."""
    async with in_process(version) as lab:
        rule = {"apiGroups": [""], "resources": ["pods/exec", "pods/log"], "verbs": verbs}
        token = await probe(lab, rule)
        path = "/api/v1/namespaces/pets/pods/shop"
        reply = await lab.call("GET", f"{path}/exec?command=date&stdout=1", token=token)
        assert reply.code == code, reply.body
        if code == 403:
            assert reply.message.startswith('pods "shop" is forbidden: User "')
            assert 'cannot create resource "pods/exec" in API group ""' in reply.message
        assert (await lab.call("GET", f"{path}/log?container=shop", token=token)).code == 200
