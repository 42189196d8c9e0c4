"""What all probes share."""

import functools
from collections.abc import Callable
from typing import Any

from acns_chaos.errors import ArgumentError
from acns_chaos.evidence.readings import UNKNOWN, reading

__all__ = ["answers", "whole"]


def answers(probe: Callable[..., dict]) -> Callable[..., dict]:
    """Let a probe answer UNKNOWN, with the sentence, to an argument that cannot be meant."""

    @functools.wraps(probe)
    def asked(*arguments: Any, **named: Any) -> dict:
        try:
            return probe(*arguments, **named)
        except ArgumentError as error:
            return reading(UNKNOWN, probe.__name__, str(error), None, None, {})

    return asked


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
