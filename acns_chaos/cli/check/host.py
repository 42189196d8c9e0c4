"""Traps of the host: what it ignores, resets or only warns of.

Each was seen in the host itself (reference chaos-toolkit.md §0, §2).
"""

from collections.abc import Iterator
from importlib.machinery import PathFinder
from importlib.util import find_spec
from typing import Any

from acns_chaos.cli.check.finding import ERROR, WARNING, Finding, Subject, mapping, numbered

__all__ = ["RULES"]

GUARD, LAB = "acns_chaos.controls.guard", "acns_chaos.controls.lab"
KNOWN = frozenset(
    (
        *("version", "title", "description", "tags", "contributions", "extensions"),
        *("configuration", "secrets", "controls", "runtime"),
        *("steady-state-hypothesis", "method", "rollbacks"),
    )
)
REQUIRED = ("title", "description", "method")
LISTS = ("method", "rollbacks", "controls", "extensions", "tags")
OBJECTS = ("configuration", "secrets", "runtime", "steady-state-hypothesis", "contributions")
STRATEGIES = ("default", "before-method-only", "after-method-only", "during-method-only")


def top_level(subject: Subject) -> Iterator[Finding]:
    """The host refuses what lacks a required key, and passes over keys that it does not know."""
    for key in REQUIRED:
        if key not in subject.document:
            yield Finding(
                *(ERROR, "key-missing", key, f"`{key}` is missing: `chaos run` refuses it."),
                f"Write `{key}`; a method may be an empty list.",
            )
    for key in subject.document:
        if key not in KNOWN:
            yield Finding(
                *(ERROR, "key-unknown", str(key), f"The host knows no `{key}` and ignores it."),
                f"Spell it as one of {', '.join(sorted(KNOWN))}, or put it under `extensions`.",
            )
    yield from _shapes(subject)
    title = str(subject.document.get("title") or "")
    if title and not title.rstrip().endswith("?"):
        yield Finding(
            *(WARNING, "title-no-question", "title", "The title is no question."),
            "Ask what the run answers, such as “Do we notice when …?”.",
        )


def _shapes(subject: Subject) -> Iterator[Finding]:
    """Whatever has the wrong shape is not looked at here, and crashes the host."""
    found: list[tuple[str, Any, type, str]] = []
    found += [(key, subject.document.get(key), list, "a list") for key in LISTS]
    found += [(key, subject.document.get(key), dict, "an object") for key in OBJECTS]
    for key in ("method", "rollbacks", "controls"):
        listed = subject.document.get(key)
        for number, one in enumerate(listed if isinstance(listed, list) else ()):
            found.append((f"{key}[{number}]", one, dict, "an object"))
    if subject.hypothesis:
        found.append(
            ("steady-state-hypothesis.probes", subject.hypothesis.get("probes"), list, "a list")
        )
    for where, value, kind, word in found:
        required = where == "method" and "method" in subject.document
        if not isinstance(value, kind) and (value is not None or required or "[" in where):
            yield Finding(
                *(ERROR, "wrong-shape", where, f"`{where}` is not {word}."),
                f"Write {word}.",
            )
    if subject.hypothesis and not subject.hypothesis.get("title"):
        where = "steady-state-hypothesis.title"
        yield Finding(
            *(ERROR, "key-missing", where, "The host refuses a hypothesis without a title."),
            "Say what is claimed.",
        )


def runtime(subject: Subject) -> Iterator[Finding]:
    """A runtime block that does not name a strategy resets it to `default`."""
    strategy = mapping(subject.runtime.get("rollbacks")).get("strategy")
    if subject.injects and strategy != "always":
        found = f"is {strategy!r}" if strategy else "is not set, so it is `default`"
        yield Finding(
            *(ERROR, "rollbacks-not-always", "runtime.rollbacks.strategy"),
            f"The rollback strategy {found}: after an interruption, a failed probe or --fail-fast "
            "no rollback is played.",
            'Write "runtime": {"rollbacks": {"strategy": "always"}}.',
        )
    hypothesis = str(mapping(subject.runtime.get("hypothesis")).get("strategy") or "default")
    if hypothesis in ("continuously", "continously"):
        yield Finding(
            *(ERROR, "hypothesis-continuous", "runtime.hypothesis.strategy"),
            "A continuous hypothesis lets rollbacks wait up to its frequency after a signal, and "
            "every pass of it meets the fault.",
            "Use `default`, and let the timeline control sample.",
        )
    elif hypothesis not in STRATEGIES:
        yield Finding(
            *(ERROR, "hypothesis-strategy", "runtime.hypothesis.strategy"),
            f"The host knows no strategy {hypothesis!r}.",
            f"Write one of {', '.join(STRATEGIES)}.",
        )
    elif subject.injects and hypothesis != "default":
        yield Finding(
            *(ERROR, "hypothesis-once", "runtime.hypothesis.strategy"),
            f"With {hypothesis} the claims are not held against the cluster both before and after "
            "the fault.",
            "Use `default`.",
        )
    if "python" in subject.runtime:
        yield Finding(
            *(WARNING, "runtime-python", "runtime.python"),
            "The host plays the run in another environment, which it makes anew, and ends it 60 s "
            "after a signal; older hosts ignore this.",
            "Take it out, and install what the run needs beside the host.",
        )
    for key in subject.runtime:
        if key not in ("rollbacks", "hypothesis", "python"):
            yield Finding(
                *(ERROR, "runtime-unknown", f"runtime.{key}", f"The host ignores runtime.{key}."),
                "Write `rollbacks` and `hypothesis`.",
            )


