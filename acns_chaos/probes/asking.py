"""What all probes share."""

import functools
from collections.abc import Callable
from typing import Any

from acns_chaos.errors import ArgumentError
from acns_chaos.evidence.readings import UNKNOWN, reading

__all__ = ["answers"]


def answers(probe: Callable[..., dict]) -> Callable[..., dict]:
    """Let a probe answer UNKNOWN, with the sentence, to an argument that cannot be meant."""

    @functools.wraps(probe)
    def asked(*arguments: Any, **named: Any) -> dict:
        try:
            return probe(*arguments, **named)
        except ArgumentError as error:
            return reading(UNKNOWN, probe.__name__, str(error), None, None, {})

    return asked
