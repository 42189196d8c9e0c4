"""labelSelector and fieldSelector: parsed as the server parses them, then matched.

Only text in, predicates out; which fields a kind offers is in ``resources``.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

from acns_chaos.lab.api.failures import Failure, Json, bad_request
from acns_chaos.lab.api.kinds.resources import Resource

Match = Callable[[Json], bool]

_TERM = re.compile(
    r"""\s*(?:
      (?P<absent>!)\s*(?P<key1>[-\w./]+)
    | (?P<key2>[-\w./]+)\s+(?P<set>in|notin)\s*\((?P<values>[^()]*)\)
    | (?P<key3>[-\w./]+)\s*(?:(?P<op>==|=|!=)\s*(?P<value>[-\w.]*))?
    )\s*(?:,|$)""",
    re.VERBOSE,
)


def label_match(text: str) -> Match:
    """The predicate of a labelSelector.

    Raises:
        Failure: 400, the text cannot be parsed.
    """
    tests: list[Callable[[Mapping[str, str]], bool]] = []
    position = 0
    while position < len(text):
        term = _TERM.match(text, position)
        if term is None:
            raise bad_request(f"unable to parse requirement: found '{text[position:]}'")
        tests.append(_label_test(term))
        position = term.end()

    def match(obj: Json) -> bool:
        labels = obj["metadata"].get("labels") or {}
        return all(test(labels) for test in tests)

    return match


def _label_test(term: re.Match[str]) -> Callable[[Mapping[str, str]], bool]:
    """One comma-separated part; a negation also holds where the label is absent."""
    key = term["key1"] or term["key2"] or term["key3"]
    if term["absent"]:
        return lambda labels: key not in labels
    if term["set"]:
        values = {value.strip() for value in term["values"].split(",")}
        if term["set"] == "in":
            return lambda labels: labels.get(key) in values
        return lambda labels: labels.get(key) not in values
    if term["op"] is None:
        return lambda labels: key in labels
    value = term["value"]
    if term["op"] == "!=":
        return lambda labels: labels.get(key) != value
    return lambda labels: labels.get(key) == value


def field_match(resource: Resource, text: str) -> Match:
    """The predicate of a fieldSelector.

    Raises:
        Failure: 400, the text cannot be parsed or names a field that the kind does not offer.
    """
    supported = {"metadata.name", "metadata.namespace", *resource.field_labels}
    tests: list[Match] = []
    for term in filter(None, text.split(",")):
        parsed = re.fullmatch(r"\s*([\w.]+)(==|=|!=)(.*)", term)
        if parsed is None:
            raise bad_request(f"invalid selector: '{text}'; can't understand '{term}'")
        field, operator, value = parsed.groups()
        if field not in supported:
            raise _unsupported_field(resource, field)
        tests.append(_field_test(field, value, wanted=operator != "!="))
    return lambda obj: all(test(obj) for test in tests)


def _unsupported_field(resource: Resource, field: str) -> Failure:
    if resource.custom:
        return bad_request(f"field label not supported: {field}")
    return bad_request(f'field label "{field}" not supported for kind "{resource.kind}"')


def _field_test(field: str, value: str, *, wanted: bool) -> Match:
    def match(obj: Json) -> bool:
        place: Any = obj
        for part in field.split("."):
            place = place.get(part, {}) if isinstance(place, dict) else {}
        found = place if isinstance(place, str) else ""
        return (found == value) is wanted

    return match
