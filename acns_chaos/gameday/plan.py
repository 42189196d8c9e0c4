"""A plan: which mistakes to make where, who ought to notice, and when to stop.

Belongs here: a YAML file in, a `Plan` out, or one sentence with the file and the line. Does not
belong here: the schema (`plan_schema.json`, `plan_checks`), and looking at any cluster.

Files that a plan names are looked for beside it. It is read with all of them before anything runs:
a day must not end in the middle because a claim's name was misspelt.
"""

import json
import os
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from acns_chaos.cluster.documents import parse
from acns_chaos.cluster.documents_bounds import short
from acns_chaos.cluster.sources import read_bounded
from acns_chaos.errors import DocumentError, TargetRefused
from acns_chaos.gameday.alert_rules import AlertRule, read_rules
from acns_chaos.gameday.plan_checks import Text, breach
from acns_chaos.gameday.plan_values import (
    ALERT,
    AVAILABILITY,
    CLAIM,
    SECURITY,
    Detector,
    Plan,
    Wanted,
)
from acns_chaos.gameday.times import DAYS, Blackout, seconds_of

__all__ = [
    "ALERT",
    "AVAILABILITY",
    "CLAIM",
    "SECURITY",
    "Detector",
    "Plan",
    "Wanted",
    "cluster_of",
    "plan_of",
    "read_plan",
]

# Of a plan; the largest honest one lists a thousand namespaces.
MAX_BYTES = 500_000
# Seconds that one mutant may stand without `per_run`.
PER_RUN = 300.0
_VARIABLE = "ACNS_CHAOS_CLUSTER"


def read_plan(path: Path) -> Plan:
    """Read a plan and look at every file that it names.

    Raises:
        DocumentError: it cannot be used; one sentence with the file and the line.
    """
    data = read_bounded(path, MAX_BYTES)
    if len(data) > MAX_BYTES:
        raise DocumentError(f"{path} has more than {MAX_BYTES // 1000} kB; a plan is short.")
    documents = parse(data, str(path), as_json=path.suffix == ".json")
    if len(documents) != 1:
        found = f"{len(documents)} documents" if documents else "nothing"
        raise DocumentError(f"{path}: holds {found}; a plan is one document.")
    text = Text(data.decode("utf-8-sig"), str(path))
    return _Reader(documents[0].value, text, path.parent).plan()


def plan_of(document: Mapping[str, Any], folder: Path, name: str = "plan.json") -> Plan:
    """A plan from what `Plan.document` held.

    Args:
        document: plain JSON.
        folder: where its files are.
        name: of the file it comes from, for sentences.

    Raises:
        DocumentError: as `read_plan`.
    """
    return _Reader(document, Text(json.dumps(document), name), folder).plan()


def cluster_of(plan: Plan, environ: Mapping[str, str] = os.environ) -> str:
    """The cluster that a day takes place in.

    The environment may narrow what a plan says, to the lab where nothing is touched, never widen
    it.

    Args:
        plan: names one.
        environ: the process environment.

    Raises:
        TargetRefused: the environment names another one.
    """
    named = environ.get(_VARIABLE, "").strip()
    if named in ("", plan.cluster, "lab"):
        return named or plan.cluster
    raise TargetRefused(
        f"The plan {plan.name} is for {plan.cluster} and {_VARIABLE} says {short(named)}: unset "
        "it, or name that cluster in a plan of its own."
    )


