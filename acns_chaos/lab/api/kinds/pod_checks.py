"""What a server refuses in the template of a pod, beyond the types of its fields.

Belongs here: what people get wrong in a manifest - names, images, mounts, quantities, words. What
is not looked at is listed in ``acns_chaos.lab``. Not here: schema and defaults (`pod_template`).
"""

import re
from collections.abc import Iterable, Iterator
from typing import Any

from acns_chaos.lab.api.failures import Json, Problem
from acns_chaos.lab.api.kinds.pod_template import SOURCES
from acns_chaos.lab.api.kinds.schema import quoted

_NAME = re.compile("[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_NAME_RULE = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and "
    "must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used "
    "for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
)
_VARIABLE = re.compile("[-._a-zA-Z][-._a-zA-Z0-9]*")
QUANTITY = re.compile(
    r"[+-]?(\d+(\.\d*)?|\.\d+)([KMGTPE]i|[numkMGTPE]|[eE][+-]?\d+)?",
)
_WORDS = {
    "dnsPolicy": ("ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"),
    "imagePullPolicy": ("Always", "IfNotPresent", "Never"),
    "protocol": ("SCTP", "TCP", "UDP"),
    "terminationMessagePolicy": ("FallbackToLogsOnError", "File"),
}


def required(path: str, detail: str = "") -> Problem:
    """A member is missing."""
    return Problem(path, "Required value", detail)


def one_of(path: str, value: Any, supported: Iterable[str]) -> Iterator[Problem]:
    """Hold a word against those that a server knows."""
    words = sorted(supported)
    if value not in words:
        listed = ", ".join(map(quoted, words))
        yield Problem(
            path, "Unsupported value", f"{quoted(str(value))}: supported values: {listed}"
        )


def not_negative(path: str, value: Any) -> Iterator[Problem]:
    """Hold a number against zero; one that is missing is fine."""
    if isinstance(value, int) and value < 0:
        detail = f"{value}: must be greater than or equal to 0"
        yield Problem(path, "Invalid value", detail)


def check(spec: Json, path: str) -> Iterator[Problem]:
    """What is wrong with the spec of a pod's template.

    Args:
        spec: with a server's defaults in it.
        path: where it stands in its object.
    """
    volumes = [str(one.get("name") or "") for one in spec.get("volumes") or ()]
    yield from _names(volumes, f"{path}.volumes")
    for number, volume in enumerate(spec.get("volumes") or ()):
        if len(set(volume) & set(SOURCES)) > 1:
            place = f"{path}.volumes[{number}]"
            yield Problem(place, "Forbidden", "may not specify more than 1 volume type")
    if not spec.get("containers"):
        yield required(f"{path}.containers")
    taken: list[str] = []
    for key in ("containers", "initContainers"):
        found = spec.get(key) or ()
        names = [str(one.get("name") or "") for one in found]
        yield from _names(names, f"{path}.{key}", taken)
        taken += names
        for number, container in enumerate(found):
            yield from _container(container, f"{path}.{key}[{number}]", volumes)
    yield from one_of(f"{path}.dnsPolicy", spec.get("dnsPolicy"), _WORDS["dnsPolicy"])
    account = spec.get("serviceAccountName")
    if account and not all(_NAME.fullmatch(part) for part in account.split(".")):
        yield Problem(f"{path}.serviceAccountName", "Invalid value", quoted(account))
    grace = spec.get("terminationGracePeriodSeconds")
    yield from not_negative(f"{path}.terminationGracePeriodSeconds", grace)


def _names(names: list[str], path: str, taken: Iterable[str] = ()) -> Iterator[Problem]:
    """Names of containers or volumes: there, well formed, and each one once."""
    seen = set(taken)
    for number, name in enumerate(names):
        place = f"{path}[{number}].name"
        if not name:
            yield required(place)
        elif not _NAME.fullmatch(name) or len(name) > 63:
            yield Problem(place, "Invalid value", f"{quoted(name)}: {_NAME_RULE}")
        elif name in seen:
            yield Problem(place, "Duplicate value", quoted(name))
        seen.add(name)


def _container(container: Json, path: str, volumes: list[str]) -> Iterator[Problem]:
    if not container.get("image"):
        yield required(f"{path}.image")
    for key in ("imagePullPolicy", "terminationMessagePolicy"):
        yield from one_of(f"{path}.{key}", container.get(key), _WORDS[key])
    for number, port in enumerate(container.get("ports") or ()):
        place = f"{path}.ports[{number}]"
        yield from one_of(f"{place}.protocol", port.get("protocol"), _WORDS["protocol"])
        if not port.get("containerPort"):
            yield required(f"{place}.containerPort")
        elif not 1 <= port["containerPort"] <= 65535:
            detail = f"{port['containerPort']}: must be between 1 and 65535, inclusive"
            yield Problem(f"{place}.containerPort", "Invalid value", detail)
    for number, variable in enumerate(container.get("env") or ()):
        yield from _variable(variable, f"{path}.env[{number}]")
    mounted: set[str] = set()
    for number, mount in enumerate(container.get("volumeMounts") or ()):
        place = f"{path}.volumeMounts[{number}]"
        yield from _mount(mount, place, volumes, mounted)
        mounted.add(mount.get("mountPath") or "")
    for side in ("limits", "requests"):
        for name, quantity in ((container.get("resources") or {}).get(side) or {}).items():
            if not QUANTITY.fullmatch(str(quantity)):
                detail = (
                    f"{quoted(str(quantity))}: quantities must match the regular expression "
                    "'^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
                )
                yield Problem(f"{path}.resources.{side}[{name}]", "Invalid value", detail)


def _variable(variable: Json, path: str) -> Iterator[Problem]:
    name = variable.get("name")
    if not name:
        yield required(f"{path}.name")
    elif not _VARIABLE.fullmatch(name):
        rule = (
            "a valid environment variable name must consist of alphabetic characters, digits, "
            "'_', '-', or '.', and must not start with a digit (e.g. 'my.env-name',  or "
            "'MY_ENV.NAME',  or 'MyEnvName1', regex used for validation is "
            "'[-._a-zA-Z][-._a-zA-Z0-9]*')"
        )
        yield Problem(f"{path}.name", "Invalid value", f"{quoted(name)}: {rule}")
    if variable.get("valueFrom") and variable.get("value"):
        detail = '"": may not be specified when `value` is not empty'
        yield Problem(f"{path}.valueFrom", "Invalid value", detail)


def _mount(mount: Json, path: str, volumes: list[str], mounted: set[str]) -> Iterator[Problem]:
    name, place = mount.get("name"), mount.get("mountPath")
    if not name:
        yield required(f"{path}.name")
    elif name not in volumes:
        yield Problem(f"{path}.name", "Not found", quoted(name))
    if not place:
        yield required(f"{path}.mountPath")
    elif place in mounted:
        yield Problem(f"{path}.mountPath", "Invalid value", f"{quoted(place)}: must be unique")
