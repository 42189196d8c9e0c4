"""The cells in which two matrices differ.

Belongs here: lines of changed cells, counted and made into flows. Does not belong here: finding
them (`matrix`).
"""

from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import compress
from typing import NamedTuple

from acns_chaos.policy.endpoints import Endpoint
from acns_chaos.policy.matrix_population import flags
from acns_chaos.policy.model import Flow


class Line(NamedTuple):
    """The cells of one subject on one port, before and after.

    Attributes:
        port: its place among the asked ports.
        subject: its place among the identities.
        receiving: the subject is the destination of these cells, not their source.
        opened: the peers with whom it was denied and now passes, as a bitset.
        closed: those with whom it passed and is now denied.
    """

    port: int
    subject: int
    receiving: bool
    opened: int
    closed: int


class MatrixDelta:
    """The flows whose verdict differs between two matrices of the same cells.

    `opened` and `closed` are those of `diff.Delta` over all flows of the matrices, in their order.
    Counting needs no flow objects; they are made when `opened` or `closed` is first asked for.

    Args:
        identities: of the matrices.
        ports: of the matrices.
        lines: what differs; no cell is on two of them.
    """

    def __init__(
        self,
        identities: Sequence[Endpoint],
        ports: Sequence[tuple[int, str]],
        lines: Sequence[Line],
    ) -> None:
        self._identities = identities
        self._ports = ports
        self._lines = lines
        self.opened_count = sum(line.opened.bit_count() for line in lines)
        """How many flows were denied before and pass after."""
        self.closed_count = sum(line.closed.bit_count() for line in lines)
        """How many flows passed before and are denied after."""

    @property
    def empty(self) -> bool:
        """No verdict differs."""
        return not self.opened_count and not self.closed_count

    @cached_property
    def opened(self) -> tuple[Flow, ...]:
        """Denied before, allowed after; by source, destination and port."""
        return self._flows([(line, line.opened) for line in self._lines if line.opened])

    @cached_property
    def closed(self) -> tuple[Flow, ...]:
        """Allowed before, denied after; by source, destination and port."""
        return self._flows([(line, line.closed) for line in self._lines if line.closed])

    def _flows(self, changed: Sequence[tuple[Line, int]]) -> tuple[Flow, ...]:
        who, size, ports = self._identities, len(self._identities), len(self._ports)
        cells: list[int] = []
        for line, peers in changed:
            cells += self._cells(line, peers)
        cells.sort()
        sources = [who[cell // ports // size] for cell in cells]
        destinations = [who[cell // ports % size] for cell in cells]
        asked = [self._ports[cell % ports] for cell in cells]
        numbers, protocols = zip(*asked, strict=True) if asked else ((), ())
        return tuple(map(Flow, sources, destinations, numbers, protocols))

    def _cells(self, line: Line, peers: int) -> Iterator[int]:
        """The places of a line's cells in the list of all, by source, destination and port."""
        size, ports = len(self._identities), len(self._ports)
        source, destination = size * ports, ports
        along, other = (destination, source) if line.receiving else (source, destination)
        start = line.subject * along + line.port
        return compress(range(start, start + size * other, other), flags(peers, size))
