"""Answers to reviews: who am I, whose token is this, may somebody do that, what may I do here.

Nothing is stored. Tokens of accounts are made here too, because they are asked for in the same way.
"""

from collections.abc import Callable
from typing import Any

from acns_chaos.lab.api import failures
from acns_chaos.lab.api.access.attributes import Attributes, User
from acns_chaos.lab.api.access.authentication import Auth, user_info
from acns_chaos.lab.api.access.rbac import aggregated
from acns_chaos.lab.api.access.tokens import ISSUER, Bound
from acns_chaos.lab.api.failures import Json, Problem
from acns_chaos.lab.api.kinds import auth_kinds
from acns_chaos.lab.api.kinds.resources import Resource
from acns_chaos.lab.api.kinds.schema import quoted
from acns_chaos.lab.api.store import Store
from acns_chaos.lab.api.writing.admission import prepared
from acns_chaos.lab.api.writing.decode import decode
from acns_chaos.lab.api.writing.writes import Answer, Target

TOKEN_REQUEST = Resource(
    "authentication.k8s.io",
    "v1",
    "serviceaccounts",
    "TokenRequest",
    schema=auth_kinds.TOKEN_REQUEST,
    verbs=("create",),
)
_HOUR = 3600
_SHORTEST = 600
_LONGEST = 1 << 32


