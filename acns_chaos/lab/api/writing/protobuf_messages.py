"""The public field numbers of the messages that clients send, as Kubernetes' API documents them.

A row is number: (member in JSON, type): "string", "bytes" (base64 in JSON), "int", "bool", "Time",
"MicroTime" or a message; "[" before it means repeated, "{" a map from texts. Reading is in
`protobuf`.
"""

from collections.abc import Mapping

Message = Mapping[int, tuple[str, str]]


def _row(text: str) -> dict[int, tuple[str, str]]:
    """A message written as "1 name string, 2 generateName string"."""
    rows = (part.split() for part in text.split(","))
    return {int(number): (member, kind) for number, member, kind in rows}


def _kind(text: str = "") -> dict[int, tuple[str, str]]:
    """An object of the API: its metadata comes first."""
    return {1: ("metadata", "ObjectMeta"), **(_row(text) if text else {})}


_KINDS: dict[str, Message] = {
    "ConfigMap": _kind("2 data {string, 3 binaryData {bytes, 4 immutable bool"),
    "Secret": _kind("2 data {bytes, 3 type string, 4 stringData {string, 5 immutable bool"),
    "Namespace": _kind("2 spec NamespaceSpec, 3 status NamespaceStatus"),
    "ServiceAccount": _kind(
        "2 secrets [ObjectReference, 3 imagePullSecrets [LocalObjectReference,"
        "4 automountServiceAccountToken bool"
    ),
    "Role": _kind("2 rules [PolicyRule"),
    "ClusterRole": _kind("2 rules [PolicyRule, 3 aggregationRule AggregationRule"),
    "RoleBinding": _kind("2 subjects [Subject, 3 roleRef RoleRef"),
    "ClusterRoleBinding": _kind("2 subjects [Subject, 3 roleRef RoleRef"),
    "Event": _kind(
        "2 involvedObject ObjectReference, 3 reason string, 4 message string,"
        "5 source EventSource, 6 firstTimestamp Time, 7 lastTimestamp Time, 8 count int,"
        "9 type string, 10 eventTime MicroTime, 11 series EventSeries, 12 action string,"
        "13 related ObjectReference, 14 reportingComponent string, 15 reportingInstance string"
    ),
    "Lease": _kind("2 spec LeaseSpec"),
    "SelfSubjectAccessReview": _kind("2 spec AccessReviewSpec, 3 status AccessReviewStatus"),
    "SelfSubjectRulesReview": _kind("2 spec RulesReviewSpec, 3 status RulesReviewStatus"),
    "SelfSubjectReview": _kind("2 status SelfSubjectReviewStatus"),
    "SubjectAccessReview": _kind("2 spec SubjectReviewSpec, 3 status AccessReviewStatus"),
    "LocalSubjectAccessReview": _kind("2 spec SubjectReviewSpec, 3 status AccessReviewStatus"),
    "TokenRequest": _kind("2 spec TokenRequestSpec, 3 status TokenRequestStatus"),
    "TokenReview": _kind("2 spec TokenReviewSpec, 3 status TokenReviewStatus"),
    "DeleteOptions": _row(
        "1 gracePeriodSeconds int, 2 preconditions Preconditions, 3 orphanDependents bool,"
        "4 propagationPolicy string, 5 dryRun [string"
    ),
}
KINDS = frozenset(_KINDS)
"""The kinds that a body may be of."""

