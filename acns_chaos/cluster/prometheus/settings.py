"""Where Prometheus and Alertmanager are, and who signs in there, as the environment says.

How one signs in at Grafana is read here, too: the words are the same.

Nothing is guessed: a token without a word on how to use it is an error, not a default. The table of
all variables is docs/prometheus.md.
"""

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit, urlunsplit

from acns_chaos.cluster.prometheus.credentials import (
    AZURE_KINDS,
    AZURE_SCOPE,
    AzureIdentity,
    Basic,
    Bearer,
    BearerFile,
    Credentials,
    Secret,
)
from acns_chaos.errors import ApiError

__all__ = [
    "ALERTMANAGER_VARIABLE",
    "ELSEWHERE",
    "URL_VARIABLE",
    "Settings",
    "SignIn",
    "address",
    "credentials_from",
    "is_on_this_machine",
    "refuse_clear_text",
    "settings_from",
    "trimmed",
]

URL_VARIABLE = "ACNS_CHAOS_PROMETHEUS_URL"
ALERTMANAGER_VARIABLE = "ACNS_CHAOS_ALERTMANAGER_URL"
CLUSTER_VARIABLE = "ACNS_CHAOS_PROMETHEUS_CLUSTER"
AUTH_VARIABLE = "ACNS_CHAOS_PROMETHEUS_AUTH"
USER_VARIABLE = "ACNS_CHAOS_PROMETHEUS_USERNAME"
PASSWORD_VARIABLE = "ACNS_CHAOS_PROMETHEUS_PASSWORD"  # noqa: S105 - a name
TOKEN_VARIABLE = "ACNS_CHAOS_PROMETHEUS_TOKEN"  # noqa: S105 - a name
TOKEN_FILE_VARIABLE = "ACNS_CHAOS_PROMETHEUS_TOKEN_FILE"  # noqa: S105 - a name
# Azure's own: a user-assigned managed identity.
CLIENT_VARIABLE = "AZURE_CLIENT_ID"

# What belongs to the Prometheus of somebody's own cluster, and to none that a lab hands over.
ELSEWHERE = (
    *(ALERTMANAGER_VARIABLE, CLUSTER_VARIABLE, AUTH_VARIABLE, USER_VARIABLE),
    *(PASSWORD_VARIABLE, TOKEN_VARIABLE, TOKEN_FILE_VARIABLE),
)


@dataclass(frozen=True, slots=True)
class SignIn:
    """The variables that say how one signs in at one service.

    Attributes:
        url: names the one that holds the address.
        auth: the one that says how one signs in.
        user, password: for "basic".
        token, token_file: for "bearer".
        scope: what a Microsoft Entra token is asked for.
        service: whose token that is, for sentences.
    """

    url: str
    auth: str
    user: str
    password: str
    token: str
    token_file: str
    scope: str
    service: str

    def secrets(self) -> dict[str, str]:
        """Which of them goes with which way to sign in."""
        return {
            **dict.fromkeys((self.user, self.password), "basic"),
            **dict.fromkeys((self.token, self.token_file), "bearer"),
        }


PROMETHEUS = SignIn(
    *(URL_VARIABLE, AUTH_VARIABLE, USER_VARIABLE, PASSWORD_VARIABLE),
    *(TOKEN_VARIABLE, TOKEN_FILE_VARIABLE, AZURE_SCOPE, "Azure Monitor"),
)


@dataclass(frozen=True, slots=True)
class Settings:
    """One Prometheus, and perhaps an Alertmanager.

    Attributes:
        url: its base, without credentials and without a trailing slash; "" when none is named.
        credentials: for it.
        alertmanager: likewise, "" when none is named.
        alertmanager_credentials: for that one: Prometheus' own go nowhere else.
        cluster: value of the label `cluster` where several clusters share a workspace, "" for any.
    """

    url: str
    credentials: Credentials
    alertmanager: str
    alertmanager_credentials: Credentials
    cluster: str


def settings_from(environ: Mapping[str, str]) -> Settings:
    """Read the variables.

    Raises:
        ApiError: an address is none, or the credentials do not fit together.
    """
    given = trimmed(environ)
    named, alerting = given.get(URL_VARIABLE, ""), given.get(ALERTMANAGER_VARIABLE, "")
    url, inside = address(URL_VARIABLE, named)
    manager, own = address(ALERTMANAGER_VARIABLE, alerting)
    credentials = credentials_from(given, inside, PROMETHEUS)
    if own.kind == "none" and manager and _origin(manager) == _origin(url):
        own = credentials
    refuse_clear_text(url, credentials)
    refuse_clear_text(manager, own)
    return Settings(url, credentials, manager, own, given.get(CLUSTER_VARIABLE, ""))


