"""What of a run is told in Grafana: its start, each fault as a region, each restore, its end.

Only values: the run as it stands is turned into what should stand in Grafana. Sending is
`annotator`. Grafana shows a text as HTML, and some panels as Markdown; every word of it that is not
ours is written with character references, which are text in both and markup in neither.
"""

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from acns_chaos.cluster.grafana import Annotation
from acns_chaos.cluster.target import Target
from acns_chaos.faults.ledger import Debt

__all__ = ["MARK", "MARK_LAB", "MOST", "Ending", "Telling", "inert", "milliseconds", "wanted"]

# What dashboards ask for. The lab's runs have a mark of their own: on a real cluster's dashboard
# they would look like outages of it.
MARK, MARK_LAB = "acns-chaos", "acns-chaos-lab"
# Faults of one run that are told.
MOST = 50
# Grafana keeps 500 characters of tags to an annotation.
_LONGEST_TAG, _LONGEST_TEXT = 80, 200
# What could begin an element, a reference, a link, code or emphasis; and what makes a bare address
# a link.
_MARKUP = re.compile(r"[^\w .,;:+/=()'?!-]|:(?=/)|www\.", re.IGNORECASE)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Ending:
    """How the run ended.

    Attributes:
        at: when, ISO 8601.
        outcome: the outcome's name.
        sentence: why.
    """

    at: str
    outcome: str
    sentence: str


@dataclass(frozen=True, slots=True)
class Telling:
    """What is the same in every annotation of a run.

    Attributes:
        run: its id.
        target: where.
        title: of the experiment.
        began: when, ISO 8601.
    """

    run: str
    target: Target
    title: str
    began: str

    def note(
        self, kind: str, time: str, sentence: str, end: str = "", outcome: str = ""
    ) -> Annotation:
        """Make an annotation; *sentence* is harmless already."""
        in_lab = self.target.kind == "lab"
        place = "LAB (simulated)" if in_lab else f"cluster {inert(self.target.context)}"
        cluster = "LAB (simulated)" if in_lab else self.target.context
        tags = [
            *(MARK_LAB if in_lab else MARK, kind, f"run:{self.run}"),
            *(f"namespace:{self.target.namespace}", f"cluster:{cluster}"),
            *([f"outcome:{outcome}"] if outcome else []),
        ]
        text = f"{place} · namespace {inert(self.target.namespace)} · {sentence}"
        ends = milliseconds(end) if end else None
        return Annotation(milliseconds(time), ends, tuple(map(_tag, tags)), text)


def wanted(
    telling: Telling,
    faults: Sequence[Debt],
    events: Iterable[Mapping[str, Any]],
    ending: Ending | None,
) -> dict[str, Annotation]:
    """Return what should stand in Grafana now, by what it is: "start", "fault f1", "restore f1".

    Args:
        telling: the run.
        faults: its debts, as far as they have come.
        events: its timeline; what the watchdog paid is read there.
        ending: how it ended, None while it goes on.
    """
    title = inert(telling.title)
    found = {"start": telling.note("start", telling.began, f"acns-chaos begins: {title}")}
    paid = _paid_by_watchdog(events)
    groups: dict[str, list[Debt]] = {}
    for debt in faults:
        # Before the server has accepted it, nobody knows whether it will stand.
        if debt.submitted and (debt.accepted or debt.restored or ending):
            groups.setdefault(debt.fault_id, []).append(debt)
    outcome = ending.outcome if ending else ""
    for name, group in list(groups.items())[:MOST]:
        found.update(_fault(telling, name, group, paid, outcome))
    if ending:
        text = f"acns-chaos ends: {inert(ending.outcome)}. {inert(ending.sentence)} ({title})"
        found["end"] = telling.note("end", ending.at, text, outcome=ending.outcome)
    return found


def _fault(
    telling: Telling, name: str, group: Sequence[Debt], paid: Mapping[str, str], outcome: str
) -> dict[str, Annotation]:
    """The region of one fault, which may be several objects, and the moment it was put back."""
    began = min(debt.submitted for debt in group)
    what = ", ".join(inert(str(debt.ref)) for debt in group[:3])
    what += f" and {len(group) - 3} more" if len(group) > 3 else ""
    sentence = f"fault {name}: {inert(group[0].operator)} on {what}"
    ends = [_ended(debt, paid) for debt in group]
    if not all(end for end, _ in ends):
        stands = "; it was not put back by this run" if outcome else ""
        return {f"fault {name}": telling.note("fault", began, sentence + stands, outcome=outcome)}
    end, by = max(ends, key=lambda one: milliseconds(one[0]))
    # What others wrote is told in whole seconds.
    end = max(end, began, key=milliseconds)
    return {
        f"fault {name}": telling.note("fault", began, sentence, end, outcome),
        f"restore {name}": telling.note("restore", end, f"fault {name} put back by {inert(by)}"),
    }


def _ended(debt: Debt, paid: Mapping[str, str]) -> tuple[str, str]:
    """When a debt was paid, and by whom; "" while it is open."""
    if debt.id in paid:
        return paid[debt.id], "the watchdog"
    restored = debt.restored or {}
    if not restored.get("verified"):
        return "", ""
    by = str(restored.get("by", ""))
    if by == "others" and _moment(restored.get("when")):
        return str(restored["when"]), f"others ({restored.get('who') or 'unknown'})"
    words = {"method": "the run", "rollback": "the run's rollbacks", "guard": "the guard"}
    return str(restored["verified"]), words.get(by, by)


def _paid_by_watchdog(events: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """When the watchdog put a fault back, which it tells the run at once, by the debt's id."""
    found: dict[str, str] = {}
    for event in events:
        match = re.fullmatch(r"fault (\S+), by the watchdog", str(event.get("detail")))
        if event.get("what") == "restore-submitted" and match and _moment(event.get("at")):
            found.setdefault(match[1], str(event["at"]))
    return found


def inert(text: str) -> str:
    """Make foreign text one line that is only text, in HTML and in Markdown.

    Args:
        text: a name or a sentence, of anybody.
    """
    return _MARKUP.sub(_references, _one_line(text, _LONGEST_TEXT))


def _references(match: re.Match[str]) -> str:
    return "".join(f"&#{ord(one)};" if not one.isalnum() else one for one in match[0])


def _one_line(text: str, longest: int) -> str:
    """Leave out what is no letter or sign, such as marks that turn the direction of writing."""
    shown = "".join(
        " " if unicodedata.category(one)[0] in "CZ" else one for one in text[: 4 * longest]
    )
    shown = " ".join(shown.split())
    return shown if len(shown) <= longest else shown[: longest - 1] + "…"


def _tag(text: str) -> str:
    return _one_line(text, _LONGEST_TAG)


def _moment(text: Any) -> datetime | None:
    try:
        found = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def milliseconds(moment: str) -> int:
    """Return a journal's moment as Grafana counts: whole milliseconds since the epoch."""
    return ((_moment(moment) or _EPOCH) - _EPOCH) // timedelta(milliseconds=1)
