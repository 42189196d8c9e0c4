"""The documents in which the server describes itself: health, version, discovery, OpenAPI.

Here: which path and media type means which document. What they say is in ``discovery`` and
``openapi``.
"""

import json
from typing import Any

from aiohttp import web

from acns_chaos.lab.api import failures
from acns_chaos.lab.api.describing import discovery
from acns_chaos.lab.api.failures import Json
from acns_chaos.lab.api.kinds.resources import group_versions
from acns_chaos.lab.api.options import read_query

_HEALTH = frozenset({"/healthz", "/livez", "/readyz"})
_AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
# Old clients ask with an @, which is no legal media type, so no server answers with it.
_OPENAPI_PROTOBUF = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"


def about(request: web.Request, git_version: str) -> web.Response | None:
    """The answer to a request about the server itself; None for every other path.

    Args:
        request: already authenticated.
        git_version: what /version says.

    Raises:
        Failure: 405 for a method other than GET, 406 for a form that no server writes.
    """
    if request.path in _HEALTH:
        read_query(request.query.items(), frozenset(), request.path)
        return web.Response(text="ok")
    found = _document(request, git_version)
    if found is None:
        return None
    if request.method != "GET":
        raise failures.not_allowed()
    return found


def _document(request: web.Request, git_version: str) -> web.Response | None:
    path = request.path.strip("/").split("/")
    if path[0] == "openapi":
        return _openapi(request, path[1:], git_version)
    if path in (["api"], ["apis"]) and _wants_aggregated(request):
        return _json(discovery.aggregated(core=path == ["api"]), _AGGREGATED)
    found: Json | None = None
    match path:
        case ["version"]:
            found = discovery.version(git_version)
        case ["api"]:
            found = discovery.core_versions(request.host)
        case ["apis"]:
            found = discovery.groups()
        case ["api", "v1"]:
            found = discovery.resources("", "v1")
        case ["apis", group] if group in discovery.group_names():
            found = discovery.group_object(group)
        case ["apis", group, version] if (group, version) in group_versions():
            found = discovery.resources(group, version)
    return None if found is None else _json(found)


def _openapi(request: web.Request, rest: list[str], git_version: str) -> web.Response | None:
    # Building the documents takes a while, and most clients never ask for them.
    import acns_chaos.lab.api.describing.openapi as version_3
    import acns_chaos.lab.api.describing.openapi_v2 as version_2

    match rest:
        case ["v2"]:
            accept = request.headers.get("Accept", "").replace("@", ".")
            if _OPENAPI_PROTOBUF in accept:
                body = version_2.protobuf(git_version)
                return web.Response(body=body, headers={"Content-Type": _OPENAPI_PROTOBUF})
            return _raw(version_2.document(git_version))
        case ["v3"]:
            return _json(version_3.index())
        case ["v3", "api", "v1"]:
            return _raw(version_3.document("", "v1"))
        case ["v3", "apis", group, version] if (group, version) in group_versions():
            return _raw(version_3.document(group, version))
    return None


def _wants_aggregated(request: web.Request) -> bool:
    """Whether a client takes all groups with all their resources in one document.

    Clients name the media types in order of preference, the aggregated ones first.
    """
    for choice in request.headers.get("Accept", "").split(","):
        parameters = {part.strip() for part in choice.split(";")[1:]}
        if "as=APIGroupDiscoveryList" in parameters and "v=v2" in parameters:
            return True
    return False


def _json(body: Json, content_type: str = "application/json") -> web.Response:
    return _raw(json.dumps(body).encode(), content_type)


def _raw(body: Any, content_type: str = "application/json") -> web.Response:
    headers = {"Content-Type": content_type, "Cache-Control": "no-cache, private"}
    return web.Response(body=body, headers=headers)
