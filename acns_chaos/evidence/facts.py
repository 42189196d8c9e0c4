"""What a journal says as a whole: what was declared, what was played, which faults were made.

Nothing is judged here and nothing raises; `rules` decides what a gap means. The journal's shape:
Chaos Toolkit's own keys, and the section `acns_chaos` that the guard control adds.
"""

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

from acns_chaos.evidence.answers import Answer, Run, State
from acns_chaos.evidence.readings import UNKNOWN
from acns_chaos.evidence.values import mapping, mappings, moment, sequence, text, word

__all__ = [
    "SECTION",
    "Facts",
    "Fault",
    "Restart",
    "dry_mode",
    "is_inject",
    "is_restart",
    "is_restore",
    "names",
    "reference",
    "rules_of",
    "wants_prober",
]

SECTION = "acns_chaos"
EXTENSION = "acns-chaos"
INJECT = frozenset({("acns_chaos.actions", "inject_fault")})
RESTORE = ("acns_chaos.actions", "restore_policies")
RESTART = ("acns_chaos.actions", "restart_pods")
SELECTORS = frozenset({"endpointSelector", "nodeSelector", "podSelector"})
RESTORERS = frozenset({"method", "rollback", "guard", "watchdog", "janitor", "person", "others"})
# Who puts back what a run left: not the run that was to show that it does.
NETS = frozenset({"guard", "watchdog", "janitor", "person"})


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault of the section, with what became of it.

    Attributes:
        id: "f1", or "f1.2" for one of several objects of the fault f1.
        policy: "namespace/name", or "name" for a cluster-wide policy.
        seen_restored: whether its flows were seen to work again.
        restorer: who exactly that was, when it was none of the run's own.
        created_again: whether somebody had deleted the object meanwhile.
        debt: why it cannot be said to be restored; "" when it is.
        gaps: what its record lacks besides.
        is_pod: it is no policy that was changed but a pod that was made, to ask from.
    """

    id: str
    policy: str
    operator: str
    submitted: datetime | None
    realised: datetime | None
    restored_by: str
    restorer: str
    seen_restored: bool
    created_again: bool
    debt: str
    gaps: tuple[str, ...]
    is_pod: bool = False

    @classmethod
    def of(cls, fault: Mapping[str, Any]) -> "Fault":
        """Read one entry of `acns_chaos.faults`."""
        policy, restored = reference(fault.get("policy")), mapping(fault.get("restored"))
        submitted, by = moment(fault.get("submitted")), text(restored.get("by"))
        before, stored = rules_of(fault.get("before")), rules_of(fault.get("fault"))
        change = text(fault.get("change")) or "modify"
        realised, verified = moment(fault.get("realised")), moment(restored.get("verified"))
        checks = {
            "the policy's name": bool(policy),
            "the operator": bool(word(fault.get("operator"))),
            "when it was submitted": submitted is not None,
            "when it was accepted": moment(fault.get("accepted")) is not None,
            "how it was seen to be realised": bool(word(fault.get("realised_by"))),
            "the original": bool(before) is (change != "create"),
            "a fault that differs from the original": stored != before
            and bool(stored) is (change != "delete"),
            "who restored it": by in RESTORERS,
            "when the restore was submitted": by == "others"
            or moment(restored.get("submitted")) is not None,
            "times in order": _in_order(submitted, realised) and _in_order(submitted, verified),
        }
        return cls(
            text(fault.get("id")),
            policy or "a policy without a name",
            text(fault.get("operator")),
            submitted,
            realised,
            by,
            text(restored.get("who")),
            moment(mapping(restored.get("behaviour")).get("at")) is not None,
            restored.get("created_again") is True,
            _debt(fault, restored),
            tuple(name for name, held in checks.items() if not held),
            mapping(fault.get("policy")).get("kind") == "Pod",
        )


@dataclass(frozen=True, slots=True)
class Restart:
    """A workload whose pods this run deleted, so that its controller makes others.

    Attributes:
        workload: "namespace/name".
        pods: how many.
        ready: whether it was seen to be Ready again when everything else was back.
        known: whether its pods could be read then.
        problem: what is wrong, "" when nothing is known to be.
    """

    workload: str
    pods: int
    ready: bool
    known: bool
    problem: str

    @classmethod
    def of(cls, restart: Mapping[str, Any]) -> "Restart":
        """Read one entry of `acns_chaos.restarts`."""
        problem = text(restart.get("problem"))
        return cls(
            reference({**restart, "name": restart.get("workload")}) or "a workload without a name",
            len(sequence(restart.get("pods"))),
            moment(restart.get("ready")) is not None and not problem,
            bool(problem) and "cannot be read" not in problem,
            problem,
        )


class Facts:
    """A journal, read once: sections, activities, readings and faults, each safe to use."""

    def __init__(self, journal: object) -> None:
        self.journal = mapping(journal)
        self.section = mapping(self.journal.get(SECTION))
        self.experiment = mapping(self.journal.get("experiment"))
        self.target = mapping(self.section.get("target"))
        self.host = mapping(self.section.get("host"))
        self.method = mappings(self.experiment.get("method"))
        self.runs = tuple(Run.of(run) for run in mappings(self.journal.get("run")))
        self.rollbacks = tuple(Run.of(run) for run in mappings(self.journal.get("rollbacks")))
        self.faults = tuple(Fault.of(fault) for fault in mappings(self.section.get("faults")))
        self.restarts = tuple(Restart.of(one) for one in mappings(self.section.get("restarts")))
        self.hypothesis = mapping(self.experiment.get("steady-state-hypothesis"))
        self.claims = names(self.hypothesis.get("probes"))
        # Asked by many rules, and by reports again.
        self._states: dict[str, State | None] = {}
        self._answers: dict[str, tuple[Answer, ...]] = {}

    @cached_property
    def injects(self) -> int:
        """How many activities of the method inject a fault."""
        return sum(1 for activity in self.method if is_inject(activity))

    @property
    def injected(self) -> int:
        """How many faults there were; one may be several objects."""
        return len({fault.id.partition(".")[0] for fault in self.faults})

    @property
    def different(self) -> int:
        """How many different faults; one that is made again, as by a policy that flaps, is one."""
        made: dict[str, set[tuple[str, str]]] = {}
        for fault in self.faults:
            made.setdefault(fault.id.partition(".")[0], set()).add((fault.policy, fault.operator))
        return len({frozenset(objects) for objects in made.values()})

    @cached_property
    def observes(self) -> bool:
        """Whether the experiment lets a GitOps controller be what recovers."""
        injects = [one for one in self.method if is_inject(one)]
        given = [mapping(mapping(one.get("provider")).get("arguments")) for one in injects]
        return any(one.get("gitops") == "observe" for one in given)

    @property
    def debts(self) -> tuple[Fault, ...]:
        """The faults not shown to be restored, then the prober pods not shown to be gone."""
        probers = (Fault.of(one) for one in mappings(self.section.get("probers")))
        return tuple(one for one in (*self.faults, *probers) if one.debt)

    def role(self, role: str) -> tuple[str, ...]:
        """Return the activities declared as *role*, such as "witnesses", each once."""
        blocks = [
            block
            for block in mappings(self.experiment.get("extensions"))
            if block.get("name") == EXTENSION
        ]
        declared = [text(name) for block in blocks for name in sequence(block.get(role))]
        return tuple(dict.fromkeys(declared))

    def state(self, phase: str) -> State | None:
        """Return the hypothesis "before" or "after" the method; None when it was not played."""
        if phase not in self._states:
            state = mapping(self.journal.get("steady_states")).get(phase)
            told = State.of(state, self.claims) if isinstance(state, Mapping) else None
            self._states[phase] = told
        return self._states[phase]

    def during(self) -> tuple[State, ...]:
        """Return the passes of the hypothesis while the method ran."""
        passes = mappings(mapping(self.journal.get("steady_states")).get("during"))
        return tuple(State.of(state, self.claims) for state in passes)

    def answers(self, name: str) -> tuple[Answer, ...]:
        """Return what the activity of that name read in the method, once per time it was played.

        What was read before the first fault was submitted, or what nothing could have
        contradicted, says nothing about the fault: UNKNOWN.
        """
        if name in self._answers:
            return self._answers[name]
        since = min((f.submitted for f in self.faults if f.submitted), default=None)
        answers = []
        for run in self.runs:
            if run.name != name:
                continue
            answer = run.answer
            began = run.began(answer)
            if since and began and began < since:
                answer = Answer(UNKNOWN, None, "it reads what was before the fault, too")
            elif answer.vacuous:
                answer = Answer(UNKNOWN, None, "no drop at all would have met what it expects")
            answers.append(answer)
        self._answers[name] = tuple(answers)
        return self._answers[name]


def names(activities: object) -> tuple[str, ...]:
    """Return the names of declared activities; a `ref` goes by the name it refers to."""
    return tuple(text(a.get("ref") or a.get("name")) for a in mappings(activities))


def is_inject(activity: Mapping[str, Any]) -> bool:
    """Whether an activity, as declared or as played, is one of our actions that inject a fault."""
    provider = mapping(activity.get("provider"))
    return (text(provider.get("module")), text(provider.get("func"))) in INJECT


def wants_prober(activity: Mapping[str, Any]) -> bool:
    """Whether an activity may make a pod of ours that asks in place of a workload."""
    provider = mapping(activity.get("provider"))
    given = mapping(provider.get("arguments")).get("prober", False)
    ours = text(provider.get("module")).startswith("acns_chaos.")
    return ours and str(given).lower() not in ("false", "0", "no", "")


def is_restart(activity: Mapping[str, Any]) -> bool:
    """Whether an activity is our action that restarts the pods of a workload."""
    provider = mapping(activity.get("provider"))
    return (text(provider.get("module")), text(provider.get("func"))) == RESTART


def is_restore(activity: Mapping[str, Any]) -> bool:
    """Whether an activity is our action that restores what the run changed."""
    provider = mapping(activity.get("provider"))
    return (text(provider.get("module")), text(provider.get("func"))) == RESTORE


def reference(policy: object) -> str:
    """Return "namespace/name" of a policy's reference, "name" when it has no namespace."""
    given = mapping(policy)
    name, namespace = word(given.get("name")), word(given.get("namespace"))
    return f"{namespace}/{name}" if namespace and name else name


