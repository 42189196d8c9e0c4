"""Role-based access control: which rules a user holds, and whether they allow a wish.

The rules come from the four kinds of rbac.authorization.k8s.io in the store. Not here: who the
user is (``authentication``), and who may write such objects (``rbac_escalation``).
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from acns_chaos.lab.api.access.attributes import Attributes, User
from acns_chaos.lab.api.failures import Json
from acns_chaos.lab.api.store import Entry, Store

GROUP = "rbac.authorization.k8s.io"
SUPERUSERS = "system:masters"
KINDS = frozenset({"Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding"})
_SERVICE_ACCOUNT = "system:serviceaccount:"
_REMEMBERED = 500


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether a wish is allowed, and why, as a server words it; "" when it says nothing."""

    allowed: bool
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Grant:
    """The rules that one binding gives to one user, and the binding as messages describe it."""

    rules: tuple[Json, ...]
    source: str


@dataclass(frozen=True, slots=True)
class Holding:
    """Everything a user holds somewhere.

    Attributes:
        grants: by binding, those of the cluster first.
        errors: a sentence for each binding whose role does not exist.
    """

    grants: tuple[Grant, ...]
    errors: tuple[str, ...]

    @property
    def rules(self) -> list[Json]:
        """All rules, in order."""
        return [rule for grant in self.grants for rule in grant.rules]


class Rbac:
    """The authoriser over one store."""

    def __init__(self, store: Store) -> None:
        """Follow a store: a changed role or binding counts from the next request on."""
        self._store = store
        self._held: dict[tuple[str, tuple[str, ...], str], Holding] = {}
        store.follow(self._on_write)

    def _on_write(self, entry: Entry) -> None:
        if entry.kind in KINDS:
            self._held.clear()

    def decide(self, wish: Attributes) -> Decision:
        """Whether a user gets what it wants."""
        if SUPERUSERS in wish.user.groups:
            return Decision(True)
        held = self.held(wish.user, wish.namespace)
        for grant in held.grants:
            if any(allows(rule, wish) for rule in grant.rules):
                return Decision(True, f"RBAC: allowed by {grant.source}")
        return Decision(False, f"RBAC: {aggregated(held.errors)}" if held.errors else "")

    def require(self, wish: Attributes) -> None:
        """Refuse what is not allowed.

        Raises:
            Failure: 403.
        """
        decision = self.decide(wish)
        if not decision.allowed:
            raise wish.forbidden(decision.reason)

    def held(self, user: User, namespace: str) -> Holding:
        """What a user holds in a namespace, or ("") in the cluster as a whole."""
        key = user.name, user.groups, namespace
        if key not in self._held:
            if len(self._held) >= _REMEMBERED:
                self._held.clear()
            self._held[key] = self._holding(user, namespace)
        return self._held[key]

    def _holding(self, user: User, namespace: str) -> Holding:
        bindings = self._store.list("ClusterRoleBinding")
        if namespace:
            bindings += self._store.list("RoleBinding", namespace)
        grants: list[Grant] = []
        errors: list[str] = []
        for binding in bindings:
            where = binding["metadata"].get("namespace", "")
            subject = next((s for s in binding.get("subjects", []) if _is(s, user, where)), None)
            if subject is None:
                continue
            rules = self.rules_of(binding["roleRef"], where)
            if rules is None:
                errors.append(missing_role(binding["roleRef"]))
            else:
                grants.append(Grant(tuple(rules), _describe(binding, subject)))
        return Holding(tuple(grants), tuple(errors))

    def rules_of(self, reference: Json, namespace: str) -> list[Json] | None:
        """The rules of the role that a binding refers to; None when there is no such role.

        Args:
            reference: the ``roleRef``.
            namespace: of the binding.
        """
        kind = reference["kind"]
        role = self._store.find(kind, namespace if kind == "Role" else None, reference["name"])
        return None if role is None else list(role.get("rules") or [])


def missing_role(reference: Json) -> str:
    """The server's sentence about a role that is not there."""
    return f'{reference["kind"].lower()}.{GROUP} "{reference["name"]}" not found'


def aggregated(errors: Iterable[str]) -> str:
    """Several errors as one, each told once."""
    told = list(dict.fromkeys(errors))
    return told[0] if len(told) == 1 else f"[{', '.join(told)}]"


def _is(subject: Json, user: User, namespace: str) -> bool:
    match subject["kind"]:
        case "User":
            return bool(subject["name"] == user.name)
        case "Group":
            return subject["name"] in user.groups
        case "ServiceAccount":
            where = subject.get("namespace") or namespace
            return user.name == f"{_SERVICE_ACCOUNT}{where}:{subject['name']}"
    return False


def _describe(binding: Json, subject: Json) -> str:
    metadata, reference = binding["metadata"], binding["roleRef"]
    name, who = metadata["name"], subject["name"]
    if "namespace" in metadata:
        name += f"/{metadata['namespace']}"
    if subject["kind"] == "ServiceAccount":
        who += f"/{subject.get('namespace') or metadata.get('namespace', '')}"
    return (
        f'{binding["kind"]} "{name}" of {reference["kind"]} "{reference["name"]}" to '
        f'{subject["kind"]} "{who}"'
    )


def allows(rule: Json, wish: Attributes) -> bool:
    """Whether one rule allows a wish."""
    if not _has(rule.get("verbs"), wish.verb):
        return False
    if wish.path:
        return any(covers_path(url, wish.path) for url in rule.get("nonResourceURLs") or ())
    names = rule.get("resourceNames") or ()
    return (
        _has(rule.get("apiGroups"), wish.group)
        and any(one in rule.get("resources", ()) for one in _spellings(wish))
        and (not names or wish.name in names)
    )


def _spellings(wish: Attributes) -> Iterator[str]:
    """Every entry of ``resources`` that would mean what is wanted."""
    yield "*"
    if wish.subresource:
        yield f"{wish.resource}/{wish.subresource}"
        yield f"*/{wish.subresource}"
    else:
        yield wish.resource


def _has(values: list[str] | None, wanted: str) -> bool:
    return values is not None and ("*" in values or wanted in values)


def covers_path(url: str, path: str) -> bool:
    """Whether a nonResourceURL, which may end with a star, means a path."""
    return url in {"*", path} or (url.endswith("*") and path.startswith(url.rstrip("*")))
