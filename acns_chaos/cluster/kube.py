"""The Kubernetes API as raw JSON in, raw JSON out.

The official client opens the connection (kubeconfig, in-cluster, exec plugins, token refresh,
TLS, proxies); requests then go through its connection pool as plain JSON. Its typed models are
not used: they drop `fromEndpoints: []`, which means the opposite of an absent list, and touching
them costs half a second of CPU (reference chaos-toolkit.md §1). Every request has a time-out,
because a hung API server must not hang an experiment.
"""

import contextlib
import json
import os
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import yaml

from acns_chaos import __version__
from acns_chaos.errors import ApiError, Conflict, Forbidden, NotFound, TargetError

__all__ = ["AGENT", "Api", "in_cluster_api", "kubeconfig_api"]

# Seconds for one answer; a test with a server that hangs sets the variable to less.
TIMEOUT = 10.0
TIMEOUT_VARIABLE = "ACNS_CHAOS_API_TIMEOUT"
AGENT = f"acns-chaos/{__version__}"
# Segments of letters, digits, dots and dashes, none of them dots alone.
PATH = re.compile(r"(/(?![.]+(/|$))[A-Za-z0-9][A-Za-z0-9.-]*)+")


class Api:
    """One connection to one API server.

    Args:
        client: the official client's ApiClient.
        agent: what it calls itself, for the server's logs.

    Attributes:
        client: the official client's ApiClient.
        server: the server's address.
    """

    def __init__(self, client: Any, agent: str = AGENT) -> None:
        self.client = client
        self.server = str(client.configuration.host)
        self._agent = agent
        self._timeout = _patience(os.environ.get(TIMEOUT_VARIABLE, ""))
        self._ahead = timedelta()

    def now(self) -> datetime:
        """Return this moment by the server's clock, in UTC, to about a second.

        Deadlines and leases go by it, so that machines whose own clocks differ agree. Before the
        first answer it is this machine's clock.
        """
        return datetime.now(UTC) + self._ahead

    def headers(self) -> dict[str, str]:
        """Return the credentials' headers; a refresh hook may renew a token here."""
        settings = self.client.configuration.auth_settings()
        return {
            str(one["key"]): str(one["value"])
            for one in settings.values()
            if one.get("in") == "header" and one.get("value")
        }

    def request(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        body: Any = None,
        content_type: str = "application/json",
        timeout: float | None = None,
    ) -> dict[str, Any]:
        """Send one request.

        Args:
            method: HTTP method.
            path: absolute path on the server.
            query: query parameters.
            body: JSON value, or None.
            content_type: of the body.
            timeout: seconds for the whole answer; None takes the connection's.

        Returns:
            The JSON object answered.

        Raises:
            NotFound: 404.
            Conflict: 409.
            Forbidden: 401 or 403.
            ApiError: any other error, or no answer (status 0).
        """
        import urllib3

        if not PATH.fullmatch(path):
            # A name from an experiment must never lead to another resource than the one meant.
            raise ApiError(f"{path!r} is not a path of the API: a name in it is no Kubernetes name")
        url = self.server + path + ("?" + urlencode(query) if query else "")
        headers = {"Accept": "application/json", "User-Agent": self._agent, **self.headers()}
        if body is not None:
            headers["Content-Type"] = content_type
        try:
            response = self.client.rest_client.pool_manager.request(
                method,
                url,
                headers=headers,
                body=None if body is None else json.dumps(body),
                timeout=urllib3.Timeout(total=self._timeout if timeout is None else timeout),
                retries=False,
            )
        except urllib3.exceptions.HTTPError as error:
            raise ApiError(f"no answer to {method} {path} ({_reason(error)})") from error
        self._heard(response.headers.get("Date"))
        return _answer(method, path, response.status, response.data)

    def _heard(self, date: str | None) -> None:
        """Learn the server's clock from an answer; a proxy may leave the header out."""
        try:
            said = parsedate_to_datetime(date) if date else None
        except (TypeError, ValueError):
            return
        if said is not None and said.tzinfo is not None:
            # The header's second has begun somewhere within the last one.
            self._ahead = said + timedelta(seconds=0.5) - datetime.now(UTC)

    def get(self, path: str, query: Mapping[str, str] | None = None) -> dict[str, Any]:
        """GET *path*; errors as `request`."""
        return self.request("GET", path, query)

    def put(
        self, path: str, body: Mapping[str, Any], query: Mapping[str, str] | None = None
    ) -> dict[str, Any]:
        """PUT *body* at *path* with strict field validation; errors as `request`.

        A misspelt field would otherwise be stored without it (reference captures, "Validation
        and status"), and what is left may mean deny-all.
        """
        return self.request("PUT", path, {"fieldValidation": "Strict", **(query or {})}, body)

    def post(
        self, path: str, body: Mapping[str, Any], query: Mapping[str, str] | None = None
    ) -> dict[str, Any]:
        """POST *body* to *path* with strict field validation; errors as `request`."""
        return self.request("POST", path, {"fieldValidation": "Strict", **(query or {})}, body)

    def delete(self, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """DELETE *path*, with DeleteOptions in *body*; errors as `request`."""
        return self.request("DELETE", path, None, body)


def kubeconfig_api(context: str, kubeconfig: str, agent: str = AGENT) -> tuple[Api, str]:
    """Open a context of a kubeconfig.

    Args:
        context: its name; "" takes the file's only context (the lab's).
        kubeconfig: path(s) as in KUBECONFIG; "" is the default file.
        agent: what the connection calls itself.

    Returns:
        The API and the context's name.

    Raises:
        TargetError: no such file, no such context, or its credentials cannot be loaded.
    """
    from kubernetes import config

    # Never `except Exception`: the host delivers SIGTERM as one.
    unusable = (config.ConfigException, OSError, ValueError, KeyError, TypeError, yaml.YAMLError)
    file = kubeconfig or str(Path("~/.kube/config").expanduser())
    try:
        names = _contexts(file)
    except unusable as error:
        raise TargetError(
            f"No kubeconfig can be read at {file}, so the kube context "
            f"{context or 'of the lab'} cannot be found ({_reason(error)})."
        ) from error
    wanted = context or (names[0] if len(names) == 1 else "")
    if wanted not in names:
        raise TargetError(
            f"There is no kube context {wanted!r} in {file}: it has {', '.join(names) or 'none'}. "
            "Set ACNS_CHAOS_CLUSTER to one of them, or to lab."
        )
    try:
        client = config.new_client_from_config(
            config_file=file, context=wanted, persist_config=False
        )
    except unusable as error:
        raise TargetError(
            f"The credentials of kube context {wanted!r} in {file} cannot be loaded "
            f"({_reason(error)})."
        ) from error
    return Api(client, agent), wanted


def _contexts(files: str) -> list[str]:
    """List the contexts of one or several kubeconfig files, as KUBECONFIG names them.

    Read here because the client's own list fails on a file without a current context, and the
    current context is the one thing we never use.
    """
    found: list[str] = []
    present = [path for name in files.split(os.pathsep) if (path := Path(name)).is_file()]
    if not present:
        raise FileNotFoundError("no such file")
    for path in present:
        document = yaml.safe_load(path.read_text("utf-8"))
        if not isinstance(document, dict):
            raise TypeError("it is not a kubeconfig")
        found += [str(one["name"]) for one in document.get("contexts") or []]
    return found


def in_cluster_api(agent: str = AGENT) -> Api:
    """Open the API with the pod's own service account.

    Args:
        agent: what the connection calls itself.

    Raises:
        TargetError: this process does not run in a pod.
    """
    from kubernetes import client, config

    configuration = client.Configuration()
    try:
        config.load_incluster_config(client_configuration=configuration)
    except config.ConfigException as error:
        raise TargetError(
            f"ACNS_CHAOS_CLUSTER=in-cluster, but this is not a pod ({_reason(error)}): "
            "name a kube context instead."
        ) from error
    return Api(client.ApiClient(configuration), agent)


def _answer(method: str, path: str, status: int, data: bytes) -> dict[str, Any]:
    """Turn an HTTP answer into JSON or into the error that says what it means."""
    body: Any = None
    with contextlib.suppress(ValueError):
        body = json.loads(data)
    if 200 <= status < 300 and isinstance(body, dict):
        return body
    message = body.get("message") if isinstance(body, dict) else None
    text = str(message or f"{method} {path} answered {status} with no Kubernetes Status")
    if status == 404:
        raise NotFound(text, status)
    if status == 409:
        raise Conflict(text, status)
    if status in (401, 403):
        raise Forbidden(text, status)
    raise ApiError(text, status)


def _patience(given: str) -> float:
    """Read a number of seconds; what is none, or would wait for ever, is not taken."""
    try:
        seconds = float(given)
    except ValueError:
        return TIMEOUT
    return seconds if 0 < seconds <= 600 else TIMEOUT


def _reason(error: BaseException) -> str:
    """Shorten a client library's message to one line without its addresses in memory."""
    text = str(error).strip().splitlines()
    return text[0][:200] if text else type(error).__name__