def rules_of(policy: object) -> dict[str, Any]:
    """Return a policy's `spec` or `specs` under its name, from an object or from a bare spec."""
    given = mapping(policy)
    rules = {key: given[key] for key in ("spec", "specs") if given.get(key)}
    return rules or ({"spec": given} if not SELECTORS.isdisjoint(given) else {})


def dry_mode(value: object) -> str:
    """Return the host's dry mode as one word, "" for none.

    The host keeps an enum in memory and writes the word; some callers write "Dry.ACTIONS".
    """
    if isinstance(value, enum.Enum):
        value = value.value
    return "" if value in (None, False, "") else text(value).rpartition(".")[2].lower()


def _in_order(first: datetime | None, then: datetime | None) -> bool:
    return first is None or then is None or first <= then


def _debt(fault: Mapping[str, Any], restored: Mapping[str, Any]) -> str:
    """Say why a fault cannot be said to be restored, "" when it can."""
    if not restored:
        return "nothing says that it was put back"
    if restored.get("problem") not in (None, ""):
        return text(restored.get("problem")) or "the restore met a problem"
    if moment(restored.get("verified")) is None:
        return "the restore was not verified"
    wanted, found = fault.get("before_sha256"), restored.get("sha256")
    if fault.get("change") == "create" and fault.get("before") is None:
        # There was none before, and there is none now.
        return "" if (wanted, found) == (None, "") else "what the fault created is still there"
    if not isinstance(wanted, str) or not wanted or wanted != found:
        return "what is stored now is not shown to equal the original: the hashes differ"
    return ""
