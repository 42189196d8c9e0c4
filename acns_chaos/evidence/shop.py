"""Readings of the customer's view: the shop over HTTP."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from acns_chaos.cluster.kept import Kept, KeptAnswer
from acns_chaos.cluster.kube import Api
from acns_chaos.cluster.remembered import MOST_ORDERS, Remembered
from acns_chaos.cluster.storefront import Answer, ask, storefront_url
from acns_chaos.cluster.waiting import wait_until
from acns_chaos.errors import ApiError
from acns_chaos.evidence.readings import DENIED, FAILED, OPEN, UNKNOWN, Reading, reading

__all__ = ["KEPT", "NEW", "read_kept", "read_order", "read_shop"]

# Which connection a question goes out on.
NEW, KEPT = "new", "kept"


def read_shop(
    api: Api,
    environ: Mapping[str, str],
    namespace: str,
    service: str,
    path: str,
    expect: str,
    timeout: float,
    deadline: float,
) -> Reading:
    """Ask the shop for a page, each time on a new connection, until the expected answer comes.

    Args:
        api: the cluster.
        environ: looked up for the shop's address.
        namespace: of the shop.
        service: its LoadBalancer Service.
        path: of the page.
        expect: OPEN, DENIED or FAILED.
        timeout: seconds for one request.
        deadline: seconds; 0 asks once.

    Returns:
        OPEN for a 2xx or 3xx answer; DENIED for silence; UNKNOWN for anything else, because a
        refusal, a reset or a 5xx says that something answered, which a policy drop never does. The
        one exception is 504: the shop itself met silence further in. Where FAILED is expected, so
        reads silence, and every 5xx: the customer is not served, whatever the cause.
    """
    what = f"GET {path} of the storefront"
    try:
        url = storefront_url(api, namespace, service, environ) + path
    except ApiError as error:
        return reading(UNKNOWN, what, str(error), None, expect, {})
    asked: list[Answer] = []
    began: list[str] = []

    def expected() -> bool:
        began[:] = [_now()]
        asked.append(ask("GET", url, timeout))
        return _state(asked[-1], expect) == expect

    first = _now()
    wait_until(expected, deadline, interval=0.02)
    said, late = f"GET {url}", _seconds_between(first, began[0])
    if len(asked) > 1:
        # What comes late is no steady state for whoever asked meanwhile: it is said.
        said = f"{said}, asked {len(asked)} times in {late:.1f} s,"
    evidence = {"connection": NEW, "asked": len(asked), "began": began[0], "late": late}
    return _told(what, said, asked[-1], expect, {"url": url, **evidence})


def read_kept(
    api: Api,
    environ: Mapping[str, str],
    remembered: Remembered,
    namespace: str,
    service: str,
    path: str,
    expect: str,
    timeout: float,
    deadline: float,
) -> Reading:
    """Ask on the connection that is kept through the run; the first question opens it.

    Args:
        api: the cluster.
        environ: looked up for the shop's address.
        remembered: of the run.
        namespace: of the shop.
        service: its LoadBalancer Service.
        path: of the page.
        expect: OPEN or DENIED.
        timeout: seconds that one question waits.
        deadline: seconds; 0 asks once.

    Returns:
        As `read_shop`; and UNKNOWN when there was no connection to keep, or when the other side
        closed it meanwhile: policies never do that.
    """
    what = f"GET {path} of the storefront on a kept connection"
    try:
        base = storefront_url(api, namespace, service, environ)
    except ApiError as error:
        return reading(UNKNOWN, what, str(error), None, expect, {})
    kept: Kept = remembered.kept(base)
    asked: list[KeptAnswer] = []
    began: list[str] = []

    def expected() -> bool:
        began[:] = [_now()]
        asked.append(kept.get(path, timeout))
        # One that is lost is said at once: the next question would open another.
        return bool(asked[-1].lost) or _state(asked[-1].answer) == expect

    wait_until(expected, deadline, interval=0.02)
    last = asked[-1]
    evidence = {
        "url": base + path,
        "connection": KEPT,
        "asked": len(asked),
        "began": began[0],
        "opened_now": last.opened,
        "age": last.age,
        "waited": last.waited,
        "lost": last.lost,
    }
    said = f"GET {base}{path} on the connection kept for {last.age:.1f} s"
    if last.opened and not last.answer.status:
        why = f"no connection was kept before ({last.answer.detail}): ask once while the shop is up"
        return reading(UNKNOWN, what, why, None, expect, evidence)
    if last.lost and not last.answer.status:
        why = f"{said} is lost ({last.lost}); the next question opens another"
        return reading(UNKNOWN, what, why, None, expect, evidence)
    return _told(what, said, last.answer, expect, evidence)


def read_order(
    api: Api,
    environ: Mapping[str, str],
    remembered: Remembered,
    run: str,
    namespace: str,
    service: str,
    expect: str,
    timeout: float,
    deadline: float = 0.0,
) -> Reading:
    """Place one synthetic order, whatever comes of it.

    Args:
        api: the cluster.
        environ: looked up for the shop's address.
        remembered: of the run, which places so many and no more.
        run: its id, which marks the order.
        namespace: of the shop.
        service: its LoadBalancer Service.
        expect: OPEN or DENIED.
        timeout: seconds for the request.
        deadline: seconds to wait until the shop answers at all, before an order that is expected to
            be accepted; 0 does not look. The order itself is placed once.

    Returns:
        As `read_shop`; and UNKNOWN when the run has placed its orders.
    """
    what = "POST /api/orders/ of the storefront"
    try:
        url = storefront_url(api, namespace, service, environ) + "/api/orders/"
    except ApiError as error:
        return reading(UNKNOWN, what, str(error), None, expect, {})
    number = remembered.take_order()
    if not number:
        why = (
            f"this run has placed its {MOST_ORDERS} synthetic orders: an order is a change in "
            "somebody's shop, so it places no more"
        )
        return reading(UNKNOWN, what, why, None, expect, {"url": url, "asked": 0})
    if expect == OPEN and deadline > 0:
        page = url.removesuffix("/api/orders/") + "/"
        wait_until(lambda: ask("GET", page, timeout).status > 0, deadline, interval=0.02)
    order = _order(run, number)
    began = _now()
    answer = ask("POST", url, timeout, order)
    evidence = {"url": url, "connection": NEW, "asked": 1, "began": began, "order": order}
    return _told(what, f"POST {url}", answer, expect, evidence)


def _order(run: str, number: int) -> dict[str, Any]:
    """What the demo's order-service accepts (workshop-facts §2.2), marked as ours.

    Whoever owns the shop finds it by its customer and may delete it.
    """
    return {
        "customerId": f"acns-chaos-probe-{run}-{number}",
        "items": [{"productId": 1, "quantity": 1, "price": 9.99}],
    }


def _told(what: str, said: str, answer: Answer, expect: str, evidence: dict[str, Any]) -> Reading:
    state = _state(answer, expect)
    return reading(
        state,
        what,
        f"{said} {answer.detail} ({answer.seconds * 1000:.0f} ms)",
        state == expect,
        expect,
        evidence
        | {
            "status": answer.status,
            "silence": answer.silence,
            "waited_for": answer.waited_for,
            "connected": answer.connected,
            "first_byte": answer.first_byte,
        }
        | _products(answer),
        seconds=answer.seconds,
    )


def _seconds_between(one: str, other: str) -> float:
    apart = datetime.fromisoformat(other) - datetime.fromisoformat(one)
    return round(apart.total_seconds(), 3)


def _now() -> str:
    return datetime.now(UTC).isoformat()


def _state(answer: Answer, expect: str = "") -> str:
    if expect == FAILED and (answer.silence or answer.status >= 500):
        return FAILED
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
