"""The first layer: what the API server refuses, and what it drops without a word.

Belongs here: breaches of a schema in sentences for people, and the checks that a server makes
outside of schemas (names, labels). Does not belong here: what is left of a rule that lost a field
(`validity_leftover`).
Source of the facts: Cilium's 1.19 definitions, and the answers of a real API server to awkward
policies.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

from acns_chaos.policy import schema_patterns as patterns
from acns_chaos.policy.addresses import parse_address
from acns_chaos.policy.model import ObjectRef, Settings
from acns_chaos.policy.quoting import MAX_FINDINGS, a, place, related, shown
from acns_chaos.policy.schema import Breach, Field, breaches, json_type, prune, unknown_fields
from acns_chaos.policy.schema_native import METADATA
from acns_chaos.policy.shape import wrong_types
from acns_chaos.policy.validity_agent import agent_findings
from acns_chaos.policy.validity_leftover import dropped_field, suggestion

_REFUSED = "the API server refuses the object, so the cluster keeps what it has"
_MAX_ANNOTATIONS = 262_144
_VERSIONS = {"NetworkPolicy": "networking.k8s.io/v1"}
_CILIUM_VERSION = "cilium.io/v2"

Said = tuple[str, str]
"""(path, sentence)"""


@dataclass(frozen=True, slots=True)
class Review:
    """What the API server makes of an object.

    Attributes:
        refusals: why it is refused; of very many findings only the first.
        dropped: the fields that are unknown: kubectl refuses them, a raw write loses them.
        stored: the object as it would be stored.
        readable: what would be stored has the types that it should have, so that it can be judged
            further.
    """

    refusals: tuple[Said, ...]
    dropped: tuple[Said, ...]
    stored: Mapping[str, Any]
    readable: bool


def review(obj: Mapping[str, Any], ref: ObjectRef, schema: Field) -> Review:
    """What the API server makes of an object.

    Args:
        obj: a raw policy object that is not too large.
        ref: its reference.
        schema: of its kind.
    """
    whole = replace(schema, fields={**schema.fields, "metadata": METADATA})
    stored = prune(obj, whole)
    native = ref.kind == "NetworkPolicy"
    judged = obj if native else stored
    wrong = list(islice(wrong_types(judged, whole, native=native, everything=True), MAX_FINDINGS))
    broken = islice(breaches(stored, whole), MAX_FINDINGS)
    refusals = [(place(breach.path), _sentence(breach)) for breach in broken]
    if not refusals:
        refusals = [(path, f"it {finding}: {_REFUSED}; correct it.") for path, finding in wrong]
    if not wrong:
        refusals += islice(_metadata(stored, ref), MAX_FINDINGS)
        if native:
            refusals += _native(stored, ref, [path for path, _ in refusals])
    dropped = tuple(
        (place(path), dropped_field(path, stored, whole))
        for path in islice(unknown_fields(obj, whole), MAX_FINDINGS)
    )
    return Review(tuple(refusals), dropped, stored, not wrong)


def _sentence(breach: Breach) -> str:
    wrong, remedy = _wording(breach)
    return f"{wrong}: {_REFUSED}; {remedy}."


_SIZES: Mapping[str, tuple[str, str]] = {
    "required": ("this field is missing", "add it"),
    "max_items": ("{count} items are too many", "give at most {limit}"),
    "min_items": ("the list is too short", "give at least {limit} item, or take the field out"),
    "max_length": ("{count} characters are too long", "give at most {limit}"),
    "min_length": ("the text is empty", "fill it in, or take the field out"),
    "minimum": ("{shown} is too small", "give at least {limit}"),
    "maximum": ("{shown} is too large", "give at most {limit}"),
    "key": ("the key {shown} is not a text", "put it in quotes"),
}


def _wording(breach: Breach) -> tuple[str, str]:
    """What is wrong, and what to do."""
    value, limit = breach.value, breach.limit
    match breach.rule:
        case "type":
            return _wrong_type(value, limit)
        case "enum":
            like = suggestion(str(value), limit)
            remedy = f"use {like!r}" if like else f"use one of {', '.join(limit)}"
            return f"{shown(value)} is not known here", remedy
        case "pattern" | "format":
            return _wrong_form(str(value), limit)
        case "one_of" | "any_of":
            return _alternatives(breach)
    wrong, remedy = _SIZES[breach.rule]
    count = len(value) if isinstance(value, list | str) else 0
    facts = {"count": count, "limit": limit, "shown": shown(value)}
    return wrong.format(**facts), remedy.format(**facts)


def _wrong_type(value: object, wanted: str) -> tuple[str, str]:
    found = json_type(value)
    wrong = f"{a(found)} stands where {a(wanted)} belongs"
    if wanted == "string" and found in {"integer", "number", "boolean"}:
        return wrong, "put it in quotes"
    if found == "null":
        return wrong, "fill it in, or take the item out"
    if wanted == "array":
        return wrong, 'write it as an item of a list, with a dash ("- ") in front'
    return wrong, f"write {a(wanted)}"


_SIGNS = "letters, digits, dots, dashes and underscores"
_FORMS: Mapping[str, tuple[str, str]] = {
    "cidr": ("is no prefix", "write it as address/length, such as 10.0.0.0/8"),
    "date-time": ("is no time", "write it as 2006-01-02T15:04:05Z"),
    patterns.PORT: ("is no port", 'write a number in quotes ("8080") or the name of a port'),
    patterns.DNS_NAME: ("is no DNS name", f"use {_SIGNS} only, punycode for anything else"),
    patterns.DNS_PATTERN: (
        "is no pattern of DNS names",
        f"use {_SIGNS} and stars only, punycode for anything else",
    ),
    patterns.LABEL_VALUE: (
        "is no label value",
        f"use {_SIGNS} only, a letter or digit at both ends",
    ),
    patterns.SUBDOMAIN: ("is no name of an object", "use lower-case letters, digits and dashes"),
    patterns.PRINTABLE: ("has characters that cannot be printed", "take them out"),
}


def _wrong_form(value: str, form: str) -> tuple[str, str]:
    if form == "cidr" and parse_address(value) is not None:
        length = 128 if ":" in value else 32
        return f"{shown(value)} is an address without a length", f"write {value}/{length}"
    if form == patterns.DNS_NAME and "*" in value:
        return f"{shown(value)} has a star, which a matchName cannot have", "use matchPattern"
    # The last one of the patterns is that of ICMP types.
    wrong, remedy = _FORMS.get(form, ("is no ICMP type", "give a number from 0 to 255 or its name"))
    return f"{shown(value)} {wrong}", remedy


_ALTERNATIVES: Mapping[str, tuple[str, str, str]] = {
    "endpointSelector": (
        "there is neither an endpointSelector nor a nodeSelector",
        "endpointSelector and nodeSelector stand together",
        "say whom it is for with exactly one of them (endpointSelector: {} is every pod)",
    ),
    "matchName": (
        "the item has neither a matchName nor a matchPattern",
        "matchName and matchPattern stand in one item",
        "write exactly one of them in an item",
    ),
    "cidr": (
        "the item has none of cidr, cidrGroupRef and cidrGroupSelector",
        "more than one of cidr, cidrGroupRef and cidrGroupSelector stand in one item",
        "write exactly one of them in an item",
    ),
    "http": (
        "the rules name no layer-7 protocol",
        "rules of more than one layer-7 protocol stand together",
        "write exactly one of http, dns, kafka and l7proto, or take rules out",
    ),
}


def _alternatives(breach: Breach) -> tuple[str, str]:
    if breach.rule == "any_of":
        return f"there is none of {', '.join(breach.limit)}", (
            "add rules; an empty rule (ingress: [{}]) closes its direction"
        )
    none, several, remedy = _ALTERNATIVES[breach.limit[0]]
    return (several if breach.value else none), remedy


_NAME = re.compile(patterns.SUBDOMAIN)
_NAMESPACE = re.compile(r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")
_KEY = re.compile(r"([^/]{1,253}/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")


def _metadata(obj: Mapping[str, Any], ref: ObjectRef) -> Iterator[Said]:
    """What a server finds wrong with the parts that objects of every kind have."""
    version = _VERSIONS.get(ref.kind, _CILIUM_VERSION)
    found = obj.get("apiVersion")
    if found != version:
        was = "is missing" if found is None else f"is {shown(found)}"
        yield "apiVersion", f"it {was}: {_REFUSED}; write {version}."
    if not _matches_end(_NAME, ref.name):
        yield (
            "metadata.name",
            (
                f"{shown(ref.name)} is no name of an object: {_REFUSED}; use lower-case letters, "
                "digits, dots and dashes, a letter or digit at both ends."
            ),
        )
    if ref.namespace and (not _matches_end(_NAMESPACE, ref.namespace) or len(ref.namespace) > 63):
        yield (
            "metadata.namespace",
            (
                f"{shown(ref.namespace)} is no name of a namespace: {_REFUSED}; use at most 63 "
                "lower-case letters, digits and dashes."
            ),
        )
    metadata = obj["metadata"]
    for key, value in (metadata.get("labels") or {}).items():
        if not _KEY.fullmatch(key):
            yield "metadata.labels", f"{shown(key)} is no label key: {_REFUSED}; correct it."
        if len(value) > 63 or not patterns.matches(patterns.LABEL_VALUE, value):
            where = place(("metadata", "labels", key))
            yield where, f"{shown(value)} is no label value: {_REFUSED}; correct it."
    annotations = metadata.get("annotations") or {}
    for key in annotations:
        if not _KEY.fullmatch(key):
            yield "metadata.annotations", f"{shown(key)} is no key: {_REFUSED}; correct it."
    if sum(len(k.encode("utf-8", "replace")) + len(v) for k, v in annotations.items()) > (
        _MAX_ANNOTATIONS
    ):
        yield (
            "metadata.annotations",
            (f"they are larger than {_MAX_ANNOTATIONS // 1024} KiB: {_REFUSED}; shorten them."),
        )


def _matches_end(pattern: re.Pattern[str], text: str) -> bool:
    return pattern.search(text) is not None and not text.endswith("\n")


def _native(obj: Mapping[str, Any], ref: ObjectRef, taken: list[str]) -> Iterator[Said]:
    """What a server checks of a NetworkPolicy beyond its schema."""
    for direction, field in (("ingress", "from"), ("egress", "to")):
        for number, rule in enumerate((obj.get("spec") or {}).get(direction) or ()):
            for index, peer in enumerate(rule.get(field) or ()):
                where = f"spec.{direction}[{number}].{field}[{index}]"
                if not peer:
                    yield (
                        where,
                        (
                            f"the peer is empty: {_REFUSED}; write podSelector: {{}} for every pod "
                            "of the namespace, or take the item out."
                        ),
                    )
                elif "ipBlock" in peer and len(peer) > 1:
                    yield (
                        where,
                        (f"ipBlock stands beside a selector: {_REFUSED}; make two peers of it."),
                    )
    for path, finding in agent_findings(obj, ref, Settings()):
        if not any(related(path, one) for one in taken):
            yield path, f"{finding}: {_REFUSED}; correct it."
