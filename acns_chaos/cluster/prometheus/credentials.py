"""Credentials for Prometheus and Grafana: what goes into the header `Authorization`, nowhere else.

A secret is held in an object that does not print itself; whatever a server or a client library says
goes through `Credentials.hide` before anybody reads it. Azure's library is imported only where
somebody asks for it. Belongs here: how one signs in. Does not belong here: requests.
"""

import base64
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from acns_chaos.errors import ApiError

__all__ = [
    "AZURE_KINDS",
    "AZURE_SCOPE",
    "AzureIdentity",
    "Basic",
    "Bearer",
    "BearerFile",
    "Credentials",
    "Secret",
]

# Azure Monitor managed Prometheus (reference workshop-facts §4.1).
AZURE_SCOPE = "https://prometheus.monitor.azure.com/.default"
AZURE_KINDS = ("workload", "cli", "managed")
# What stands in place of a secret.
HIDDEN = "***"
# Shorter ones would blank out ordinary words; nobody's secret is that short.
_SHORTEST = 4
# What a header may carry; an error of the HTTP library would quote the rest, token and all.
_TOKEN = re.compile(r"[!-~]+")
_JWT = re.compile(r"eyJ[\w-]{4,}\.[\w.-]+")
# Azure's own client retries for minutes; a token that is not there in seconds is not there.
_AZURE_PATIENCE = {"connection_timeout": 5, "read_timeout": 5, "retry_total": 1}
_AZURE_PROCESS_SECONDS = 10


class Secret:
    """A text that neither prints nor pickles itself."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """Return the text."""
        return self._text

    def __repr__(self) -> str:
        return f"<{HIDDEN}>"

    def __bool__(self) -> bool:
        return bool(self._text)

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret is not written down")


class Credentials:
    """No credentials; the base of those that are some.

    Attributes:
        kind: as ACNS_CHAOS_PROMETHEUS_AUTH names it.
    """

    kind = "none"

    def header(self) -> str:
        """Return the header `Authorization`, "" for none.

        Raises:
            ApiError: the token cannot be had; the sentence says why and what to do.
        """
        return ""

    def renew(self) -> bool:
        """Forget a token that was refused; tells whether another one may now come."""
        return False

    def hide(self, text: str) -> str:
        """Return *text* without any secret of these credentials in it."""
        for secret in sorted(self._secrets(), key=len, reverse=True):
            if len(secret) >= _SHORTEST:
                text = text.replace(secret, HIDDEN)
        return _JWT.sub(HIDDEN, text)

    def _secrets(self) -> tuple[str, ...]:
        return ()

    def __repr__(self) -> str:
        return f"<{self.kind} credentials>"


class Basic(Credentials):
    """A user and a password."""

    kind = "basic"

    def __init__(self, user: str, password: Secret) -> None:
        self._password = password
        self._pair = Secret(base64.b64encode(f"{user}:{password.reveal()}".encode()).decode())

    def header(self) -> str:
        """Return the header."""
        return f"Basic {self._pair.reveal()}"

    def _secrets(self) -> tuple[str, ...]:
        return (self._pair.reveal(), self._password.reveal())


class Bearer(Credentials):
    """A token that stays as it is."""

    kind = "bearer"

    def __init__(self, token: Secret) -> None:
        self._token = token

    def header(self) -> str:
        """Return the header; errors as `Credentials.header`."""
        if not _TOKEN.fullmatch(self._token.reveal()):
            raise ApiError("The token holds a character that no header may carry.")
        return f"Bearer {self._token.reveal()}"

    def _secrets(self) -> tuple[str, ...]:
        return (self._token.reveal(),)


class BearerFile(Bearer):
    """A token in a file, read for every request: the kubelet writes a new one there in time."""

    def __init__(self, path: str) -> None:
        super().__init__(Secret(""))
        self._path = path

    def header(self) -> str:
        """Return the header; errors as `Credentials.header`."""
        try:
            self._token = Secret(Path(self._path).read_text("ascii").strip())
        except (OSError, ValueError) as error:
            # Not the decoder's own words: they quote the bytes they cannot read.
            reason = error.strerror if isinstance(error, OSError) else "it is no text"
            raise ApiError(f"The token file {self._path} cannot be read: {reason}.") from None
        if not self._token:
            raise ApiError(f"The token file {self._path} is empty.")
        return super().header()


class AzureIdentity(Credentials):
    """A Microsoft Entra token, from `azure-identity`, renewed before it expires.

    Args:
        kinds: which sources may be tried, in this order: "workload" (workload identity of a pod),
            "cli" (`az login`), "managed" (managed identity of the machine).
        client: client id of a user-assigned managed identity, "" for the machine's own.
        scope: what the token is for.
        service: whose token it is, for sentences.
        variable: what asked for Entra, for sentences.
    """

    kind = "azure"

    def __init__(
        self,
        kinds: tuple[str, ...] = AZURE_KINDS,
        client: str = "",
        scope: str = AZURE_SCOPE,
        service: str = "Azure Monitor",
        variable: str = "ACNS_CHAOS_PROMETHEUS_AUTH",
    ) -> None:
        self._kinds = kinds
        self._client = client
        self._scope = scope
        self._service = service
        self._variable = variable
        self._provider: Callable[[], str] | None = None
        self._last = Secret("")

    def header(self) -> str:
        """Return the header; errors as `Credentials.header`."""
        try:
            from azure.core.exceptions import AzureError
        except ImportError:
            raise ApiError(
                f"{self._variable}=azure needs azure-identity: "
                "install acns-chaos with its extra, acns-chaos[azure]."
            ) from None
        try:
            if self._provider is None:
                self._provider = self._open()
            # It keeps the token, and gets another one five minutes before that one expires.
            self._last = Secret(self._provider())
        except (AzureError, ValueError, KeyError, OSError, RuntimeError) as error:
            lines = [line.strip() for line in str(error).splitlines() if line.strip()]
            # The first line only names the chain; the reasons follow, one a line.
            reasons = [line for line in lines if ":" in line and not line.startswith("To ")]
            told = self.hide("; ".join(reasons[:3] or lines[:1]) or type(error).__name__)[:400]
            raise ApiError(
                f"No Microsoft Entra token for {self._service} could be had from "
                f"{' or '.join(self._kinds)}: {told}"
            ) from None
        return f"Bearer {self._last.reveal()}"

    def renew(self) -> bool:
        """Forget the token and everything that remembers it."""
        self._provider = None
        return True

    def _open(self) -> Callable[[], str]:
        from azure import identity as library

        identity: Any = library
        made: list[Any] = []
        for kind in self._kinds:
            if kind == "workload":
                with_pod = self._workload(identity)
                made += [with_pod] if with_pod is not None else []
            elif kind == "cli":
                made.append(identity.AzureCliCredential(process_timeout=_AZURE_PROCESS_SECONDS))
            else:
                named = {"client_id": self._client} if self._client else {}
                made.append(identity.ManagedIdentityCredential(**named, **_AZURE_PATIENCE))
        # Also for one: in a chain, managed identity asks whether its endpoint exists at all first.
        chain = identity.ChainedTokenCredential(*made)
        provider: Callable[[], str] = identity.get_bearer_token_provider(chain, self._scope)
        return provider

    def _workload(self, identity: Any) -> Any:
        try:
            return identity.WorkloadIdentityCredential(**_AZURE_PATIENCE)
        except ValueError:
            # The pod has no such identity: its webhook sets the variables.
            if self._kinds == ("workload",):
                raise
            return None

    def _secrets(self) -> tuple[str, ...]:
        return (self._last.reveal(),)
