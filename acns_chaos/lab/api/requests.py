"""What a request means before any object is looked at: path, verb, media types, and how to answer.

Nothing here knows the store; a request that means nothing is refused as a real server words it.
"""

import json

from aiohttp import web

from acns_chaos.lab.api import failures
from acns_chaos.lab.api.decode import parse_json
from acns_chaos.lab.api.failures import Json
from acns_chaos.lab.api.patches import APPLY_PATCH, JSON_PATCH, MERGE_PATCH, STRATEGIC_PATCH
from acns_chaos.lab.api.resources import NOT_MODELLED_SUBRESOURCES, Resource, find
from acns_chaos.lab.api.schema import quoted
from acns_chaos.lab.api.writes import Target

_COLLECTION_VERBS = {"GET": "list", "POST": "create", "DELETE": "deletecollection"}
_OBJECT_VERBS = {"GET": "get", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
_READABLE_ELSEWHERE = ("application/yaml", "application/vnd.kubernetes.protobuf")


def json_response(body: Json, code: int = 200, warnings: tuple[str, ...] = ()) -> web.Response:
    """A JSON response with its warnings as headers."""
    response = web.Response(
        status=code, body=json.dumps(body).encode(), content_type="application/json"
    )
    response.headers["Cache-Control"] = "no-cache, private"
    for warning in warnings:
        response.headers.add("Warning", f"299 - {quoted(warning)}")
    return response


def read_target(path: str) -> Target:
    """What a path names.

    Raises:
        Failure: 404 for a path that no server has, 501 for a part that the lab does not model.
    """
    match path.strip("/").split("/"):
        case ["api", "v1", *rest]:
            group, version = "", "v1"
        case ["apis", group, version, *rest]:
            pass
        case _:
            raise failures.no_such_path()
    namespace: str | None = None
    if len(rest) > 2 and rest[0] == "namespaces" and find(group, version, rest[2]):
        _, namespace, *rest = rest
    resource = find(group, version, rest[0]) if rest else None
    if resource is None or len(rest) > 3 or not all(rest):
        raise failures.no_such_path()
    name, subresource = (*rest[1:], "", "")[:2]
    if resource.namespaced and namespace is None and name:
        raise failures.no_such_path()
    if not resource.namespaced and namespace is not None:
        raise failures.no_such_path()
    if subresource in NOT_MODELLED_SUBRESOURCES.get(resource.plural, ()):
        raise failures.not_modelled(f"{resource.qualified}/{subresource}")
    known = (subresource == "status" and resource.status) or (
        subresource == "exec" and resource.kind == "Pod"
    )
    if subresource and not known:
        raise failures.no_such_path()
    return Target(resource, namespace, name, subresource)


def read_verb(method: str, target: Target) -> str:
    """The Kubernetes verb of a method on a target.

    Raises:
        Failure: 405, the target does not know the method.
    """
    verbs = _OBJECT_VERBS if target.name else _COLLECTION_VERBS
    verb = verbs.get(method)
    across = target.resource.namespaced and target.namespace is None
    if verb is None or (across and verb != "list"):
        raise failures.not_allowed()
    if target.subresource and verb == "delete":
        raise failures.not_allowed()
    if target.resource.verbs == ("create",) and verb != "create":
        raise failures.not_allowed()
    return verb


def wants_table(request: web.Request) -> bool:
    """Whether the answer is to be a Table; a client says what it takes in order of preference.

    Raises:
        Failure: 406, it takes nothing that the lab writes.
    """
    accept = request.headers.get("Accept", "") or "*/*"
    for choice in accept.split(","):
        media, *parameters = (part.strip() for part in choice.split(";"))
        form = next((part for part in parameters if part.startswith("as=")), "")
        if media in {"application/json", "application/*", "*/*"} and form in {"", "as=Table"}:
            return form == "as=Table" and "v=v1" in parameters
    raise failures.not_acceptable()


def read_patch_type(request: web.Request, resource: Resource) -> str:
    """The media type of a patch.

    Raises:
        Failure: 415 with the types that are taken, or 501.
    """
    content_type = request.content_type
    accepted = [JSON_PATCH, MERGE_PATCH, APPLY_PATCH]
    if not resource.custom:
        accepted.insert(2, STRATEGIC_PATCH)
    if content_type not in accepted:
        raise failures.unsupported_media_type(accepted)
    if content_type == APPLY_PATCH:
        raise failures.not_modelled(f"server-side apply ({APPLY_PATCH})")
    return content_type


def require_json(request: web.Request, resource: Resource) -> None:
    """Refuse a body that is not JSON.

    Raises:
        Failure: 415, or 501 for a type that a real server reads.
    """
    given = request.headers.get("Content-Type")
    if given is None or request.content_type == "application/json":
        return
    if request.content_type in _READABLE_ELSEWHERE:
        raise failures.not_modelled(f"a body of type {request.content_type}, only JSON")
    readable = _READABLE_ELSEWHERE[:1] if resource.custom else _READABLE_ELSEWHERE
    raise failures.unsupported_media_type(("application/json", *readable))


def read_delete_body(body: bytes) -> Json:
    """The DeleteOptions in a body, empty without one.

    Raises:
        Failure: 400, they are no object.
    """
    parsed = (parse_json(body) if body else None) or {}
    if not isinstance(parsed, dict):
        raise failures.bad_request("DeleteOptions must be an object")
    return parsed
