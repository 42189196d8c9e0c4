"""The planes of a matrix: for each port all cells, and both ways to read across them.

Belongs here: keeping planes in step with the subjects, lazily after a change. Does not belong
here: how a cell is written (`matrix_cells`), what the subjects say (`matrix_subjects`).
"""

from collections.abc import Mapping, Sequence
from copy import copy

from acns_chaos.policy.matrix_cells import patched, plane, receivers_open, senders_open
from acns_chaos.policy.matrix_subjects import Subjects
from acns_chaos.policy.model import EGRESS, INGRESS

Places = Mapping[str, frozenset[int]]
_NOTHING: Places = {EGRESS: frozenset(), INGRESS: frozenset()}


class Planes:
    """The cells of all ports.

    Args:
        subjects: whose judgements the cells show.
        ports: how many ports there are.
        size: how many identities there are.
    """

    def __init__(self, subjects: Subjects, ports: int, size: int) -> None:
        self._subjects = subjects
        self._size = size
        self._cells = [self._laid_out(port) for port in range(ports)]
        # By port: the subjects whose cells are out of date.
        self._stale: list[Places] = [_NOTHING] * ports
        # What was read across, by direction, place and port: bitsets of peers.
        self._read: dict[tuple[str, int, int], int] = {}

    def after(self, subjects: Subjects, moved: Sequence[Mapping[str, Sequence[int]]]) -> "Planes":
        """The planes of changed subjects; each is mended when it is first read.

        Args:
            subjects: after the change.
            moved: for each port, by direction, the places of those who judge otherwise.
        """
        stale = [
            {way: known[way].union(more) for way, more in places.items()}
            for known, places in zip(self._stale, moved, strict=True)
        ]
        other = copy(self)
        vars(other).update(_subjects=subjects, _cells=list(self._cells), _stale=stale, _read={})
        return other

    def plane(self, port: int) -> bytes:
        """All cells of a port: a byte for each, source after source."""
        stale = self._stale[port]
        if 2 * sum(map(len, stale.values())) > self._size:
            self._cells[port] = self._laid_out(port)
        elif any(stale.values()):
            egress, ingress = (
                {place: self._subjects.row(way, place, port) for place in stale[way]}
                for way in (EGRESS, INGRESS)
            )
            self._cells[port] = patched(self._cells[port], self._size, egress, ingress)
        self._stale[port] = _NOTHING
        return self._cells[port]

    def across(self, direction: str, place: int, port: int) -> int:
        """The peers whose own side lets them talk with a subject, as a bitset.

        Args:
            direction: "egress": the subject sends, and its peers receive.
            place: of the subject.
            port: place of the port.
        """
        key = (direction, place, port)
        known = self._read.get(key)
        if known is None:
            read = receivers_open if direction == EGRESS else senders_open
            known = self._read[key] = read(self.plane(port), self._size, place)
        return known

    def _laid_out(self, port: int) -> bytes:
        return plane(self._subjects.rows(EGRESS, port), self._subjects.rows(INGRESS, port))
