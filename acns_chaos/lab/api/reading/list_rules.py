"""Which parameters of a list or a watch go together, as the server words it.

Text in, problems out; what the parameters mean is in ``options`` and ``reads``.
"""

from collections.abc import Mapping

from acns_chaos.lab.api.failures import Problem
from acns_chaos.lab.api.kinds.schema import quoted


def list_problems(found: Mapping[str, str]) -> list[Problem]:
    """What is wrong with the combination of a list's parameters, as the server words it."""
    name, match = "resourceVersionMatch", found.get("resourceVersionMatch")
    problems = []
    if match and not found.get("resourceVersion"):
        why = f"{name} is forbidden unless resourceVersion is provided"
        problems.append(Problem(name, "Forbidden", why))
    if match and found.get("continue"):
        why = f"{name} is forbidden when continue is provided"
        problems.append(Problem(name, "Forbidden", why))
    if match and match not in {"Exact", "NotOlderThan"}:
        why = f'{quoted(match)}: supported values: "Exact", "NotOlderThan", ""'
        problems.append(Problem(name, "Unsupported value", why))
    if match == "Exact" and found.get("resourceVersion") == "0":
        why = f'{name} "exact" is forbidden for resourceVersion "0"'
        problems.append(Problem(name, "Forbidden", why))
    if "sendInitialEvents" in found:
        why = "sendInitialEvents is forbidden for list"
        problems.append(Problem("sendInitialEvents", "Forbidden", why))
    return problems


def watch_problems(found: Mapping[str, str]) -> list[Problem]:
    """What is wrong with the combination of a watch's parameters, as the server words it."""
    name, match = "resourceVersionMatch", found.get("resourceVersionMatch", "")
    initial = "sendInitialEvents" in found
    problems = []
    if initial and match != "NotOlderThan":
        why = "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"
        problems.append(Problem(name, "Forbidden", why))
    if match and not initial:
        why = f"{name} is forbidden for watch unless sendInitialEvents is provided"
        problems.append(Problem(name, "Forbidden", why))
    if match and match != "NotOlderThan":
        why = f'{quoted(match)}: supported values: "NotOlderThan"'
        problems.append(Problem(name, "Unsupported value", why))
    return problems
