"""How often each source is asked: fast in the lab, gently on a cluster, or as configured."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from acns_chaos.cluster.kube import Api
from acns_chaos.cluster.policies import KINDS
from acns_chaos.cluster.storefront import storefront_url
from acns_chaos.errors import ArgumentError
from acns_chaos.evidence.arguments import numbers
from acns_chaos.evidence.timeline.client import Connects, Pages
from acns_chaos.evidence.timeline.hubble import Flows
from acns_chaos.evidence.timeline.metrics import Counters
from acns_chaos.evidence.timeline.policies import PolicyChanges
from acns_chaos.evidence.timeline.sampling import Source

__all__ = ["Rates", "rates_from", "sources_of"]

# A SYN is repeated after 1 s: nobody is waited for that long (see `client`).
MOST_PATIENCE = 0.9
FASTEST = 200.0


@dataclass(frozen=True, slots=True)
class Rates:
    """Samples a second; 0 switches a source off.

    Attributes:
        connect, http, hubble: a second.
        prometheus: seconds between two questions, 0 for the scrape interval, below 0 for off.
        policies: 1 to watch policies, 0 not to.
        patience: seconds until a client's attempt counts as silent.
    """

    connect: float
    http: float
    hubble: float
    prometheus: float = 0.0
    policies: float = 1.0
    patience: float = 0.5


LAB = Rates(connect=50.0, http=5.0, hubble=10.0)
CLUSTER = Rates(connect=10.0, http=1.0, hubble=2.0)
_KEYS = {
    "timeline_connect_hz": "connect",
    "timeline_http_hz": "http",
    "timeline_hubble_hz": "hubble",
    "timeline_prometheus_seconds": "prometheus",
    "timeline_policies": "policies",
    "timeline_patience": "patience",
}


def rates_from(configuration: Mapping[str, Any], kind: str) -> Rates:
    """Read the rates of an experiment's configuration.

    Args:
        configuration: its keys `timeline_*`; what is missing is the default for the target.
        kind: of the target: "lab" or "cluster".

    Raises:
        ArgumentError: one is no number, or out of range.
    """
    usual = LAB if kind == "lab" else CLUSTER
    given = {key: value for key, value in configuration.items() if key.startswith("timeline_")}
    if unknown := sorted(set(given) - set(_KEYS)):
        raise ArgumentError(f"{unknown[0]} is no rate of the timeline: use {', '.join(_KEYS)}")
    values = {_KEYS[key]: value for key, value in numbers(given).items()}
    rates = Rates(**{name: values.get(name, getattr(usual, name)) for name in _KEYS.values()})
    if any(not 0 <= one <= FASTEST for one in (rates.connect, rates.http, rates.hubble)):
        raise ArgumentError(f"a rate of the timeline is from 0 (off) to {FASTEST:g} a second")
    if not 0.05 <= rates.patience <= MOST_PATIENCE:
        raise ArgumentError(
            f"timeline_patience is from 0.05 to {MOST_PATIENCE:g} s: after 1 s the system sends a "
            "connection's first packet again, and a denied one would count as a slow success"
        )
    return rates


def sources_of(
    rates: Rates, api: Api, environ: Mapping[str, str], namespace: str, service: str
) -> tuple[list[Source], dict[str, str]]:
    """Make the sources.

    Args:
        rates: how often.
        api: the cluster.
        environ: names the shop, Prometheus and Hubble relay where they cannot be found.
        namespace: of the shop.
        service: the shop's LoadBalancer Service.

    Returns:
        The sources, and the reason for each that is switched off.
    """

    def find() -> str:
        return storefront_url(api, namespace, service, environ)

    wanted: dict[str, tuple[float, Callable[[], Source]]] = {
        "client-connect": (rates.connect, lambda: Connects(find, rates.connect, rates.patience)),
        "client-http": (rates.http, lambda: Pages(find, rates.http, rates.patience)),
        "hubble": (rates.hubble, lambda: Flows(api, environ, namespace, 1 / rates.hubble)),
        "prometheus": (
            rates.prometheus + 1 if rates.prometheus >= 0 else 0,
            lambda: Counters(api, environ, namespace, rates.prometheus),
        ),
    }
    sources = [make() for rate, make in wanted.values() if rate]
    pages = next((one for one in sources if isinstance(one, Pages)), None)
    for one in sources:
        if isinstance(one, Connects) and pages is not None:
            one.back = pages.hurry
    off = {name: "it is switched off" for name, (rate, _) in wanted.items() if not rate}
    if rates.policies:
        sources += [PolicyChanges(api, kind, namespace) for kind in KINDS]
    else:
        off["policies"] = "it is switched off"
    return sources, off
