"""What is found in an experiment, and the experiment as the rules look at it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

__all__ = ["ERROR", "WARNING", "Activity", "Finding", "Subject", "mapping", "mappings", "numbered"]

# It does not do what it says, or leaves something behind.
ERROR = "error"
# It works, and is likely not what was meant.
WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing to mend.

    Attributes:
        level: ERROR or WARNING.
        rule: a short name that never changes, such as "rollbacks-not-always".
        where: the place in the document, as "method[2].provider.arguments".
        sentence: what is wrong and why it matters.
        mend: what to write instead.
    """

    level: str
    rule: str
    where: str
    sentence: str
    mend: str

    def as_json(self) -> dict[str, str]:
        """Return the form of `--json`."""
        return {
            "level": self.level,
            "rule": self.rule,
            "where": self.where,
            "sentence": self.sentence,
            "mend": self.mend,
        }


@dataclass(frozen=True, slots=True)
class Activity:
    """One activity and where it stands.

    Attributes:
        phase: "hypothesis", "method" or "rollbacks".
        where: as `Finding.where`.
        raw: as written; of a `ref` what it refers to.
        ref: the name that it refers to, "" for what stands there itself.
    """

    phase: str
    where: str
    raw: Mapping[str, Any]
    ref: str = ""

    @property
    def name(self) -> str:
        """What it is called."""
        return str(self.raw.get("name") or "")

    @property
    def kind(self) -> str:
        """`probe` or `action`."""
        return str(self.raw.get("type") or "")

    @property
    def provider(self) -> Mapping[str, Any]:
        """Who does it; empty for a `ref`."""
        return mapping(self.raw.get("provider"))

    @property
    def module(self) -> str:
        """The Python module, "" for another provider."""
        return str(self.provider.get("module") or "")

    @property
    def function(self) -> str:
        """The Python function, "" for another provider."""
        return str(self.provider.get("func") or "")

    @property
    def arguments(self) -> Mapping[str, Any]:
        """What it is called with."""
        return mapping(self.provider.get("arguments"))

    def does(self, function: str) -> bool:
        """Whether it is our action of that name."""
        return (self.module, self.function) == ("acns_chaos.actions", function)


class Subject:
    """An experiment, read for the rules: every part of it that has the wrong type counts as absent.

    Args:
        document: as loaded.
        given: names that the user means to set with `--var`.
    """

    def __init__(self, document: Mapping[str, Any], given: tuple[str, ...] = ()) -> None:
        self.document = document
        self.given = given
        self.configuration = mapping(document.get("configuration"))
        self.secrets = mapping(document.get("secrets"))
        self.runtime = mapping(document.get("runtime"))
        self.hypothesis = mapping(document.get("steady-state-hypothesis"))
        self.controls = mappings(document.get("controls"))

    @cached_property
    def activities(self) -> tuple[Activity, ...]:
        """Every activity, in the order in which the host plays them."""
        return tuple(self._activities())

    def _activities(self) -> Iterator[Activity]:
        parts = (
            ("hypothesis", "steady-state-hypothesis.probes", self.hypothesis.get("probes")),
            ("method", "method", self.document.get("method")),
            ("rollbacks", "rollbacks", self.document.get("rollbacks")),
        )
        # As the host looks them up: of two with one name the first.
        named: dict[str, Mapping[str, Any]] = {}
        for _, _, listed in parts:
            for raw in mappings(listed):
                named.setdefault(str(raw.get("name") or ""), raw)
        for phase, where, listed in parts:
            for number, raw in numbered(listed):
                ref = str(raw.get("ref") or "")
                there = named.get(ref, {}) if ref else raw
                yield Activity(phase, f"{where}[{number}]", there, ref)

    def of(self, phase: str) -> tuple[Activity, ...]:
        """The activities of one phase."""
        return tuple(one for one in self.activities if one.phase == phase)

    @cached_property
    def injects(self) -> tuple[Activity, ...]:
        """The activities that inject a fault."""
        return tuple(one for one in self.activities if one.does("inject_fault"))

    @cached_property
    def extension(self) -> Mapping[str, Any]:
        """Our own block of `extensions`; empty when there is none."""
        blocks = mappings(self.document.get("extensions"))
        return next((one for one in blocks if one.get("name") == "acns-chaos"), {})


def mapping(value: Any) -> Mapping[str, Any]:
    """*value* if it is an object, else an empty one."""
    return value if isinstance(value, Mapping) else {}


def numbered(value: Any) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """The objects of a list with their places in it; nothing for anything else."""
    for number, one in enumerate(value if isinstance(value, list) else ()):
        if isinstance(one, Mapping):
            yield number, one


def mappings(value: Any) -> tuple[Mapping[str, Any], ...]:
    """The objects of a list, () for anything else."""
    return tuple(one for _, one in numbered(value))
