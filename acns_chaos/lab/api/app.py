"""The HTTP surface: authentication, verbs to methods, failures to Statuses.

Every rule about objects is elsewhere; here is only what belongs to the transport.
"""

import json
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from aiohttp import web
from aiohttp.typedefs import Middleware

from acns_chaos.lab.api import failures
from acns_chaos.lab.api.access.attributes import Attributes, User
from acns_chaos.lab.api.access.rbac_escalation import require_no_escalation
from acns_chaos.lab.api.access.reviews import Reviews
from acns_chaos.lab.api.access.start import started
from acns_chaos.lab.api.describing.about import about
from acns_chaos.lab.api.describing.discovery import minor_version
from acns_chaos.lab.api.failures import Failure, Json
from acns_chaos.lab.api.kinds import events_view
from acns_chaos.lab.api.options import (
    DeleteOptions,
    ListOptions,
    WriteOptions,
    is_version,
    read_query,
)
from acns_chaos.lab.api.pods.exec import Exec
from acns_chaos.lab.api.pods.log import Logs
from acns_chaos.lab.api.pods.subresources import WAYS_IN, WaysIn
from acns_chaos.lab.api.reading.reads import Reads, list_of
from acns_chaos.lab.api.reading.table import as_table
from acns_chaos.lab.api.requests import (
    json_response,
    read_delete_body,
    read_include,
    read_media,
    read_patch_type,
    read_target,
    read_verb,
    wants_table,
)
from acns_chaos.lab.api.store import Store
from acns_chaos.lab.api.streams.ports import Ports
from acns_chaos.lab.api.writing.bodies import parse
from acns_chaos.lab.api.writing.patches import APPLY_PATCH
from acns_chaos.lab.api.writing.writes import Answer, Target, Writes

_LARGEST_BODY = 3 * 1024 * 1024
SHAPE_WATCH = "acns-chaos.shape-watch"


