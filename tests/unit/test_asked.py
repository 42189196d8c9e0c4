"""What a connection asked for, read as RBAC reads requests, and which tier grants it."""

import pytest

from acns_chaos.cluster.asked import Asked
from acns_chaos.cluster.permissions import used

CNP = "/apis/cilium.io/v2/namespaces/pets/ciliumnetworkpolicies"
POLICIES = "ciliumnetworkpolicies.cilium.io"


@pytest.mark.parametrize(
    ("method", "path", "query", "read"),
    [
        ("GET", CNP, {}, ("list", POLICIES, "pets")),
        ("GET", CNP, {"watch": "true"}, ("watch", POLICIES, "pets")),
        ("GET", CNP, {"watch": "1"}, ("watch", POLICIES, "pets")),
        ("GET", f"{CNP}/a", {}, ("get", POLICIES, "pets")),
        ("PUT", f"{CNP}/a", {}, ("update", POLICIES, "pets")),
        ("PATCH", f"{CNP}/a", {}, ("patch", POLICIES, "pets")),
        ("DELETE", f"{CNP}/a", {}, ("delete", POLICIES, "pets")),
        ("DELETE", CNP, {}, ("deletecollection", POLICIES, "pets")),
        ("POST", CNP, {}, ("create", POLICIES, "pets")),
        ("GET", "/api/v1/pods", {}, ("list", "pods", "")),
        ("GET", "/api/v1/namespaces", {}, ("list", "namespaces", "")),
        ("GET", "/api/v1/namespaces/pets", {}, ("get", "namespaces", "")),
        ("GET", "/api/v1/namespaces/pets/pods/a/exec", {}, ("get", "pods/exec", "pets")),
    ],
)
def test_a_request_as_rbac_reads_it(method, path, query, read):
    """A request is kept as verb, resource and namespace; the object's name is not."""
    asked = Asked()
    asked.note(method, path, query)
    asked.note(method, path, query)

    assert asked.seen() == [read]


@pytest.mark.parametrize("path", ["/version", "/livez", "/apis", "/api/v1", "/"])
def test_what_is_no_resource(path):
    """A path of the server itself is not a resource."""
    asked = Asked()
    asked.note("GET", path)

    assert asked.seen() == []


def test_the_tier_that_grants_it():
    """Each request names the tier whose role holds it, none where no role of ours does."""
    seen = [
        ("list", "pods", "pets"),
        ("update", POLICIES, "pets"),
        ("update", "ciliumclusterwidenetworkpolicies.cilium.io", ""),
        ("create", "pods", "pets"),
        ("update", POLICIES, "elsewhere"),
        ("create", "selfsubjectaccessreviews.authorization.k8s.io", ""),
    ]

    tiers = [one["tier"] for one in used(seen, "pets")]
    assert tiers == ["look", "experiment", "clusterwide", "prober", "", ""]
    assert {one["name"] for one in used(seen, "pets")} == {""}
