"""Many identities at once: who meets a condition, as one number with a bit for each.

Belongs here: bitsets and the index from labels to them. Does not belong here: what a condition
means (`selectors`), what a peer is (`peers`).
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import compress

from acns_chaos.policy.endpoints import Endpoint
from acns_chaos.policy.selectors import Requirement, split_label

_FLAGS = bytes.maketrans(b"01", b"\x00\x01")


class Population:
    """Identities in an order; the first has the highest bit, so that a bitset reads like a list.

    Args:
        labels: of each identity.
        outside: the members that address-based conditions can concern, by their place.

    Attributes:
        size: how many there are.
        everyone: the bitset of all.
        inside: the bitset of those who are not outside.
    """

    def __init__(
        self, labels: Sequence[frozenset[str]], outside: Mapping[int, Endpoint] | None = None
    ) -> None:
        self.size = len(labels)
        self.everyone = (1 << self.size) - 1
        self._outside = [(self.bit(place), peer) for place, peer in (outside or {}).items()]
        self.inside = self.everyone
        for bit, _ in self._outside:
            self.inside ^= bit
        places: dict[str, list[int]] = {}
        for place, known in enumerate(labels):
            for label in known:
                places.setdefault(label, []).append(place)
        # By key and value: who has such a label, by its source.
        self._index: dict[str, dict[str, list[tuple[str, int]]]] = {}
        for label, members in places.items():
            source, key, value = split_label(label)
            holders = self._index.setdefault(key, {}).setdefault(value, [])
            holders.append((source, self.bits(members)))
        self._having: dict[Requirement, int] = {}
        self._meeting: dict[tuple[Requirement, ...], int] = {}

    def bit(self, place: int) -> int:
        """The bitset of one member."""
        return 1 << (self.size - 1 - place)

    def bits(self, places: Iterable[int]) -> int:
        """The bitset of some members."""
        places = list(places)
        if len(places) < 2:
            return self.bit(places[0]) if places else 0
        row = bytearray(b"0") * self.size
        for place in places:
            row[place] = 49
        return int(row, 2)

    def places(self, bits: int) -> Iterable[int]:
        """The members of a bitset, in order."""
        return compress(range(self.size), flags(bits, self.size)) if bits else ()

    def having(self, requirement: Requirement) -> int:
        """Who meets one condition."""
        known = self._having.get(requirement)
        if known is None:
            values = self._index.get(requirement.key, {})
            # The index only narrows down the labels; whether one counts, the condition says.
            candidates = values if requirement.any_value else requirement.values
            known = 0
            for value in candidates:
                for source, bits in values.get(value, ()):
                    if requirement.meets(source, value):
                        known |= bits
            if requirement.negative:
                known ^= self.everyone
            self._having[requirement] = known
        return known

    def meeting(self, requirements: tuple[Requirement, ...]) -> int:
        """Who meets all conditions."""
        known = self._meeting.get(requirements)
        if known is None:
            known = self.everyone
            for requirement in requirements:
                known &= self.having(requirement)
            self._meeting[requirements] = known
        return known

    def outside_where(self, selects: Callable[[Endpoint], bool]) -> int:
        """Which of the outside members a test selects."""
        found = 0
        for bit, peer in self._outside:
            if selects(peer):
                found |= bit
        return found


def flags(bits: int, size: int) -> bytes:
    """A bitset as a row: for each member 1 or 0.

    Args:
        bits: the bitset.
        size: how many members there are.
    """
    return f"{bits:0{size}b}".encode().translate(_FLAGS)