class Api:
    """One API server over one store."""

    def __init__(
        self,
        store: Store,
        token: str,
        run: Exec,
        git_version: str,
        authority: bytes = b"",
        *,
        ports: Ports | None = None,
        logs: Logs | None = None,
    ) -> None:
        """Serve a store.

        Args:
            store: the objects.
            token: the bearer token of the administrator.
            run: executes commands in pods.
            git_version: what /version says.
            authority: the certificate that vouches for the server, PEM; accounts get it.
            ports: what listens in pods, for port-forward.
            logs: what containers write.
        """
        self._store = store
        self._auth = started(store, token, authority)
        self._reviews = Reviews(store, self._auth)
        self._reads = Reads(store)
        self._writes = Writes(store)
        self._ways_in = WaysIn(run, ports, logs)
        self._git_version = git_version

    def application(self, middlewares: Sequence[Middleware] = ()) -> web.Application:
        """The aiohttp application; run it with ``handler_cancellation``.

        Args:
            middlewares: what stands before the API; it may leave under ``SHAPE_WATCH`` of a
                request what turns the events of a watch into those that are sent.
        """
        app = web.Application(client_max_size=_LARGEST_BODY, middlewares=middlewares)
        # Every path, also one with a line feed in it, which a dot would not match.
        app.router.add_route("*", "/{path:(?s:.*)}", self._answer)
        app.on_shutdown.append(self._on_shutdown)
        return app

    async def _on_shutdown(self, _: web.Application) -> None:
        self._reads.close()
        self._ways_in.close()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        """Every request comes through here."""
        response = await self._respond(request)
        if "Upgrade" in request.headers and not response.prepared:
            # aiohttp would read the next request of the connection as something else.
            response.force_close()
        return response

    async def _respond(self, request: web.Request) -> web.StreamResponse:
        """The answer, or the Status that says why there is none."""
        try:
            user = self._auth.admit(
                request.method, request.path, request.query_string, request.headers.items()
            )
            described = about(request, self._git_version)
            if described is not None:
                return described
            return await self._resource(request, read_target(request.path), user)
        except Failure as failure:
            return json_response(failure.status, failure.code)
        except web.HTTPRequestEntityTooLarge:
            message = f"Request entity too large: limit is {_LARGEST_BODY}"
            return json_response(Failure(413, "RequestEntityTooLarge", message, {}).status, 413)

    async def _resource(
        self, request: web.Request, target: Target, user: User
    ) -> web.StreamResponse:
        """Verbs on objects and collections."""
        resource = target.resource
        if target.subresource in WAYS_IN:
            self._require_both(target, user)
            return await self._ways_in.answer(request, target.subresource, self._pod(target))
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
            options = DeleteOptions.read(request.query.items(), read_delete_body(request, body))
            answer = self._writes.delete(target, options)
        else:
            answer = self._write(request, target, verb, body, user)
        shown = events_view.shown(answer.body) if resource.view else answer.body
        return json_response(shown, answer.code, answer.warnings)

    def _require_both(self, target: Target, user: User) -> None:
        """From Kubernetes 1.35 on a WebSocket, which is opened with GET, wants create as well."""
        if target.subresource != "log" and minor_version(self._git_version) >= 35:
            what = "pods", target.subresource, target.namespace or "", target.name
            self._auth.rbac.require(Attributes(user, "create", "", "", *what))

    def _pod(self, target: Target) -> Json:
        pod = self._store.find("Pod", target.namespace, target.name)
        if pod is None:
            raise target.not_found()
        return pod

    def _write(
        self, request: web.Request, target: Target, verb: str, body: bytes, user: User
    ) -> Answer:
        patch = read_patch_type(request, target.resource) if verb == "patch" else ""
        media = "" if patch else read_media(request, target.resource)
        agent = request.headers.get("User-Agent", "")
        applies = patch == APPLY_PATCH
        options = WriteOptions.read(request.query.items(), verb, agent, applies=applies)
        options = replace(options, admit=partial(require_no_escalation, self._auth.rbac, user))
        if self._reviews.answers(target):
            sent = parse(body, media)
            return self._reviews.answer(target, sent.value, options.validation, user)
        if verb == "update" or applies:
            self._require_creation(target, verb, user)
        if patch:
            return self._writes.patch(target, body, patch, options)
        if verb == "create":
            return self._writes.create(target, body, options, media)
        return self._writes.update(target, body, options, media)

    def _require_creation(self, target: Target, verb: str, user: User) -> None:
        """Demand the verb create as well of a write that is to make its object."""
        resource = target.resource
        creates = not target.subresource and (verb == "patch" or resource.create_on_update)
        if creates and self._store.find(resource.kind, target.namespace, target.name) is None:
            where = target.namespace or ""
            what = resource.group, resource.plural, "", where, target.name
            self._auth.rbac.require(Attributes(user, "create", "", *what))

    def _delete_collection(self, request: web.Request, target: Target, body: bytes) -> Answer:
        selectors = {"labelSelector", "fieldSelector"}
        query = list(request.query.items())
        chosen = ListOptions.read((name, value) for name, value in query if name in selectors)
        rest = [(name, value) for name, value in query if name not in selectors]
        options = DeleteOptions.read(rest, read_delete_body(request, body))
        objects = self._reads.matching(target, chosen)
        removed = self._writes.delete_all(target, objects, options)
        metadata = {"resourceVersion": str(self._store.revision)}
        return Answer(200, list_of(target.resource, removed, metadata))

    async def _read(
        self, request: web.Request, target: Target, verb: str, table: bool
    ) -> web.StreamResponse:
        include = read_include(request) if table else ""
        if verb == "get":
            known = frozenset({"resourceVersion", "includeObject"})
            found = read_query(request.query.items(), known, verb)
            version = found.get("resourceVersion") or "0"
            if is_version(version) and int(version) > self._store.revision:
                raise failures.too_large_version(int(version), self._store.revision)
            obj = self._reads.get(target)
            if table:
                about_it = {"resourceVersion": obj["metadata"]["resourceVersion"]}
                obj = as_table(target.resource, [obj], about_it, include=include)
            return json_response(events_view.shown(obj) if target.resource.view else obj)
        options = ListOptions.read(request.query.items())
        if options.watch:
            return await self._watch(request, target, options, include)
        listed = self._reads.list(target, options)
        if table:
            items, metadata = listed["items"], listed["metadata"]
            listed = as_table(target.resource, items, metadata, include=include)
        return json_response(events_view.shown(listed) if target.resource.view else listed)

    async def _watch(
        self, request: web.Request, target: Target, options: ListOptions, include: str
    ) -> web.StreamResponse:
        events = self._reads.watch(target, options)
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        response.enable_chunked_encoding()
        await response.prepare(request)
        if (shape := request.get(SHAPE_WATCH)) is not None:
            events = shape(events)
        headings = True
        try:
            async for event in events:
                obj = event["object"]
                if include and event["type"] not in {"ERROR", "BOOKMARK"}:
                    version = {"resourceVersion": obj["metadata"]["resourceVersion"]}
                    obj = as_table(
                        target.resource, [obj], version, include=include, headings=headings
                    )
                    headings = False
                elif target.resource.view:
                    obj = events_view.to_view(obj)
                line = json.dumps({"type": event["type"], "object": obj})
                await response.write(line.encode() + b"\n")
        except ConnectionResetError:
            return response  # the client has seen enough
        await response.write_eof()
        return response
