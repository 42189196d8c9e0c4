"""The one table of what the lab's API serves: kinds, their paths, verbs and habits.

A row says what is possible; how it is done is in ``reads`` and ``writes``. A verb that a real
server has for a kind and that is missing in the row is refused with a 501 that names it.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from acns_chaos.lab.api import builtin
from acns_chaos.policy.schema import Field
from acns_chaos.policy.schema_cilium import POLICY
from acns_chaos.policy.schema_native import NETWORK_POLICY

_READ = ("get", "list", "watch")
_RELABEL = (*_READ, "patch", "update")
_ALL = ("create", "delete", "deletecollection", *_READ, "patch", "update")


@dataclass(frozen=True, slots=True)
class Resource:
    """One kind that is served.

    Attributes:
        group: "" for the core group.
        version: "v1", "v2".
        plural: the path segment.
        kind: the name in objects.
        namespaced: False for kinds of the cluster.
        short: short names for kubectl.
        verbs: what the lab does with it.
        schema: of the whole object; None when its spec cannot be written here, so that writing
            may change metadata only.
        custom: defined by a CustomResourceDefinition: other patch types, stricter updates.
        status: the status is a subresource, so the main resource ignores it.
        generation: metadata.generation counts the changes of the spec.
        unconditional: PUT works without a resourceVersion.
        create_on_update: PUT of a missing object creates it.
        returns_object: DELETE answers with the object, not with a Status.
        field_labels: what a fieldSelector may name besides metadata.name and .namespace.
        categories: kubectl's groups of kinds.
    """

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool = True
    short: tuple[str, ...] = ()
    verbs: tuple[str, ...] = _ALL
    schema: Field | None = None
    custom: bool = False
    status: bool = False
    generation: bool = False
    unconditional: bool = True
    create_on_update: bool = False
    returns_object: bool = False
    field_labels: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()

    @property
    def api_version(self) -> str:
        """The ``apiVersion`` of its objects."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def qualified(self) -> str:
        """The resource as messages name it: "pods", "leases.coordination.k8s.io"."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    @property
    def singular(self) -> str:
        """The kind in lower case."""
        return self.kind.lower()


_EVENT_FIELDS = (
    "involvedObject.kind",
    "involvedObject.namespace",
    "involvedObject.name",
    "involvedObject.uid",
    "reason",
    "type",
)
_POD_FIELDS = ("spec.nodeName", "spec.serviceAccountName", "status.phase", "status.podIP")

_APPS = ("apps", "v1")
_CILIUM = ("cilium.io", "v2")

RESOURCES = (
    Resource(
        "",
        "v1",
        "namespaces",
        "Namespace",
        namespaced=False,
        short=("ns",),
        schema=builtin.NAMESPACE,
        verbs=tuple(verb for verb in _ALL if verb != "deletecollection"),
        status=True,
        returns_object=True,
        field_labels=("status.phase",),
    ),
    Resource(
        "", "v1", "nodes", "Node", namespaced=False, short=("no",), verbs=_RELABEL, status=True
    ),
    Resource(
        "",
        "v1",
        "pods",
        "Pod",
        short=("po",),
        verbs=_RELABEL,
        status=True,
        generation=True,
        field_labels=_POD_FIELDS,
        categories=("all",),
    ),
    Resource("", "v1", "services", "Service", short=("svc",), verbs=_RELABEL, categories=("all",)),
    Resource("", "v1", "endpoints", "Endpoints", short=("ep",), verbs=_READ),
    Resource("", "v1", "configmaps", "ConfigMap", short=("cm",), schema=builtin.CONFIG_MAP),
    Resource("", "v1", "secrets", "Secret", schema=builtin.SECRET, field_labels=("type",)),
    Resource(
        "",
        "v1",
        "serviceaccounts",
        "ServiceAccount",
        short=("sa",),
        schema=builtin.SERVICE_ACCOUNT,
        returns_object=True,
    ),
    Resource(
        "",
        "v1",
        "events",
        "Event",
        short=("ev",),
        schema=builtin.EVENT,
        create_on_update=True,
        field_labels=_EVENT_FIELDS,
    ),
    *(
        Resource(*_APPS, plural, kind, True, short, _RELABEL, generation=True, categories=("all",))
        for plural, kind, short in (
            ("deployments", "Deployment", ("deploy",)),
            ("replicasets", "ReplicaSet", ("rs",)),
            ("statefulsets", "StatefulSet", ("sts",)),
            ("daemonsets", "DaemonSet", ("ds",)),
        )
    ),
    Resource(
        "coordination.k8s.io",
        "v1",
        "leases",
        "Lease",
        schema=builtin.LEASE,
        unconditional=False,
        create_on_update=True,
    ),
    Resource(
        "networking.k8s.io",
        "v1",
        "networkpolicies",
        "NetworkPolicy",
        short=("netpol",),
        schema=NETWORK_POLICY,
        generation=True,
    ),
    Resource(
        *_CILIUM,
        "ciliumnetworkpolicies",
        "CiliumNetworkPolicy",
        short=("cnp", "ciliumnp"),
        schema=POLICY,
        custom=True,
        status=True,
        generation=True,
        unconditional=False,
        categories=("cilium", "ciliumpolicy"),
    ),
    Resource(
        *_CILIUM,
        "ciliumclusterwidenetworkpolicies",
        "CiliumClusterwideNetworkPolicy",
        namespaced=False,
        short=("ccnp",),
        schema=POLICY,
        custom=True,
        status=True,
        generation=True,
        unconditional=False,
        categories=("cilium", "ciliumpolicy"),
    ),
    Resource(
        *_CILIUM,
        "ciliumendpoints",
        "CiliumEndpoint",
        short=("cep", "ciliumep"),
        verbs=_READ,
        custom=True,
        generation=True,
        unconditional=False,
        categories=("cilium",),
    ),
    Resource(
        "apiextensions.k8s.io",
        "v1",
        "customresourcedefinitions",
        "CustomResourceDefinition",
        namespaced=False,
        short=("crd", "crds"),
        verbs=_READ,
        status=True,
        generation=True,
        categories=("api-extensions",),
    ),
    Resource(
        "authorization.k8s.io",
        "v1",
        "selfsubjectaccessreviews",
        "SelfSubjectAccessReview",
        namespaced=False,
        schema=builtin.ACCESS_REVIEW,
        verbs=("create",),
    ),
)

BY_KIND = {resource.kind: resource for resource in RESOURCES}
_BY_PATH = {(resource.group, resource.version, resource.plural): resource for resource in RESOURCES}

NOT_MODELLED_SUBRESOURCES = {
    "pods": (
        "attach",
        "binding",
        "ephemeralcontainers",
        "eviction",
        "log",
        "portforward",
        "proxy",
        "resize",
    ),
    "services": ("proxy", "status"),
    "nodes": ("proxy",),
    "namespaces": ("finalize",),
    "serviceaccounts": ("token",),
    "deployments": ("scale", "status"),
    "replicasets": ("scale", "status"),
    "statefulsets": ("scale", "status"),
    "daemonsets": ("status",),
}
"""Parts of resources that a real server has and the lab refuses by name."""


def find(group: str, version: str, plural: str) -> Resource | None:
    """The resource at a path, or None."""
    return _BY_PATH.get((group, version, plural))


def group_versions() -> list[tuple[str, str]]:
    """Every (group, version) that is served, the core group first."""
    return list(dict.fromkeys((resource.group, resource.version) for resource in RESOURCES))


def of_group_version(group: str, version: str) -> Iterator[Resource]:
    """The resources of one group and version."""
    return (r for r in RESOURCES if (r.group, r.version) == (group, version))