MESSAGES: Mapping[str, Message] = {
    **_KINDS,
    "Unknown": _row(
        "1 typeMeta TypeMeta, 2 raw bytes, 3 contentEncoding string, 4 contentType string"
    ),
    "TypeMeta": _row("1 apiVersion string, 2 kind string"),
    "Time": _row("1 seconds int, 2 nanos int"),
    "ObjectMeta": _row(
        "1 name string, 2 generateName string, 3 namespace string, 4 selfLink string,"
        "5 uid string, 6 resourceVersion string, 7 generation int, 8 creationTimestamp Time,"
        "9 deletionTimestamp Time, 10 deletionGracePeriodSeconds int, 11 labels {string,"
        "12 annotations {string, 13 ownerReferences [OwnerReference, 14 finalizers [string,"
        "17 managedFields [ManagedFieldsEntry"
    ),
    "OwnerReference": _row(
        "1 kind string, 3 name string, 4 uid string, 5 apiVersion string, 6 controller bool,"
        "7 blockOwnerDeletion bool"
    ),
    "ManagedFieldsEntry": _row(
        "1 manager string, 2 operation string, 3 apiVersion string, 4 time Time,"
        "6 fieldsType string, 7 fieldsV1 FieldsV1, 8 subresource string"
    ),
    "FieldsV1": _row("1 raw bytes"),
    "NamespaceSpec": _row("1 finalizers [string"),
    "NamespaceStatus": _row("1 phase string"),
    "ObjectReference": _row(
        "1 kind string, 2 namespace string, 3 name string, 4 uid string, 5 apiVersion string,"
        "6 resourceVersion string, 7 fieldPath string"
    ),
    "LocalObjectReference": _row("1 name string"),
    "PolicyRule": _row(
        "1 verbs [string, 2 apiGroups [string, 3 resources [string, 4 resourceNames [string,"
        "5 nonResourceURLs [string"
    ),
    "AggregationRule": _row("1 clusterRoleSelectors [LabelSelector"),
    "LabelSelector": _row("1 matchLabels {string, 2 matchExpressions [Requirement"),
    "Requirement": _row("1 key string, 2 operator string, 3 values [string"),
    "Subject": _row("1 kind string, 2 apiGroup string, 3 name string, 4 namespace string"),
    "RoleRef": _row("1 apiGroup string, 2 kind string, 3 name string"),
    "EventSource": _row("1 component string, 2 host string"),
    "EventSeries": _row("1 count int, 2 lastObservedTime MicroTime"),
    "LeaseSpec": _row(
        "1 holderIdentity string, 2 leaseDurationSeconds int, 3 acquireTime MicroTime,"
        "4 renewTime MicroTime, 5 leaseTransitions int, 6 strategy string,"
        "7 preferredHolder string"
    ),
    "AccessReviewSpec": _row(
        "1 resourceAttributes ResourceAttributes, 2 nonResourceAttributes NonResourceAttributes"
    ),
    "AccessReviewStatus": _row(
        "1 allowed bool, 2 reason string, 3 evaluationError string, 4 denied bool"
    ),
    "ResourceAttributes": _row(
        "1 namespace string, 2 verb string, 3 group string, 4 version string, 5 resource string,"
        "6 subresource string, 7 name string"
    ),
    "NonResourceAttributes": _row("1 path string, 2 verb string"),
    "SubjectReviewSpec": _row(
        "1 resourceAttributes ResourceAttributes, 2 nonResourceAttributes NonResourceAttributes,"
        "3 user string, 4 groups [string, 5 extra {ExtraValue, 6 uid string"
    ),
    "ExtraValue": _row("1 items [string"),
    "RulesReviewSpec": _row("1 namespace string"),
    "RulesReviewStatus": _row("3 incomplete bool, 4 evaluationError string"),
    "SelfSubjectReviewStatus": _row("1 userInfo UserInfo"),
    "UserInfo": _row("1 username string, 2 uid string, 3 groups [string, 4 extra {ExtraValue"),
    "TokenRequestSpec": _row(
        "1 audiences [string, 3 boundObjectRef BoundObjectReference, 4 expirationSeconds int"
    ),
    "TokenRequestStatus": _row("1 token string, 2 expirationTimestamp Time"),
    "BoundObjectReference": _row("1 kind string, 2 apiVersion string, 3 name string, 4 uid string"),
    "TokenReviewSpec": _row("1 token string, 2 audiences [string"),
    "TokenReviewStatus": _row(
        "1 authenticated bool, 2 user UserInfo, 3 error string, 4 audiences [string"
    ),
    "Preconditions": _row("1 uid string, 2 resourceVersion string"),
}
"""Every message by its name."""
