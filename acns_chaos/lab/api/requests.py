"""What a request means before any object is looked at: path, verb, media types, and how to answer.

Nothing here knows the store; a request that means nothing is refused as a real server words it.
"""

import json

from aiohttp import web

from acns_chaos.lab.api import failures
from acns_chaos.lab.api.failures import Json
from acns_chaos.lab.api.kinds.resources import NOT_MODELLED_SUBRESOURCES, Resource, find
from acns_chaos.lab.api.kinds.schema import quoted
from acns_chaos.lab.api.pods.subresources import WAYS_IN
from acns_chaos.lab.api.writing.bodies import BODIES, JSON, parse
from acns_chaos.lab.api.writing.patches import APPLY_PATCH, JSON_PATCH, MERGE_PATCH, STRATEGIC_PATCH
from acns_chaos.lab.api.writing.writes import Target

_COLLECTION_VERBS = {"GET": "list", "POST": "create", "DELETE": "deletecollection"}
_OBJECT_VERBS = {"GET": "get", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}


def json_response(body: Json, code: int = 200, warnings: tuple[str, ...] = ()) -> web.Response:
    """A JSON response with its warnings as headers."""
    response = web.Response(
        status=code, body=json.dumps(body).encode(), content_type="application/json"
    )
    response.headers["Cache-Control"] = "no-cache, private"
    for warning in warnings:
        text = "".join(letter if letter.isprintable() else " " for letter in quoted(warning))
        response.headers.add("Warning", f"299 - {text}")
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
    known = (
        (subresource == "status" and resource.status)
        or (subresource in WAYS_IN and resource.kind == "Pod")
        or (subresource == "token" and resource.kind == "ServiceAccount")
    )
    if subresource and not known:
        raise failures.no_such_path()
    return Target(resource, namespace, name, subresource)


def read_verb(method: str, target: Target) -> str:
    """The Kubernetes verb of a method on a target.

    Raises:
        Failure: 405, the target does not know the method.
    """
    if target.subresource == "token":
        verbs = {"POST": "create"}
    else:
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


def read_include(request: web.Request) -> str:
    """What the rows of a table carry of their objects: "Metadata", "Object" or "None".

    Raises:
        Failure: 422 for anything else.
    """
    given = request.query.get("includeObject") or "Metadata"
    if given not in {"Metadata", "Object", "None"}:
        why = f'{quoted(given)}: supported values: "Metadata", "None", "Object"'
        problem = failures.Problem("includeObject", "Unsupported value", why)
        raise failures.invalid("TableOptions", "meta.k8s.io", "", [problem])
    return given


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
    return content_type


def read_media(request: web.Request, resource: Resource) -> str:
    """The form of a body: one of ``bodies.BODIES``; JSON when the client does not say.

    Raises:
        Failure: 415 for a type that a real server does not read.
    """
    given = request.headers.get("Content-Type")
    # A custom kind has no protobuf form.
    readable = BODIES[:2] if resource.custom else BODIES
    if given is None:
        return JSON
    if request.content_type not in readable:
        raise failures.unsupported_media_type(readable)
    return request.content_type


def read_delete_body(request: web.Request, body: bytes) -> Json:
    """The DeleteOptions in a body, empty without one.

    Raises:
        Failure: 400, they are no object; 415 for a type that a real server does not read.
    """
    if not body:
        return {}
    media = request.content_type if "Content-Type" in request.headers else JSON
    if media not in BODIES:
        raise failures.unsupported_media_type(BODIES)
    parsed = parse(body, media).value or {}
    if not isinstance(parsed, dict):
        raise failures.bad_request("DeleteOptions must be an object")
    return parsed
