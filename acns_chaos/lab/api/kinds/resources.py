"""The one table of what the lab's API serves: kinds, their paths, verbs and habits.

A row says what is possible; how it is done is in ``reads`` and ``writes``. A verb that a real
server has for a kind and that is missing in the row is refused with a 501 that names it.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from acns_chaos.lab.api.kinds import auth_kinds, batch_kinds, builtin, rbac_kinds, volume_kinds
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
        view: its objects are those of the core kind of the same name, in another form.
        bare: clients may create it although it has no schema: those without a controller.
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
    view: bool = False
    bare: bool = False

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
_RBAC = ("rbac.authorization.k8s.io", "v1")

_HPA = ("horizontalpodautoscalers", "HorizontalPodAutoscaler", ("hpa",))
# Kinds that only controllers write, and kinds that every cluster has and most worlds have no
# objects of: `kubectl get all` and `describe` look for them, and an empty list is the truth.
_READ_ONLY = (
    ("", "v1", "limitranges", "LimitRange", ("limits",), ()),
    ("", "v1", "replicationcontrollers", "ReplicationController", ("rc",), ("all",)),
    ("", "v1", "resourcequotas", "ResourceQuota", ("quota",), ()),
    (*_APPS, "controllerrevisions", "ControllerRevision", (), ()),
    ("autoscaling", "v2", *_HPA, ("all",)),
    ("discovery.k8s.io", "v1", "endpointslices", "EndpointSlice", (), ()),
    ("networking.k8s.io", "v1", "ingresses", "Ingress", ("ing",), ()),
    ("policy", "v1", "poddisruptionbudgets", "PodDisruptionBudget", ("pdb",), ()),
)

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
        verbs=("create", "delete", "deletecollection", *_RELABEL),
        status=True,
        generation=True,
        returns_object=True,
        field_labels=_POD_FIELDS,
        categories=("all",),
        bare=True,
    ),
    Resource("", "v1", "services", "Service", short=("svc",), verbs=_RELABEL, categories=("all",)),
    Resource("", "v1", "endpoints", "Endpoints", short=("ep",), verbs=_READ),
    Resource("", "v1", "configmaps", "ConfigMap", short=("cm",), schema=builtin.CONFIG_MAP),
    Resource(
        "",
        "v1",
        "persistentvolumeclaims",
        "PersistentVolumeClaim",
        short=("pvc",),
        schema=volume_kinds.CLAIM,
        status=True,
        returns_object=True,
    ),
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
    Resource(
        "events.k8s.io",
        "v1",
        "events",
        "Event",
        short=("ev",),
        schema=builtin.VIEWED_EVENT,
        create_on_update=True,
        field_labels=("reason", "type"),
        view=True,
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
    *(
        Resource(
            "batch",
            "v1",
            f"{kind.lower()}s",
            kind,
            short=short,
            schema=schema,
            status=True,
            generation=True,
            categories=("all",),
        )
        for kind, short, schema in (
            ("CronJob", ("cj",), batch_kinds.CRON_JOB),
            ("Job", (), batch_kinds.JOB),
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
    *(
        Resource(*_RBAC, plural, kind, namespaced, schema=schema)
        for plural, kind, namespaced, schema in (
            ("roles", "Role", True, rbac_kinds.ROLE),
            ("clusterroles", "ClusterRole", False, rbac_kinds.CLUSTER_ROLE),
            ("rolebindings", "RoleBinding", True, rbac_kinds.BINDING),
            ("clusterrolebindings", "ClusterRoleBinding", False, rbac_kinds.BINDING),
        )
    ),
    *(
        Resource(
            f"{group}.k8s.io",
            "v1",
            f"{kind.lower()}s",
            kind,
            kind.startswith("Local"),
            verbs=("create",),
            schema=schema,
        )
        for group, kind, schema in (
            ("authentication", "SelfSubjectReview", auth_kinds.SELF_REVIEW),
            ("authentication", "TokenReview", auth_kinds.TOKEN_REVIEW),
            ("authorization", "LocalSubjectAccessReview", auth_kinds.ACCESS_REVIEW),
            ("authorization", "SelfSubjectAccessReview", auth_kinds.SELF_ACCESS_REVIEW),
            ("authorization", "SelfSubjectRulesReview", auth_kinds.RULES_REVIEW),
            ("authorization", "SubjectAccessReview", auth_kinds.ACCESS_REVIEW),
        )
    ),
    *(
        Resource(group, version, plural, kind, True, short, _READ, categories=categories)
        for group, version, plural, kind, short, categories in _READ_ONLY
    ),
)

BY_KIND = {resource.kind: resource for resource in RESOURCES if not resource.view}
_BY_PATH = {(resource.group, resource.version, resource.plural): resource for resource in RESOURCES}

NOT_MODELLED_SUBRESOURCES = {
    "pods": (
        "attach",
        "binding",
        "ephemeralcontainers",
        "eviction",
        "proxy",
        "resize",
    ),
    "services": ("proxy", "status"),
    "nodes": ("proxy",),
    "namespaces": ("finalize",),
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
