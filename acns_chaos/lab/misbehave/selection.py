"""Which requests are meant: the facts of a request, and what somebody chooses among them.

A request is read here without being judged: one that means nothing to the API still has a method
and a path.
"""

from dataclasses import dataclass, fields
from fnmatch import fnmatchcase

from aiohttp import web

from acns_chaos.lab.api.failures import Failure
from acns_chaos.lab.api.requests import read_target
from acns_chaos.lab.api.writing.writes import Target

WRITING = frozenset({"create", "update", "patch", "delete", "deletecollection"})
READING = frozenset({"get", "list", "watch"})
_GROUPS = {"write": WRITING, "read": READING}
VERBS = WRITING | READING | frozenset(_GROUPS)

_OF_A_COLLECTION = {"GET": "list", "POST": "create", "DELETE": "deletecollection"}
_OF_AN_OBJECT = {
    "GET": "get",
    "POST": "create",
    "PUT": "update",
    "PATCH": "patch",
    "DELETE": "delete",
}
_YES = frozenset({"1", "true", "True", "TRUE", "t", "T"})


@dataclass(frozen=True, slots=True)
class Facts:
    """What a request is about.

    Attributes:
        server: which server it came to.
        method: HTTP method.
        verb: of Kubernetes; the method in lower case elsewhere.
        path: of the URL.
        resource: "ciliumnetworkpolicies", "pods/exec"; "" when it names none.
        namespace: "" for the cluster, or for all of them.
        name: of the object, "" for a collection; a create has none.
        user_agent: what the client calls itself.
        dry_run: nothing would be written.
        target: the parsed path, None when it names no resource.
    """

    server: str
    method: str
    verb: str
    path: str
    resource: str = ""
    namespace: str = ""
    name: str = ""
    user_agent: str = ""
    dry_run: bool = False
    target: Target | None = None

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


@dataclass(frozen=True, slots=True)
class Selection:
    """A choice among requests; what is empty chooses all.

    Attributes:
        server: whose requests.
        verbs: Kubernetes verbs.
        resource, namespace: as in `Facts`, exactly.
        name: as in `Facts`; a * in it stands for any characters.
        path: beginning of the URL's path.
        user_agent: part of what the client calls itself.
        dry_run: only (or, False, no) requests that would write nothing; None for both.
        nth: the first of the chosen requests that is struck, from 1.
    """

    server: str = "kubernetes"
    verbs: frozenset[str] = frozenset()
    resource: str = ""
    namespace: str = ""
    name: str = ""
    path: str = ""
    user_agent: str = ""
    dry_run: bool | None = None
    nth: int = 1

    def chooses(self, facts: Facts) -> bool:
        """Whether a request is meant, its number apart."""
        exact = ((self.resource, facts.resource), (self.namespace, facts.namespace))
        return (
            self.server == facts.server
            and (not self.verbs or facts.verb in self.verbs)
            and all(wanted in ("", found) for wanted, found in exact)
            and (not self.name or fnmatchcase(facts.name, self.name))
            and facts.path.startswith(self.path)
            and self.user_agent.lower() in facts.user_agent.lower()
            and self.dry_run in (None, facts.dry_run)
        )

    def as_json(self) -> dict[str, object]:
        """What was chosen, and nothing else."""
        found = {one.name: getattr(self, one.name) for one in fields(self)}
        found["verbs"] = sorted(self.verbs)
        default = Selection()
        return {
            name: value
            for name, value in found.items()
            if name == "server" or value not in (getattr(default, name), [])
        }


def spelled_out(verbs: frozenset[str]) -> frozenset[str]:
    """Verbs with "read" and "write" replaced by what they stand for."""
    return frozenset().union(*(_GROUPS.get(verb, frozenset({verb})) for verb in verbs))


def facts_of(server: str, request: web.Request) -> Facts:
    """What a request is about.

    Args:
        server: which server it came to.
        request: as it came in.
    """
    agent = request.headers.get("User-Agent", "")
    method, path = request.method, request.path
    plain = Facts(server, method, method.lower(), path, user_agent=agent)
    if server != "kubernetes":
        return plain
    try:
        target = read_target(path)
    except Failure:
        return plain
    watching = method == "GET" and request.query.get("watch", "") in _YES
    verbs = _OF_AN_OBJECT if target.name else _OF_A_COLLECTION
    plural = target.resource.plural
    return Facts(
        server,
        method,
        "watch" if watching else verbs.get(method, method.lower()),
        path,
        f"{plural}/{target.subresource}" if target.subresource else plural,
        target.namespace or "",
        target.name,
        agent,
        bool(request.query.get("dryRun")),
        target,
    )