class _Reader:
    """Makes a plan of one document."""

    def __init__(self, document: Any, text: Text, folder: Path) -> None:
        found = breach(document)
        if found is not None:
            text.refuse(*found)
        self._value: dict[str, Any] = document
        self._text = text
        self._folder = folder

    def plan(self) -> Plan:
        value = self._value
        cluster, lab = value["target"]["cluster"], value.get("lab", {})
        if lab and cluster != "lab":
            self._text.refuse(
                ("lab",), f"is for `cluster: lab`, and the target is {cluster}; leave it out"
            )
        rules_file = self._file(("lab", "rules"), lab["rules"]) if "rules" in lab else None
        rules = read_rules(rules_file) if rules_file else {}
        limits, stop = value.get("limits", {}), value.get("stop", {})
        return Plan(
            name=value["name"],
            cluster=cluster,
            namespaces=tuple(value["target"]["namespaces"]),
            world=self._world(lab.get("world", "pets")),
            rules_file=rules_file,
            rules=rules,
            mutants=self._wanted(value["mutants"]) if "mutants" in value else None,
            experiments=tuple(
                self._experiment(("experiments", number), one)[0]
                for number, one in enumerate(value.get("experiments", ()))
            ),
            detectors=self._detectors(cluster, rules if rules_file else None),
            affected=tuple(limits.get("affected", ())),
            max_flows=limits.get("max_flows", 0),
            per_run=self._per_run(limits),
            stop_survivors=stop.get("survivors", 0),
            stop_unknown=stop.get("unknown", 0),
            blackout=tuple(
                self._blackout(number, one) for number, one in enumerate(value.get("blackout", ()))
            ),
            minimum={key: float(one) for key, one in value.get("minimum", {}).items()},
            document=value,
            folder=self._folder,
        )

    def _seconds(self, path: tuple[str | int, ...], text: str) -> float:
        seconds = seconds_of(text)
        if seconds <= 0:
            self._text.refuse(path, f"{text} is no time at all; write a longer one")
        return seconds

    def _per_run(self, limits: Mapping[str, Any]) -> float:
        per_run = PER_RUN
        if "per_run" in limits:
            per_run = self._seconds(("limits", "per_run"), limits["per_run"])
        for number, one in enumerate(self._value["detectors"]):
            written = one.get("deadline", "auto")
            if written != "auto" and seconds_of(written) >= per_run:
                self._text.refuse(
                    ("detectors", number, "deadline"),
                    f"{written} is no shorter than the {per_run:g} s that a mutant may stand; "
                    "raise limits.per_run",
                )
        return per_run

    def _wanted(self, value: Mapping[str, Any]) -> Wanted:
        given = {key: tuple(one) for key, one in value.items() if isinstance(one, list)}
        budget = self._seconds(("mutants", "budget"), value["budget"]) if "budget" in value else 0.0
        return Wanted(**given, most=value.get("most", 0), budget=budget)

    def _detectors(
        self, cluster: str, rules: Mapping[str, AlertRule] | None
    ) -> tuple[Detector, ...]:
        found: dict[str, Detector] = {}
        for number, one in enumerate(self._value["detectors"]):
            path = ("detectors", number)
            made = self._alert(path, one, rules) if ALERT in one else self._claim(path, one)
            if made.name in found:
                self._text.refuse(path, f"two detectors are called {made.name}; keep one")
            if made.kind == CLAIM and cluster != "lab" and not made.cronjob:
                self._text.refuse(
                    path, "nobody is named who runs this claim on a cluster; write runs.cronjob"
                )
            found[made.name] = made
        return tuple(found.values())

    def _alert(
        self,
        path: tuple[str | int, ...],
        value: Mapping[str, Any],
        rules: Mapping[str, AlertRule] | None,
    ) -> Detector:
        name = value[ALERT]
        self._unfit(path, value, "an alert", ("every", "runs"))
        if rules is not None and name not in rules:
            near = get_close_matches(name, rules, n=1)
            hint = f"did you mean {near[0]}" if near else f"it has {', '.join(rules) or 'none'}"
            self._text.refuse(
                (*path, ALERT), f"there is no alert {short(name)} in the lab's rules; {hint}"
            )
        return Detector(labels=value.get("labels", {}), **self._common(path, value, name, ALERT))

    def _claim(self, path: tuple[str | int, ...], value: Mapping[str, Any]) -> Detector:
        self._unfit(path, value, "a claim", ("labels",))
        if "every" not in value:
            self._text.refuse(path, "how often the claim is run is not said; write every")
        file, claim = self._experiment((*path, CLAIM), value[CLAIM], claim=True)
        return Detector(
            claim=file,
            lasts=_lasts(claim),
            every=self._seconds((*path, "every"), value["every"]),
            cronjob=value.get("runs", {}).get("cronjob", ""),
            **self._common(path, value, file.stem, CLAIM),
        )

    def _common(
        self, path: tuple[str | int, ...], value: Mapping[str, Any], name: str, kind: str
    ) -> dict[str, Any]:
        written, judged = value.get("deadline", "auto"), value["for"]
        return {
            "name": name,
            "kind": kind,
            "directions": (judged,) if isinstance(judged, str) else tuple(judged),
            "deadline": (
                None if written == "auto" else self._seconds((*path, "deadline"), written)
            ),
        }

    def _unfit(
        self,
        path: tuple[str | int, ...],
        value: Mapping[str, Any],
        what: str,
        keys: tuple[str, ...],
    ) -> None:
        for key in keys:
            if key in value:
                self._text.refuse((*path, key), f"{what} has no {key}; leave it out")

    def _blackout(self, number: int, value: Mapping[str, Any]) -> Blackout:
        try:
            ZoneInfo(value["zone"])
        except (ValueError, OSError, KeyError):
            self._text.refuse(
                ("blackout", number, "zone"),
                f"there is no time zone {value['zone']!r}; write one such as Europe/Berlin or UTC",
            )
        days = tuple(value.get("days", DAYS))
        return Blackout(days, value["from"], value["to"], value["zone"])

    def _file(self, path: tuple[str | int, ...], written: str) -> Path:
        file = self._folder / written
        if not file.is_file():
            self._text.refuse(path, f"there is no file {short(str(file), 200)}; correct the name")
        return file

    def _world(self, written: str) -> str:
        """A world's name as it is, a file's path as seen from here."""
        if not written.endswith((".yaml", ".yml")):
            return written
        return str(self._file(("lab", "world"), written))

    def _experiment(
        self, path: tuple[str | int, ...], written: str, *, claim: bool = False
    ) -> tuple[Path, Mapping[str, Any]]:
        """A file that the host could run, and what it holds; `acns-chaos check` says more of it."""
        file = self._file(path, written)
        documents = parse(read_bounded(file), str(file))
        value = documents[0].value if len(documents) == 1 else None
        method = value.get("method") if isinstance(value, Mapping) else None
        if not isinstance(method, list):
            self._text.refuse(path, f"{written} is no experiment of Chaos Toolkit; name one")
        if claim and method:
            self._text.refuse(
                path, f"{written} does something, and a claim only looks; name one of probes/"
            )
        return file, documents[0].value


def _lasts(claim: Mapping[str, Any]) -> float:
    """Seconds that the probes of a claim may take together; one that does not say, a second."""
    hypothesis = claim.get("steady-state-hypothesis")
    probes = hypothesis.get("probes") if isinstance(hypothesis, Mapping) else None
    found = []
    for probe in probes if isinstance(probes, list) else ():
        provider = probe.get("provider") if isinstance(probe, Mapping) else None
        arguments = provider.get("arguments") if isinstance(provider, Mapping) else None
        given = arguments.get("timeout") if isinstance(arguments, Mapping) else None
        found.append(float(given) if isinstance(given, int | float) else 1.0)
    return sum(found)
