"""What holds for the metadata of every object: names, labels, sizes, and copies of JSON values.

Nothing here knows one kind from another, save for the form of its name.
"""

import random
import re
import uuid
from datetime import UTC, datetime, timedelta
from typing import TypeVar, cast

from acns_chaos.lab.api.failures import Json, Problem
from acns_chaos.lab.api.kinds.rbac_kinds import check_name
from acns_chaos.lab.api.kinds.resources import Resource
from acns_chaos.lab.api.kinds.schema import quoted

_LABEL_PART = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_DNS_LABEL = re.compile(_LABEL_PART)
_DNS_SUBDOMAIN = re.compile(rf"{_LABEL_PART}(\.{_LABEL_PART})*")
_QUALIFIED_NAME = re.compile(r"([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]")
_LABEL_VALUE = re.compile(r"(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?")

_SUBDOMAIN_RULE = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or "
    "'.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used "
    "for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
)
_LABEL_RULE = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and "
    "must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex "
    "used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
)
_VALUE_RULE = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or "
    "'.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value', "
    " or '12345', regex used for validation is "
    "'(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
)
_KEY_RULE = (
    "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end "
    "with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for "
    "validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
)
_LARGEST_ANNOTATIONS = 256 * 1024
_SUFFIX = "bcdfghjklmnpqrstvwxz2456789"


T = TypeVar("T")
_NESTED = (dict, list)


def clone(value: T) -> T:
    """A deep copy of a JSON value."""
    # The members are looked at here, because a call for each text is what takes the time.
    if isinstance(value, dict):
        copied = {
            key: clone(member) if isinstance(member, _NESTED) else member
            for key, member in value.items()
        }
        return cast("T", copied)
    if isinstance(value, list):
        items = [clone(item) if isinstance(item, _NESTED) else item for item in value]
        return cast("T", items)
    return value


def now(ahead: float = 0.0) -> str:
    """The time as the server writes it, so many seconds ahead: UTC, whole seconds."""
    return (datetime.now(UTC) + timedelta(seconds=ahead)).strftime("%Y-%m-%dT%H:%M:%SZ")


def new_uid() -> str:
    """A fresh metadata.uid."""
    return str(uuid.uuid4())


def generated_name(prefix: str) -> str:
    """A name from metadata.generateName: five characters are added."""
    return prefix[:58] + "".join(random.choices(_SUFFIX, k=5))  # noqa: S311 - a name, no secret


def validate_metadata(resource: Resource, metadata: Json) -> list[Problem]:
    """What is wrong with the metadata of an object that is to be stored."""
    problems = _validate_name(resource, metadata.get("name"))
    for key, value in (metadata.get("labels") or {}).items():
        problems += _validate_key("metadata.labels", key)
        if len(value) > 63:
            detail = f"{quoted(value)}: must be no more than 63 bytes"
            problems.append(Problem("metadata.labels", "Invalid value", detail))
        elif not _LABEL_VALUE.fullmatch(value):
            detail = f"{quoted(value)}: {_VALUE_RULE}"
            problems.append(Problem("metadata.labels", "Invalid value", detail))
    annotations = metadata.get("annotations") or {}
    for key in annotations:
        problems += _validate_key("metadata.annotations", key)
    size = sum(len(key.encode()) + len(text.encode()) for key, text in annotations.items())
    if size > _LARGEST_ANNOTATIONS:
        detail = f"may not be more than {_LARGEST_ANNOTATIONS} bytes"
        problems.append(Problem("metadata.annotations", "Too long", detail))
    return problems


def _validate_name(resource: Resource, name: str | None) -> list[Problem]:
    if not name:
        return [Problem("metadata.name", "Required value", "name or generateName is required")]
    if resource.group == "rbac.authorization.k8s.io":
        return check_name("metadata.name", name)
    if resource.kind in {"Namespace", "Service"}:
        pattern, longest, rule = _DNS_LABEL, 63, _LABEL_RULE
    else:
        pattern, longest, rule = _DNS_SUBDOMAIN, 253, _SUBDOMAIN_RULE
    if pattern.fullmatch(name) and len(name) <= longest:
        return []
    return [Problem("metadata.name", "Invalid value", f"{quoted(name)}: {rule}")]


def _validate_key(field: str, key: str) -> list[Problem]:
    prefix, slash, name = key.rpartition("/")
    fits = bool(_QUALIFIED_NAME.fullmatch(name)) and len(name) <= 63
    if slash:
        fits = fits and bool(_DNS_SUBDOMAIN.fullmatch(prefix.lower()))
    return [] if fits else [Problem(field, "Invalid value", f"{quoted(key)}: {_KEY_RULE}")]
