"""What the timeline control saw of a run: moments with their bounds, and how long each took."""

from acns_chaos.evidence.facts import Facts
from acns_chaos.evidence.timeline import lines_of
from acns_chaos.evidence.values import mapping, mappings, moment, number, sequence
from acns_chaos.report.text import items, plain, table

__all__ = ["sampled"]


def sampled(facts: Facts) -> list[str]:
    """Return who noticed when, the moments of each fault, and what was not observed."""
    section = mapping(facts.section.get("timeline"))
    lines = items(plain(line) for line in lines_of(section))
    for fault in mappings(section.get("faults")):
        begun = moment(mapping(next(iter(mappings(fault.get("moments"))), None)).get("at"))
        rows = []
        for one in mappings(fault.get("moments")):
            at, bound = moment(one.get("at")), number(one.get("bound_ms"))
            since = (at - begun).total_seconds() * 1000 if at and begun else None
            rows.append(
                (
                    "–" if since is None else f"{since:.0f}",
                    "–" if bound is None else f"{bound:.0f}",
                    plain(one.get("clock")),
                    plain(one.get("what")),
                    plain(one.get("source")),
                    plain(one.get("detail")),
                )
            )
        lines += table(("ms", "±", "clock", "what", "seen by", "detail"), rows) if rows else []
    missing = [
        f"Not observed: {plain(one.get('source'))}, because {plain(one.get('why'))}."
        for one in mappings(section.get("not_observed"))
    ]
    missing += [f"Lost: {plain(one)}." for one in sequence(section.get("lost"))]
    return lines + (items(missing) if missing else [])
