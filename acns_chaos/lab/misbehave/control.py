"""The way in for orders: a few paths beside the API, on the API's own listener.

``/lab/v1`` is outside /api and /apis, so no client of Kubernetes meets it, and nothing here is
spoilt by an order. It takes a token of its own that stands only in the registration of the lab
(mode 0600): what is given a kubeconfig of the lab cannot order misbehaviour by it. A socket of its
own would be one more thing to leave behind after ``kill -9``.

- ``GET /lab/v1``: ``{"misbehaviours": [...], "ended": [...]}``
- ``POST /lab/v1/misbehaviours``: an order (see ``orders.read_order``); 201 with what began
- ``DELETE /lab/v1/misbehaviours``, ``DELETE /lab/v1/misbehaviours/ID``: end all, or one
- ``POST /lab/v1/requests``: keep a list of the requests to all servers from now on; ``GET`` reads
  it (``{"requests": [...]}``), ``DELETE`` ends it
- ``POST /lab/v1/truth``: keep what really happens from now on; ``GET`` reads it, of it what came
  after a number with ``?after=N`` (``{"truth": [...]}``, see ``net.truth``), ``DELETE`` ends it

- ``PUT /lab/v1/rules``: the text of a rule file, in the place of those that the lab's Prometheus
  evaluates; ``GET`` reads them (``{"text": ..., "file": ..., "groups": [...]}``)

What cannot be meant is 400, ``{"error": "<sentence>"}``.
"""

import hmac
import json
from typing import Any

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from acns_chaos.lab.api.store import Store
from acns_chaos.lab.api.writing.writes import Writes
from acns_chaos.lab.misbehave import actors, parts, pods
from acns_chaos.lab.misbehave.catalogue import SERVERS
from acns_chaos.lab.misbehave.front import Front
from acns_chaos.lab.misbehave.heard import Heard
from acns_chaos.lab.misbehave.orders import Misused, read_order
from acns_chaos.lab.misbehave.stage import Cluster
from acns_chaos.lab.misbehave.table import Entry, Table
from acns_chaos.lab.misbehave.watches import Watches
from acns_chaos.lab.net.prometheus.rules.reading import BadRules

__all__ = ["BASE", "Misbehaviour"]

BASE = "/lab/v1"
_CLEARED = "it was cleared"


class Misbehaviour:
    """Everything about misbehaviour of one lab.

    Args:
        store: the objects.
        network: the parts that can be slowed and stopped.
        token: that an order must carry.
    """

    def __init__(self, store: Store, network: Any, token: str) -> None:
        self.table = Table()
        self._watches = Watches(self.table)
        self.heard = Heard()
        self._fronts = {
            server: Front(server, self.table, self._watches, self.heard) for server in SERVERS
        }
        self._store = store
        self._cluster = Cluster(store, Writes(store))
        self._network = network
        self.truth = network.truth
        self._token = token

    def middlewares(self, server: str) -> list[Middleware]:
        """What stands before the handlers of "kubernetes", "prometheus" or "shop"."""
        front = self._fronts[server]
        return [_Orders(self), front] if server == "kubernetes" else [front]

    def close(self) -> None:
        """End everything: the lab stops."""
        self.clear()
        for front in self._fronts.values():
            front.close()

    def order(self, document: object) -> Entry:
        """Begin what somebody asks for.

        Raises:
            Misused: it cannot be meant.
        """
        order = read_order(document)
        family = order.kind.family
        if family in ("part", "pod") and order.count is not None:
            raise Misused(f"{order.kind.name} cannot be counted: say for how long.")
        entry = self.table.add(order)
        try:
            if family == "part":
                parts.begin(entry, self.table, self._store, self._network)
            elif family == "pod":
                pods.begin(entry, self.table, self._store)
            elif family == "actor":
                actors.begin(entry, self.table, self._cluster)
        except BaseException:
            self.table.forget(entry)
            raise
        self._watches.meet(entry)
        return entry

    def clear(self, number: str = "") -> list[Entry]:
        """End one, or all; returns them.

        Raises:
            Misused: there is none of that number.
        """
        entries = [self.table.find(number)] if number else list(self.table)
        for entry in entries:
            self.table.end(entry, _CLEARED)
        return entries

    def replace_rules(self, body: bytes) -> None:
        """Have the lab's Prometheus evaluate other rules.

        Raises:
            Misused: they cannot be used; those in force stay.
        """
        try:
            self._network.prometheus.rules.replace(body.decode("utf-8"))
        except UnicodeDecodeError:
            raise Misused("Rules are YAML in UTF-8, and this is none.") from None
        except BadRules as problem:
            raise Misused(str(problem)) from None

    def rules_as_json(self) -> dict[str, Any]:
        """The rules that the lab's Prometheus evaluates."""
        rules = self._network.prometheus.rules
        return {"text": rules.text, "file": rules.file, "groups": rules.groups()}

    def as_json(self) -> dict[str, Any]:
        """What is going on and what is over."""
        return {
            "misbehaviours": [entry.as_json() for entry in self.table],
            "ended": [entry.as_json() for entry in self.table.ended()],
        }

    def may_order(self, header: str) -> bool:
        """Whether a request's Authorization is the control token's."""
        return hmac.compare_digest(
            header.encode(errors="surrogateescape"), f"Bearer {self._token}".encode()
        )


