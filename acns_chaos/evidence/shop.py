"""Readings of the customer's view: the shop over HTTP."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime

from acns_chaos.cluster.kube import Api
from acns_chaos.cluster.storefront import Answer, ask, storefront_url
from acns_chaos.cluster.waiting import wait_until
from acns_chaos.errors import ApiError
from acns_chaos.evidence.readings import DENIED, OPEN, UNKNOWN, Reading, reading

__all__ = ["read_shop"]

# What the demo's order-service accepts (workshop-facts §2.2); the customer marks it as ours.
ORDER = {
    "customerId": "acns-chaos-probe",
    "items": [{"productId": 1, "quantity": 1, "price": 9.99}],
}


def read_shop(
    api: Api,
    environ: Mapping[str, str],
    namespace: str,
    service: str,
    method: str,
    path: str,
    expect: str,
    timeout: float,
    deadline: float,
) -> Reading:
    """Ask the shop, until the answer is the expected one or *deadline* has passed.

    Args:
        api: the cluster.
        environ: looked up for the shop's address.
        namespace: of the shop.
        service: its LoadBalancer Service.
        method: "GET", or "POST" to place an order.
        path: of the page.
        expect: OPEN or DENIED.
        timeout: seconds for one request.
        deadline: seconds; 0 asks once.

    Returns:
        OPEN for a 2xx or 3xx answer; DENIED for silence; UNKNOWN for anything else, because a
        refusal, a reset or a 5xx says that something answered, which a policy drop never does. The
        one exception is 504: the shop itself met silence further in.
    """
    what = f"{method} {path} of the storefront"
    try:
        url = storefront_url(api, namespace, service, environ) + path
    except ApiError as error:
        return reading(UNKNOWN, what, str(error), None, expect, {})
    body = ORDER if method == "POST" else None
    asked: list[Answer] = []
    began: list[str] = []

    def expected() -> bool:
        began[:] = [datetime.now(UTC).isoformat()]
        asked.append(ask(method, url, timeout, body))
        return _state(asked[-1]) == expect

    # An order is a change: it is placed once, whatever comes of it.
    wait_until(expected, 0 if body else deadline, interval=0.02)
    last = asked[-1]
    return reading(
        _state(last),
        what,
        f"{method} {url} {last.detail} ({last.seconds * 1000:.0f} ms)",
        _state(last) == expect,
        expect,
        {
            "url": url,
            "status": last.status,
            "silence": last.silence,
            "asked": len(asked),
            "began": began[0],
        }
        | _products(last),
        seconds=last.seconds,
    )


def _state(answer: Answer) -> str:
    if answer.silence or answer.status == 504:
        return DENIED
    return OPEN if 200 <= answer.status < 400 else UNKNOWN


def _products(answer: Answer) -> dict[str, int]:
    """Count a JSON list's items: an empty catalogue is worth seeing in the journal."""
    try:
        body = json.loads(answer.body)
    except ValueError:
        return {}
    return {"items": len(body)} if isinstance(body, list) else {}
