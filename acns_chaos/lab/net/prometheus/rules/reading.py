"""Rule files, read as Prometheus 2.42 reads them, strictly and within bounds.

A file that it refuses is refused here, and so is what the lab does not model of one.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import promql_parser as pp
import yaml

from acns_chaos.errors import AcnsChaosError
from acns_chaos.lab.net.prometheus.rules.texts import TemplateError, expanded, written
from acns_chaos.lab.net.promql.expressions import ParseError, parse

INTERVAL = 1.0
"""Seconds between two evaluations of a group that does not say; Prometheus' own is a minute."""

MOST_BYTES = 1_000_000
"""Size of a file that is taken."""

_DEEPEST = 20
_MOST_RULES = 1_000
# While a rule is evaluated the lab does nothing else.
_SHORTEST_INTERVAL = 0.05
_LONGEST_DURATION = 9.2e9
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_GROUP = ("name", "interval", "limit", "rules")
_RULE = ("alert", "record", "expr", "for", "keep_firing_for", "labels", "annotations")
_ONLY_ALERTS = ("annotations", "for", "keep_firing_for")
_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_METRIC = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_UNITS = {"y": 31_536_000, "w": 604_800, "d": 86_400, "h": 3_600, "m": 60, "s": 1, "ms": 0.001}
_DURATION = re.compile("".join(f"(?:([0-9]+){unit})?" for unit in _UNITS))


class BadRules(AcnsChaosError):
    """A rule file that cannot be used."""


@dataclass(frozen=True, slots=True)
class Spec:
    """One rule as it is written.

    Attributes:
        name: of the alert, or of the metric that is recorded.
        alerting: whether it is an alert.
        source: the expression as it stands in the file.
        query: the same as Prometheus writes it back.
        hold, keep: `for` and `keep_firing_for`, in seconds.
        labels, annotations: sorted by name, templates unexpanded.
    """

    name: str
    alerting: bool
    source: str
    query: str
    hold: float = 0.0
    keep: float = 0.0
    labels: tuple[tuple[str, str], ...] = ()
    annotations: tuple[tuple[str, str], ...] = ()

    @property
    def expression(self) -> pp.Expr:
        """The expression, parsed."""
        return parse(self.source)


@dataclass(frozen=True, slots=True)
class Group:
    """Rules that are evaluated together, in this order.

    Attributes:
        name: once in a file.
        interval: in seconds.
        limit: of alerts or series that a rule may make, 0 for none.
        rules: the rules.
    """

    name: str
    interval: float
    limit: int
    rules: tuple[Spec, ...]


def read_groups(text: str) -> tuple[Group, ...]:
    """The groups of a rule file.

    Args:
        text: the file; one without anything in it has no groups.

    Raises:
        BadRules: it is not YAML, or no rules; the sentence begins with the line.
    """
    root = _composed(text)
    if root is None:
        return ()
    fields = _fields(root, "a rule file", ("groups",))
    found: list[Group] = []
    for node in _items(fields.get("groups"), "`groups`"):
        group = _group(node)
        if any(one.name == group.name for one in found):
            raise _bad(node, f"the group {group.name} is there twice")
        found.append(group)
    if sum(len(group.rules) for group in found) > _MOST_RULES:
        raise BadRules(f"The lab takes {_MOST_RULES} rules at most.")
    return tuple(found)


def _group(node: yaml.Node) -> Group:
    fields = _fields(node, "a group", _GROUP)
    name = _text(fields.get("name"), "`name` of a group")
    if not name:
        raise _bad(node, "a group needs a `name`")
    interval = _duration(fields.get("interval"), "`interval`") or INTERVAL
    if interval < _SHORTEST_INTERVAL:
        raise _bad(node, f"the lab evaluates a group every {_SHORTEST_INTERVAL * 1000:g}ms at most")
    limit = _text(fields.get("limit"), "`limit`") or "0"
    if not re.fullmatch(r"-?[0-9]{1,9}", limit):
        raise _bad(node, f"`limit` of the group {name} is no number: {_short(limit)}")
    rules = []
    for number, one in enumerate(_items(fields.get("rules"), "`rules`"), 1):
        rules.append(_rule(one, f"group {_short(name)}, rule {number}"))
    return Group(name, interval, max(0, int(limit)), tuple(rules))


def _rule(node: yaml.Node, where: str) -> Spec:
    fields = _fields(node, where, _RULE)
    alert, record = _text(fields.get("alert"), "`alert`"), _text(fields.get("record"), "`record`")
    if bool(alert) == bool(record):
        which = "has both `alert` and `record`" if alert else "has neither `alert` nor `record`"
        raise _bad(node, f"{where} {which}")
    where += f", {_short(alert or record)}"
    source = _text(fields.get("expr"), f"{where}: `expr`")
    query = _query(fields.get("expr", node), source, where)
    if record:
        for field in _ONLY_ALERTS:
            if field in fields:
                raise _bad(fields[field], f"{where}: a recording rule has no `{field}`")
        if not _METRIC.fullmatch(record):
            raise _bad(node, f"{where}: a recording rule has the name of a metric")
    labels = _names(fields.get("labels"), f"{where}: `labels`")
    annotations = _names(fields.get("annotations"), f"{where}: `annotations`")
    if "__name__" in labels:
        raise _bad(fields["labels"], f"{where}: `labels` cannot set __name__")
    if alert:
        _check_templates(node, where, labels, annotations)
    return Spec(
        name=alert or record,
        alerting=bool(alert),
        source=source,
        query=query,
        hold=_duration(fields.get("for"), f"{where}: `for`"),
        keep=_duration(fields.get("keep_firing_for"), f"{where}: `keep_firing_for`"),
        labels=tuple(sorted(labels.items())),
        annotations=tuple(sorted(annotations.items())),
    )


