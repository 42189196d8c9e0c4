"""The schema of a world file, and of what the simulated network reads from objects.

Only types and limits: what fits together is in `checks`. The rest of an object (a Deployment's
spec, a policy) is checked when the API server takes it in.
"""

from acns_chaos.policy.schema import ANY, BOOLEAN, STRING, STRING_MAP, STRINGS, Field

BASES = ("alpine", "debian-curl", "debian-slim", "scratch")
ROUTING = ("tunnel", "native")

_TEXT = Field("string", min_length=1)
_PORT = Field("integer", minimum=1, maximum=65535)
_METADATA = Field(
    fields={
        "name": _TEXT, "namespace": _TEXT, "labels": STRING_MAP, "annotations": STRING_MAP,
        "ownerReferences": Field("array", items=ANY),
    },
    required=["name"],
)  # fmt: skip
_OBJECT = Field(
    fields={"apiVersion": _TEXT, "kind": _TEXT, "metadata": _METADATA},
    required=["apiVersion", "kind", "metadata"],
)

WORLD = Field(
    fields={
        "name": _TEXT,
        "include": STRINGS,
        "objects": Field("array", items=_OBJECT, min_items=1),
        "outside": Field(
            values=Field(
                fields={
                    "addresses": Field("array", items=Field("string"), min_items=1),
                    "ports": Field("array", items=_PORT),
                    "redirects": STRING_MAP,
                },
                required=["addresses"],
            )
        ),
        "shop": Field(
            fields=dict.fromkeys(("namespace", "front", "orders", "products", "queue"), _TEXT),
            required=["namespace", "front", "orders", "products", "queue"],
        ),
        "images": Field(values=Field("string", enum=BASES)),
        "later": Field(values=Field("array", items=_OBJECT)),
        "established": STRINGS,
        "node_search": STRINGS,
        "visits": Field(
            "array",
            items=Field(
                fields={
                    "namespace": _TEXT, "client": _TEXT, "host": _TEXT, "port": _PORT, "every": ANY,
                },
                required=["namespace", "client", "host", "port", "every"],
            ),
        ),
        "routing": Field("string", enum=ROUTING),
        "min_ttl": ANY,
        "scrape_seconds": ANY,
        "hubble": Field(
            fields={
                "ring": Field("integer", minimum=1, maximum=65535),
                "policy_verdicts_metric": BOOLEAN,
            }
        ),
    },
    required=["objects"],
)  # fmt: skip
"""Numbers with a fraction are ANY here: schemas of policies know none; `checks` looks at them."""

_CONTAINERS = Field(
    "array",
    items=Field(
        fields={
            "name": _TEXT,
            "image": _TEXT,
            "ports": Field(
                "array",
                items=Field(
                    fields={"containerPort": _PORT, "name": STRING, "protocol": STRING},
                    required=["containerPort"],
                ),
            ),
            "env": Field("array", items=Field(fields={"name": _TEXT}, required=["name"])),
        },
        required=["name", "image"],
    ),
    min_items=1,
)
_CONDITIONS = Field(
    "array",
    items=Field(fields={"type": STRING, "status": STRING}, required=["type", "status"]),
)
_ADDRESSED = Field(fields={"ip": STRING})
READ = {
    "Pod": Field(
        fields={
            "spec": Field(
                fields={
                    "containers": _CONTAINERS, "nodeName": STRING, "hostNetwork": BOOLEAN,
                },
                required=["containers"],
            ),
            "status": Field(
                fields={"phase": STRING, "podIP": STRING, "conditions": _CONDITIONS},
                required=["phase"],
            ),
        },
        required=["spec", "status"],
    ),
    "Node": Field(
        fields={
            "status": Field(
                fields={
                    "addresses": Field(
                        "array",
                        items=Field(
                            fields={"type": STRING, "address": STRING},
                            required=["type", "address"],
                        ),
                    ),
                    "conditions": _CONDITIONS,
                }
            )
        }
    ),
    "Service": Field(
        fields={
            "spec": Field(
                fields={
                    "clusterIP": STRING,
                    "selector": STRING_MAP,
                    "ports": Field(
                        "array",
                        items=Field(
                            fields={
                                "port": _PORT, "targetPort": Field("int-or-string"),
                                "protocol": STRING, "name": STRING,
                            },
                            required=["port"],
                        ),
                    ),
                },
            ),
            "status": Field(
                fields={
                    "loadBalancer": Field(fields={"ingress": Field("array", items=_ADDRESSED)})
                }
            ),
        },
        required=["spec"],
    ),
    "ConfigMap": Field(fields={"data": STRING_MAP}),
}  # fmt: skip
"""By kind, what the network relies on."""
