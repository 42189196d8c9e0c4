"""Checks of Prometheus, its alerts, and Grafana."""

from collections.abc import Iterator
from urllib.parse import urlsplit

from acns_chaos.cluster.grafana import GRAFANA_VARIABLE, grafana_version
from acns_chaos.cluster.prometheus import (
    AGENT,
    HUBBLE,
    Alertmanager,
    Freshness,
    Prometheus,
    prometheus_from,
)
from acns_chaos.errors import ApiError
from acns_chaos.evidence.doctor.finding import (
    MISSING,
    OK,
    UNKNOWN,
    WARN,
    Check,
    Context,
    Finding,
)

__all__ = ["CHECKS"]

_NAME_IT = "export ACNS_CHAOS_PROMETHEUS_URL=https://... (docs/prometheus.md has sign-in, too)"
_MEND = "see docs/prometheus.md: address, sign-in, and what it must have scraped"
_SOURCES = {HUBBLE: "Hubble's metrics", AGENT: "agents' metrics"}
_DROPS = {HUBBLE: "hubble_drop_total", AGENT: "cilium_drop_count_total"}
# Scrapes that may be missed, but no fewer seconds than that; seconds where their interval is not
# known (AKS's is 30).
_MISSED, _LEAST, _USUAL = 3, 5.0, 30.0
# Seconds of difference between clocks that are worth a word.
_SKEW = 2.0
# What the experiments take unless told otherwise, in seconds.
_WINDOW, _PATIENCE = 1.0, 10.0


def answering(context: Context) -> Iterator[Finding]:
    """Does Prometheus answer, and for this cluster's nodes, lately?"""
    try:
        asked = _opened(context)
    except ApiError as error:
        yield Finding(MISSING, "Prometheus", str(error), _NAME_IT)
        return
    try:
        asked.nodes()
    except ApiError as error:
        text = f"the cluster does not tell whose metrics are meant: {error}"
        yield Finding(UNKNOWN, "Prometheus", text)
        return
    try:
        found = {source: asked.freshness(source) for source in _SOURCES}
        interval = asked.scrape_interval()
    except ApiError as error:
        yield Finding(MISSING, "Prometheus", str(error), _MEND)
        return
    yield Finding(OK, "Prometheus", f"{asked.url} answers{_skew(asked)}")
    for source, freshness in found.items():
        yield _fresh(_SOURCES[source], freshness, interval or _USUAL)
        if freshness.ages:
            yield from _kept(asked, source)
    yield from _windows(context, interval)


def _fresh(what: str, freshness: Freshness, interval: float) -> Finding:
    if freshness.is_foreign:
        text = (
            f"Prometheus has such metrics of {', '.join(freshness.foreign[:3])} and of no node of "
            "this cluster: drops counted there are not ours"
        )
        mend = "export ACNS_CHAOS_PROMETHEUS_URL or ACNS_CHAOS_PROMETHEUS_CLUSTER of this cluster"
        return Finding(MISSING, what, text, mend)
    old = max(_LEAST, _MISSED * interval)
    late = freshness.behind(old)
    if not late:
        age = freshness.oldest or 0.0
        many = len(freshness.ages)
        return Finding(OK, what, f"of {many} node(s), none older than {age:.1f} s")
    names = ", ".join(late[:5]) + (f" and {len(late) - 5} more" if len(late) > 5 else "")
    ages = [f"{freshness.ages[name]:.0f} s old" for name in late if name in freshness.ages]
    state = f"the newest are {', '.join(ages[:3])}" if ages else "there are none"
    text = f"none of the last {old:.0f} s for {names} ({state}): no drop there counts"
    known = len(freshness.ages) + len(freshness.missing)
    mend = "see Prometheus' targets (ports 9962 and 9965 of each node) and its scrape jobs"
    return Finding(MISSING if len(late) >= known else WARN, what, text, mend)