def controls(subject: Subject) -> Iterator[Finding]:
    """A control that cannot be loaded is only warned of; without the guard nothing is guarded."""
    modules = [str(mapping(one.get("provider")).get("module") or "") for one in subject.controls]
    uses_ours = any(one.module.startswith("acns_chaos.") for one in subject.activities)
    if uses_ours and GUARD not in modules:
        yield Finding(
            *(ERROR, "guard-missing", "controls"),
            "The guard control is not listed: no activity of this package runs without it.",
            f"List {GUARD} first under `controls`, then {LAB}.",
        )
    if GUARD in modules and LAB in modules and modules.index(LAB) < modules.index(GUARD):
        yield Finding(
            *(ERROR, "guard-after-lab", "controls"),
            "The lab control stands before the guard: it would end the lab before the guard has "
            "restored.",
            "List the guard first.",
        )
    for number, (one, module) in enumerate(zip(subject.controls, modules, strict=True)):
        where = f"controls[{number}]"
        yield from _loadable(where, module)
        limited = [key for key in ("scope", "automatic") if key in one]
        if module == GUARD and limited:
            yield Finding(
                *(ERROR, "guard-limited", where),
                f"{' and '.join(limited)} would keep hooks of the guard from being called.",
                "Take it out.",
            )
        if module == "chaosaddons.controls.safeguards":
            yield Finding(
                *(WARNING, "safeguards-do-not-gate", where),
                "A safeguard's first check races with the first action, and one whose tolerance "
                "raises stops nothing.",
                "Put what must hold first into the hypothesis; use limits, blackouts and the stop "
                "object.",
            )


def _loadable(where: str, module: str) -> Iterator[Finding]:
    if not module:
        yield Finding(
            *(ERROR, "control-missing", where),
            "The control names no module: the host refuses it, or plays the run without it.",
            'Write "provider": {"type": "python", "module": "…"}.',
        )
    elif not _exists(module):
        yield Finding(
            *(ERROR, "control-missing", where),
            f"There is no module {module}: the host warns once and plays the run without it.",
            "Correct the name, or install what has it.",
        )


def inner_controls(subject: Subject) -> Iterator[Finding]:
    """The guard is for the whole run: listed further in, some of its hooks are not called."""
    places: list[tuple[str, Any]] = [("steady-state-hypothesis", subject.hypothesis)]
    places += [(one.where, one.raw) for one in subject.activities]
    for where, holder in places:
        for number, control in numbered(holder.get("controls")):
            inner = str(mapping(control.get("provider")).get("module") or "")
            yield from _loadable(f"{where}.controls[{number}]", inner)
            if mapping(control.get("provider")).get("module") in (GUARD, LAB):
                yield Finding(
                    *(ERROR, "control-too-far-in", f"{where}.controls"),
                    "The guard and the lab belong to the experiment, not to a part of it.",
                    "Move it to the experiment's own `controls`.",
                )


def _exists(module: str) -> bool:
    """Whether there is a module, found without running anything of what a file names."""
    package, _, rest = module.partition(".")
    try:
        spec = find_spec(package) if package.isidentifier() else None
        for part in rest.split(".") if rest else ():
            places = spec.submodule_search_locations if spec else None
            spec = PathFinder.find_spec(part, list(places)) if places and part else None
    except (ImportError, ValueError, AttributeError):
        return False
    return spec is not None


RULES = (top_level, runtime, controls, inner_controls)
