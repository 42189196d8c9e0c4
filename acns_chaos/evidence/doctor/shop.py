"""Check of the way to the shop: does a customer's packet meet the policies at all?"""

from collections.abc import Iterator
from ipaddress import ip_address
from urllib.parse import urlsplit

from acns_chaos.cluster.storefront import URL_VARIABLE
from acns_chaos.evidence.doctor.finding import MISSING, OK, WARN, Check, Context, Finding

__all__ = ["CHECKS"]

WHAT = "shop"


def asked_where_policy_is(context: Context) -> Iterator[Finding]:
    """Is the address that is named for the shop one whose packets pass a policy?"""
    url = context.environ.get(URL_VARIABLE, "").strip()
    if not url:
        text = f"asked at its LoadBalancer's address ({URL_VARIABLE} is not set)"
        yield Finding(OK, WHAT, text)
        return
    host = _host(url)
    if not host:
        yield Finding(MISSING, WHAT, f"{URL_VARIABLE} is no address", f"correct {URL_VARIABLE}")
        return
    if context.in_lab or not _is_here(host):
        yield Finding(OK, WHAT, f"asked at {host} ({URL_VARIABLE})")
        return
    text = (
        f"{URL_VARIABLE} is {host}, this machine: what `kubectl port-forward` takes there comes "
        "out inside the pod, where no policy is asked, so no fault would be felt (NOT_INJECTED)"
    )
    mend = f"unset {URL_VARIABLE} (the LoadBalancer's address is found), or name that address"
    yield Finding(WARN, WHAT, text, mend)


def _host(url: str) -> str:
    """The host alone: an address may carry credentials."""
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def _is_here(host: str) -> bool:
    try:
        found = ip_address(host)
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
    return found.is_loopback or found.is_unspecified


CHECKS: tuple[tuple[str, Check], ...] = ((WHAT, asked_where_policy_is),)
