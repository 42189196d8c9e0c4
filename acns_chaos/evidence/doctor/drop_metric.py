"""Hubble's list of metrics: does `drop` say whose the packets were, and what would make it."""

import shlex
from collections.abc import Mapping

from acns_chaos.evidence.values import text

__all__ = ["listed", "mended", "unnamed_sides"]

# Who is asked about a drop: the sender's pod when it leaves, the receiver's when it arrives.
_SIDES = {"source": "Egress", "destination": "Ingress"}
# Contexts that write namespace/name (reference cilium-semantics §11.2).
_NAMING = {"pod", "workload"}
# One that says nothing of a pod, so the next one is taken.
_SKIPPED = "reserved-identity"
# Without one of these "no drops" and "no metrics" look alike.
_WITNESSES = {"tcp", "flow", "dns"}
# Characters: more than any list has, as the command is to hold all of it.
_LONGEST = 20_000
_USUAL = {name: name for name in ("dns", "drop", "tcp", "flow", "icmp")}


def listed(config: Mapping[str, str]) -> dict[str, str]:
    """Read the metrics that are on.

    Args:
        config: the data of the ConfigMap cilium-config.

    Returns:
        Each one's entry (`drop:sourceContext=pod`) by its name, in their order.
    """
    entries = text(config.get("hubble-metrics"), _LONGEST).split()
    return {entry.partition(":")[0]: entry for entry in entries}


def unnamed_sides(entry: str) -> list[str]:
    """Tell which labels of the drop counter name no pod as the experiments ask for it.

    Args:
        entry: of `drop`.

    Returns:
        "source" when a sender's name is not written, "destination" for a receiver's.
    """
    options = _options(entry)
    return [side for side in _SIDES if not _names(options, side)]


def mended(metrics: Mapping[str, str]) -> str:
    """Write the Helm value that makes `drop` name pods and leaves every other metric as it is.

    Args:
        metrics: see `listed`; none at all takes a useful list.

    Returns:
        An option for the shell, with the whole list, which is what `--set` replaces.
    """
    wanted = dict(metrics or _USUAL)
    entry = wanted.get("drop", "drop")
    options = _options(entry)
    for side in unnamed_sides(entry):
        wrong = f"{side}{_SIDES[side]}Context"
        # Cilium reads these names in any case, and in no order.
        options = {key: one for key, one in options.items() if key.lower() != wrong.lower()}
        options[wrong] = "pod"
    written = (f"{key}={value}" if value else key for key, value in options.items())
    wanted["drop"] = f"drop:{';'.join(written)}"
    if not _WITNESSES & set(wanted):
        wanted["tcp"] = "tcp"
    # A comma would end an entry of Helm's list.
    inside = ",".join(one.replace(",", "\\,") for one in wanted.values())
    return f"--set {shlex.quote(f'hubble.metrics.enabled={{{inside}}}')}"


def _options(entry: str) -> dict[str, str]:
    found = (one.partition("=") for one in entry.partition(":")[2].split(";") if one)
    return {key.strip(): value.strip() for key, _, value in found}


def _names(options: Mapping[str, str], side: str) -> bool:
    """Whether a label is namespace/name for every pod: the first context that says something."""
    by_key = {key.lower(): value.lower() for key, value in options.items()}
    way = by_key.get(f"{side}{_SIDES[side]}context".lower(), "")
    contexts = (way or by_key.get(f"{side}context", "")).split("|")
    first = next((one for one in contexts if one != _SKIPPED), "")
    return first in _NAMING
