"""What a namespace allows: the ConfigMap `acns-chaos-allowed`, with which it opts in.

An empty one allows everything of this package; its keys narrow that:

| key | holds | example |
| --- | --- | --- |
| `policies` | names that may be changed, with `*`, one per line | `allow-store-front-*` |
| `kinds` | kinds that may be changed, one per line; `Pod` for probers | `CiliumNetworkPolicy` |
| `max-deadline-seconds` | how long a fault may stand at most | `120` |
| `blackout` | when nothing may be changed, one window per line, UTC | `Mon-Fri 07:00-18:00` |

A lab has opted in by being one. Reading and judging belong here; who asks is `faults.interlock`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from fnmatch import fnmatchcase

from acns_chaos.cluster.kube import Api
from acns_chaos.cluster.policies import KINDS, POD, PolicyRef
from acns_chaos.cluster.target import Target
from acns_chaos.errors import NotFound, TargetRefused

__all__ = ["ALLOWED", "Allowed", "read_allowed"]

ALLOWED = "acns-chaos-allowed"
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_WINDOW = re.compile(
    r"(?:(?P<first>[A-Z][a-z]{2})(?:-(?P<last>[A-Z][a-z]{2}))?\s+)?"
    r"(?P<from>(?:[01]\d|2[0-3]):[0-5]\d)-(?P<to>(?:[01]\d|2[0-3]):[0-5]\d)"
)
_KEYS = ("policies", "kinds", "max-deadline-seconds", "blackout")


@dataclass(frozen=True, slots=True)
class Window:
    """A time of the week; one that ends before it begins goes on past midnight.

    Attributes:
        days: numbers, Monday is 0.
        start, end: minutes after midnight, UTC.
        text: as written.
    """

    days: frozenset[int]
    start: int
    end: int
    text: str

    def holds(self, moment: datetime) -> bool:
        """Whether a moment (UTC) lies in it."""
        minute = moment.hour * 60 + moment.minute
        if self.start <= self.end:
            return moment.weekday() in self.days and self.start <= minute < self.end
        yesterday = (moment.weekday() - 1) % 7
        return (moment.weekday() in self.days and minute >= self.start) or (
            yesterday in self.days and minute < self.end
        )


@dataclass(frozen=True, slots=True)
class Allowed:
    """What may be changed; the default is everything, at any time.

    Attributes:
        policies: patterns of names; empty means any.
        kinds: empty means any.
        deadline: seconds a fault may stand at most; 0 means any.
        blackout: when nothing may be changed.
    """

    policies: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    deadline: float = 0.0
    blackout: tuple[Window, ...] = ()

    def refused_now(self, moment: datetime) -> str:
        """Say why nothing may be changed at a moment (UTC), "" when it may."""
        for window in self.blackout:
            if window.holds(moment):
                return (
                    f"It is {moment:%a %H:%M} UTC, in the blackout {window.text!r} of ConfigMap "
                    f"{ALLOWED}: run it at another time."
                )
        return ""

    def refused(self, ref: PolicyRef, deadline: float) -> str:
        """Say why a policy may not be changed for so many seconds, "" when it may."""
        if self.kinds and ref.kind not in self.kinds:
            return f"ConfigMap {ALLOWED} allows {', '.join(self.kinds)} only, not {ref.kind}."
        if (
            ref.kind != POD
            and self.policies
            and not any(fnmatchcase(ref.name, one) for one in self.policies)
        ):
            return f"ConfigMap {ALLOWED} allows {', '.join(self.policies)} only, not {ref.name}."
        if self.deadline and deadline > self.deadline:
            return (
                f"ConfigMap {ALLOWED} lets a fault stand for {self.deadline:g} s at most, and this "
                f"one may stand {deadline:g} s: shorten `fault_deadline`."
            )
        return ""


def read_allowed(api: Api, target: Target) -> Allowed:
    """Read what a namespace allows.

    Raises:
        TargetRefused: a real namespace has not opted in, or what it wrote cannot be understood.
        ApiError: it cannot be read.
    """
    where = f"/api/v1/namespaces/{target.namespace}/configmaps/{ALLOWED}"
    try:
        data = api.get(where).get("data") or {}
    except NotFound as error:
        if target.kind == "lab":
            return Allowed()
        raise TargetRefused(
            f"Namespace {target.namespace} {target.label} has not opted in: whoever owns it allows "
            f"faults with `kubectl create configmap {ALLOWED} -n {target.namespace}`."
        ) from error
    return _parsed(data)


def _parsed(data: Mapping[str, str]) -> Allowed:
    unknown = sorted(set(data) - set(_KEYS))
    if unknown:
        raise TargetRefused(
            f"ConfigMap {ALLOWED} has the unknown key {unknown[0]!r}: it knows {', '.join(_KEYS)}."
        )
    kinds = _lines(data.get("kinds", ""))
    for kind in kinds:
        if kind not in (*KINDS, POD):
            raise TargetRefused(f"ConfigMap {ALLOWED} names no policy kind with {kind!r}.")
    text = data.get("max-deadline-seconds", "").strip()
    if text and not re.fullmatch(r"\d{1,6}", text):
        raise TargetRefused(
            f"ConfigMap {ALLOWED} has max-deadline-seconds {text!r}: write a whole number."
        )
    return Allowed(
        policies=_lines(data.get("policies", "")),
        kinds=kinds,
        deadline=float(text or 0),
        blackout=tuple(_window(line) for line in _lines(data.get("blackout", ""))),
    )


def _lines(text: str) -> tuple[str, ...]:
    return tuple(line.strip() for line in text.splitlines() if line.strip())


def _window(text: str) -> Window:
    found = _WINDOW.fullmatch(text)
    first, last = (found["first"], found["last"]) if found else (None, None)
    known = all(day is None or day in _DAYS for day in (first, last))
    if found is None or not known:
        raise TargetRefused(
            f"ConfigMap {ALLOWED} has the blackout {text!r}: write it as 'Mon-Fri 07:00-18:00' or "
            "'22:00-06:00', in UTC."
        )
    start, end = (int(part[:2]) * 60 + int(part[3:]) for part in (found["from"], found["to"]))
    if first is None:
        days = frozenset(range(7))
    else:
        a, b = _DAYS.index(first), _DAYS.index(last or first)
        days = frozenset((a + step) % 7 for step in range((b - a) % 7 + 1))
    return Window(days, start, end, text)
