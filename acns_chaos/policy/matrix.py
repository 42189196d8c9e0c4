"""Every pair of identities on every asked port, judged at once.

Belongs here: grouping endpoints into identities, gathering each subject's rules, and following a
change of one policy. Does not belong here: what rules mean; that is compiled once, for `Engine`
and for this. Layers 3 and 4 only: a matrix does not judge requests, and gives no reasons; ask
`matrix.engine` for those.

How it is fast: who meets a condition is one number with a bit for each identity, found through
an index from labels to such numbers. A subject's rules add up to two of them for each port.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from copy import copy
from itertools import compress
from typing import Any, Self

from acns_chaos.errors import PolicyError
from acns_chaos.policy.endpoints import Endpoint
from acns_chaos.policy.matrix_cells import CELLS, OPEN, Cell
from acns_chaos.policy.matrix_delta import Line, MatrixDelta
from acns_chaos.policy.matrix_planes import Planes
from acns_chaos.policy.matrix_subjects import Subjects
from acns_chaos.policy.model import ALLOWED, EGRESS, INGRESS, Flow, ObjectRef
from acns_chaos.policy.peers import is_outside
from acns_chaos.policy.ports import port_number
from acns_chaos.policy.verdict import Engine


class Matrix:
    """The two-sided verdicts between all identities of a cluster, materialised.

    Endpoints that no policy can tell apart (equal labels and port names; for outside addresses
    also address and names) are one identity, and the first of them stands for all. A cell is a
    source, a destination, and a port with its protocol. The cell of an identity with itself is
    about two of its replicas.

    Args:
        engine: the policies and the cluster.
        endpoints: who to judge.
        ports: what to ask: (destination port, protocol); for ICMP (type or None for an echo
            request, protocol).

    Attributes:
        engine: as given.
        identities: one endpoint for each identity, in the order given.
        ports: (number, protocol) as asked; the number is the type for ICMP.
        subjects: which rules bind each identity, and what they come to.
        planes: the cells.

    Raises:
        PolicyError: a protocol is not known, or a port is none.
    """

    def __init__(
        self,
        engine: Engine,
        endpoints: Iterable[Endpoint],
        ports: Iterable[tuple[int | None, str]],
    ) -> None:
        self.engine = engine
        self.ports = tuple(dict.fromkeys(_asked(*port) for port in ports))
        self._port_places = {asked: place for place, asked in enumerate(self.ports)}
        self._places: dict[Endpoint, int] = {}
        known: dict[object, int] = {}
        first: list[Endpoint] = []
        for endpoint in endpoints:
            place = known.setdefault(_identity(engine, endpoint), len(first))
            if place == len(first):
                first.append(endpoint)
            self._places[endpoint] = place
        self.identities = tuple(first)
        self._size = len(first)
        self.subjects = Subjects(engine, self.identities, self.ports)
        self.planes = Planes(self.subjects, len(self.ports), self._size)

    def __len__(self) -> int:
        """How many cells, so verdicts, there are."""
        return self._size * self._size * len(self.ports)

    def verdict(
        self, source: Endpoint, destination: Endpoint, port: int | None, protocol: str = "TCP"
    ) -> Cell:
        """One cell.

        Args:
            source: who opens the connection; any endpoint of the matrix.
            destination: who is asked.
            port: destination port; ICMP type, or None for an echo request.
            protocol: of the flow.

        Raises:
            PolicyError: the matrix has no such endpoint, or was not asked for this port.
        """
        cell = self._place(source) * self._size + self._place(destination)
        return CELLS[self.planes.plane(self._port(port, protocol))[cell]]

    def row(self, source: Endpoint, port: int | None, protocol: str = "TCP") -> bytes:
        """The cells of a source on one port: a byte for each of `identities` as destination.

        `matrix_cells.CELLS[byte]` says what a byte means.

        Args:
            source: who opens the connection.
            port: destination port, or ICMP type.
            protocol: of the flows.

        Raises:
            PolicyError: the matrix has no such endpoint, or was not asked for this port.
        """
        start = self._place(source) * self._size
        return self.planes.plane(self._port(port, protocol))[start : start + self._size]

    def allowed(
        self, port: int | None, protocol: str = "TCP"
    ) -> Iterator[tuple[Endpoint, Endpoint]]:
        """The pairs (source, destination) that may talk on a port, source by source.

        Args:
            port: destination port, or ICMP type.
            protocol: of the flows.

        Raises:
            PolicyError: the matrix was not asked for this port.
        """
        return self._allowed(self.planes.plane(self._port(port, protocol)))

    def _allowed(self, cells: bytes) -> Iterator[tuple[Endpoint, Endpoint]]:
        for place, source in enumerate(self.identities):
            row = cells[place * self._size : (place + 1) * self._size]
            for destination in compress(self.identities, row.translate(OPEN)):
                yield source, destination

    def flows(self) -> Iterator[Flow]:
        """Every cell as a flow: by source, destination and port."""
        for source in self.identities:
            for destination in self.identities:
                for port, protocol in self.ports:
                    yield Flow(source, destination, port, protocol)

    def count(self) -> Mapping[str, int]:
        """How many cells are "ALLOWED", and how many are dropped for each reason."""
        found = Counter({ALLOWED: 0})
        for port in range(len(self.ports)):
            cells = self.planes.plane(port)
            for code, cell in enumerate(CELLS):
                found[cell.drop_reason or ALLOWED] += cells.count(code)
        return found

    def with_policy(self, policy: Mapping[str, Any]) -> Self:
        """The matrix after this object was written; only its subjects are judged anew.

        Args:
            policy: a raw object, as for `Engine.with_policy`.

        Raises:
            PolicyError: the object is no policy.
        """
        return self._after(self.engine.with_policy(policy), ObjectRef.of(policy))

    def without_policy(self, ref: ObjectRef) -> Self:
        """The matrix after this object was deleted; only its subjects are judged anew.

        Args:
            ref: the object.

        Raises:
            PolicyError: there is no such object.
        """
        return self._after(self.engine.without_policy(ref), ref)

    def delta(self, other: "Matrix") -> MatrixDelta:
        """What opens and closes on the way from this matrix to another of the same cells.

        Args:
            other: the matrix after the change; cheapest when made by `with_policy`.

        Raises:
            PolicyError: the other has other identities or ports.
        """
        if self.identities != other.identities or self.ports != other.ports:
            raise PolicyError(
                "Two matrices of different identities or ports cannot be compared; "
                "make both from the same endpoints and ports."
            )
        lines: list[Line] = []
        for port, moved in enumerate(self.subjects.moved(other.subjects)):
            senders = self._lines(other, EGRESS, moved, port)
            receivers = self._lines(other, INGRESS, moved, port)
            lines += senders
            if senders:
                # Cells of two changed subjects are on the sender's line already.
                elsewhere = ~self.subjects.bits(line.subject for line in senders)
                receivers = [
                    line._replace(opened=line.opened & elsewhere, closed=line.closed & elsewhere)
                    for line in receivers
                ]
            lines += receivers
        return MatrixDelta(self.identities, self.ports, lines)

    def _lines(
        self, other: "Matrix", direction: str, moved: Mapping[str, list[int]], port: int
    ) -> list[Line]:
        """The changed cells of the subjects that judge otherwise in one direction."""
        opposite = moved[INGRESS if direction == EGRESS else EGRESS]
        judged, judged_then = self.subjects.judged[direction], other.subjects.judged[direction]
        found: list[Line] = []
        for place in moved[direction]:
            was, now = judged[place].passing(port), judged_then[place].passing(port)
            if was == now:
                continue
            across = self.planes.across(direction, place, port)
            then = other.planes.across(direction, place, port) if opposite else across
            before, after = was & across, now & then
            if before != after:
                opened, closed = after & ~before, before & ~after
                found.append(Line(port, place, direction == INGRESS, opened, closed))
        return found

    def _after(self, engine: Engine, ref: ObjectRef) -> Self:
        subjects = self.subjects.after(engine, ref)
        planes = self.planes.after(subjects, self.subjects.moved(subjects))
        other = copy(self)
        vars(other).update(engine=engine, subjects=subjects, planes=planes)
        return other

    def _place(self, endpoint: Endpoint) -> int:
        place = self._places.get(endpoint)
        if place is None:
            raise PolicyError(
                f"The matrix has no endpoint {endpoint.name}; make it with all that are asked for."
            )
        return place

    def _port(self, port: int | None, protocol: str) -> int:
        place = self._port_places.get(_asked(port, protocol))
        if place is None:
            raise PolicyError(
                f"The matrix was not asked for {port}/{protocol}; make it with all ports wanted."
            )
        return place


def _asked(port: int | None, protocol: str) -> tuple[int, str]:
    """A port as rules compare it: of ICMP the type."""
    return port_number(port, protocol, icmp_type=port), protocol


def _identity(engine: Engine, endpoint: Endpoint) -> object:
    """What policy can see of an endpoint: equal for all that it treats alike."""
    seen = engine.identities.as_peer(endpoint)
    address = (seen.ip, seen.fqdns) if is_outside(seen) else None
    subject = engine.identities.as_subject(endpoint)
    return endpoint.kind, subject, seen.labels, endpoint.named_ports, address