class Reviews:
    """The reviews over one store."""

    def __init__(self, store: Store, auth: Auth) -> None:
        self._store = store
        self._auth = auth
        self._kinds: dict[str, Callable[[Target, Json, User], Json]] = {
            "SelfSubjectReview": self._self,
            "TokenReview": self._token,
            "SelfSubjectAccessReview": self._own_access,
            "SubjectAccessReview": self._access,
            "LocalSubjectAccessReview": self._access,
            "SelfSubjectRulesReview": self._rules,
        }

    def answers(self, target: Target) -> bool:
        """Whether a POST to a target is a review, or a request for a token."""
        return target.subresource == "token" or target.resource.kind in self._kinds

    def answer(self, target: Target, value: Any, validation: str, user: User) -> Answer:
        """The review with its status filled in.

        Args:
            target: of the POST.
            value: the parsed body.
            validation: "Strict", "Warn" or "Ignore": what happens to unknown fields.
            user: who asks.

        Raises:
            Failure: as a server refuses.
        """
        resource = TOKEN_REQUEST if target.subresource == "token" else target.resource
        decoded, warnings = decode(resource, value, validation)
        obj = prepared(resource, decoded)
        if target.subresource == "token":
            status = self._issue(target, obj)
        else:
            status = self._kinds[resource.kind](target, obj, user)
        answered = {**obj, "metadata": {**obj["metadata"], "creationTimestamp": None}}
        return Answer(201, {**answered, "status": status}, tuple(warnings))

    def _self(self, _: Target, __: Json, user: User) -> Json:
        return {"userInfo": user_info(user)}

    def _token(self, _: Target, obj: Json, __: User) -> Json:
        spec = obj.get("spec") or {}
        if not spec.get("token"):
            raise failures.bad_request("token is required for TokenReview in authentication")
        audiences = spec.get("audiences") or [ISSUER]
        user = self._auth.user_of(spec["token"], audiences)
        if user is None:
            return {"user": {}, "error": "invalid bearer token"}
        return {"authenticated": True, "user": user_info(user), "audiences": audiences}

    def _own_access(self, _: Target, obj: Json, user: User) -> Json:
        return self._decide(_wish(obj, user))

    def _access(self, target: Target, obj: Json, _: User) -> Json:
        spec = obj.get("spec") or {}
        if not spec.get("user") and not spec.get("groups"):
            why = "at least one of user or group must be specified"
            raise _invalid(obj, Problem("spec.user", "Invalid value", f'"": {why}'))
        extra = {key: tuple(values or ()) for key, values in (spec.get("extra") or {}).items()}
        groups = tuple(spec.get("groups") or ())
        about = User(spec.get("user", ""), groups, spec.get("uid", ""), extra)
        wish = _wish(obj, about)
        if target.resource.namespaced and (wish.path or wish.namespace != target.namespace):
            shown = f"{quoted(wish.namespace)}: must match metadata.namespace"
            place = "spec.resourceAttributes.namespace"
            raise _invalid(obj, Problem(place, "Invalid value", shown))
        return self._decide(wish)

    def _decide(self, wish: Attributes) -> Json:
        decision = self._auth.rbac.decide(wish)
        reason = {"reason": decision.reason} if decision.reason else {}
        return {"allowed": decision.allowed, **reason}

    def _rules(self, _: Target, obj: Json, user: User) -> Json:
        namespace = (obj.get("spec") or {}).get("namespace")
        if not namespace:
            raise failures.bad_request("no namespace on request")
        held = self._auth.rbac.held(user, namespace)
        status: Json = {"resourceRules": [], "nonResourceRules": [], "incomplete": False}
        for rule in held.rules:
            if rule.get("resources"):
                status["resourceRules"].append(rule)
            elif rule.get("nonResourceURLs"):
                status["nonResourceRules"].append(rule)
        if held.errors:
            status["evaluationError"] = aggregated(held.errors)
        return status

    def _issue(self, target: Target, obj: Json) -> Json:
        account = self._store.find("ServiceAccount", target.namespace, target.name)
        if account is None:
            raise target.not_found()
        spec = obj["spec"] = dict(obj.get("spec") or {})
        seconds = spec.setdefault("expirationSeconds", _HOUR)
        problem = ""
        if seconds < _SHORTEST:
            problem = "may not specify a duration less than 10 minutes"
        elif seconds > _LONGEST:
            problem = "may not specify a duration larger than 2^32 seconds"
        if problem:
            found = Problem("spec.expirationSeconds", "Invalid value", f"{seconds}: {problem}")
            raise failures.invalid("TokenRequest", "authentication.k8s.io", "", [found])
        spec["audiences"] = spec.get("audiences") or [ISSUER]
        bound = self._bound(target, spec.get("boundObjectRef"))
        token, expires = self._auth.tokens.issue(account, seconds, spec["audiences"], bound)
        obj["metadata"] = {"name": target.name, "namespace": target.namespace}
        return {"token": token, "expirationTimestamp": expires.strftime("%Y-%m-%dT%H:%M:%SZ")}

    def _bound(self, target: Target, reference: Json | None) -> Bound | None:
        """The object to which a token is to be bound, which must be there."""
        if not reference:
            return None
        kind, name, uid = (reference.get(key, "") for key in ("kind", "name", "uid"))
        if kind == "Node":
            raise failures.not_modelled("a token that is bound to a Node")
        if kind not in {"Pod", "Secret"}:
            shown = f"{reference.get('apiVersion', '')}, Kind={kind}"
            raise failures.bad_request(f"cannot bind token to a {shown} object")
        obj = self._store.find(kind, target.namespace, name)
        plural = f"{kind.lower()}s"
        if obj is None:
            raise failures.not_found(plural, "", name)
        found = obj["metadata"]["uid"]
        if uid and uid != found:
            why = (
                f"the UID in the bound object reference ({uid}) does not match the UID in record. "
                "The object might have been deleted and then recreated"
            )
            raise failures.conflict(plural, "", name, why)
        return Bound(kind, name, found)


def _wish(obj: Json, user: User) -> Attributes:
    """What a review asks about."""
    spec = obj.get("spec") or {}
    resource, other = spec.get("resourceAttributes"), spec.get("nonResourceAttributes")
    if (resource is None) == (other is None):
        why = "exactly one of nonResourceAttributes or resourceAttributes must be specified"
        raise _invalid(obj, Problem("spec.resourceAttributes", "Invalid value", why))
    if other is not None:
        return Attributes(user, other.get("verb", ""), other.get("path") or "/")
    asked = resource or {}
    names = ("group", "resource", "subresource", "namespace", "name")
    return Attributes(user, asked.get("verb", ""), "", *(asked.get(name) or "" for name in names))


def _invalid(obj: Json, problem: Problem) -> failures.Failure:
    return failures.invalid(obj["kind"], "authorization.k8s.io", "", [problem])
