"""What an operator is, and the edits it proposes: data that says where and how an object changes.

Belongs here: paths, edits, and what an operator may look at. Does not belong here: any mistake.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final

from acns_chaos.policy.endpoints import NAMESPACE_KEY, Endpoint
from acns_chaos.policy.model import ObjectRef

Raw = Mapping[str, Any]
Path = tuple[str | int, ...]

DROP: Final = object()
"""In a step: take away what is at the path."""

_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def path_text(path: Path) -> str:
    """A path for people, e.g. "spec.ingress[0].fromEndpoints[0].matchLabels[k8s:app]"."""
    text = ""
    for key in path:
        if isinstance(key, str) and _WORD.fullmatch(key):
            text += f".{key}" if text else key
        else:
            text += f"[{key}]"
    return text


def clone(value: Any) -> Any:
    """A copy of plain JSON with nothing shared."""
    if isinstance(value, Mapping):
        return {key: clone(member) for key, member in value.items()}
    if isinstance(value, list | tuple):
        return [clone(member) for member in value]
    return value


@dataclass(frozen=True, slots=True)
class Edit:
    """One way to make one object wrong.

    Attributes:
        place: where the mistake is; with `variant` it tells the edits of an operator apart.
        steps: (path, value) in order: put the value there, or take away what is there (DROP).
        variant: which of several mistakes at the same place, "" if there is but one.
        becomes: for mistakes about whole objects: what stands afterwards instead of the object,
            each under its own name; None for an edit by steps. `()` deletes it.
    """

    place: Path
    steps: tuple[tuple[Path, Any], ...] = ()
    variant: str = ""
    becomes: tuple[Raw, ...] | None = None

    @property
    def where(self) -> str:
        """The place and variant as they stand in a mutant's id."""
        return path_text(self.place) + (f"={self.variant}" if self.variant else "")

    def objects(self, policy: Raw) -> tuple[dict[str, Any], ...]:
        """What stands instead of the object, raw, with nothing shared with it."""
        if self.becomes is not None:
            return tuple(clone(obj) for obj in self.becomes)
        changed: dict[str, Any] = clone(policy)
        for path, value in self.steps:
            _put(changed, path, value)
        return (changed,)


def _put(obj: Any, path: Path, value: Any) -> None:
    *way, last = path
    for key in way:
        obj = obj[key]
    if value is DROP:
        del obj[last]
    elif isinstance(obj, list) and last == len(obj):
        obj.append(clone(value))
    else:
        obj[last] = clone(value)


@dataclass(frozen=True)
class Surroundings:
    """What else is live: mistakes are made with what lies at hand.

    Attributes:
        policies: raw objects, the mutated one among them or not.
        endpoints: pods.
        services: raw Service objects.
    """

    policies: tuple[Raw, ...] = ()
    endpoints: tuple[Endpoint, ...] = ()
    services: tuple[Raw, ...] = ()

    @cached_property
    def _values(self) -> dict[tuple[str, str], tuple[str, ...]]:
        """(namespace, label key) to the values that pods have there."""
        found: dict[tuple[str, str], set[str]] = {}
        for endpoint in self.endpoints:
            for label in endpoint.labels:
                source, _, rest = label.partition(":")
                key, _, value = rest.partition("=")
                if source == "k8s" and endpoint.namespace and value:
                    found.setdefault((endpoint.namespace, key), set()).add(value)
        return {key: tuple(sorted(values)) for key, values in found.items()}

    def another_value(self, namespace: str, key: str, value: str) -> str:
        """The label value of another workload: the next one in the alphabet; "" if there is none.

        Args:
            namespace: of the pods.
            key: of the label, without a source.
            value: the right one.
        """
        others = [v for v in self._values.get((namespace, key), ()) if v != value]
        if not others or key == NAMESPACE_KEY:
            return ""
        return next((v for v in others if v > value), others[0])

    @cached_property
    def _service_ports(self) -> dict[str, tuple[int, ...]]:
        """Target port (number or name) to the ports that services map to it."""
        found: dict[str, set[int]] = {}
        for service in self.services:
            for port in (service.get("spec") or {}).get("ports") or ():
                number = port.get("port")
                target = str(port.get("targetPort") or number)
                if isinstance(number, int) and target != str(number):
                    for name in (target, *self._numbers(target)):
                        found.setdefault(name, set()).add(number)
        return {target: tuple(sorted(numbers)) for target, numbers in found.items()}

    def _numbers(self, name: str) -> Iterable[str]:
        return (str(n) for e in self.endpoints for p, n, _ in e.named_ports if p == name.lower())

    def service_ports(self, target: str) -> tuple[int, ...]:
        """The service ports that lead to a container port and have another number.

        Args:
            target: number or name of the container port.
        """
        return self._service_ports.get(target, ())


Function = Callable[[Raw, Surroundings], Iterator[Edit]]


@dataclass(frozen=True, slots=True)
class Operator:
    """One kind of mistake.

    Attributes:
        name: its name in experiments, kebab-case, for good.
        family: what it is about: "peers", "ports", "dns" and so on.
        summary: the mistake it imitates, one sentence on one line.
        function: (raw policy, surroundings) → the edits, one for every place it applies at.
        native: it applies to Kubernetes' NetworkPolicy too.
    """

    name: str
    family: str
    summary: str
    function: Function
    native: bool = False

    def edits(self, policy: Raw, around: Surroundings) -> list[tuple[Edit, tuple[Raw, ...]]]:
        """Every edit that changes the object, with what stands afterwards.

        Args:
            policy: a raw object that agents import; it is not changed.
            around: what else is live.
        """
        if policy.get("kind") == "NetworkPolicy" and not self.native:
            return []
        found = ((edit, edit.objects(policy)) for edit in self.function(policy, around))
        return [(edit, objects) for edit, objects in found if objects != (policy,)]


@dataclass(frozen=True, slots=True)
class Family:
    """Collects the operators of one family, in the order in which they are written."""

    name: str
    operators: list[Operator] = field(default_factory=list)

    def operator(
        self, name: str, summary: str, *, native: bool = False
    ) -> Callable[[Function], Function]:
        """Register a function as an operator; arguments as the attributes of `Operator`."""

        def register(function: Function) -> Function:
            self.operators.append(Operator(name, self.name, summary, function, native))
            return function

        return register


def namespace_of(policy: Raw) -> str:
    """The namespace of a policy object, "" for a clusterwide one."""
    return ObjectRef.of(policy).namespace
