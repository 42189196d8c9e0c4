"""The shape of a policy object: which fields are lists, objects, texts.

Belongs here: what a client with typed structures would fail to decode. Does not belong here: what
the decoded values mean (`validity`). Fields nobody knows are passed over: the API server prunes
them.
"""

from collections.abc import Iterator, Mapping
from typing import Any

_OBJECT_LISTS = frozenset(
    [
        "specs",
        "ingress",
        "egress",
        "ingressDeny",
        "egressDeny",
        "fromEndpoints",
        "toEndpoints",
        "fromCIDRSet",
        "toCIDRSet",
        "fromNodes",
        "toNodes",
        "fromGroups",
        "toGroups",
        "toServices",
        "toFQDNs",
        "toPorts",
        "ports",
        "icmps",
        "fields",
        "http",
        "dns",
        "kafka",
        "matchExpressions",
        "headerMatches",
        "from",
        "to",
    ]
)
_TEXT_LISTS = frozenset(
    [
        "fromCIDR",
        "toCIDR",
        "fromEntities",
        "toEntities",
        "except",
        "values",
        "serverNames",
        "headers",
        "policyTypes",
    ]
)
_OBJECTS = frozenset(
    [
        "spec",
        "endpointSelector",
        "nodeSelector",
        "podSelector",
        "namespaceSelector",
        "rules",
        "enableDefaultDeny",
        "matchLabels",
        "cidrGroupSelector",
        "k8sService",
        "k8sServiceSelector",
        "ipBlock",
        "selector",
        "listener",
        "terminatingTLS",
        "originatingTLS",
        "secret",
    ]
)
_TEXTS = frozenset(
    [
        "matchName",
        "matchPattern",
        "cidr",
        "cidrGroupRef",
        "key",
        "operator",
        "protocol",
        "family",
        "serviceName",
        "namespace",
        "path",
        "method",
        "host",
        "description",
    ]
)
_NOT_OURS = frozenset({"metadata", "status", "labels", "l7", "authentication", "log"})


def shape_problems(obj: Mapping[str, Any], *, named_ports_only: bool) -> list[str]:
    """What cannot be decoded, one sentence each.

    Args:
        obj: a policy object.
        named_ports_only: ports must be texts (Cilium's kinds), not numbers.
    """
    return [
        f"{path} {finding}." for path, finding in _walk(obj, "", named_ports_only=named_ports_only)
    ]


def _walk(
    obj: Mapping[str, Any], path: str, *, named_ports_only: bool
) -> Iterator[tuple[str, str]]:
    for key, value in obj.items():
        here = f"{path}.{key}" if path else str(key)
        if value is None or key in _NOT_OURS:
            continue
        if key in _OBJECT_LISTS:
            if not isinstance(value, list):
                yield here, "is not a list"
                continue
            for number, item in enumerate(value):
                if not isinstance(item, Mapping):
                    yield f"{here}[{number}]", "is not an object"
                else:
                    yield from _walk(item, f"{here}[{number}]", named_ports_only=named_ports_only)
        elif key in _OBJECTS:
            if not isinstance(value, Mapping):
                yield here, "is not an object"
            elif key == "matchLabels":
                yield from _values(value, here, str, "is not a text; put it in quotes")
            elif key == "enableDefaultDeny":
                yield from _values(value, here, bool, "is neither true nor false")
            else:
                yield from _walk(value, here, named_ports_only=named_ports_only)
        else:
            finding = _leaf(key, value, named_ports_only=named_ports_only)
            if finding:
                yield here, finding


def _values(
    values: Mapping[str, Any], path: str, wanted: type, finding: str
) -> Iterator[tuple[str, str]]:
    for key, value in values.items():
        if not isinstance(key, str):
            yield path, f"has the key {key!r}, which is not a text; put it in quotes"
        elif not isinstance(value, wanted) and not (wanted is bool and value is None):
            yield f"{path}[{key!r}]", finding


def _leaf(key: str, value: Any, *, named_ports_only: bool) -> str:
    whole = isinstance(value, int) and not isinstance(value, bool)
    if key in _TEXT_LISTS:
        texts = isinstance(value, list) and all(isinstance(item, str) for item in value)
        return "" if texts else "is not a list of texts"
    if key in _TEXTS:
        return "" if isinstance(value, str) else "is not a text"
    if key == "port":
        if isinstance(value, str) or (whole and not named_ports_only):
            return ""
        return "is not a text; put it in quotes" if named_ports_only else "is no port"
    if key == "endPort":
        return "" if whole else "is not a whole number"
    if key == "type":
        return "" if whole or isinstance(value, str) else "is neither a number nor a name"
    return ""
