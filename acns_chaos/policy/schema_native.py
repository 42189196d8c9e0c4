"""The schemas of Kubernetes' own objects that policy has to do with, as data.

Belongs here: metadata, NetworkPolicy, and as much of pods, namespaces, services and CIDR groups
as the engine reads. Does not belong here: Cilium's policies (`schema_cilium`).
"""

from acns_chaos.policy.schema import ANY, BOOLEAN, INTEGER, STRING, STRING_MAP, STRINGS, Field

METADATA = Field(
    fields={
        "annotations": STRING_MAP,
        "creationTimestamp": STRING,
        "deletionGracePeriodSeconds": INTEGER,
        "deletionTimestamp": STRING,
        "finalizers": STRINGS,
        "generateName": STRING,
        "generation": INTEGER,
        "labels": STRING_MAP,
        "managedFields": Field("array", items=ANY),
        "name": STRING,
        "namespace": STRING,
        "ownerReferences": Field(
            "array",
            items=Field(
                fields={
                    "apiVersion": STRING,
                    "blockOwnerDeletion": BOOLEAN,
                    "controller": BOOLEAN,
                    "kind": STRING,
                    "name": STRING,
                    "uid": STRING,
                }
            ),
        ),
        "resourceVersion": STRING,
        "selfLink": STRING,
        "uid": STRING,
    }
)


def kind_schema(**fields: Field) -> Field:
    """A built-in kind: the common members and its own."""
    return Field(fields={"apiVersion": STRING, "kind": STRING, "metadata": METADATA, **fields})


_SELECTOR = Field(
    fields={
        "matchLabels": STRING_MAP,
        "matchExpressions": Field(
            "array", items=Field(fields={"key": STRING, "operator": STRING, "values": STRINGS})
        ),
    }
)
_PEERS = Field(
    "array",
    items=Field(
        fields={
            "ipBlock": Field(fields={"cidr": Field("string", format="cidr"), "except": STRINGS}),
            "namespaceSelector": _SELECTOR,
            "podSelector": _SELECTOR,
        }
    ),
)
_PORTS = Field(
    "array",
    items=Field(
        fields={
            "endPort": Field("integer", minimum=1, maximum=65535),
            "port": Field("int-or-string", minimum=1, maximum=65535),
            "protocol": Field("string", enum=("SCTP", "TCP", "UDP"), default="TCP"),
        }
    ),
)

NETWORK_POLICY = kind_schema(
    spec=Field(
        fields={
            "egress": Field("array", items=Field(fields={"ports": _PORTS, "to": _PEERS})),
            "ingress": Field("array", items=Field(fields={"from": _PEERS, "ports": _PORTS})),
            "podSelector": _SELECTOR,
            "policyTypes": Field("array", items=Field("string", enum=("Ingress", "Egress"))),
        }
    )
)

# Only what the engine reads; the rest of these kinds is passed over.
_NAMED = Field(fields={"name": STRING, "namespace": STRING, "labels": STRING_MAP})
SERVICE = Field(
    fields={
        "kind": STRING,
        "metadata": _NAMED,
        "spec": Field(
            fields={
                "clusterIP": STRING,
                "selector": STRING_MAP,
                "ports": Field(
                    "array",
                    items=Field(
                        fields={
                            "name": STRING,
                            "port": INTEGER,
                            "protocol": STRING,
                            "targetPort": Field("int-or-string"),
                        }
                    ),
                ),
            }
        ),
        # The short form.
        "name": STRING,
        "namespace": STRING,
        "labels": STRING_MAP,
        "selector": STRING_MAP,
        "backends": STRINGS,
    }
)
ENDPOINT_SLICE = Field(
    fields={
        "kind": STRING,
        "metadata": _NAMED,
        "endpoints": Field("array", items=Field(fields={"addresses": STRINGS})),
    }
)
CIDR_GROUP = Field(
    fields={"kind": STRING, "metadata": _NAMED, "spec": Field(fields={"externalCIDRs": STRINGS})}
)
