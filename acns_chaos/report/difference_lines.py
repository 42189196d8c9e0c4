"""A policy's rules as lines of YAML, each with the path of the rule it stands in.

Keys stand in the order in which people read a policy: whom it is about, then what it lets in and
out. Within a rule the order means nothing, so it is the alphabet's.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from acns_chaos.evidence.values import mapping, sequence, text

__all__ = ["Numbered", "rule_lines"]

ORDER = (
    "endpointSelector",
    "nodeSelector",
    "podSelector",
    "policyTypes",
    "description",
    "enableDefaultDeny",
    "ingress",
    "ingressDeny",
    "egress",
    "egressDeny",
)
RULES = frozenset(ORDER[-4:])
# Written of one document; more is nothing that a person reads.
MOST_ITEMS, MOST_LINES, LONGEST = 200, 800, 200
_DUMPER = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


@dataclass(frozen=True, slots=True)
class Numbered:
    """One line.

    Attributes:
        text: YAML.
        path: "spec.ingress[0]" within a rule, "spec.endpointSelector" in another field.
    """

    text: str
    path: str

    @property
    def key(self) -> tuple[str, str]:
        """What makes two lines the same: the text, in the same field; rules may move."""
        return self.text, self.path.partition("[")[0] if "." in self.path else ""


def rule_lines(rules: Mapping[str, Any]) -> list[Numbered] | None:
    """Write `spec` or `specs`; None when they cannot be.

    Args:
        rules: as `evidence.facts.rules_of` returns them.
    """
    found: list[Numbered] = []
    try:
        for line in _document(rules):
            if len(found) >= MOST_LINES:
                found.append(Numbered("# the rest is left out", ""))
                break
            found.append(line)
    except (yaml.YAMLError, TypeError, ValueError, RecursionError, OverflowError):
        return None
    return found


def _document(rules: Mapping[str, Any]) -> Iterator[Numbered]:
    if "spec" in rules:
        yield Numbered("spec:", "spec")
        yield from _block(rules["spec"], "spec")
    if "specs" in rules:
        yield Numbered("specs:", "specs")
        blocks = sequence(rules["specs"])
        if not blocks:
            yield from _dumped(rules["specs"], "  ", "specs")
        for number, block in enumerate(blocks[:MOST_ITEMS]):
            lines = _block(block, f"specs[{number}]")
            for position, line in enumerate(lines):
                start = "- " if position == 0 else "  "
                yield Numbered(f"{start}{line.text[2:]}", line.path)


def _block(block: object, path: str) -> Iterator[Numbered]:
    """One rule block, field by field."""
    fields = mapping(block)
    if not fields:
        yield from _dumped(block, "  ", path)
        return
    known = [key for key in ORDER if key in fields]
    for key in [*known, *sorted(str(key) for key in fields if key not in ORDER)]:
        value, where = fields.get(key), f"{path}.{key}"
        items = sequence(value) if key in RULES else ()
        if not items:
            yield from _dumped({key: value}, "  ", where)
            continue
        yield Numbered(f"  {key}:", where)
        for number, item in enumerate(items[:MOST_ITEMS]):
            yield from _dumped([item], "  ", f"{where}[{number}]")


def _dumped(value: object, indent: str, path: str) -> Iterator[Numbered]:
    written = yaml.dump(
        _plain(value), Dumper=_DUMPER, sort_keys=True, default_flow_style=False, width=90
    )
    for line in written.splitlines():
        content = line.lstrip(" ")
        cleaned = text(content, LONGEST)
        if cleaned and cleaned != "...":
            yield Numbered(f"{indent}{line[: min(len(line) - len(content), 80)]}{cleaned}", path)


def _plain(value: Any) -> Any:
    """Make keys text, so that they can be sorted, and copy, so that nothing is written as an alias.

    What YAML has no word for, as a lone surrogate, becomes readable here.
    """
    if isinstance(value, Mapping):
        return {text(key): _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return text(value, 4000) if isinstance(value, str) else value