def _kept(asked: Prometheus, source: str) -> Iterator[Finding]:
    """Is the drop counter there? Without a drop yet, it is not, and that looks the same."""
    metric = _DROPS[source]
    if asked.instant(f"count({asked.selector(metric)})"):
        yield Finding(OK, metric, "it is kept")
        return
    text = (
        "it has no series: either nothing was dropped yet, or it is not kept (filtered at the "
        "source, or left out by the scrape job's keep list)"
    )
    mend = "drop a packet on purpose (acns-chaos lab, or a denied connection), then look again"
    yield Finding(WARN, metric, text, mend)


def _windows(context: Context, interval: float | None) -> Iterator[Finding]:
    """Do the experiments wait as long as scraping takes?"""
    what = "scrape interval"
    if interval is None:
        text = "there were not yet two scrapes, so it cannot be told how long evidence takes"
        yield Finding(WARN, what, text, "look again after two scrapes")
        return
    window = _seconds(context.environ.get("ACNS_CHAOS_DROP_WINDOW", ""), _WINDOW)
    patience = _seconds(context.environ.get("ACNS_CHAOS_EVIDENCE_TIMEOUT", ""), _PATIENCE)
    # Two scrapes are never quite as far apart as they are told to be.
    if min(window, patience) >= 1.9 * interval:
        text = f"{interval:g} s, and the experiments look back {window:g} s and wait {patience:g} s"
        yield Finding(OK, what, text)
        return
    text = (
        f"{interval:g} s, but the experiments look back {window:g} s and wait {patience:g} s: they "
        "want two scrapes at least"
    )
    mend = (
        f"export ACNS_CHAOS_DROP_WINDOW={2 * interval:g} "
        f"ACNS_CHAOS_EVIDENCE_TIMEOUT={3 * interval:g}"
    )
    yield Finding(WARN, what, text, mend)


def alertmanager(context: Context) -> Iterator[Finding]:
    """Does Alertmanager answer, if one is named? Otherwise alerts are read from Prometheus."""
    try:
        named = Alertmanager.from_environ(context.environ)
        if named is None:
            text = "none is named: alerts are read from Prometheus (ALERTS)"
            yield Finding(OK, "Alertmanager", text)
            return
        named.firing("acns-chaos-doctor", {})
    except ApiError as error:
        yield Finding(MISSING, "Alertmanager", str(error), "see docs/prometheus.md")
        return
    yield Finding(OK, "Alertmanager", f"{named.url} answers")


def grafana(context: Context) -> Iterator[Finding]:
    """Is Grafana there, if one is named? Nothing of ours depends on it."""
    url = context.environ.get(GRAFANA_VARIABLE, "").strip()
    if not url:
        yield Finding(OK, "Grafana", f"not used: {GRAFANA_VARIABLE} is not set")
        return
    where = _host(url)
    try:
        version = grafana_version(url)
    except ApiError as error:
        text = f"{where}: {error}; no annotation can be written there"
        yield Finding(WARN, "Grafana", text, f"correct {GRAFANA_VARIABLE}, or unset it")
        return
    yield Finding(OK, "Grafana", f"{where} answers ({version or 'it wants a login'})")


def _opened(context: Context) -> Prometheus:
    return prometheus_from(context.connection, context.environ)


def _skew(asked: Prometheus) -> str:
    ahead = asked.clock().ahead
    if abs(ahead) <= _SKEW:
        return ""
    way = "ahead of" if ahead > 0 else "behind"
    return f"; its clock is {abs(ahead):.0f} s {way} this machine's, which is reckoned with"


def _host(url: str) -> str:
    """The host alone: an address may carry credentials."""
    try:
        return urlsplit(url).hostname or "the address"
    except ValueError:
        return "the address"


def _seconds(text: str, usual: float) -> float:
    try:
        return float(text)
    except ValueError:
        return usual


CHECKS: tuple[tuple[str, Check], ...] = (
    ("Prometheus", answering),
    ("Alertmanager", alertmanager),
    ("Grafana", grafana),
)
