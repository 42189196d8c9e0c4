"""Activities: who does them, with which arguments, and how an answer is judged."""

import inspect
import ipaddress
import re
from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Any

from acns_chaos.cli.check.finding import ERROR, WARNING, Activity, Finding, Subject, mapping

__all__ = ["RULES"]

OURS = ("acns_chaos.actions", "acns_chaos.probes")
# Programs and modules that act on whatever cluster they find, or on one of their own choice.
ELSEWHERE = ("chaosk8s", "chaosazure", "chaostoolkit_kubernetes", "chaosaddons.exec")
ADDRESS = re.compile(r"(?<![\w.])(?:\d{1,3}\.){3}\d{1,3}(?![\w.])")


def types(subject: Subject) -> Iterator[Finding]:
    """The host refuses an activity without a name, a known type or a provider."""
    for one in subject.activities:
        if one.raw.get("ref"):
            continue
        if one.kind not in ("probe", "action"):
            yield _error(one, "activity-type", "It is neither a probe nor an action.", "Say which.")
        if not one.name:
            yield _error(one, "activity-name", "It has no name.", "Name what it does or asks.")
        if not one.provider:
            yield _error(one, "provider-missing", "It has no provider.", "Say who does it.")


def unique(subject: Subject) -> Iterator[Finding]:
    """Evidence goes by names, and a `ref` takes the hypothesis' probe of that name."""
    seen: dict[str, Activity] = {}
    for one in subject.activities:
        if one.raw.get("ref"):
            continue
        first = seen.setdefault(one.name, one)
        if first is not one and one.name:
            yield _error(
                *(one, "name-twice", f"{one.name!r} is also the name of {first.where}: what each"),
                "Give it a name of its own.",
                more=" answered could not be told apart.",
            )


def bypassing(subject: Subject) -> Iterator[Finding]:
    """What does not go by the resolved target may change another cluster, without a record."""
    for one in subject.activities:
        kind = one.provider.get("type")
        act = one.kind == "action"
        if kind == "process":
            what = str(one.provider.get("path") or "a program")
            yield _error(
                *(one, "bypasses-target", f"It runs {what}, which finds a cluster by itself and"),
                "Use an activity of acns_chaos.",
                more=" leaves no record of what it changes.",
            )
        elif kind == "python" and one.module.startswith(ELSEWHERE) and act:
            yield _error(
                *(one, "bypasses-target", f"{one.module} changes the cluster without a record:"),
                "Use acns_chaos.actions.inject_fault.",
                more=" a killed run would leave the change behind.",
            )
        elif kind == "http" and act:
            yield _error(
                *(one, "bypasses-target", "A bare HTTP request is no action that can be undone."),
                "Ask with a probe, or use an activity of acns_chaos.",
            )


def calls(subject: Subject) -> Iterator[Finding]:
    """A function that does not exist, or arguments that it does not take."""
    for one in subject.activities:
        if one.provider.get("type") != "python" or not one.module.startswith("acns_chaos"):
            continue
        yield from _call(one, one.module, one.function, one.arguments)


def _call(
    one: Activity, module: str, function: str, arguments: Mapping[str, Any]
) -> Iterator[Finding]:
    try:
        found = getattr(import_module(module), function, None)
    except ImportError:
        found = None
    if not callable(found):
        there = f"{module}.{function}"
        yield _error(one, "function-missing", f"There is no {there}.", "See `chaos discover`.")
        return
    parameters = inspect.signature(found).parameters
    for name in arguments:
        if name not in parameters:
            told = f"{function} takes no argument {name!r}."
            yield _error(one, "argument-unknown", told, f"It takes {', '.join(parameters)}.")
    for name, parameter in parameters.items():
        if parameter.default is parameter.empty and name not in arguments:
            yield _error(
                one, "argument-missing", f"{function} needs `{name}`.", f"Give it `{name}`."
            )


