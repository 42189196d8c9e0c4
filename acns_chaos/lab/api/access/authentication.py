"""Who sends a request: the bearer token, nobody, or somebody else on whose behalf it is sent.

Three kinds of users reach the lab. The token of the kubeconfig is a member of system:masters and
may do everything. A service account's token (``kubectl create token``, or a Secret of type
kubernetes.io/service-account-token) may do what roles allow; put it into a kubeconfig with
``kubectl config set-credentials NAME --token=…`` and a context of that user. And whoever holds
the verb impersonate may act for another (``kubectl --as``).

A request without a token is anonymous on the paths about the server's health and version, as
with ``anonymous.conditions`` of a server's AuthenticationConfiguration, and 401 everywhere else.
A server that allows anonymous users everywhere answers 403 there instead. Client certificates
and basic authentication are not modelled: such a request has no token.
"""

import hmac
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from urllib.parse import unquote

from acns_chaos.lab.api import failures
from acns_chaos.lab.api.access.attributes import Attributes, User, read_attributes
from acns_chaos.lab.api.access.rbac import SUPERUSERS, Rbac
from acns_chaos.lab.api.access.tokens import ISSUER, Tokens, account_groups
from acns_chaos.lab.api.store import Store

ADMIN = User("acns-chaos-lab-admin", (SUPERUSERS, "system:authenticated"))
ANONYMOUS = User("system:anonymous", ("system:unauthenticated",))
_FOR_ANYBODY = frozenset({"/healthz", "/livez", "/readyz", "/version", "/version/"})
_PREFIX = "impersonate-"
_EXTRA = "impersonate-extra-"
_ACCOUNT = "system:serviceaccount:"

Headers = Iterable[tuple[str, str]]


class Auth:
    """Authentication and authorisation of one API server.

    Attributes:
        rbac: the authoriser.
        tokens: the issuer of service account tokens.
    """

    def __init__(self, store: Store, token: str) -> None:
        """Judge by the objects of a store.

        Args:
            store: holds accounts, roles and bindings.
            token: of the administrator.
        """
        self.rbac = Rbac(store)
        self.tokens = Tokens(store)
        self._admin = token.encode()

    def admit(self, method: str, path: str, query: str, headers: Headers) -> User:
        """The user on whose behalf a request is answered.

        Args:
            method: of HTTP.
            path: decoded, without the query.
            query: the raw query string.
            headers: all of them, with any case.

        Returns:
            the user; it may do what it asks for.

        Raises:
            Failure: 401, 403, or 400 for impersonation headers that make no sense.
        """
        given = ""
        asked: list[tuple[str, str]] = []
        for name, value in headers:
            lower = name.lower()
            if lower == "authorization":
                given = value
            elif lower.startswith(_PREFIX):
                asked.append((lower, value))
        user = self._authenticated(given, path)
        if asked:
            user = self._impersonated(user, asked)
        self.rbac.require(read_attributes(user, method, path, query))
        return user

    def user_of(self, token: str, audiences: Sequence[str] = (ISSUER,)) -> User | None:
        """Whose bearer token it is; None for a token that is not ours or no longer good.

        Args:
            token: as it was sent.
            audiences: for whom it must be; the administrator's is for everybody.
        """
        if hmac.compare_digest(token.encode(errors="surrogateescape"), self._admin):
            return ADMIN
        return self.tokens.user(token, audiences)

    def _authenticated(self, given: str, path: str) -> User:
        scheme, _, token = given.partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            if path in _FOR_ANYBODY:
                return ANONYMOUS
            raise failures.unauthorized()
        user = self.user_of(token.strip())
        if user is None:
            raise failures.unauthorized()
        return user

    def _impersonated(self, user: User, asked: list[tuple[str, str]]) -> User:
        """The other user, after a check of every part of it."""
        wanted = _read_impersonation(asked)
        for wish in _wishes(user, wanted, explicit=[v for n, v in asked if n == f"{_PREFIX}group"]):
            self.rbac.require(wish)
        return wanted


def _read_impersonation(asked: list[tuple[str, str]]) -> User:
    names = [value for name, value in asked if name == f"{_PREFIX}user"]
    groups = [value for name, value in asked if name == f"{_PREFIX}group"]
    uids = [value for name, value in asked if name == f"{_PREFIX}uid"]
    extra: dict[str, tuple[str, ...]] = {}
    for name, value in asked:
        if name.startswith(_EXTRA):
            key = unquote(name.removeprefix(_EXTRA))
            extra[key] = (*extra.get(key, ()), value)
    if not names or not names[0]:
        # A real server answers 500 here, which the lab keeps for failures that were asked for.
        raise failures.bad_request("requested impersonation without impersonating a user")
    name = names[0]
    user = User(name, tuple(groups), uids[0] if uids else "", extra)
    account = _account(name)
    if account and not groups:
        return replace(user, groups=account_groups(account[0]))
    everybody = "system:unauthenticated" if name == ANONYMOUS.name else "system:authenticated"
    if not {"system:authenticated", "system:unauthenticated"} & set(groups):
        return replace(user, groups=(*groups, everybody))
    return user


def _account(name: str) -> tuple[str, str] | None:
    """Namespace and name of the service account that a user name means."""
    namespace, _, account = name.removeprefix(_ACCOUNT).partition(":")
    if name.startswith(_ACCOUNT) and namespace and account and ":" not in account:
        return namespace, account
    return None


def _wishes(user: User, wanted: User, explicit: Iterable[str]) -> Iterable[Attributes]:
    """What somebody must be allowed who acts for another."""
    group = "authentication.k8s.io"
    if account := _account(wanted.name):
        namespace, name = account
        yield Attributes(
            user, "impersonate", resource="serviceaccounts", namespace=namespace, name=name
        )
    else:
        yield Attributes(user, "impersonate", resource="users", name=wanted.name)
    for name in explicit:
        yield Attributes(user, "impersonate", resource="groups", name=name)
    for key, values in wanted.extra.items():
        for value in values:
            yield Attributes(
                user,
                "impersonate",
                group=group,
                resource="userextras",
                subresource=key,
                name=value,
            )
    if wanted.uid:
        yield Attributes(user, "impersonate", group=group, resource="uids", name=wanted.uid)


def user_info(user: User) -> dict[str, object]:
    """A user as reviews show it (authentication.k8s.io/v1 UserInfo)."""
    shown: Mapping[str, object] = {
        "username": user.name,
        "uid": user.uid,
        "groups": list(user.groups),
        "extra": {key: list(values) for key, values in user.extra.items()},
    }
    return {key: value for key, value in shown.items() if value}
