"""Patterns of names in filters: pods, services, domain names, nodes.

Each function makes a test from what a client sent. Source: Cilium 1.19, its filters.
"""

import re
from collections.abc import Callable, Iterable

_FQDN = r"(?:[-0-9_a-z]+(?:\.[-0-9_a-z]+)*)"
_DEFAULT_NAMESPACE = "default"


class PatternError(ValueError):
    """The text is no pattern."""


def namespaced(names: Iterable[str]) -> Callable[[str, str], bool]:
    """A test of namespace and name: `ns/prefix`, `ns/`, `/prefix`, or `prefix` in `default`.

    Args:
        names: the patterns; one of them has to match.

    Raises:
        PatternError: a pattern says nothing.
    """
    wanted = []
    for name in names:
        namespace, slash, prefix = name.partition("/")
        if not slash:
            namespace, prefix = _DEFAULT_NAMESPACE if name else "", name
        if not namespace and not prefix:
            raise PatternError(f'invalid filter, must be [namespace/][<name>], got "{name}"')
        wanted.append((namespace, prefix))

    def matches(namespace: str, name: str) -> bool:
        if not namespace and not name:
            return False
        return any(name.startswith(prefix) and where in ("", namespace) for where, prefix in wanted)

    return matches


def domains(patterns: Iterable[str]) -> re.Pattern[str]:
    """An expression for domain names, where a star also spans dots.

    Raises:
        PatternError: empty, or characters that names do not have.
    """
    return re.compile(rf"(?:{'|'.join(_domain(pattern) for pattern in patterns)})\Z")


def nodes(patterns: Iterable[str]) -> re.Pattern[str]:
    """An expression for `cluster/node`; a pattern without a slash is for any cluster.

    Raises:
        PatternError: empty, more than one slash, or characters that names do not have.
    """
    alternatives = []
    for pattern in patterns:
        if not pattern:
            raise PatternError("empty pattern")
        *cluster, node = pattern.split("/")
        if len(cluster) > 1:
            raise PatternError("too many slashes in pattern")
        where = _domain(cluster[0]) if cluster and cluster[0] else _FQDN
        alternatives.append(f"{where}/{_domain(node) if node else _FQDN}")
    return re.compile(rf"(?:{'|'.join(alternatives)})\Z")


def _domain(pattern: str) -> str:
    text = pattern.strip().removesuffix(".").lower()
    if not text:
        raise PatternError("empty pattern")
    if text.endswith("."):
        raise PatternError("multiple trailing dots in pattern")
    unknown = re.search(r"[^-0-9a-z_.*]", text)
    if unknown:
        raise PatternError(f"'{unknown[0]}': invalid rune in pattern")
    return text.replace(".", r"\.").replace("*", "[-.0-9a-z]*")
