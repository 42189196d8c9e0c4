"""What all probes share."""

import functools
from collections.abc import Callable
from typing import Any

from acns_chaos.errors import ArgumentError
from acns_chaos.evidence.arguments import word
from acns_chaos.evidence.readings import UNKNOWN, reading
from acns_chaos.faults.runcontext import RunContext

__all__ = ["NOT_SUBMITTED", "answers", "from_fault", "whole"]

NOT_SUBMITTED = "no fault was submitted in this run, so there is nothing to look from"


def answers(probe: Callable[..., dict]) -> Callable[..., dict]:
    """Let a probe answer UNKNOWN, with the sentence, to an argument that cannot be meant."""

    @functools.wraps(probe)
    def asked(*arguments: Any, **named: Any) -> dict:
        try:
            return probe(*arguments, **named)
        except ArgumentError as error:
            return reading(UNKNOWN, probe.__name__, str(error), None, None, {})

    return asked


def from_fault(run: RunContext, since: str, words: tuple[str, str]) -> str | None:
    """Return the moment from which on a probe looks.

    Args:
        run: the armed run.
        since: as the experiment says it.
        words: "fault" and the word for looking without regard to it.

    Returns:
        When the first fault was submitted; "" for the other word; None when none was submitted.

    Raises:
        ArgumentError: *since* is neither.
    """
    if word("since", since, words) != "fault":
        return ""
    return run.first("submitted") or None


def whole(who: str, namespace: str) -> str:
    """Name who is asked for as Hubble's filters do.

    Args:
        who: a workload of the experiment's namespace, or what stands for itself:
            "namespace/workload", "namespace/", an entity, a DNS name, an address; "" anybody.
        namespace: the experiment's.
    """
    from acns_chaos.policy.endpoints import ENTITIES

    plain = who and who not in ENTITIES and not {"/", ".", ":"} & set(who)
    return f"{namespace}/{who}" if plain else who
