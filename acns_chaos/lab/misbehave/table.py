"""What misbehaves at the moment, and what did: one entry for each order, with its strikes.

Entries end by themselves (time or count) or are cleared. How a strike looks is not known here.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

from acns_chaos.lab.api.kinds.objects import now
from acns_chaos.lab.misbehave.orders import Misused, Order
from acns_chaos.lab.misbehave.selection import Facts

_REMEMBERED = 50
_NOTES = 10
_ENOUGH = "it struck as often as it should"
_HOLDING = frozenset({"hang", "hang-after", "slow"})


def _about(order: Order) -> tuple[object, ...]:
    """What of the network an order is about: two orders cannot both undo it."""
    kind = "frozen-agent" if order.kind.name == "partial-enforcement" else order.kind.name
    return kind, order.options.get("node"), order.options.get("family")


class Entry:
    """One misbehaviour.

    Attributes:
        number: names it.
        order: what was asked for.
        struck: how often it has struck.
        holding: how many clients it keeps waiting.
        over: set when clients that are kept waiting must not wait any longer.
        undo: called when it ends.
    """

    def __init__(self, number: int, order: Order) -> None:
        self.number = number
        self.order = order
        self.struck = 0
        self.holding = 0
        self.ended = ""
        self.over = asyncio.Event()
        self.undo: Callable[[], None] = lambda: None
        self._since = now()
        self._matched = 0
        self._notes: deque[str] = deque(maxlen=_NOTES)

    @property
    def exhausted(self) -> bool:
        """Whether it has struck as often as it should."""
        return self.order.count is not None and self.struck >= self.order.count

    @property
    def holds(self) -> bool:
        """Whether it goes on with the clients that it has struck."""
        return self.order.kind.family == "watch" or self.order.kind.name in _HOLDING

    def takes(self, facts: Facts) -> bool:
        """Whether a request is one to strike; counts those that are chosen."""
        selection = self.order.selection
        if self.exhausted or selection is None or not selection.chooses(facts):
            return False
        self._matched += 1
        return self._matched >= selection.nth

    def note(self, text: str) -> None:
        """Keep a sentence about what happened; only the newest few are kept."""
        self._notes.append(text)

    def as_json(self) -> dict[str, Any]:
        """What status shows."""
        order = self.order
        return {
            "id": str(self.number),
            "kind": order.kind.name,
            "options": {key: value for key, value in order.options.items() if value is not None},
            "selection": order.selection.as_json() if order.selection else None,
            "for": order.seconds,
            "count": order.count,
            "since": self._since,
            "struck": self.struck,
            "notes": list(self._notes),
            "ended": self.ended,
        }


class Table:
    """All misbehaviour of one lab."""

    def __init__(self) -> None:
        self._numbers = count(1)
        self._entries: dict[int, Entry] = {}
        self._ended: deque[Entry] = deque(maxlen=_REMEMBERED)

    def __bool__(self) -> bool:
        return bool(self._entries)

    def __iter__(self) -> Iterator[Entry]:
        return iter(list(self._entries.values()))

    def ended(self) -> list[Entry]:
        """Those that are over, oldest first; only the newest are remembered."""
        return list(self._ended)

    def add(self, order: Order) -> Entry:
        """Begin a misbehaviour.

        Raises:
            Misused: the same is going on already, and two of them cannot be told apart.
        """
        for other in self:
            if order.kind.family == "part" and _about(other.order) == _about(order):
                raise Misused(
                    f"{other.order.kind.name} is on already as {other.number}: clear that first."
                )
        entry = Entry(next(self._numbers), order)
        self._entries[entry.number] = entry
        if order.seconds is not None:
            loop = asyncio.get_running_loop()
            loop.call_later(order.seconds, self.end, entry, "its time was up")
        return entry

    def chosen(self, families: frozenset[str], facts: Facts) -> Entry | None:
        """The oldest misbehaviour of some families that a request is to meet."""
        for entry in self._entries.values():
            if entry.order.kind.family in families and entry.takes(facts):
                return entry
        return None

    def strike(self, entry: Entry, note: str = "") -> None:
        """Count a strike; the last one ends the entry, though not what it still holds up."""
        entry.struck += 1
        if note:
            entry.note(note)
        if entry.exhausted and not entry.holds:
            self.end(entry, _ENOUGH)

    def let_go(self, entry: Entry) -> None:
        """One client less waits; an entry that may not strike again ends with the last one."""
        entry.holding -= 1
        if entry.exhausted and not entry.holding:
            self.end(entry, _ENOUGH)

    def end(self, entry: Entry, why: str) -> None:
        """End a misbehaviour and let go of everything it holds; once."""
        if self._entries.pop(entry.number, None) is None:
            return
        entry.ended = why
        self._ended.append(entry)
        entry.over.set()
        entry.undo()

    def forget(self, entry: Entry) -> None:
        """Take an entry out that never began."""
        self._entries.pop(entry.number, None)

    def find(self, number: str) -> Entry:
        """One that is going on.

        Raises:
            Misused: there is none of that number.
        """
        for entry in self:
            if str(entry.number) == number:
                return entry
        there = ", ".join(str(entry.number) for entry in self) or "none"
        raise Misused(f"No misbehaviour {number!r} is going on: there is {there}.")
