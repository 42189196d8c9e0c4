"""The customer's view: HTTP to the shop, from outside, a new connection for each question.

New connections, because a kept-alive one stalls and recovers on its own clock (reference
captures, "What a client sees"); a denied one costs exactly the client's own time-out.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from acns_chaos.cluster.kube import Api
from acns_chaos.cluster.pods import service_of
from acns_chaos.errors import NotFound

__all__ = ["Answer", "ask", "storefront_url"]

URL_VARIABLE = "ACNS_CHAOS_STOREFRONT_URL"


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back.

    Attributes:
        status: the HTTP status; 0 when there was no answer.
        silence: the request met silence: nothing refused it, nothing answered in time.
        detail: one phrase for people.
        seconds: from the first packet to the last.
        body: the answer's first 2,000 characters.
    """

    status: int
    silence: bool
    detail: str
    seconds: float
    body: str = ""


def storefront_url(api: Api, namespace: str, service: str, environ: Mapping[str, str]) -> str:
    """Find the shop's address: the environment's, else the LoadBalancer's.

    Args:
        api: the cluster.
        namespace: of the Service.
        service: the LoadBalancer Service's name.
        environ: looked up for ACNS_CHAOS_STOREFRONT_URL.

    Returns:
        A base URL without a trailing slash.

    Raises:
        NotFound: the Service has no outside address (yet).
        ApiError: the Service cannot be read.
    """
    if named := environ.get(URL_VARIABLE, "").strip():
        return named.rstrip("/")
    found = service_of(api, namespace, service)
    balancer: dict[str, Any] = found.get("status", {}).get("loadBalancer") or {}
    for one in balancer.get("ingress") or []:
        host = one.get("ip") or one.get("hostname")
        if host:
            port = found["spec"]["ports"][0]["port"]
            return f"http://{host}" if port == 80 else f"http://{host}:{port}"
    raise NotFound(
        f"Service {namespace}/{service} has no LoadBalancer address: "
        f"set {URL_VARIABLE} to where customers reach the shop.",
        404,
    )


def ask(method: str, url: str, timeout: float, body: Any = None) -> Answer:
    """Send one request on a connection of its own.

    Args:
        method: "GET" or "POST".
        url: absolute.
        timeout: seconds, for connecting and again for each pause in the answer.
        body: a JSON value for POST.
    """
    import requests

    started = time.monotonic()

    def took() -> float:
        return round(time.monotonic() - started, 4)

    try:
        with requests.Session() as session:
            # The shop is asked directly: a proxy's answer would be the proxy's view.
            session.trust_env = False
            answer = session.request(
                method,
                url,
                json=body,
                timeout=(timeout, timeout),
                headers={"Connection": "close", "User-Agent": "acns-chaos"},
            )
    except requests.ConnectTimeout:
        return Answer(0, True, f"no connection within {timeout:g} s", took())
    except requests.ReadTimeout:
        return Answer(0, True, f"connected, but no answer within {timeout:g} s", took())
    except requests.ConnectionError as error:
        return Answer(0, False, f"connection failed: {_cause(error)}", took())
    except requests.RequestException as error:
        return Answer(0, False, f"cannot be asked: {_cause(error)}", took())
    return Answer(
        answer.status_code, False, f"answered {answer.status_code}", took(), answer.text[:2000]
    )


def _cause(error: BaseException) -> str:
    """Find the innermost reason; requests wraps urllib3 wraps the socket's."""
    text = str(error)
    for word in ("refused", "reset", "unreachable", "resolve"):
        if word in text.lower():
            return {"resolve": "the name does not resolve"}.get(word, word)
    return type(error).__name__
