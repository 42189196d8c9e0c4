"""DNS names: the patterns of toFQDNs and of DNS rules.

Belongs here: turning matchName and matchPattern into something that matches names. Does not
belong here: which addresses a name has, and what a match opens.
Source of the facts: Cilium 1.19, pkg/fqdn/matchpattern, as tabled in the semantics.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from acns_chaos.policy.quoting import shown

_CHARACTER = "[-a-zA-Z0-9_]"
_ANY_NAME = re.compile(rf"(^({_CHARACTER}+[.])+$)|(^[.]$)")
_EVERYTHING = re.compile("")
_ONLY_STARS = re.compile(r"\*+\.?")
_STARS = re.compile(r"\*+")
_NAME = re.compile(r"[-a-zA-Z0-9_.]+")
_PATTERN = re.compile(r"[-a-zA-Z0-9_.*]+")

MAX_LENGTH = 255


def canonical(name: str) -> str:
    """A name in lower case with its trailing dot."""
    name = name.strip().lower()
    return name if name.endswith(".") else name + "."


@lru_cache(maxsize=4096)
def pattern_regex(pattern: str, *, dns_rule: bool = False) -> re.Pattern[str]:
    """The regular expression of a matchPattern, for canonical names.

    Args:
        pattern: e.g. "*.example.com".
        dns_rule: the pattern stands in a DNS rule, where "*" admits everything unseen.
    """
    pattern = pattern.strip().lower()
    if _ONLY_STARS.fullmatch(pattern):
        return _EVERYTHING if dns_rule else _ANY_NAME
    pattern = canonical(pattern)
    start = ""
    leading = re.match(r"\*{2,}\.", pattern)
    if leading:
        start = rf"({_CHARACTER}+([.]{_CHARACTER}+){{0,}})[.]"
        pattern = pattern[leading.end() :]
    first, *between = (re.escape(piece) for piece in _STARS.split(pattern))
    # A star stops at the first place where what follows it fits: as it crosses no dot, a later one
    # fits no better, and looking for it would take ages where there are many stars.
    *middle, last = between or [""]
    stars = "".join(f"(?>{_CHARACTER}*?{piece})" for piece in middle)
    rest = f"{stars}{_CHARACTER}*{last}" if between else ""
    return re.compile(f"^{start}{first}{rest}$")


@dataclass(frozen=True, slots=True)
class NameMatch:
    """One item of toFQDNs or of a DNS rule.

    Attributes:
        name: its matchName in canonical form, or "".
        pattern: its matchPattern, or "".
        dns_rule: it stands in a DNS rule.
    """

    name: str
    pattern: str
    dns_rule: bool = False

    @classmethod
    def of(cls, raw: Mapping[str, Any], *, dns_rule: bool = False) -> "NameMatch":
        """The item as written; an item with neither field matches no name."""
        name = raw.get("matchName") or ""
        return cls(canonical(name) if name else "", raw.get("matchPattern") or "", dns_rule)

    def matches(self, name: str) -> bool:
        """Whether a DNS name is meant."""
        asked = canonical(name)
        if self.name and self.name == asked:
            return True
        if not self.pattern:
            return False
        return pattern_regex(self.pattern, dns_rule=self.dns_rule).search(asked) is not None

    def __str__(self) -> str:
        return self.name.rstrip(".") or self.pattern or "no name"


def problem(raw: Mapping[str, Any]) -> str:
    """What the agent finds wrong with an item, or ""."""
    name, pattern = raw.get("matchName") or "", raw.get("matchPattern") or ""
    if name and pattern:
        return "only one of matchName and matchPattern may be set"
    if name and not _NAME.fullmatch(name):
        return (
            f"invalid characters in matchName {shown(name)}: letters, digits, dot, dash and "
            "underscore only"
        )
    if pattern and not _PATTERN.fullmatch(pattern):
        return (
            f"invalid characters in matchPattern {shown(pattern)}: letters, digits, dot, dash, "
            "underscore and star only"
        )
    if len(name or pattern) > MAX_LENGTH:
        return f"a name of {len(name or pattern)} characters is longer than {MAX_LENGTH}"
    return ""