class _Orders:
    """The middleware that answers under ``BASE``."""

    __middleware_version__ = 1

    def __init__(self, misbehaviour: Misbehaviour) -> None:
        self._misbehaviour = misbehaviour

    async def __call__(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Answer what is under the base, leave the rest."""
        if not (request.path.startswith(f"{BASE}/") or request.path == BASE):
            return await handler(request)
        if not self._misbehaviour.may_order(request.headers.get("Authorization", "")):
            return _refused(401, "This takes the control token of the lab's registration.")
        try:
            return await self._answer(request)
        except Misused as why:
            return _refused(400, str(why))
        except web.HTTPRequestEntityTooLarge:
            return _refused(413, "An order is not that long.")

    async def _answer(self, request: web.Request) -> web.Response:
        found = self._misbehaviour
        match request.method, request.path.removeprefix(BASE).strip("/").split("/"):
            case "GET", [""]:
                return web.json_response(found.as_json())
            case "POST", ["misbehaviours"]:
                return web.json_response(found.order(await _body(request)).as_json(), status=201)
            case "DELETE", ["misbehaviours", *rest] if len(rest) <= 1:
                cleared = found.clear(*rest)
                return web.json_response({"cleared": [entry.as_json() for entry in cleared]})
            case "GET" | "POST" | "DELETE" as method, ["requests"]:
                if method == "POST":
                    found.heard.begin()
                elif method == "DELETE":
                    found.heard.end()
                return web.json_response({"requests": found.heard.as_json()})
            case "GET" | "PUT" as method, ["rules"]:
                if method == "PUT":
                    found.replace_rules(await request.read())
                return web.json_response(found.rules_as_json())
            case "GET" | "POST" | "DELETE" as method, ["truth"]:
                if method == "POST":
                    found.truth.begin()
                elif method == "DELETE":
                    found.truth.end()
                after = _number(request.query.get("after", "0"))
                return web.json_response({"truth": found.truth.as_json(after)})
        return _refused(404, f"There is no {request.method} {request.path}.")


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 20):
        raise Misused(f"after={text!r} is no number of an event.")
    return int(text)


async def _body(request: web.Request) -> Any:
    try:
        return json.loads(await request.read())
    except (ValueError, RecursionError):
        raise Misused("An order is JSON, and this is none.") from None


def _refused(code: int, sentence: str) -> web.Response:
    return web.json_response({"error": sentence}, status=code)
