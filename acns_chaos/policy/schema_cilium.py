"""The schema of CiliumNetworkPolicy and CiliumClusterwideNetworkPolicy, as data.

Belongs here: what the CustomResourceDefinitions of Cilium 1.19.4 say (enums, patterns, limits,
alternatives, defaults). Does not belong here: what the agent refuses later than the schema
(`validity_agent`).
"""

from acns_chaos.policy import schema_patterns as patterns
from acns_chaos.policy.schema import ANY, BOOLEAN, INTEGER, STRING, STRING_MAP, STRINGS, Field

ENTITIES = (
    "all",
    "world",
    "cluster",
    "host",
    "init",
    "ingress",
    "unmanaged",
    "remote-node",
    "health",
    "none",
    "kube-apiserver",
)
PROTOCOLS = ("TCP", "UDP", "SCTP", "VRRP", "IGMP", "ANY")
_ICMP_NAMES = (
    "EchoReply|DestinationUnreachable|Redirect|Echo|RouterAdvertisement|RouterSelection|"
    "TimeExceeded|ParameterProblem|Timestamp|TimestampReply|Photuris|ExtendedEchoRequest|"
    "ExtendedEcho Reply|PacketTooBig|ParameterProblem|EchoRequest|MulticastListenerQuery|"
    "MulticastListenerReport|MulticastListenerDone|RouterSolicitation|RouterAdvertisement|"
    "NeighborSolicitation|NeighborAdvertisement|RedirectMessage|RouterRenumbering|"
    "ICMPNodeInformationQuery|ICMPNodeInformationResponse|InverseNeighborDiscoverySolicitation|"
    "InverseNeighborDiscoveryAdvertisement|HomeAgentAddressDiscoveryRequest|"
    "HomeAgentAddressDiscoveryReply|MobilePrefixSolicitation|MobilePrefixAdvertisement|"
    "DuplicateAddressRequestCodeSuffix|DuplicateAddressConfirmationCodeSuffix"
)
_ICMP_TYPE = f"^([0-9]|[1-9][0-9]|1[0-9]{{2}}|2[0-4][0-9]|25[0-5]|{_ICMP_NAMES})$"


def _list(items: Field, max_items: int | None = None, min_items: int | None = None) -> Field:
    return Field("array", items=items, max_items=max_items, min_items=min_items)


_SELECTOR = Field(
    fields={
        "matchLabels": Field(values=Field("string", max_length=63, pattern=patterns.LABEL_VALUE)),
        "matchExpressions": _list(
            Field(
                fields={
                    "key": STRING,
                    "operator": Field("string", enum=("In", "NotIn", "Exists", "DoesNotExist")),
                    "values": STRINGS,
                },
                required=("key", "operator"),
            )
        ),
    }
)
_CIDR = Field("string", format="cidr")
_CIDR_SET = Field(
    fields={
        "cidr": _CIDR,
        "cidrGroupRef": Field("string", max_length=253, pattern=patterns.SUBDOMAIN),
        "cidrGroupSelector": _SELECTOR,
        "except": _list(_CIDR),
    },
    one_of=("cidr", "cidrGroupRef", "cidrGroupSelector"),
)
_NAME = Field(
    fields={
        "matchName": Field("string", max_length=255, pattern=patterns.DNS_NAME),
        "matchPattern": Field("string", max_length=255, pattern=patterns.DNS_PATTERN),
    },
    one_of=("matchName", "matchPattern"),
)
_GROUP = Field(
    fields={
        "aws": Field(
            fields={
                "labels": STRING_MAP,
                "region": STRING,
                "securityGroupsIds": STRINGS,
                "securityGroupsNames": STRINGS,
            }
        )
    }
)
_SERVICE = Field(
    fields={
        "k8sService": Field(fields={"namespace": STRING, "serviceName": STRING}),
        "k8sServiceSelector": Field(
            fields={"namespace": STRING, "selector": _SELECTOR}, required=("selector",)
        ),
    }
)
_ICMPS = _list(
    Field(
        fields={
            "fields": _list(
                Field(
                    fields={
                        "family": Field("string", enum=("IPv4", "IPv6"), default="IPv4"),
                        "type": Field("int-or-string", pattern=_ICMP_TYPE),
                    },
                    required=("type",),
                ),
                max_items=40,
            )
        }
    )
)