def tolerances(subject: Subject) -> Iterator[Finding]:
    """A tolerance that raises crashes the run after the method: no rollbacks, no journal."""
    for one in subject.activities:
        if "tolerance" not in one.raw:
            if one.phase == "hypothesis":
                yield _error(
                    *(one, "tolerance-missing", "The host refuses a claim without a tolerance."),
                    "Judge it with acns_chaos.tolerances.is_met.",
                )
            continue
        if one.phase != "hypothesis":
            yield _error(
                *(one, "tolerance-ignored", "The host never looks at a tolerance outside of the"),
                "Take it out; name the activity under `extensions` as witness or detector.",
                more=" hypothesis.",
            )
        elif problem := _can_raise(one.raw["tolerance"], one.module):
            yield _error(
                *(one, "tolerance-raises", problem),
                "Judge it with acns_chaos.tolerances.is_met, which never raises.",
            )
        else:
            yield from _judge(one)


def _judge(one: Activity) -> Iterator[Finding]:
    provider = mapping(mapping(one.raw.get("tolerance")).get("provider"))
    module = str(provider.get("module") or "")
    if module.startswith("acns_chaos"):
        # The host adds `value` itself.
        arguments = {**mapping(provider.get("arguments")), "value": {}}
        yield from _call(one, module, str(provider.get("func")), arguments)


def _can_raise(tolerance: Any, module: str) -> str:
    """Say how a tolerance could raise, "" when it cannot."""
    if isinstance(tolerance, float):
        return "The host refuses a float as tolerance."
    given = mapping(tolerance)
    if given.get("type") == "probe":
        provider = mapping(given.get("provider"))
        if "arguments" not in provider:
            return "A tolerance that is a probe raises KeyError without `arguments`."
        if provider.get("module") != "acns_chaos.tolerances":
            return f"Whether {provider.get('module')} raises is not known here."
        return ""
    if module.startswith("acns_chaos"):
        return "Our probes answer with readings, which only a tolerance of ours can judge."
    if given.get("type") in ("range", "regex", "jsonpath") or isinstance(tolerance, list):
        return (
            "A probe that answers nothing makes this tolerance raise; the run then crashes, with "
            "no rollbacks and no journal."
        )
    return ""


def waiting(subject: Subject) -> Iterator[Finding]:
    """Fixed waits and background work: what the host does not time, does not stop, or ignores."""
    for one in subject.activities:
        if "pauses" in one.raw:
            yield Finding(
                *(WARNING, "pauses", one.where),
                "A fixed pause is too long or too short, and stands in no journal.",
                "Let a probe wait for the fact, with its `deadline`.",
            )
        if one.raw.get("background") is True:
            yield _error(
                *(one, "background", "What runs in the background is not stopped by a signal, and"),
                "Play it in its turn.",
                more=" its failure ends nothing.",
            )
        if "dry" in one.raw:
            told = "`dry` at an activity has no effect: the action runs."
            yield _error(one, "dry-ignored", told, "Use `chaos run --dry`.")
        if one.provider.get("type") == "python" and "timeout" in one.provider:
            told = "The host ignores `timeout` of a Python provider."
            yield _error(one, "timeout-ignored", told, "Give it among the arguments.")


def addresses(subject: Subject) -> Iterator[Finding]:
    """An address belongs to one cluster; a name is found anew in each."""
    for one in subject.activities:
        for name, value in one.arguments.items():
            for found in ADDRESS.findall(str(value)):
                if _is_address(found):
                    yield Finding(
                        *(WARNING, "address", f"{one.where}.provider.arguments.{name}"),
                        f"{found} is an address of one cluster.",
                        "Name the workload or Service, or read it from the environment.",
                    )


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _error(one: Activity, rule: str, sentence: str, mend: str, more: str = "") -> Finding:
    return Finding(ERROR, rule, one.where, sentence + more, mend)


RULES = (types, unique, bypassing, calls, tolerances, waiting, addresses)
