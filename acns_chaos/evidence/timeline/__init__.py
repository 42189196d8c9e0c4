"""The timeline of a run, event by event, in milliseconds; each with its clock and error bound.

- `sampling`, `client`, `hubble`, `metrics`, `policies`: what is asked, each in a thread of its own
- `runs`: samples of hours in little memory
- `faults`, `flows`, `moments`: a fault, a dropped flow and a moment, as values
- `derive`, `noticing`, `recovering`: from samples to what happened when; no I/O
- `recorder`: all of it together, from start to journal
- `telling`: in sentences

docs/timeline.md describes the journal's section.
"""

from acns_chaos.evidence.timeline.recorder import Timeline
from acns_chaos.evidence.timeline.seen import Notice
from acns_chaos.evidence.timeline.settings import Rates, rates_from, sources_of
from acns_chaos.evidence.timeline.telling import lines_of, time_phrase

__all__ = ["Notice", "Rates", "Timeline", "lines_of", "rates_from", "sources_of", "time_phrase"]
