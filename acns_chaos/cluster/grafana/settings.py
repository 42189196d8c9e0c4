"""Where Grafana is, and who signs in there, as the environment or the experiment's secrets say.

The words are those of Prometheus; only Microsoft Entra's scope is another. The table of all
variables is docs/grafana.md.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from acns_chaos.cluster.grafana.health import GRAFANA_VARIABLE
from acns_chaos.cluster.prometheus.credentials import Basic, Bearer, Credentials, Secret
from acns_chaos.cluster.prometheus.settings import (
    SignIn,
    address,
    credentials_from,
    refuse_clear_text,
    trimmed,
)
from acns_chaos.errors import ApiError

__all__ = ["GrafanaSettings", "grafana_settings"]

AUTH_VARIABLE = "ACNS_CHAOS_GRAFANA_AUTH"
USER_VARIABLE = "ACNS_CHAOS_GRAFANA_USERNAME"
PASSWORD_VARIABLE = "ACNS_CHAOS_GRAFANA_PASSWORD"  # noqa: S105 - a name
TOKEN_VARIABLE = "ACNS_CHAOS_GRAFANA_TOKEN"  # noqa: S105 - a name
TOKEN_FILE_VARIABLE = "ACNS_CHAOS_GRAFANA_TOKEN_FILE"  # noqa: S105 - a name
DASHBOARD_VARIABLE = "ACNS_CHAOS_GRAFANA_DASHBOARD"
SCOPE_VARIABLE = "ACNS_CHAOS_GRAFANA_SCOPE"
# Azure Managed Grafana's own application, as `az grafana` asks for it. Microsoft's pages have named
# two other audiences since (reference workshop-facts §4.2), so the variable may name another.
SCOPE = "ce34e7e5-485f-4d76-964f-b3d2b16d1e4f/.default"
# Grafana's own rule for a dashboard's UID.
_UID = re.compile(r"[A-Za-z0-9_-]{1,40}")


@dataclass(frozen=True, slots=True)
class GrafanaSettings:
    """One Grafana.

    Attributes:
        url: its base, without credentials and without a trailing slash; "" when none is named.
        credentials: for it.
        dashboard: UID of the only dashboard that shows the annotations, "" for every one that asks
            for their tag.
    """

    url: str = ""
    credentials: Credentials = field(default_factory=Credentials)
    dashboard: str = ""


def grafana_settings(environ: Mapping[str, str], secrets: Mapping[str, str]) -> GrafanaSettings:
    """Read the variables, and what the experiment keeps secret.

    Args:
        environ: the environment.
        secrets: of the experiment's group `grafana`: `token`, or `username` and `password`; they go
            before the environment's.

    Raises:
        ApiError: the address is none, or the credentials do not fit together.
    """
    given = trimmed(environ)
    url, inside = address(GRAFANA_VARIABLE, given.get(GRAFANA_VARIABLE, ""))
    if not url:
        return GrafanaSettings()
    dashboard = given.get(DASHBOARD_VARIABLE, "")
    if dashboard and not _UID.fullmatch(dashboard):
        raise ApiError(
            f"{DASHBOARD_VARIABLE} is no UID of a dashboard: take it from its address, /d/UID/…."
        )
    sign_in = SignIn(
        *(GRAFANA_VARIABLE, AUTH_VARIABLE, USER_VARIABLE, PASSWORD_VARIABLE),
        *(TOKEN_VARIABLE, TOKEN_FILE_VARIABLE),
        *(given.get(SCOPE_VARIABLE) or SCOPE, "Azure Managed Grafana"),
    )
    credentials = _of_secrets(secrets) or credentials_from(given, inside, sign_in)
    if credentials.kind == "none" and given.get(sign_in.auth) != "none":
        raise ApiError(
            f"Nobody signs in at Grafana: set {sign_in.auth} to bearer, basic or azure, and what "
            "goes with it; none only where its anonymous users may write."
        )
    refuse_clear_text(url, credentials)
    return GrafanaSettings(url, credentials, dashboard)


def _of_secrets(secrets: Mapping[str, str]) -> Credentials | None:
    """Take the experiment's own; None when it has none."""
    token, user = str(secrets.get("token") or ""), str(secrets.get("username") or "")
    if token:
        return Bearer(Secret(token.strip()))
    if user and ":" not in user and secrets.get("password"):
        return Basic(user, Secret(str(secrets["password"])))
    if any(secrets.values()):
        raise ApiError(
            "The secrets of group grafana need a `token`, or a `username` (without a colon in it) "
            "and a `password`."
        )
    return None
