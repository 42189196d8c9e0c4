"""Where Prometheus and Alertmanager are, and who signs in there, as the environment says.

Nothing is guessed: a token without a word on how to use it is an error, not a default. The table of
all variables is docs/prometheus.md.
"""

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit, urlunsplit

from acns_chaos.cluster.prometheus.credentials import (
    AZURE_KINDS,
    AzureIdentity,
    Basic,
    Bearer,
    BearerFile,
    Credentials,
    Secret,
)
from acns_chaos.errors import ApiError

__all__ = ["ELSEWHERE", "URL_VARIABLE", "Settings", "settings_from"]

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

# Which variables each word of AUTH_VARIABLE goes with.
_SECRETS = {
    USER_VARIABLE: "basic",
    PASSWORD_VARIABLE: "basic",
    TOKEN_VARIABLE: "bearer",
    TOKEN_FILE_VARIABLE: "bearer",
}


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
    given = {
        # A password is taken as it is.
        name: value if name == PASSWORD_VARIABLE else value.strip()
        for name, value in environ.items()
        if name.startswith("ACNS_") or name == CLIENT_VARIABLE
    }
    named, alerting = given.get(URL_VARIABLE, ""), given.get(ALERTMANAGER_VARIABLE, "")
    url, inside = _address(URL_VARIABLE, named)
    manager, own = _address(ALERTMANAGER_VARIABLE, alerting)
    credentials = _credentials(given, inside)
    if own.kind == "none" and manager and _origin(manager) == _origin(url):
        own = credentials
    _refuse_clear_text(url, credentials)
    _refuse_clear_text(manager, own)
    return Settings(url, credentials, manager, own, given.get(CLUSTER_VARIABLE, ""))


def _address(variable: str, text: str) -> tuple[str, Credentials]:
    """Take a URL apart; a user and a password in it become credentials and leave it."""
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


def _credentials(given: Mapping[str, str], inside: Credentials) -> Credentials:
    kind, _, source = given.get(AUTH_VARIABLE, "").partition(":")
    set_ones = [name for name in _SECRETS if given.get(name)]
    if not kind:
        if set_ones:
            wanted = _SECRETS[set_ones[0]]
            raise ApiError(f"{set_ones[0]} is set: set {AUTH_VARIABLE} to {wanted}, too.")
        return inside
    if kind not in ("none", "basic", "bearer", "azure") or (source and kind != "azure"):
        raise ApiError(
            f"{AUTH_VARIABLE} must be none, basic, bearer, azure, or azure: with one of "
            f"{', '.join(AZURE_KINDS)}."
        )
    if inside.kind != "none":
        raise ApiError(f"{URL_VARIABLE} holds credentials, so {AUTH_VARIABLE} must not be set.")
    if astray := [name for name in set_ones if _SECRETS[name] != kind]:
        raise ApiError(f"{astray[0]} is set, but {AUTH_VARIABLE} is {kind}: take one of them out.")
    if kind == "basic":
        return _basic(given)
    if kind == "bearer":
        return _bearer(given)
    if kind == "azure":
        if source and source not in AZURE_KINDS:
            raise ApiError(f"{AUTH_VARIABLE} must be azure: with one of {', '.join(AZURE_KINDS)}.")
        kinds = (source,) if source else AZURE_KINDS
        return AzureIdentity(kinds, given.get(CLIENT_VARIABLE, ""))
    return Credentials()


def _basic(given: Mapping[str, str]) -> Credentials:
    user, password = given.get(USER_VARIABLE, ""), given.get(PASSWORD_VARIABLE, "")
    if not user or not password or ":" in user:
        raise ApiError(
            f"{AUTH_VARIABLE} is basic: set {USER_VARIABLE} (without a colon in it) and "
            f"{PASSWORD_VARIABLE}."
        )
    return Basic(user, Secret(password))


def _bearer(given: Mapping[str, str]) -> Credentials:
    token, file = given.get(TOKEN_VARIABLE, ""), given.get(TOKEN_FILE_VARIABLE, "")
    if bool(token) == bool(file):
        raise ApiError(
            f"{AUTH_VARIABLE} is bearer: set either {TOKEN_VARIABLE} or {TOKEN_FILE_VARIABLE}."
        )
    return Bearer(Secret(token)) if token else BearerFile(file)


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    default = {"http": 80, "https": 443}.get(parts.scheme)
    return parts.scheme, parts.hostname, parts.port or default


def _refuse_clear_text(url: str, credentials: Credentials) -> None:
    """Send no secret over plain HTTP, but on this machine and between pods of a cluster."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    if credentials.kind == "none" or parts.scheme != "http" or _is_loopback(host):
        return
    inside = host.endswith((".svc", ".cluster.local"))
    if not inside or credentials.kind == "azure":
        raise ApiError(f"{url} would get the {credentials.kind} credentials in clear: use https.")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
