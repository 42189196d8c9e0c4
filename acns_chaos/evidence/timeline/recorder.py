"""One run's timeline: begins the sources, ends them in bounded time, and writes what came of it.

Nothing here raises into the run, waits for long, or changes anything in the cluster.
"""

import contextlib
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any

from acns_chaos.evidence.timeline.client import ClientSource
from acns_chaos.evidence.timeline.compared import compared
from acns_chaos.evidence.timeline.derive import moments_of, times_of
from acns_chaos.evidence.timeline.faults import TimedFault, timed_faults
from acns_chaos.evidence.timeline.hubble import Flows
from acns_chaos.evidence.timeline.metrics import Counters
from acns_chaos.evidence.timeline.moments import iso, seconds
from acns_chaos.evidence.timeline.policies import PolicyChanges
from acns_chaos.evidence.timeline.sampling import Source
from acns_chaos.evidence.timeline.seen import Notice, Seen

__all__ = ["SCHEMA", "Timeline"]

SCHEMA = 1
# How long the end may take, in seconds: a run that ends must not wait for its timeline.
END = 0.8
# Between two looks at whether a fault was submitted.
LOOK = 0.02
MARKS = frozenset({"submitted", "restore-submitted"})
# Of a group of drops or counters, so many are written.
WRITTEN = 30
CHANGES = 100


class Timeline:
    """The sources of one run, and what they saw.

    Args:
        sources: what to ask.
        off: what is not asked at all: name to the reason.
        events: the run's own events, which it goes on writing: `{"at", "what", "detail"}`.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        off: Mapping[str, str],
        events: Sequence[Mapping[str, str]],
    ) -> None:
        self.notices: list[Notice] = []
        self._sources = list(sources)
        self._off = dict(off)
        self._events = events
        self._looked = 0
        self._stop = threading.Event()
        self._marker = threading.Thread(target=self._mark, daemon=True, name="timeline-marks")
        self._began = self._ended = 0.0

    def start(self) -> None:
        """Begin; returns at once."""
        self._began = time.time()
        for source in self._sources:
            source.start()
        self._marker.start()

    def wait_ready(self, timeout: float) -> list[str]:
        """Wait until every source has seen something, or has said why it does not.

        Returns:
            Names of those that did neither in time.
        """
        until = time.monotonic() + timeout
        return [
            one.name
            for one in self._sources
            if not one.ready.wait(max(0.0, until - time.monotonic()))
        ]

    def end(self) -> bool:
        """End the sources within END seconds; tells whether all of them have ended."""
        if self._ended:
            return True
        self._stop.set()
        for source in self._sources:
            with contextlib.suppress(Exception):
                source.ask_to_end()
        self._ended = time.time()
        until = time.monotonic() + END
        self._look()
        ended = [one.join(max(0.0, until - time.monotonic())) for one in self._sources]
        return all(ended)

    def as_json(self, faults: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """Return the journal's section; ends the sources if nobody has.

        Args:
            faults: as `Debt.as_json` writes them.
        """
        self.end()
        clients = tuple(one for one in self._sources if isinstance(one, ClientSource))
        for one in clients:
            one.series.flush()
        seen = Seen(
            clients,
            self._only(Flows),
            self._only(Counters),
            tuple(self.notices),
            self._ended,
        )
        timed = timed_faults(faults)
        return {
            "schema": SCHEMA,
            "from": iso(self._began),
            "to": iso(self._ended),
            "faults": [
                _of_fault(fault, seen, timed[position + 1 :], timed[0].submitted)
                for position, fault in enumerate(timed)
            ],
            "sources": [_of_source(one) for one in self._sources],
            "not_observed": self._not_observed(),
            "policy_changes": self._changes(),
            "lost": self._lost(),
        }

    def _only(self, kind: type[Any]) -> Any:
        return next((one for one in self._sources if isinstance(one, kind)), None)

    # ------------------------------------------------------------------ marks

    def _mark(self) -> None:
        """Tell every source when a fault or a restore was submitted."""
        while not self._stop.wait(LOOK):
            self._look()

    def _look(self) -> None:
        fresh = list(self._events[self._looked :])
        self._looked += len(fresh)
        for event in fresh:
            at = seconds(event.get("at"))
            if event.get("what") in MARKS and at is not None:
                for source in self._sources:
                    source.mark(at)

    # ------------------------------------------------------------------ what was not seen

    def _not_observed(self) -> list[dict[str, str]]:
        off = [{"source": name, "why": why} for name, why in self._off.items()]
        return off + [
            {"source": one.name, "why": one.absent} for one in self._sources if one.absent
        ]

    def _changes(self) -> list[dict[str, Any]]:
        found = [
            change
            for one in self._sources
            if isinstance(one, PolicyChanges)
            for change in list(one.changes)
        ]
        newest = sorted(found, key=lambda change: change["at"])[-CHANGES:]
        return [{**change, "at": iso(change["at"])} for change in newest]

    def _lost(self) -> list[str]:
        """Say what the samples lack: moments skipped, flows that Hubble lost, details summed up."""
        told: list[str] = []
        for one in self._sources:
            skipped = getattr(one, "skipped", 0)
            if skipped:
                told.append(f"{one.name}: {skipped} samples were not taken in time")
            if isinstance(one, Flows):
                told += [
                    f"hubble: {count} events lost, {where}" for where, count in one.lost.items()
                ]
            if isinstance(one, PolicyChanges | Counters) and one.forgotten:
                told.append(f"{one.name}: {one.forgotten} more than are kept")
            if isinstance(one, ClientSource) and one.series.summed_up:
                told.append(f"{one.name}: {one.series.summed_up} early changes were summed up")
        return told


def _of_fault(
    fault: TimedFault, seen: Seen, later: Sequence[TimedFault], first: float
) -> dict[str, Any]:
    until = later[0].submitted if later else seen.ended
    moments = moments_of(fault, until, seen)
    return {
        "fault": fault.id,
        "policies": list(fault.policies),
        "moments": [one.as_json() for one in moments],
        **times_of(moments, fault, until, seen),
        "flows": compared(fault, min(fault.restored or until, until), first, seen.hubble),
    }


def _of_source(source: Source) -> dict[str, Any]:
    found: dict[str, Any] = {
        "name": source.name,
        "about": source.about,
        "gaps": [
            {"from": iso(gap.since), "to": iso(gap.until) if gap.until else None, "why": gap.why}
            for gap in source.gaps[-20:]
        ],
    }
    if isinstance(source, ClientSource):
        found |= {"rate_hz": source.rate, "skipped": getattr(source, "skipped", 0)}
        found["samples"] = source.series.as_json(iso)
    elif isinstance(source, Flows):
        found["lost"] = sum(source.lost.values())
        found["drops"] = _rows(
            [(one.label, series.as_json(iso, 10, False)) for one, series in source.drops()]
        )
    elif isinstance(source, Counters):
        found["samples"] = source.asked.as_json(iso, 5)
        found["counters"] = _rows(
            [
                (f"{one.metric} {one.place or 'nodes'} {one.way}", series.as_json(iso, 10, False))
                for one, series in source.rows()
            ]
        )
    return found


def _rows(rows: list[tuple[str, dict[str, Any]]]) -> list[dict[str, Any]]:
    rows.sort(key=lambda row: -int(row[1]["samples"]))
    return [{"of": label, **told} for label, told in rows[:WRITTEN]]
