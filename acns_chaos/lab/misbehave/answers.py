"""Answers that a client gets instead of the one it deserves, worded as each server words them.

The API server answers with a Status, its 429 apart: that one comes from the queue in front of it,
in plain text (``tooManyRequests`` of k8s.io/apiserver). Prometheus answers with its own JSON, the
shop with a page of nginx.
"""

import json
import socket
import struct

from aiohttp import web

from acns_chaos.lab.api import failures
from acns_chaos.lab.api.failures import Failure
from acns_chaos.lab.api.requests import json_response
from acns_chaos.lab.misbehave.selection import Facts
from acns_chaos.lab.net.shop.pages import error_page

_PROMETHEUS = {500: "internal", 503: "unavailable", 504: "timeout"}
# Zero seconds of lingering: closing sends a reset.
_AT_ONCE = struct.pack("ii", 1, 0)
_TOO_OLD = "too old resource version: the lab was asked to say so"


def answer(facts: Facts, code: int, retry_after: int | None) -> web.Response:
    """An error of a server.

    Args:
        facts: of the request.
        code: HTTP status code.
        retry_after: seconds, None for no such header.
    """
    if facts.server == "kubernetes":
        response = _kubernetes(facts, code)
    elif facts.server == "prometheus" and code in _PROMETHEUS:
        body = {"status": "error", "errorType": _PROMETHEUS[code], "error": "asked of the lab"}
        response = web.json_response(body, status=code)
    elif facts.server == "prometheus":
        # Prometheus itself says none of these: a gateway in front of it does.
        response = web.Response(status=code, text=web.Response(status=code).reason)
    else:
        page = error_page(code)
        response = web.Response(status=code, text=page.body, content_type=page.content_type)
        response.headers["Server"] = "nginx"
    if retry_after is not None:
        response.headers["Retry-After"] = str(retry_after)
    return response


def _kubernetes(facts: Facts, code: int) -> web.Response:
    if code == 429:
        return web.Response(status=429, text="Too many requests, please try again later.\n")
    failure = _failure(facts, code)
    return json_response(failure.status, failure.code)


def _failure(facts: Facts, code: int) -> Failure:
    resource = facts.target.resource if facts.target else None
    group = resource.group if resource else ""
    match code:
        case 401:
            return failures.unauthorized()
        case 403:
            return _forbidden(facts, group)
        case 404:
            return failures.not_found(facts.resource, group, facts.name)
        case 409:
            return failures.conflict(facts.resource, group, facts.name)
        case 410:
            return too_old()
        case 500:
            why = "the lab was asked to fail"
            cause = {"causes": [{"message": why}]}
            return Failure(500, "InternalError", f"Internal error occurred: {why}", cause)
        case 503:
            message = "the server is currently unable to handle the request"
            return Failure(503, "ServiceUnavailable", message, {})
    message = "Timeout: request did not complete within requested timeout"
    return Failure(504, "Timeout", f"{message} - context deadline exceeded", {})


def _forbidden(facts: Facts, group: str) -> Failure:
    user = 'User "lab" cannot'
    if facts.target is None:
        message = f"forbidden: {user} {facts.verb} path {json.dumps(facts.path)}"
        return Failure(403, "Forbidden", message, {})
    where = f' in the namespace "{facts.namespace}"' if facts.namespace else " at the cluster scope"
    plural, _, _ = facts.resource.partition("/")
    what = failures.qualified(plural, group)
    named = f'{what} "{facts.name}"' if facts.name else what
    message = (
        f"{named} is forbidden: {user} {facts.verb} resource "
        f'"{facts.resource}" in API group "{group}"{where}'
    )
    return Failure(403, "Forbidden", message, failures.details(group, plural, facts.name))


def too_old() -> Failure:
    """410, as a list answers it and as a watch tells it."""
    return failures.gone(_TOO_OLD)


def cut(request: web.Request) -> web.Response:
    """Reset a request's connection; what is returned goes nowhere."""
    transport = request.transport
    if transport is not None:
        sock = transport.get_extra_info("socket")
        if sock is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
        transport.abort()
    return web.Response(status=503)
