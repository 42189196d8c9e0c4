"""Journals of schema 1: a signature over the host's evidence and our section, and no chain.

What the host had not put under the signature is bounded by what it must agree with; what is not
even that is named (`uncovered`).
"""

import hashlib
from collections.abc import Mapping
from typing import Any

from acns_chaos.evidence.canonical import canonical, plain
from acns_chaos.evidence.facts import SECTION, dry_mode
from acns_chaos.evidence.values import mapping, moment, number

__all__ = ["ALGORITHM", "older_problem", "uncovered"]

ALGORITHM = "sha256"
SIGNED = ("steady_states", "run", "rollbacks")
# Signed, or following from what is signed: the guard keeps the host's own words in the section.
COVERED = frozenset({SECTION, "experiment", "deviated", "status", "chaoslib-version", *SIGNED})
# The host takes the duration by another clock, a little later.
CLOCKS = 2.0


def older_problem(journal: Mapping[str, Any]) -> str:
    """Say why a journal of schema 1 cannot be trusted, "" when it can.

    Raises:
        TypeError, ValueError, RecursionError: it cannot be written as JSON.
    """
    section = mapping(journal.get(SECTION))
    if mapping(section.get("signature")).get("digest") != _digest(journal):
        return "it was changed after it was signed"
    host, outcome = mapping(section.get("host")), mapping(section.get("outcome"))
    own = outcome.get("name") == "HELD" or host.get("status") in ("interrupted", "aborted")
    follows = {
        "deviated": host.get("deviated"),
        "status": host.get("status") if own else "failed",
        "chaoslib-version": host.get("lib"),
    }
    for key, wanted in follows.items():
        if journal.get(key) != wanted:
            return f"it was changed after it was signed, in {key}"
    return _out_of_time(journal)


def _out_of_time(journal: Mapping[str, Any]) -> str:
    """Hold the host's unsigned times against each other."""
    start, end = moment(journal.get("start")), moment(journal.get("end"))
    took = number(journal.get("duration"))
    if start is None or end is None or took is None:
        return "it does not say when it began and ended"
    if abs((end - start).total_seconds() - took) > CLOCKS:
        return "its start, end and duration contradict each other"
    return ""


def uncovered(journal: Mapping[str, Any]) -> tuple[str, ...]:
    """Name what of a journal of schema 1 its signature does not cover."""
    return tuple(key for key in journal if key not in COVERED)


def _digest(journal: Mapping[str, Any]) -> str:
    section = mapping(journal.get(SECTION))
    experiment = mapping(journal.get("experiment"))
    signed = {
        SECTION: {key: value for key, value in section.items() if key != "signature"},
        # An enum in memory, a word or null in the file, absent when not run by the command line.
        "experiment": {key: value for key, value in experiment.items() if key != "dry"},
        "dry": dry_mode(experiment.get("dry")),
        **{key: journal.get(key) for key in SIGNED},
    }
    return hashlib.sha256(canonical(plain(signed))).hexdigest()
