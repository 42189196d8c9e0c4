"""A bounded memory of events, read by position while it is written.

The newest entry is never readable: Hubble's writer and readers share no lock, so an entry counts as
written only when the next one has come. Old entries are overwritten without a word. What the
entries mean is not known here.
"""

from dataclasses import dataclass

FLOW, LOST, OTHER = "flow", "lost", "other"


@dataclass(frozen=True, slots=True)
class Entry:
    """One event.

    Attributes:
        at: nanoseconds since 1970; no entry is older than the one before it.
        kind: FLOW, LOST or OTHER (an event that is no flow, and that a relay does not hand on).
        data: the message, serialised; a fifth of the memory that the message itself takes.
    """

    at: int
    kind: str
    data: bytes = b""


class Ring:
    """The memory of one node.

    Args:
        capacity: how many entries can be read at most.

    Attributes:
        written: how many entries ever came.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.written = 0
        self._entries: list[Entry | None] = [None] * (capacity + 1)

    def __len__(self) -> int:
        """How many entries it holds, as Hubble counts them."""
        return min(self.written, self.capacity)

    @property
    def oldest(self) -> int:
        """The first position that can still be read."""
        return max(0, self.written - 1 - self.capacity)

    @property
    def end(self) -> int:
        """One more than the last position that can be read already."""
        return max(0, self.written - 1)

    def write(self, entry: Entry) -> None:
        """Add an entry, over the oldest one when it is full."""
        self._entries[self.written % len(self._entries)] = entry
        self.written += 1

    def read(self, position: int) -> Entry:
        """The entry at a position between `oldest` and `end`.

        Raises:
            LookupError: it cannot be read yet, or no longer.
        """
        entry = self._entries[position % len(self._entries)]
        if entry is None or not self.oldest <= position < self.end:
            raise LookupError(position)
        return entry
