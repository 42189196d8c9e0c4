"""The timeline of a run, event by event, in milliseconds; each with its clock and error bound.

- `sampling`, `client`, `hubble`, `metrics`, `policies`: what is asked, each in a thread of its own
- `runs`: samples of hours in little memory
- `faults`, `flows`, `moments`: a fault, a dropped flow and a moment, as values
- `derive`, `noticing`, `recovering`: from samples to what happened when; no I/O
- `recorder`: all of it together, from start to journal
- `telling`: in sentences

docs/timeline.md describes the journal's section. Nothing is imported here: who words a time does
not wait for the clients of those who take it.
"""
