"""The customer's view: HTTP to the shop, from outside, a new connection for each question.

New connections, because a kept-alive one stalls and recovers on its own clock (reference
captures, "What a client sees"); a denied one costs exactly the client's own time-out.
"""

import functools
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from acns_chaos.cluster.kube import Api
from acns_chaos.cluster.pods import service_of
from acns_chaos.errors import NotFound

__all__ = ["AGENT", "ANSWER", "CONNECTION", "Answer", "ask", "cause", "storefront_url"]

AGENT = "acns-chaos"
# What a client in silence waited for.
CONNECTION, ANSWER = "connection", "answer"

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
        waited_for: of silence: CONNECTION (nobody took it) or ANSWER (it stood, and nothing came).
        connected: seconds until the connection stood; None when it never did.
        first_byte: seconds until the answer began; None when it never did.
    """

    status: int
    silence: bool
    detail: str
    seconds: float
    body: str = ""
    waited_for: str = ""
    connected: float | None = None
    first_byte: float | None = None


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

    adapter = _timed_adapter()
    _connecting.at = 0.0
    started = time.monotonic()
    # The `elapsed` of requests begins later than this: an answer could precede its connection.
    begun: list[float] = []

    def took() -> float:
        return round(time.monotonic() - started, 4)

    def connected() -> float | None:
        return round(_connecting.at - started, 4) if _connecting.at else None

    def silent(waited_for: str, detail: str) -> Answer:
        return Answer(0, True, detail, took(), waited_for=waited_for, connected=connected())

    try:
        with requests.Session() as session:
            for scheme in ("http://", "https://"):
                session.mount(scheme, adapter())
            # The shop is asked directly: a proxy's answer would be the proxy's view.
            session.trust_env = False
            answer = session.request(
                method,
                url,
                json=body,
                timeout=(timeout, timeout),
                headers={"Connection": "close", "User-Agent": AGENT},
                hooks={"response": lambda *_, **__: begun.append(time.monotonic())},
            )
    except requests.ConnectTimeout:
        return silent(CONNECTION, f"no connection within {timeout:g} s")
    except requests.ReadTimeout:
        return silent(ANSWER, f"connected, but no answer within {timeout:g} s")
    except requests.ConnectionError as error:
        if "timed out" in str(error).lower():
            # requests' name for silence in the middle of an answer, and for the system's own limit.
            where = ANSWER if connected() else CONNECTION
            return silent(where, f"the {where} met silence ({timeout:g} s)")
        return Answer(0, False, f"connection failed: {cause(error)}", took(), connected=connected())
    except requests.RequestException as error:
        return Answer(0, False, f"cannot be asked: {cause(error)}", took(), connected=connected())
    return Answer(
        answer.status_code,
        False,
        f"answered {answer.status_code}",
        took(),
        answer.text[:2000],
        connected=connected(),
        first_byte=round(begun[-1] - started, 4),
    )


_connecting = threading.local()


@functools.cache
def _timed_adapter() -> Any:
    """Make requests note, in this thread, when a connection stands; it has no hook for that."""
    import requests.adapters
    import urllib3

    class Http(urllib3.connection.HTTPConnection):
        def connect(self) -> None:
            super().connect()
            _connecting.at = time.monotonic()

    class Https(urllib3.connection.HTTPSConnection):
        def connect(self) -> None:
            super().connect()
            _connecting.at = time.monotonic()

    class HttpPool(urllib3.HTTPConnectionPool):
        ConnectionCls = Http

    class HttpsPool(urllib3.HTTPSConnectionPool):
        ConnectionCls = Https

    class Adapter(requests.adapters.HTTPAdapter):
        def init_poolmanager(self, *arguments: Any, **more: Any) -> None:
            super().init_poolmanager(*arguments, **more)
            pools = {"http": HttpPool, "https": HttpsPool}
            self.poolmanager.pool_classes_by_scheme = pools

    return Adapter


def cause(error: BaseException) -> str:
    """Find the innermost reason; requests wraps urllib3 wraps the socket's."""
    text = str(error)
    for word in ("refused", "reset", "unreachable", "resolve"):
        if word in text.lower():
            return {"resolve": "the name does not resolve"}.get(word, word)
    return type(error).__name__
