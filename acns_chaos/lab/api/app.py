"""The HTTP surface: authentication, paths to targets, verbs to methods, failures to Statuses.

Every rule about objects is elsewhere; here is only what belongs to the transport.
"""

import hmac
import json

from aiohttp import web

from acns_chaos.lab.api import discovery, failures
from acns_chaos.lab.api.decode import parse_json
from acns_chaos.lab.api.exec import Exec, exec_in_pod
from acns_chaos.lab.api.failures import Failure, Json
from acns_chaos.lab.api.options import DeleteOptions, ListOptions, WriteOptions, read_query
from acns_chaos.lab.api.patches import APPLY_PATCH, JSON_PATCH, MERGE_PATCH, STRATEGIC_PATCH
from acns_chaos.lab.api.reads import Reads, list_of
from acns_chaos.lab.api.resources import (
    NOT_MODELLED_SUBRESOURCES,
    Resource,
    find,
    group_versions,
)
from acns_chaos.lab.api.schema import quoted
from acns_chaos.lab.api.store import Store
from acns_chaos.lab.api.table import as_table
from acns_chaos.lab.api.writes import Answer, Target, Writes

_LARGEST_BODY = 3 * 1024 * 1024
_HEALTH = frozenset({"/healthz", "/livez", "/readyz"})
_COLLECTION_VERBS = {"GET": "list", "POST": "create", "DELETE": "deletecollection"}
_OBJECT_VERBS = {"GET": "get", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
_READABLE_ELSEWHERE = ("application/yaml", "application/vnd.kubernetes.protobuf")


class Api:
    """One API server over one store."""

    def __init__(self, store: Store, token: str, run: Exec, git_version: str) -> None:
        """Serve a store.

        Args:
            store: the objects.
            token: the bearer token that every request must carry.
            run: executes commands in pods.
            git_version: what /version says.
        """
        self._store = store
        self._reads = Reads(store)
        self._writes = Writes(store)
        self._token = token
        self._run = run
        self._git_version = git_version

    def application(self) -> web.Application:
        """The aiohttp application; run it with ``handler_cancellation``."""
        app = web.Application(client_max_size=_LARGEST_BODY)
        app.router.add_route("*", "/{path:.*}", self._answer)
        app.on_shutdown.append(self._on_shutdown)
        return app

    async def _on_shutdown(self, _: web.Application) -> None:
        self._reads.close()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        """Every request comes through here."""
        try:
            given = request.headers.get("Authorization", "").encode(errors="surrogateescape")
            if not hmac.compare_digest(given, f"Bearer {self._token}".encode()):
                raise failures.unauthorized()
            if request.path in _HEALTH:
                read_query(request.query.items(), frozenset(), request.path)
                return web.Response(text="ok")
            about = self._about(request)
            if about is not None:
                return _json(about)
            return await self._resource(request, _target(request.path))
        except Failure as failure:
            return _json(failure.status, failure.code)
        except web.HTTPRequestEntityTooLarge:
            message = f"Request entity too large: limit is {_LARGEST_BODY}"
            return _json(Failure(413, "RequestEntityTooLarge", message, {}).status, 413)

    def _about(self, request: web.Request) -> Json | None:
        """The documents about the server itself; None for every other path."""
        path = request.path.strip("/").split("/")
        found: Json | None = None
        if path == ["version"]:
            found = discovery.version(self._git_version)
        elif path == ["api"]:
            found = discovery.core_versions(request.host)
        elif path == ["apis"]:
            found = discovery.groups()
        elif path == ["openapi", "v3"]:
            found = discovery.openapi_index()
        elif path[:2] == ["openapi", "v2"]:
            raise failures.not_modelled("the OpenAPI v2 document")
        else:
            openapi = path[:2] == ["openapi", "v3"]
            match path[2:] if openapi else path:
                case ["api", "v1" as version]:
                    group = ""
                case ["apis", group, version] if (group, version) in group_versions():
                    pass
                case ["apis", group] if not openapi and group in discovery.group_names():
                    version = ""
                case _:
                    return None
            if not version:
                found = discovery.group_object(group)
            else:
                describe = discovery.openapi_document if openapi else discovery.resources
                found = describe(group, version)
        if request.method != "GET":
            raise failures.not_allowed()
        return found

    async def _resource(self, request: web.Request, target: Target) -> web.StreamResponse:
        """Verbs on objects and collections."""
        resource = target.resource
        if target.subresource == "exec":
            if request.method not in {"GET", "POST"}:
                raise failures.not_allowed()
            return await exec_in_pod(request, self._pod(target), self._run)
        verb = _verb(request.method, target)
        if verb not in resource.verbs:
            raise failures.not_modelled(f"{verb} of {resource.qualified}")
        table = _wants_table(request)
        if verb in {"get", "list"}:
            return await self._read(request, target, verb, table)
        body = await request.read()
        if verb == "deletecollection":
            answer = self._delete_collection(request, target, body)
        elif verb == "delete":
            options = DeleteOptions.read(request.query.items(), _delete_body(body))
            answer = self._writes.delete(target, options)
        else:
            answer = self._write(request, target, verb, body)
        return _json(answer.body, answer.code, answer.warnings)

    def _pod(self, target: Target) -> Json:
        pod = self._store.find("Pod", target.namespace, target.name)
        if pod is None:
            raise target.not_found()
        return pod

    def _write(self, request: web.Request, target: Target, verb: str, body: bytes) -> Answer:
        content_type = ""
        if verb == "patch":
            content_type = _patch_type(request, target.resource)
        else:
            _require_json(request, target.resource)
        agent = request.headers.get("User-Agent", "")
        options = WriteOptions.read(request.query.items(), verb, agent)
        if verb == "patch":
            return self._writes.patch(target, body, content_type, options)
        if verb == "create":
            return self._writes.create(target, body, options)
        return self._writes.update(target, body, options)

    def _delete_collection(self, request: web.Request, target: Target, body: bytes) -> Answer:
        selectors = {"labelSelector", "fieldSelector"}
        query = list(request.query.items())
        chosen = ListOptions.read((name, value) for name, value in query if name in selectors)
        rest = [(name, value) for name, value in query if name not in selectors]
        options = DeleteOptions.read(rest, _delete_body(body))
        objects = self._reads.matching(target, chosen)
        removed = self._writes.delete_all(target, objects, options)
        metadata = {"resourceVersion": str(self._store.revision)}
        return Answer(200, list_of(target.resource, removed, metadata))

    async def _read(
        self, request: web.Request, target: Target, verb: str, table: bool
    ) -> web.StreamResponse:
        if verb == "get":
            found = read_query(request.query.items(), frozenset({"resourceVersion"}), verb)
            version = found.get("resourceVersion") or "0"
            if version.isdigit() and int(version) > self._store.revision:
                raise failures.too_large_version(int(version), self._store.revision)
            obj = self._reads.get(target)
            return _json(as_table(target.resource, [obj], {}) if table else obj)
        options = ListOptions.read(request.query.items())
        if options.watch:
            return await self._watch(request, target, options, table)
        listed = self._reads.list(target, options)
        if table:
            return _json(as_table(target.resource, listed["items"], listed["metadata"]))
        return _json(listed)

    async def _watch(
        self, request: web.Request, target: Target, options: ListOptions, table: bool
    ) -> web.StreamResponse:
        events = self._reads.watch(target, options)
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        response.enable_chunked_encoding()
        await response.prepare(request)
        try:
            async for event in events:
                obj = event["object"]
                if table and event["type"] not in {"ERROR", "BOOKMARK"}:
                    obj = as_table(target.resource, [obj], {})
                line = json.dumps({"type": event["type"], "object": obj})
                await response.write(line.encode() + b"\n")
        except ConnectionResetError:
            return response  # the client has seen enough
        await response.write_eof()
        return response


def _json(body: Json, code: int = 200, warnings: tuple[str, ...] = ()) -> web.Response:
    response = web.Response(
        status=code, body=json.dumps(body).encode(), content_type="application/json"
    )
    response.headers["Cache-Control"] = "no-cache, private"
    for warning in warnings:
        response.headers.add("Warning", f"299 - {quoted(warning)}")
    return response


def _target(path: str) -> Target:
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


def _verb(method: str, target: Target) -> str:
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


def _wants_table(request: web.Request) -> bool:
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


def _patch_type(request: web.Request, resource: Resource) -> str:
    content_type = request.content_type
    accepted = [JSON_PATCH, MERGE_PATCH, APPLY_PATCH]
    if not resource.custom:
        accepted.insert(2, STRATEGIC_PATCH)
    if content_type not in accepted:
        raise failures.unsupported_media_type(accepted)
    if content_type == APPLY_PATCH:
        raise failures.not_modelled(f"server-side apply ({APPLY_PATCH})")
    return content_type


def _require_json(request: web.Request, resource: Resource) -> None:
    given = request.headers.get("Content-Type")
    if given is None or request.content_type == "application/json":
        return
    if request.content_type in _READABLE_ELSEWHERE:
        raise failures.not_modelled(f"a body of type {request.content_type}, only JSON")
    readable = _READABLE_ELSEWHERE[:1] if resource.custom else _READABLE_ELSEWHERE
    raise failures.unsupported_media_type(("application/json", *readable))


def _delete_body(body: bytes) -> Json:
    parsed = (parse_json(body) if body else None) or {}
    if not isinstance(parsed, dict):
        raise failures.bad_request("DeleteOptions must be an object")
    return parsed
