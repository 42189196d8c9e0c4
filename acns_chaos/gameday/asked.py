"""The flows that an experiment or a claim asks, read back from its file.

Belongs here: probes and an experiment's description of its mutant, as flows. Does not belong here:
what follows from them (`suggest`). Files may have been written by anybody: what is no name is none.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from acns_chaos.evidence.facts import EXTENSION
from acns_chaos.evidence.values import mapping, mappings, number, word
from acns_chaos.faults.proposing.asks import (
    CLOSED,
    CONNECT,
    CUSTOMER,
    HTTPS,
    NAME,
    OPEN,
    WORLD,
    Ask,
)

__all__ = ["KUBE_NAME", "MUTANT", "asked", "denied", "description", "written"]

# Key of the mutant's description in an experiment's extension.
MUTANT = "mutant"
# Of a namespace, a workload or a Service, and of a host.
KUBE_NAME = r"[a-z0-9](?:[-a-z0-9.]*[a-z0-9])?"
_LABEL = re.compile(KUBE_NAME)
_DURING = ("read_connection", "read_egress", "read_storefront")


def asked(experiment: Mapping[str, Any]) -> tuple[list[Ask], list[Ask]]:
    """The flows that an experiment's method saw closed and opened, as its probes name them.

    Args:
        experiment: as a file holds it; nothing in it is trusted.

    Returns:
        Those closed (open in the hypothesis, or not asked there), and those opened.
    """
    settings = mapping(experiment.get("configuration"))
    claims = mappings(mapping(experiment.get("steady-state-hypothesis")).get("probes"))
    usual = dict(_asks(claims, settings))
    closed: list[Ask] = []
    opened: list[Ask] = []
    for ask, state in _asks(mappings(experiment.get("method")), settings):
        if usual.get(ask) == state:
            continue
        into = {CLOSED: closed, OPEN: opened}.get(state)
        if into is not None and ask not in into:
            into.append(ask)
    return closed, opened


def denied(claim: Mapping[str, Any]) -> list[Ask]:
    """The flows that a claim finds denied.

    Args:
        claim: as a file holds it; nothing in it is trusted.
    """
    settings = mapping(claim.get("configuration"))
    probes = mappings(mapping(claim.get("steady-state-hypothesis")).get("probes"))
    return [ask for ask, state in _asks(probes, settings) if state == CLOSED]


def _asks(
    probes: Iterable[Mapping[str, Any]], settings: Mapping[str, Any]
) -> Iterator[tuple[Ask, str]]:
    for probe in probes:
        provider = mapping(probe.get("provider"))
        arguments = mapping(provider.get("arguments"))
        if provider.get("func") in _DURING:
            ask = _ask(str(provider["func"]), arguments, settings)
            if ask is not None:
                yield ask, word(arguments.get("expect"))


def _ask(function: str, arguments: Mapping[str, Any], settings: Mapping[str, Any]) -> Ask | None:
    """The flow that a probe asks; None for one that cannot be told, or is no name."""
    place = word(arguments.get("namespace")) or word(settings.get("namespace"))
    if function == "read_storefront":
        return _named(WORLD, f"{place}/{word(settings.get('storefront_service'))}", 80, CUSTOMER)
    source = f"{place}/{word(arguments.get('workload'))}"
    if function == "read_egress":
        host = re.fullmatch(rf"https://({KUBE_NAME})/?", word(arguments.get("url")))
        return _named(source, host[1], HTTPS, NAME) if host else None
    service, port = word(arguments.get("service")), number(arguments.get("port"))
    target = service if "/" in service else f"{place}/{service}"
    if port is None or port != int(port) or not 0 < port < 65536:
        return None
    return _named(source, target, int(port), "connect")


def _named(source: str, target: str, port: int, way: str) -> Ask | None:
    ends = [source] if way == NAME else [source, target]
    for end in ends:
        place, slash, name = end.partition("/")
        if end != WORLD and not (slash and _LABEL.fullmatch(place) and _LABEL.fullmatch(name)):
            return None
    return Ask(source, target, port, way)


def description(experiment: Mapping[str, Any]) -> Mapping[str, Any]:
    """What the extension of an experiment says of its mutant; nothing in it is trusted."""
    blocks = mappings(experiment.get("extensions"))
    ours = (mapping(one.get(MUTANT)) for one in blocks if one.get("name") == EXTENSION)
    return next((one for one in ours if one), {})


def written(told: Mapping[str, Any]) -> Iterator[Ask]:
    """What a mutant opens and can be asked, as its experiment's description has it."""
    for one in mappings(told.get("asked")):
        port, way = number(one.get("port")), word(one.get("way"))
        source, target = word(one.get("source")), word(one.get("target"))
        if way == NAME and re.fullmatch(KUBE_NAME, target) and port == HTTPS:
            ask = _named(source, target, HTTPS, NAME)
        elif way == CONNECT and port == int(port or 0) and 0 < (port or 0) < 65536:
            ask = _named(source, target, int(port or 0), CONNECT)
        else:
            continue
        if ask is not None:
            yield ask