_SECRET = Field(fields={"name": STRING, "namespace": STRING}, required=("name",))
_TLS = Field(
    fields={"certificate": STRING, "privateKey": STRING, "secret": _SECRET, "trustedCA": STRING},
    required=("secret",),
)
_LISTENER = Field(
    fields={
        "envoyConfig": Field(
            fields={
                "kind": Field("string", enum=("CiliumEnvoyConfig", "CiliumClusterwideEnvoyConfig")),
                "name": Field("string", min_length=1),
            },
            required=("name",),
        ),
        "name": Field("string", min_length=1),
        "priority": Field("integer", minimum=1, maximum=100),
    },
    required=("envoyConfig", "name"),
)
_HTTP = Field(
    fields={
        "headerMatches": _list(
            Field(
                fields={
                    "mismatch": Field("string", enum=("LOG", "ADD", "DELETE", "REPLACE")),
                    "name": Field("string", min_length=1),
                    "secret": _SECRET,
                    "value": STRING,
                },
                required=("name",),
            )
        ),
        "headers": STRINGS,
        "host": STRING,
        "method": STRING,
        "path": STRING,
    }
)
_KAFKA = Field(
    fields={
        "apiKey": STRING,
        "apiVersion": STRING,
        "clientID": STRING,
        "role": Field("string", enum=("produce", "consume")),
        "topic": Field("string", max_length=255),
    }
)
_L7 = Field(
    fields={
        "dns": _list(_NAME),
        "http": _list(_HTTP),
        "kafka": _list(_KAFKA),
        "l7": _list(STRING_MAP),
        "l7proto": STRING,
    },
    one_of=("http", "kafka", "dns", "l7proto"),
)
_PORT_PROTOCOL = Field(
    fields={
        "endPort": Field("integer", minimum=0, maximum=65535),
        "port": Field("string", pattern=patterns.PORT),
        "protocol": Field("string", enum=PROTOCOLS),
    }
)
_ALLOW_PORTS = _list(
    Field(
        fields={
            "listener": _LISTENER,
            "originatingTLS": _TLS,
            "ports": _list(_PORT_PROTOCOL, max_items=40),
            "rules": _L7,
            "serverNames": _list(
                Field("string", max_length=255, pattern=patterns.DNS_PATTERN), min_items=1
            ),
            "terminatingTLS": _TLS,
        }
    )
)
_DENY_PORTS = _list(Field(fields={"ports": _list(_PORT_PROTOCOL)}))


def _peers(side: str) -> dict[str, Field]:
    """The peer members of a rule item, named from… on ingress and to… on egress."""
    peers = {
        "CIDR": _list(_CIDR),
        "CIDRSet": _list(_CIDR_SET),
        "Endpoints": _list(_SELECTOR),
        "Entities": _list(Field("string", enum=ENTITIES)),
        "Groups": _list(_GROUP),
        "Nodes": _list(_SELECTOR),
        "Requires": _list(STRING, max_items=0),
    }
    if side == "to":
        peers["Services"] = _list(_SERVICE)
    return {side + name: peer for name, peer in peers.items()}


def _items(side: str, allow: bool) -> Field:
    """A list of rule items of one section."""
    fields = {**_peers(side), "icmps": _ICMPS, "toPorts": _ALLOW_PORTS if allow else _DENY_PORTS}
    if allow:
        modes = ("disabled", "required", "test-always-fail")
        fields["authentication"] = Field(
            fields={"mode": Field("string", enum=modes)}, required=("mode",)
        )
    if allow and side == "to":
        fields["toFQDNs"] = _list(_NAME)
    return _list(Field(fields=fields))


_RULE = Field(
    fields={
        "description": STRING,
        "egress": _items("to", allow=True),
        "egressDeny": _items("to", allow=False),
        "enableDefaultDeny": Field(fields={"egress": BOOLEAN, "ingress": BOOLEAN}),
        "endpointSelector": _SELECTOR,
        "ingress": _items("from", allow=True),
        "ingressDeny": _items("from", allow=False),
        "labels": _list(
            Field(fields={"key": STRING, "source": STRING, "value": STRING}, required=("key",))
        ),
        "log": Field(fields={"value": Field("string", max_length=32, pattern=patterns.PRINTABLE)}),
        "nodeSelector": _SELECTOR,
    },
    any_of=("ingress", "ingressDeny", "egress", "egressDeny"),
    one_of=("endpointSelector", "nodeSelector"),
)
_STATUS = Field(
    fields={
        "conditions": _list(
            Field(
                fields={
                    "lastTransitionTime": Field("string", format="date-time"),
                    "message": STRING,
                    "reason": STRING,
                    "status": STRING,
                    "type": STRING,
                },
                required=("status", "type"),
            )
        ),
        "derivativePolicies": Field(
            values=Field(
                fields={
                    "annotations": STRING_MAP,
                    "enforcing": BOOLEAN,
                    "error": STRING,
                    "lastUpdated": Field("string", format="date-time"),
                    "localPolicyRevision": INTEGER,
                    "ok": BOOLEAN,
                }
            )
        ),
    }
)

POLICY = Field(
    fields={
        "apiVersion": STRING,
        "kind": STRING,
        "metadata": ANY,
        "spec": _RULE,
        "specs": _list(_RULE),
        "status": _STATUS,
    },
    required=("metadata",),
)
