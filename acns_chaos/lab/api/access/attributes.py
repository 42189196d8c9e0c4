"""What a request is to an authoriser: who wants which verb on what, by method and path alone.

Nothing is looked up: a path that nothing is served at has attributes too, so a refusal never tells
what exists. The rules follow the API server's RequestInfo.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from urllib.parse import parse_qsl

from acns_chaos.lab.api.failures import Failure, details, qualified

_VERBS = {
    "POST": "create",
    "GET": "get",
    "HEAD": "get",
    "PUT": "update",
    "PATCH": "patch",
    "DELETE": "delete",
}
_OF_NAMESPACES = frozenset({"status", "finalize"})
_WITHOUT_NAME = {"get": "list", "delete": "deletecollection"}
_ESCAPES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})


@dataclass(frozen=True, slots=True)
class User:
    """Somebody whom the server knows by name.

    Attributes:
        name: "system:serviceaccount:pets:probe".
        groups: what role bindings may name besides the user.
        uid: of the account, "" when it has none.
        extra: further facts about the login, by key.
    """

    name: str
    groups: tuple[str, ...]
    uid: str = ""
    extra: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Attributes:
    """One wish.

    Attributes:
        user: who.
        verb: "get", "list", "patch"; for a path that is no resource the method in lower case.
        path: the URL's path when the request is for no resource, else "".
        group, resource, subresource: what; "" for the core group and for no subresource.
        namespace, name: where; "" for the whole cluster and for no single object.
    """

    user: User
    verb: str
    path: str = ""
    group: str = ""
    resource: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""

    def forbidden(self, reason: str = "") -> Failure:
        """The 403 for this wish, worded as a server does.

        Args:
            reason: of the authoriser, "" when it has nothing to say.
        """
        message = self._sentence().translate(_ESCAPES) + (f": {reason}" if reason else "")
        about = details(self.group, self.resource, self.name)
        if self.path:
            return Failure(403, "Forbidden", f"forbidden: {message}", about)
        return refused(self.group, self.resource, self.name, message)

    def _sentence(self) -> str:
        who = f'User "{self.user.name}" cannot {self.verb}'
        if self.path:
            return f'{who} path "{self.path}"'
        what = self.resource + (f"/{self.subresource}" if self.subresource else "")
        where = f'in the namespace "{self.namespace}"' if self.namespace else "at the cluster scope"
        return f'{who} resource "{what}" in API group "{self.group}" {where}'


def refused(group: str, resource: str, name: str, why: str) -> Failure:
    """403 for an object or a collection, with a reason of any kind."""
    what = qualified(resource, group) + (f' "{name}"' if name else "")
    message = f"{what} is forbidden: {why}"
    return Failure(403, "Forbidden", message, details(group, resource, name))


def read_attributes(user: User, method: str, path: str, query: str) -> Attributes:
    """The attributes of a request.

    Args:
        user: who sent it.
        method: of HTTP.
        path: decoded, without the query.
        query: the raw query string; only `watch` and a field selector on the name matter.
    """
    parts = path.strip("/").split("/")
    group = ""
    if parts[0] == "apis" and len(parts) > 3:
        _, group, _, *rest = parts
    elif parts[0] == "api" and len(parts) > 2:
        _, _, *rest = parts
    else:
        return Attributes(user, method.lower(), path or "/")
    verb = _VERBS.get(method, "")
    if rest[0] in {"watch", "proxy"} and len(rest) > 1:
        verb, *rest = rest
    namespace = ""
    if rest[0] == "namespaces" and len(rest) > 1:
        namespace = rest[1]
        if len(rest) > 2 and rest[2] not in _OF_NAMESPACES:
            rest = rest[2:]
    resource, name, subresource = (*rest[:3], "", "")[:3]
    found = Attributes(user, verb, "", group, resource, subresource, namespace, name)
    return found if name else _of_collection(found, query)


def _of_collection(found: Attributes, query: str) -> Attributes:
    """A wish without a name is for many objects, unless a selector names the one."""
    verb, name = _WITHOUT_NAME.get(found.verb, found.verb), ""
    if verb == "list" and query:
        asked = dict(parse_qsl(query, keep_blank_values=True))
        if asked.get("watch", "false").lower() not in {"false", "0"}:
            verb = "watch"
        for term in asked.get("fieldSelector", "").split(","):
            key, _, value = term.partition("=")
            if key == "metadata.name" and "/" not in value:
                name = value.removeprefix("=")
    return replace(found, verb=verb, name=name)
