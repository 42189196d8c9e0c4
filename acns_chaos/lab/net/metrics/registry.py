"""The counters of one node, and the text in which a node exposes them (format 0.0.4).

What is booked on which node is in `counters`; over which socket it goes, in `exposition`.
"""

import math
from collections.abc import Iterable, Iterator
from decimal import Decimal

from acns_chaos.lab.net.metrics.families import FAMILIES, HUBBLE, Family
from acns_chaos.lab.net.promql.history import Labels

# Name (a histogram has three), labels in their own order, empty ones too, and value.
Sample = tuple[str, Labels, float]


class Registry:
    """Counters by family and labels; they only grow, until they are cleared."""

    def __init__(self) -> None:
        self._values: dict[str, dict[Labels, float]] = {}

    def add(self, family: str, amount: float, /, **labels: str) -> None:
        """Add to a counter; a label that is not named is empty.

        Raises:
            KeyError: a label is none of the family's.
        """
        key = labelled(FAMILIES[family], labels)
        series = self._values.setdefault(family, {})
        series[key] = series.get(key, 0.0) + amount

    def clear(self, *, kernel: bool, endpoint: str = "") -> None:
        """Forget everything that a process held.

        Args:
            kernel: forget also what the kernel holds.
            endpoint: only the families of this endpoint; "" for both.
        """
        for name in list(self._values):
            family = FAMILIES[name]
            if (kernel or not family.kernel) and endpoint in ("", family.endpoint):
                del self._values[name]

    def forget(self, pod: str) -> None:
        """Drop the Hubble series of a deleted pod, given as `namespace/name`."""
        for name, series in self._values.items():
            if FAMILIES[name].endpoint == HUBBLE:
                for key in [k for k in series if ("source", pod) in k or ("destination", pod) in k]:
                    del series[key]

    def samples(self) -> Iterator[Sample]:
        """Every counter."""
        for name, series in self._values.items():
            for labels, value in series.items():
                yield name, labels, value


def labelled(family: Family, labels: dict[str, str]) -> Labels:
    """The labels of a series of a family, the ones not given empty.

    Raises:
        KeyError: a label is none of the family's.
    """
    if not labels.keys() <= set(family.labels):
        raise KeyError(f"{family.name} has no label {sorted(labels.keys() - set(family.labels))}")
    return tuple((name, labels.get(name, "")) for name in family.labels)


def family_of(name: str) -> Family:
    """The family of a sample's name."""
    for suffix in ("_bucket", "_sum", "_count"):
        if name not in FAMILIES and name.endswith(suffix):
            name = name.removesuffix(suffix)
    return FAMILIES[name]


def text(samples: Iterable[Sample]) -> str:
    """Samples in Prometheus's text format, families and series in order.

    Args:
        samples: of one endpoint.
    """
    families: dict[str, list[Sample]] = {}
    for sample in samples:
        families.setdefault(family_of(sample[0]).name, []).append(sample)
    lines: list[str] = []
    for name in sorted(families):
        family = FAMILIES[name]
        lines += [f"# HELP {name} {family.help}", f"# TYPE {name} {family.kind}"]
        found = families[name]
        # The buckets of a histogram stay in the order of their bounds.
        for metric, labels, value in found if family.kind == "histogram" else sorted(found):
            inner = ",".join(f'{key}="{_escaped(one)}"' for key, one in labels)
            braces = f"{{{inner}}}" if labels else ""
            lines.append(f"{metric}{braces} {number(value)}")
    return "".join(f"{line}\n" for line in lines)


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


def number(value: float) -> str:
    """A value as Go writes it: shortest, with an exponent from a million on."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    sign, digits, exponent = Decimal(repr(value)).normalize().as_tuple()
    if not isinstance(exponent, int) or value == 0:
        return "0"
    power = len(digits) + exponent - 1
    if -4 <= power < 6:
        return format(Decimal((sign, digits, exponent)), "f")
    mantissa = "".join(map(str, digits))
    head = mantissa[0] + (f".{mantissa[1:]}" if len(mantissa) > 1 else "")
    return f"{'-' if sign else ''}{head}e{power:+03d}"
