"""The timeline in sentences: for the log at the end of a run, and for the report."""

from collections.abc import Mapping
from typing import Any

from acns_chaos.evidence.values import mapping, mappings, number, text

__all__ = ["lines_of", "time_phrase"]

KNOWN = {"client": "client", "hubble": "Hubble", "prometheus": "Prometheus"}


def lines_of(section: object) -> list[str]:
    """Return a line for each detector of each fault, its outage and its recovery; never raises.

    Client, Hubble and Prometheus stand in this order whoever noticed first; the others follow in
    the order in which they noticed.

    Args:
        section: the journal's `acns_chaos.timeline`.
    """
    lines: list[str] = []
    found = mappings(mapping(section).get("faults"))
    for fault in found:
        prefix = f"{text(fault.get('fault'))}: " if len(found) > 1 else ""
        for name, time in _in_order(mapping(fault.get("time_to_detect"))):
            who = KNOWN.get(name, f'"{text(name)}"')
            lines.append(f"{prefix}{_noticed(who, mapping(time))}")
        lines.append(f"{prefix}{_ended(fault)}")
    return lines + [
        f"not observed: {text(one.get('source'))}, because {text(one.get('why'))}"
        for one in mappings(mapping(section).get("not_observed"))
        if not found or text(one.get("source")).startswith(("client", "policies"))
    ]


def time_phrase(time: object) -> str:
    """Write one derived time: "31 ms (± 20)", "4.2 s (± 0.1)", or why there is none."""
    told = mapping(time)
    ms, bound = number(told.get("ms")), number(told.get("bound_ms"))
    if ms is None:
        return text(told.get("why")) or "not known"
    if abs(ms) < 1000:
        return f"{ms:.0f} ms" + (f" (± {bound:.0f})" if bound is not None else "")
    return f"{ms / 1000:.2f} s" + (f" (± {bound / 1000:.2f})" if bound is not None else "")


def _in_order(times: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """Ours as they always stand, so that two logs compare line by line; then whoever came first."""
    ours = [(name, times[name]) for name in KNOWN if name in times]
    return ours + [(name, time) for name, time in times.items() if name not in KNOWN]


def _noticed(who: str, time: Mapping[str, Any]) -> str:
    if number(time.get("ms")) is not None:
        return f"{who} noticed after {time_phrase(time)}"
    why = text(time.get("why"))
    if why.startswith("not observed"):
        return f"{who} {why.replace('not observed:', 'was not observed, because')}"
    return f"{who} did not notice: {why.removeprefix('it noticed nothing: ') or 'nothing came'}"


def _ended(fault: Mapping[str, Any]) -> str:
    outage, recover = mapping(fault.get("outage")), mapping(fault.get("time_to_recover"))
    lasted = (
        f"customers were cut off for {time_phrase(outage)}"
        if number(outage.get("ms")) is not None
        else f"outage: {time_phrase(outage)}"
    )
    if number(recover.get("ms")) is not None:
        return f"{lasted}; all was well {time_phrase(recover)} after the restore was submitted"
    return f"{lasted}; time to recover: {time_phrase(recover)}"
