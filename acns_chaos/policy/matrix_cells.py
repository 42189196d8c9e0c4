"""The cells of a matrix: one byte for each two-sided verdict, and planes of them.

Belongs here: how a verdict is written as a byte, and laying rows and columns into a plane. Does
not belong here: what the verdicts are.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from acns_chaos.policy.model import ALLOWED, DENIED, NOT_APPLICABLE, POLICY_DENIED, POLICY_DENY

# One side is a digit: a row of a bitset, printed, is already a row of sides.
PASSES, UNMATCHED, REFUSED, NO_SUBJECT = "0123"
_SIDES: tuple[tuple[str, str | None], ...] = (
    (ALLOWED, None),
    (DENIED, POLICY_DENIED),
    (DENIED, POLICY_DENY),
    (NOT_APPLICABLE, None),
)


class Cell(NamedTuple):
    """A verdict without its reasons, in the words of `Engine.verdict`.

    Attributes:
        verdict: "ALLOWED" or "DENIED", by layers 3 and 4.
        drop_reason: "POLICY_DENIED", "POLICY_DENY" or None; of the egress side if both deny.
        egress: "ALLOWED", "DENIED" or "N/A": the sender's side.
        ingress: the receiver's side.
    """

    verdict: str
    drop_reason: str | None
    egress: str
    ingress: str


def _cell(code: int) -> Cell:
    (egress, first), (ingress, second) = _SIDES[code >> 2], _SIDES[code & 3]
    denied = DENIED in {egress, ingress}
    return Cell(DENIED if denied else ALLOWED, first or second, egress, ingress)


CELLS: tuple[Cell, ...] = tuple(_cell(code) for code in range(16))
"""What each byte of a row says."""

_EGRESS = bytes.maketrans(b"0123", bytes([0, 4, 8, 12]))
_INGRESS = bytes.maketrans(b"0123", bytes([0, 1, 2, 3]))
_ONLY_EGRESS = bytes(code & 12 for code in range(256))
_ONLY_INGRESS = bytes(code & 3 for code in range(256))
OPEN = bytes(code < 16 and CELLS[code].verdict == ALLOWED for code in range(256))
"""Translates a row of cells to 1 where the flow passes, 0 where it is denied."""
_SENDER_OPEN = bytes(48 + (_SIDES[code >> 2 & 3][0] != DENIED) for code in range(256))
_RECEIVER_OPEN = bytes(48 + (_SIDES[code & 3][0] != DENIED) for code in range(256))


def sides(refused: int, passing: int, size: int) -> bytes:
    """A row of sides.

    Args:
        refused: the peers that a deny rule refuses, as a bitset.
        passing: those that pass; nothing admits the rest.
        size: how many peers there are.
    """
    unmatched = (1 << size) - 1 ^ (refused | passing)
    if not refused:
        return f"{unmatched:0{size}b}".encode()
    # Reading a binary number as a hexadecimal one gives each bit a digit of its own.
    both = int(f"{unmatched:b}", 16) | int(f"{refused:b}", 16) << 1
    return f"{both:0{size}x}".encode()


def plane(egress: Sequence[bytes], ingress: Sequence[bytes]) -> bytes:
    """All cells of one port, source after source.

    Args:
        egress: for each source, its side towards every destination.
        ingress: for each destination, its side towards every source.
    """
    size = len(egress)
    receiving = bytearray(size * size)
    for place, column in enumerate(ingress):
        receiving[place::size] = column
    return _both(b"".join(egress).translate(_EGRESS), receiving.translate(_INGRESS))


def patched(
    cells: bytes, size: int, egress: Mapping[int, bytes], ingress: Mapping[int, bytes]
) -> bytes:
    """A plane in which some subjects judge otherwise.

    Args:
        cells: the plane.
        size: how many identities it has.
        egress: the new sides of these sources.
        ingress: the new sides of these destinations.
    """
    patch = bytearray(cells)
    for place, row in egress.items():
        where = slice(place * size, (place + 1) * size)
        patch[where] = _both(row.translate(_EGRESS), patch[where].translate(_ONLY_INGRESS))
    for place, column in ingress.items():
        where = slice(place, None, size)
        patch[where] = _both(column.translate(_INGRESS), patch[where].translate(_ONLY_EGRESS))
    return bytes(patch)


def senders_open(cells: bytes, size: int, destination: int) -> int:
    """The sources whose own side lets them send to a destination, as a bitset.

    Args:
        cells: a plane.
        size: how many identities it has.
        destination: place of it.
    """
    return int(cells[destination::size].translate(_SENDER_OPEN), 2)


def receivers_open(cells: bytes, size: int, source: int) -> int:
    """The destinations whose own side lets a source in, as a bitset.

    Args:
        cells: a plane.
        size: how many identities it has.
        source: place of it.
    """
    return int(cells[source * size : (source + 1) * size].translate(_RECEIVER_OPEN), 2)


def _both(one: bytes, other: bytes | bytearray) -> bytes:
    return (int.from_bytes(one, "big") | int.from_bytes(other, "big")).to_bytes(len(one), "big")
