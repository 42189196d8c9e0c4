"""Refusals of the API, each a ``Failure`` that carries the ``Status`` object a client receives.

Wordings are those of a real API server (1.33 to 1.36). A 501 is the lab's own: it names what a
real server would do and the lab does not. Nothing here knows HTTP beyond the code.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

Json = dict[str, Any]

_CAUSES = {
    "Invalid value": "FieldValueInvalid",
    "Unsupported value": "FieldValueNotSupported",
    "Required value": "FieldValueRequired",
    "Too long": "FieldValueTooLong",
    "Too many": "FieldValueTooMany",
    "Forbidden": "FieldValueForbidden",
    "Not found": "FieldValueNotFound",
    "Duplicate value": "FieldValueDuplicate",
}


class Failure(Exception):
    """A request that is refused.

    Attributes:
        code: the HTTP status code.
        status: the body, a ``v1`` ``Status`` object.
    """

    def __init__(self, code: int, reason: str, message: str, details: Json | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.status: Json = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": message,
            **({"reason": reason} if reason else {}),
            **({"details": details} if details is not None else {}),
            "code": code,
        }


@dataclass(frozen=True, slots=True)
class Problem:
    """One finding about one field of an object.

    Attributes:
        field: the path ("spec.ingress[0].fromEntities[0]"), or "<nil>" as the schema validator
            prints it for a finding that belongs to no single field.
        what: the kind of finding: "Invalid value", "Unsupported value", "Required value", ...
        detail: what follows the kind, "" when nothing does.
    """

    field: str
    what: str
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.field}: {self.what}" + (f": {self.detail}" if self.detail else "")


def details(group: str, kind: str, name: str = "") -> Json:
    """The ``details`` of a Status: name, group and kind (a plural, save for 422)."""
    found = {"name": name, "group": group, "kind": kind}
    return {key: value for key, value in found.items() if value}


def qualified(plural: str, group: str) -> str:
    """A resource as messages name it: "configmaps", "ciliumnetworkpolicies.cilium.io"."""
    return f"{plural}.{group}" if group else plural


def not_found(plural: str, group: str, name: str) -> Failure:
    """404: there is no such object."""
    message = f'{qualified(plural, group)} "{name}" not found'
    return Failure(404, "NotFound", message, details(group, plural, name))


def no_such_path() -> Failure:
    """404: no resource is served there."""
    return Failure(404, "NotFound", "the server could not find the requested resource", {})


def not_allowed() -> Failure:
    """405: the resource does not know this verb."""
    message = "the server does not allow this method on the requested resource"
    return Failure(405, "MethodNotAllowed", message, {})


def already_exists(plural: str, group: str, name: str) -> Failure:
    """409 on create."""
    message = f'{qualified(plural, group)} "{name}" already exists'
    return Failure(409, "AlreadyExists", message, details(group, plural, name))


def conflict(plural: str, group: str, name: str, why: str = "") -> Failure:
    """409: the object is not the one that the client has seen."""
    why = why or (
        "the object has been modified; please apply your changes to the latest version and "
        "try again"
    )
    message = f'Operation cannot be fulfilled on {qualified(plural, group)} "{name}": {why}'
    return Failure(409, "Conflict", message, details(group, plural, name))


def invalid(kind: str, group: str, name: str, problems: Sequence[Problem]) -> Failure:
    """422: the object breaks rules; one problem stands alone, several are listed in brackets."""
    listed = ", ".join(map(str, problems))
    if len(problems) > 1:
        listed = f"[{listed}]"
    causes = [
        {
            "reason": _CAUSES[problem.what],
            "message": problem.what + (f": {problem.detail}" if problem.detail else ""),
            "field": problem.field,
        }
        for problem in problems
    ]
    message = f'{qualified(kind, group)} "{name}" is invalid: {listed}'
    return Failure(422, "Invalid", message, {**details(group, kind, name), "causes": causes})


def unprocessable() -> Failure:
    """422 for a JSON patch that cannot be applied: the server says no more than this."""
    message = "the server rejected our request due to an error in our request"
    return Failure(422, "Invalid", message, {})


def bad_request(message: str) -> Failure:
    """400."""
    return Failure(400, "BadRequest", message)


def unauthorized() -> Failure:
    """401: no token, or a wrong one."""
    return Failure(401, "Unauthorized", "Unauthorized")


def gone(message: str) -> Failure:
    """410: the version asked for is no longer kept."""
    return Failure(410, "Expired", message)


def too_large_version(asked: int, current: int) -> Failure:
    """504: a version that the server has not reached."""
    message = f"Too large resource version: {asked}, current: {current}"
    cause = {"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}
    return Failure(504, "Timeout", message, {"causes": [cause], "retryAfterSeconds": 1})


def not_acceptable() -> Failure:
    """406: the client takes nothing that the lab can write."""
    message = "only the following media types are accepted: application/json"
    return Failure(406, "NotAcceptable", message, {})


def unsupported_media_type(accepted: Sequence[str]) -> Failure:
    """415: a body of a kind that a real server would refuse as well."""
    message = (
        "the body of the request was in an unknown format - accepted media types include: "
        + ", ".join(accepted)
    )
    return Failure(415, "UnsupportedMediaType", message, {})


def not_modelled(what: str) -> Failure:
    """501: a real server would do it, the lab does not.

    Args:
        what: names the thing, and may say why ("the parameter resourceVersionMatch=Exact").
    """
    return Failure(501, "NotImplemented", f"the lab does not model {what}")
