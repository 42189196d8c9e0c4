"""The HTTP surface: authentication, verbs to methods, failures to Statuses.

Every rule about objects is elsewhere; here is only what belongs to the transport.
"""

import hmac
import json

from aiohttp import web

from acns_chaos.lab.api import discovery, failures
from acns_chaos.lab.api.exec import Exec, exec_in_pod
from acns_chaos.lab.api.failures import Failure, Json
from acns_chaos.lab.api.options import DeleteOptions, ListOptions, WriteOptions, read_query
from acns_chaos.lab.api.reads import Reads, list_of
from acns_chaos.lab.api.requests import (
    json_response,
    read_delete_body,
    read_patch_type,
    read_target,
    read_verb,
    require_json,
    wants_table,
)
from acns_chaos.lab.api.resources import (
    group_versions,
)
from acns_chaos.lab.api.store import Store
from acns_chaos.lab.api.table import as_table
from acns_chaos.lab.api.writes import Answer, Target, Writes

_LARGEST_BODY = 3 * 1024 * 1024
_HEALTH = frozenset({"/healthz", "/livez", "/readyz"})


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
                return json_response(about)
            return await self._resource(request, read_target(request.path))
        except Failure as failure:
            return json_response(failure.status, failure.code)
        except web.HTTPRequestEntityTooLarge:
            message = f"Request entity too large: limit is {_LARGEST_BODY}"
            return json_response(Failure(413, "RequestEntityTooLarge", message, {}).status, 413)

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
        verb = read_verb(request.method, target)
        if verb not in resource.verbs:
            raise failures.not_modelled(f"{verb} of {resource.qualified}")
        table = wants_table(request)
        if verb in {"get", "list"}:
            return await self._read(request, target, verb, table)
        body = await request.read()
        if verb == "deletecollection":
            answer = self._delete_collection(request, target, body)
        elif verb == "delete":
            options = DeleteOptions.read(request.query.items(), read_delete_body(body))
            answer = self._writes.delete(target, options)
        else:
            answer = self._write(request, target, verb, body)
        return json_response(answer.body, answer.code, answer.warnings)

    def _pod(self, target: Target) -> Json:
        pod = self._store.find("Pod", target.namespace, target.name)
        if pod is None:
            raise target.not_found()
        return pod

    def _write(self, request: web.Request, target: Target, verb: str, body: bytes) -> Answer:
        content_type = ""
        if verb == "patch":
            content_type = read_patch_type(request, target.resource)
        else:
            require_json(request, target.resource)
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
        options = DeleteOptions.read(rest, read_delete_body(body))
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
            return json_response(as_table(target.resource, [obj], {}) if table else obj)
        options = ListOptions.read(request.query.items())
        if options.watch:
            return await self._watch(request, target, options, table)
        listed = self._reads.list(target, options)
        if table:
            return json_response(as_table(target.resource, listed["items"], listed["metadata"]))
        return json_response(listed)

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