def _query(node: yaml.Node, text: str, where: str) -> str:
    if not text:
        raise _bad(node, f"{where} has no `expr`")
    try:
        return written(parse(text))
    except ParseError as problem:
        why = " ".join(str(problem).split())
        raise _bad(node, f"{where}: `expr` is no PromQL: {why}") from None


def _check_templates(
    node: yaml.Node, where: str, labels: Mapping[str, str], annotations: Mapping[str, str]
) -> None:
    """Refuse what cannot be expanded; an annotation's text may say so instead, if it is ended."""
    for name, text in {**annotations, **labels}.items():
        try:
            expanded(text, {}, 0.0)
        except TemplateError as problem:
            if labels.get(name) == text or "not ended" in str(problem):
                raise _bad(node, f"{where}: in {name}, {problem}") from None


# ---------------------------------------------------------------------- YAML


def _composed(text: str) -> yaml.Node | None:
    """The only document as nodes, None when there is none.

    Raises:
        BadRules: it is not YAML, too much of it, or holds an alias or a tag.
    """
    if len(text) > MOST_BYTES:
        raise BadRules(f"The lab takes a rule file of {MOST_BYTES:,} bytes at most.")
    try:
        # libyaml's composer recurses in C: the depth is known before.
        depth = 0
        for event in yaml.parse(text, Loader=_LOADER):
            if isinstance(event, yaml.AliasEvent):
                raise _bad(event, "the lab takes no aliases in a rule file")
            if isinstance(event, yaml.NodeEvent) and getattr(event, "tag", None):
                raise _bad(event, "the lab takes no tags in a rule file")
            depth += isinstance(event, yaml.CollectionStartEvent)
            depth -= isinstance(event, yaml.CollectionEndEvent)
            if depth > _DEEPEST:
                raise _bad(event, "that is nested deeper than any rule")
        return yaml.compose(text, Loader=_LOADER)
    except yaml.MarkedYAMLError as problem:
        why = problem.problem or problem.context or "it ends too early"
        if "single document" in str(problem.context):
            why = "a second document; a rule file is one"
        mark: Any = problem.problem_mark or problem.context_mark
        raise BadRules(f"{f'line {mark.line + 1}: ' if mark else ''}not YAML: {why}.") from None
    except yaml.YAMLError:
        raise BadRules("The rules hold characters that YAML does not take.") from None


def _fields(node: yaml.Node, what: str, known: tuple[str, ...]) -> dict[str, yaml.Node]:
    """What a mapping holds, each key known and there once, without what is empty."""
    found: dict[str, yaml.Node] = {}
    for key, value in _pairs(node, what):
        if key in found:
            raise _bad(value, f"{what} has `{_short(key)}` twice")
        if key not in known:
            raise _bad(value, f"{what} has no field `{_short(key)}`: it has {', '.join(known)}")
        found[key] = value
    return {key: value for key, value in found.items() if not _is_null(value)}


def _pairs(node: yaml.Node, what: str) -> Iterator[tuple[str, yaml.Node]]:
    if not isinstance(node, yaml.MappingNode):
        raise _bad(node, f"{what} must be a mapping")
    for key, value in node.value:
        if not isinstance(key, yaml.ScalarNode):
            raise _bad(key, f"{what} must have names for keys")
        yield str(key.value), value


def _items(node: yaml.Node | None, what: str) -> list[yaml.Node]:
    if node is None:
        return []
    if not isinstance(node, yaml.SequenceNode):
        raise _bad(node, f"{what} must be a list")
    return list(node.value)


def _names(node: yaml.Node | None, what: str) -> dict[str, str]:
    """A mapping of label names to texts."""
    found: dict[str, str] = {}
    for key, value in _pairs(node, what) if node is not None else ():
        if not _LABEL.fullmatch(key) or key in found:
            why = "is there twice" if key in found else "is no name of a label"
            raise _bad(value, f"{what}: {_short(key)} {why}")
        found[key] = _text(value, f"{what}: {key}")
    return found


def _text(node: yaml.Node | None, what: str) -> str:
    if node is None or _is_null(node):
        return ""
    if not isinstance(node, yaml.ScalarNode):
        raise _bad(node, f"{what} must be a text")
    return str(node.value)


def _duration(node: yaml.Node | None, what: str) -> float:
    text = _text(node, what)
    if node is None or text == "0":
        return 0.0
    parts = _DURATION.fullmatch(text)
    if not text or parts is None or len(text) > 40:
        raise _bad(node, f"{what} is no duration such as 30s: {_short(text)}")
    numbers = zip(parts.groups(), _UNITS.values(), strict=True)
    length = float(sum(int(number) * seconds for number, seconds in numbers if number))
    if length > _LONGEST_DURATION:
        raise _bad(node, f"{what} is longer than 292 years: {text}")
    return length


def _is_null(node: yaml.Node) -> bool:
    return isinstance(node, yaml.ScalarNode) and node.tag.endswith(":null")


def _bad(at: Any, why: str) -> BadRules:
    return BadRules(f"line {at.start_mark.line + 1}: {why}.")


def _short(text: str) -> str:
    one = " ".join(text.split())
    return one if len(one) <= 60 else one[:59] + "…"