def trimmed(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables of ours, and Azure's client id, without blanks around them."""
    return {
        # A password is taken as it is.
        name: value if name.endswith("_PASSWORD") else value.strip()
        for name, value in environ.items()
        if name.startswith("ACNS_") or name == CLIENT_VARIABLE
    }


def address(variable: str, text: str) -> tuple[str, Credentials]:
    """Take a URL apart; a user and a password in it become credentials and leave it.

    Raises:
        ApiError: it is no address.
    """
    if not text:
        return "", Credentials()
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError:
        # Not chained: the text may hold a password.
        raise ApiError(f"{variable} is no address such as https://host:9090.") from None
    if parts.scheme not in ("http", "https") or not host or parts.query or parts.fragment:
        raise ApiError(
            f"{variable} is no address such as https://host:9090 (http or https, no query)."
        )
    where = f"[{host}]" if ":" in host else host
    where += f":{port}" if port else ""
    url = urlunsplit((parts.scheme, where, parts.path.rstrip("/"), "", ""))
    if parts.username is None and parts.password is None:
        return url, Credentials()
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    return url, Basic(user, Secret(password))


def credentials_from(given: Mapping[str, str], inside: Credentials, sign_in: SignIn) -> Credentials:
    """Read how one signs in.

    Args:
        given: variables, as `trimmed` returns them.
        inside: what stood in the address.
        sign_in: whose variables.

    Raises:
        ApiError: they do not fit together.
    """
    kind, _, source = given.get(sign_in.auth, "").partition(":")
    secrets = sign_in.secrets()
    set_ones = [name for name in secrets if given.get(name)]
    if not kind:
        if set_ones:
            wanted = secrets[set_ones[0]]
            raise ApiError(f"{set_ones[0]} is set: set {sign_in.auth} to {wanted}, too.")
        return inside
    if kind not in ("none", "basic", "bearer", "azure") or (source and kind != "azure"):
        raise ApiError(
            f"{sign_in.auth} must be none, basic, bearer, azure, or azure: with one of "
            f"{', '.join(AZURE_KINDS)}."
        )
    if inside.kind != "none":
        raise ApiError(f"{sign_in.url} holds credentials, so {sign_in.auth} must not be set.")
    if astray := [name for name in set_ones if secrets[name] != kind]:
        raise ApiError(f"{astray[0]} is set, but {sign_in.auth} is {kind}: take one of them out.")
    if kind == "basic":
        return _basic(given, sign_in)
    if kind == "bearer":
        return _bearer(given, sign_in)
    if kind == "azure":
        if source and source not in AZURE_KINDS:
            raise ApiError(f"{sign_in.auth} must be azure: with one of {', '.join(AZURE_KINDS)}.")
        kinds = (source,) if source else AZURE_KINDS
        return AzureIdentity(
            *(kinds, given.get(CLIENT_VARIABLE, "")),
            *(sign_in.scope, sign_in.service, sign_in.auth),
        )
    return Credentials()


def _basic(given: Mapping[str, str], sign_in: SignIn) -> Credentials:
    user, password = given.get(sign_in.user, ""), given.get(sign_in.password, "")
    if not user or not password or ":" in user:
        raise ApiError(
            f"{sign_in.auth} is basic: set {sign_in.user} (without a colon in it) and "
            f"{sign_in.password}."
        )
    return Basic(user, Secret(password))


def _bearer(given: Mapping[str, str], sign_in: SignIn) -> Credentials:
    token, file = given.get(sign_in.token, ""), given.get(sign_in.token_file, "")
    if bool(token) == bool(file):
        raise ApiError(
            f"{sign_in.auth} is bearer: set either {sign_in.token} or {sign_in.token_file}."
        )
    return Bearer(Secret(token)) if token else BearerFile(file)


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    default = {"http": 80, "https": 443}.get(parts.scheme)
    return parts.scheme, parts.hostname, parts.port or default


def refuse_clear_text(url: str, credentials: Credentials) -> None:
    """Send no secret over plain HTTP, but on this machine and between pods of a cluster.

    Raises:
        ApiError: one would be.
    """
    parts = urlsplit(url)
    host = parts.hostname or ""
    if credentials.kind == "none" or parts.scheme != "http" or _is_loopback(host):
        return
    inside = host.endswith((".svc", ".cluster.local"))
    if not inside or credentials.kind == "azure":
        raise ApiError(f"{url} would get the {credentials.kind} credentials in clear: use https.")


def is_on_this_machine(variable: str, text: str) -> bool:
    """Whether an address is one of loopback, and signs nobody in.

    Raises:
        ApiError: it is no address.
    """
    url, inside = address(variable, text)
    return inside.kind == "none" and _is_loopback(urlsplit(url).hostname or "")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
