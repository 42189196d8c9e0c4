"""Activities: who does them, with which arguments, and how an answer is judged."""

import inspect
import ipaddress
import re
from collections.abc import Iterable, Iterator, Mapping
from importlib import import_module
from typing import Any

from acns_chaos.cli.check.finding import ERROR, WARNING, Activity, Finding, Subject, mapping

__all__ = ["RULES"]

# Whose functions an experiment may call; whatever else this package has is no activity.
OURS = ("acns_chaos.actions", "acns_chaos.probes", "acns_chaos.tolerances")
# What only waits.
HARMLESS = ("chaosaddons.utils.idle",)
# What runs anything, whatever an experiment calls it.
RUNS = (
    "subprocess",
    "os",
    "posix",
    "pty",
    "shutil",
    "runpy",
    "importlib",
    "builtins",
    "kubernetes",
)
READS = ("GET", "HEAD", "OPTIONS")
PROVIDER_KEYS = {
    "python": ("type", "module", "func", "arguments", "secrets", "timeout"),
    "http": (
        *("type", "url", "method", "headers", "arguments", "timeout", "verify_tls"),
        *("expected_status", "max_retries", "secrets"),
    ),
}
ADDRESS = re.compile(r"(?<![\w.])(?:\d{1,3}\.){3}\d{1,3}(?![\w.])")


def types(subject: Subject) -> Iterator[Finding]:
    """The host refuses an activity without a name, a known type or a provider."""
    for one in subject.activities:
        if one.ref:
            if not one.raw:
                told = f"Nothing is called {one.ref!r}: the host refuses it, or fails on it."
                yield _error(one, "ref-unknown", told, "Spell it as the activity's name.")
            continue
        if one.kind not in ("probe", "action"):
            yield _error(one, "activity-type", "It is neither a probe nor an action.", "Say which.")
        if not one.name:
            yield _error(one, "activity-name", "It has no name.", "Name what it does or asks.")
        if not one.provider:
            yield _error(one, "provider-missing", "It has no provider.", "Say who does it.")
        known = PROVIDER_KEYS.get(str(one.provider.get("type")), tuple(one.provider))
        for key in one.provider:
            if key not in known:
                told = f"The host knows no `{key}` of a provider and ignores it."
                yield _error(one, "provider-key", told, f"Write one of {', '.join(known)}.")


def unique(subject: Subject) -> Iterator[Finding]:
    """Evidence goes by names, and a `ref` takes the hypothesis' probe of that name."""
    seen: dict[str, Activity] = {}
    for one in subject.activities:
        if one.ref:
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
        yield from _bypassing(one, one.provider, one.kind == "action")
        tolerance = mapping(one.raw.get("tolerance"))
        if tolerance.get("type") == "probe":
            yield from _bypassing(one, mapping(tolerance.get("provider")), acts=False)


def _bypassing(one: Activity, provider: Mapping[str, Any], acts: bool) -> Iterator[Finding]:
    kind, module = str(provider.get("type")), str(provider.get("module") or "")
    if kind == "process":
        what = str(provider.get("path") or "a program")
        yield _error(
            *(one, "bypasses-target", f"It runs {what}, which finds a cluster by itself and"),
            "Use an activity of acns_chaos.",
            more=" leaves no record of what it changes.",
        )
    elif kind == "http" and (acts or str(provider.get("method") or "GET").upper() not in READS):
        yield _error(
            *(one, "bypasses-target", "A bare HTTP request is no action that can be undone."),
            "Ask with a probe that reads, or use an activity of acns_chaos.",
        )
    elif kind == "python" and not _within(module, ("acns_chaos", *HARMLESS)):
        # Whether a function acts is nobody's word but its module's: the host takes either type.
        if acts or ".actions" in f".{module}" or not module or _within(module, RUNS):
            yield _error(
                *(one, "bypasses-target", f"{module or 'It'} may change something without a"),
                "Use an activity of acns_chaos, such as acns_chaos.actions.inject_fault.",
                more=" record: a killed run would leave the change behind.",
            )
        else:
            yield Finding(
                *(WARNING, "asks-elsewhere", one.where),
                f"{module} is none of ours: it may ask another cluster than the experiment's.",
                "Use a probe of acns_chaos.",
            )


def _within(module: str, packages: Iterable[str]) -> bool:
    return any(module == one or module.startswith(f"{one}.") for one in packages)


def calls(subject: Subject) -> Iterator[Finding]:
    """A function that does not exist, or arguments that it does not take."""
    for one in subject.activities:
        if one.provider.get("type") != "python" or not _within(one.module, ("acns_chaos",)):
            continue
        yield from _call(one, one.module, one.function, one.arguments)


def _call(
    one: Activity, module: str, function: str, arguments: Mapping[str, Any]
) -> Iterator[Finding]:
    # Nothing else is imported: what a file names is not run by looking at it.
    home = import_module(module) if module in OURS else None
    found = getattr(home, function, None) if function in getattr(home, "__all__", ()) else None
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
    if _within(module, ("acns_chaos",)):
        # The host adds `value` itself.
        arguments = {**mapping(provider.get("arguments")), "value": {}}
        yield from _call(one, module, str(provider.get("func")), arguments)


def _can_raise(tolerance: Any, module: str) -> str:
    """Say how a tolerance could raise, "" when it cannot."""
    if tolerance is None or isinstance(tolerance, float):
        word = "a float" if isinstance(tolerance, float) else "nothing"
        return f"The host refuses {word} as tolerance."
    given = mapping(tolerance)
    if given.get("type") == "probe":
        provider = mapping(given.get("provider"))
        if not isinstance(provider.get("arguments"), Mapping):
            return "A tolerance that is a probe raises without an object of `arguments`."
        if provider.get("module") != "acns_chaos.tolerances":
            who = provider.get("module") or "what it runs"
            return f"Whether {who} raises is not known here."
        return ""
    if isinstance(tolerance, Mapping) and given.get("type") not in ("range", "regex", "jsonpath"):
        return f"The host knows no tolerance of type {given.get('type')!r}."
    if _within(module, ("acns_chaos",)):
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
        if one.raw.get("background"):
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
