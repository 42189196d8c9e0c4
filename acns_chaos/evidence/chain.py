"""The hash chain over a run's events: each holds the hash of the one before it.

The first link is over what the run is: its id, this package's version, the target and the
experiment. What could be a name enters a hash with a salt (`proof`), so that a redacted journal,
which lacks the salts, still holds the same chain and gives nothing away to whoever tries names.
"""

import hashlib
import secrets
from collections.abc import Mapping, Sequence
from typing import Any

from acns_chaos.evidence.canonical import canonical, digest, plain
from acns_chaos.evidence.values import mapping, mappings, text

__all__ = ["PRIVATE", "Chain", "begin", "broken", "declared", "last", "linked", "new_salt", "proof"]

# What a redacted journal does not hold of an event and of the beginning.
PRIVATE = "salt"
LINK = frozenset({"prev", "hash", PRIVATE})
BEGUN = ("run", "version", "target", "experiment")


def new_salt() -> str:
    """Return 128 random bits as hexadecimal digits."""
    return secrets.token_hex(16)


def proof(salt: object, value: object) -> str:
    """Commit to a plain value: without the salt nobody can try values against it."""
    return hashlib.sha256(canonical([salt, value])).hexdigest()


def begin(run: str, version: str, target: str, experiment: object) -> dict[str, str]:
    """Return the beginning of a chain.

    Args:
        run: the run's id.
        version: of this package.
        target: UID of the cluster, "" when there is none.
        experiment: as the host loaded it.

    Returns:
        `run`, `version`, proofs of `target` and `experiment`, their `salt`, and the `hash` over
        all but the salt.

    Raises:
        TypeError, ValueError, RecursionError: the experiment cannot be written as JSON.
    """
    salt = new_salt()
    begun = {
        "run": run,
        "version": version,
        "target": proof(salt, target),
        "experiment": proof(salt, declared(experiment)),
    }
    return {**begun, "hash": digest(begun), PRIVATE: salt}


def declared(experiment: object) -> str:
    """Return the digest of an experiment but for what the host writes into it while it runs.

    That is `dry`, and the value that it gives to each tolerance which is a probe.
    """
    content = {key: value for key, value in mapping(experiment).items() if key != "dry"}
    hypothesis = mapping(content.get("steady-state-hypothesis"))
    probes = [_without_value(probe) for probe in mappings(hypothesis.get("probes"))]
    content["steady-state-hypothesis"] = {**hypothesis, "probes": probes}
    return digest(plain(content))


def linked(event: Mapping[str, Any], before: str) -> dict[str, Any]:
    """Return an event as a link of the chain.

    Args:
        event: plain; `detail` may hold names, the rest does not.
        before: hash of the link before it.
    """
    salt = new_salt()
    body = {key: value for key, value in event.items() if key not in LINK}
    body["proof"] = proof(salt, event.get("detail"))
    return {**body, "prev": before, "hash": _hash(body, before), PRIVATE: salt}


def _without_value(probe: Mapping[str, Any]) -> Mapping[str, Any]:
    tolerance = mapping(probe.get("tolerance"))
    provider = mapping(tolerance.get("provider"))
    arguments = mapping(provider.get("arguments"))
    if "value" not in arguments:
        return probe
    kept = {key: value for key, value in arguments.items() if key != "value"}
    return {**probe, "tolerance": {**tolerance, "provider": {**provider, "arguments": kept}}}


class Chain:
    """The chain of one run, from its beginning.

    Args:
        begun: as `begin` returns it.
    """

    def __init__(self, begun: Mapping[str, str]) -> None:
        self.begun = dict(begun)

    def linked(
        self, event: Mapping[str, str], events: Sequence[Mapping[str, str]]
    ) -> dict[str, str]:
        """Return an event as the link that follows *events*."""
        return linked(event, (events[-1] if events else self.begun)["hash"])


def last(begun: Mapping[str, Any], events: Sequence[object]) -> str:
    """Return the hash of the last link: the one that no other follows."""
    order, _ = _followed(begun, events)
    return _raw((order[-1][1] if order else begun).get("hash"))


def broken(begun: Mapping[str, Any], events: Sequence[object], redacted: bool = False) -> str:
    """Say where a chain is broken, "" when it is whole from its beginning to its last event.

    Whether there were more events only the seal can tell.

    Args:
        begun: as `begin` returns it.
        events: in any order.
        redacted: whether the salts are gone, and details replaced.
    """
    if begun.get("hash") != digest({key: begun.get(key) for key in BEGUN}):
        return "the beginning of the chain of events was changed"
    if redacted is (PRIVATE in begun):
        return "the beginning of the chain of events has a salt too many or too few"
    order, loose = _followed(begun, events)
    before = _raw(begun.get("hash"))
    for place, event in order:
        body = {key: value for key, value in event.items() if key not in LINK}
        name = f"acns_chaos.events[{place}] ({text(event.get('what'), 40)})"
        if event.get("hash") != _hash(body, before):
            return f"{name} was changed after it was noted"
        if redacted is (PRIVATE in event):
            return f"{name} has a salt too many or too few"
        if not redacted and event.get("proof") != proof(event[PRIVATE], event.get("detail")):
            return f"the detail of {name} was changed after it was noted"
        before = _raw(event.get("hash"))
    if loose:
        place, event = loose[0]
        return (
            f"acns_chaos.events[{place}] ({text(event.get('what'), 40)}) does not follow from the "
            "events before it: one was added, taken out or changed"
        )
    return ""


def _hash(body: Mapping[str, Any], before: str) -> str:
    # The detail enters by its proof alone.
    rest = {key: value for key, value in body.items() if key != "detail"}
    return digest({**rest, "prev": before})


_Placed = tuple[int, Mapping[str, Any]]


def _followed(
    begun: Mapping[str, Any], events: Sequence[object]
) -> tuple[list[_Placed], list[_Placed]]:
    """Follow the links; return the events in the chain's order, then those not reached."""
    placed = [(place, event) for place, event in enumerate(events) if isinstance(event, Mapping)]
    following = {_raw(event.get("prev")): (place, event) for place, event in reversed(placed)}
    order: list[_Placed] = []
    before = _raw(begun.get("hash"))
    while found := following.pop(before, None):
        order.append(found)
        before = _raw(found[1].get("hash"))
    reached = {place for place, _ in order}
    return order, [one for one in placed if one[0] not in reached]


def _raw(value: object) -> str:
    return value if isinstance(value, str) else ""
