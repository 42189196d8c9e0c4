"""Mistakes in DNS rules, toFQDNs and HTTP rules."""

from collections.abc import Iterator

from acns_chaos.policy.mutation.edits import DROP, Edit, Family, Path, Raw, Surroundings
from acns_chaos.policy.mutation.sites import misspelt, names, other_items, peers, rule_items
from acns_chaos.policy.ports import parse_number

DNS = Family("dns")
FQDN = Family("fqdn")
HTTP = Family("http")

_DNS_PORT = 53
# What cluster DNS is labelled in one place and not in the other.
_DNS_LABELS = {"kube-dns": "coredns", "coredns": "kube-dns"}


def _layer_7(policy: Raw, kind: str) -> Iterator[tuple[Path, Raw]]:
    """Each `rules` block with rules of a kind."""
    for item in rule_items(policy):
        if item.native:
            continue
        for path, port_rule in item.port_rules():
            if (port_rule.get("rules") or {}).get(kind):
                yield (*path, "rules"), port_rule["rules"]


@DNS.operator(
    "dns-rule-forgotten",
    "Lookups are allowed but not inspected (no rules.dns), so toFQDNs never learns an address.",
)
def _rule_forgotten(policy: Raw, _: Surroundings) -> Iterator[Edit]:
    for path, _rules in _layer_7(policy, "dns"):
        yield Edit(path, ((path, DROP),))


@DNS.operator(
    "dns-egress-forgotten",
    "Egress is restricted and nobody thought of DNS: nothing shows until a pod looks a name up.",
)
def _egress_forgotten(policy: Raw, _: Surroundings) -> Iterator[Edit]:
    found: dict[Path, list[int]] = {}
    for item in rule_items(policy):
        ports = [parse_number(str(port.get("port") or "")) for _path, port in item.ports()]
        if item.section == "egress" and not item.native and ports and set(ports) == {_DNS_PORT}:
            found.setdefault((*item.block, "egress"), []).append(item.number)
    for path, numbers in found.items():
        steps = tuple(((*path, number), DROP) for number in reversed(numbers))
        yield Edit(path, steps)


@DNS.operator(
    "dns-name-forgotten",
    "One name or search-list form is missing from the DNS rules, so its lookups are refused.",
)
def _name_forgotten(policy: Raw, _: Surroundings) -> Iterator[Edit]:
    for path, rules in _layer_7(policy, "dns"):
        items = list(rules["dns"])
        for number in range(len(items) if len(items) > 1 else 0):
            here = (*path, "dns")
            yield Edit((*here, number), ((here, other_items(items, number)),))


@DNS.operator(
    "dns-any-name",
    "A DNS rule is widened to every name with a bare star.",
)
def _any_name(policy: Raw, _: Surroundings) -> Iterator[Edit]:
    for path, raw, of_dns in names(policy):
        if of_dns:
            yield from _becomes(path, raw, {"matchPattern": "*"})


@DNS.operator(
    "dns-server-mistaken",
    "Cluster DNS is selected by the label it has in another distribution (coredns for kube-dns).",
)
def _server_mistaken(policy: Raw, _: Surroundings) -> Iterator[Edit]:
    for site in peers(policy):
        for key, value in site.labels():
            if value in _DNS_LABELS:
                path = (*site.path, "matchLabels", key)
                yield Edit(path, ((path, _DNS_LABELS[value]),))


def _becomes(path: Path, raw: Raw, other: Raw) -> Iterator[Edit]:
    """Another name in place of one, if it is another."""
    if {key: value for key, value in raw.items() if value} != dict(other):
        yield Edit(path, ((path, other),))


def _name_misspelt(policy: Raw, *, of_dns: bool) -> Iterator[Edit]:
    for path, raw, stands_in_dns in names(policy):
        field = "matchName" if raw.get("matchName") else "matchPattern"
        written = raw.get(field) or ""
        if stands_in_dns is of_dns and written.strip("*."):
            first, dot, rest = written.partition(".")
            start = first.strip("*")
            changed = misspelt(first) + dot + rest if start else first + dot + misspelt(rest)
            yield Edit((*path, field), (((*path, field), changed),))


@DNS.operator(
    "dns-name-misspelt",
    "A name in the DNS rules is misspelt, so lookups of the right one are refused.",
)
def _dns_misspelt(policy: Raw, _: Surroundings) -> Iterator[Edit]:
    yield from _name_misspelt(policy, of_dns=True)


@FQDN.operator(
    "fqdn-misspelt",
    "A name in toFQDNs is misspelt: it resolves, and the connection is dropped.",
)
def _fqdn_misspelt(policy: Raw, _: Surroundings) -> Iterator[Edit]:
    yield from _name_misspelt(policy, of_dns=False)


@FQDN.operator(
    "fqdn-any-name",
    "Any name is allowed as a destination, with a bare star in toFQDNs.",
)
def _fqdn_any(policy: Raw, _: Surroundings) -> Iterator[Edit]:
    for path, raw, of_dns in names(policy):
        if not of_dns:
            yield from _becomes(path, raw, {"matchPattern": "*"})


def _bare(pattern: str) -> str:
    """The name behind the leading star, "" when the pattern is not of that form."""
    name = pattern.lstrip("*").removeprefix(".")
    return name if pattern.startswith("*") and name and "*" not in name else ""


@FQDN.operator(
    "wildcard-forgotten",
    "A name is written without its star, so its sub-domains are not meant.",
)
def _wildcard_forgotten(policy: Raw, _: Surroundings) -> Iterator[Edit]:
    for path, raw, _of_dns in names(policy):
        name = _bare(raw.get("matchPattern") or "")
        if name:
            yield Edit(path, ((path, {"matchName": name}),))


@FQDN.operator(
    "wildcard-for-name",
    "A star is put before a name, in the belief that the name itself is then meant too.",
)
def _wildcard_for_name(policy: Raw, _: Surroundings) -> Iterator[Edit]:
    for path, raw, _of_dns in names(policy):
        if raw.get("matchName"):
            yield Edit(path, ((path, {"matchPattern": f"*.{raw['matchName']}"}),))


@FQDN.operator(
    "wildcard-too-shallow",
    "A pattern is one label too short: a star never stands for a dot.",
)
def _too_shallow(policy: Raw, _: Surroundings) -> Iterator[Edit]:
    for path, raw, _of_dns in names(policy):
        pattern = raw.get("matchPattern") or ""
        if pattern.startswith("**."):
            yield Edit(path, ((path, {"matchPattern": pattern[1:]}),))
        elif ".*.*." in pattern:
            shorter = pattern.replace(".*.*.", ".*.", 1)
            yield Edit(path, ((path, {"matchPattern": shorter}),))


def _requests(policy: Raw) -> Iterator[tuple[Path, Raw]]:
    for path, rules in _layer_7(policy, "http"):
        for number, raw in enumerate(rules["http"]):
            yield (*path, "http", number), raw


@HTTP.operator(
    "http-rules-forgotten",
    "The HTTP rules are not written, so every request passes.",
)
def _http_forgotten(policy: Raw, _: Surroundings) -> Iterator[Edit]:
    for path, _rules in _layer_7(policy, "http"):
        yield Edit(path, ((path, DROP),))


@HTTP.operator(
    "http-method-mistaken",
    "The wrong method is allowed (POST for GET).",
)
def _http_method(policy: Raw, _: Surroundings) -> Iterator[Edit]:
    for path, raw in _requests(policy):
        if raw.get("method"):
            other = "GET" if raw["method"] == "POST" else "POST"
            yield Edit((*path, "method"), (((*path, "method"), other),))


@HTTP.operator(
    "http-path-too-narrow",
    "A path is written as if it were a prefix; it must match the whole path.",
)
def _http_path(policy: Raw, _: Surroundings) -> Iterator[Edit]:
    for path, raw in _requests(policy):
        written = raw.get("path") or ""
        shorter = written.removesuffix(".*")
        if written:
            changed = shorter if shorter not in {written, ""} else written + "/"
            yield Edit((*path, "path"), (((*path, "path"), changed),))


@HTTP.operator(
    "http-any-request",
    "An empty HTTP rule is added, which admits every request.",
)
def _http_any(policy: Raw, _: Surroundings) -> Iterator[Edit]:
    for path, rules in _layer_7(policy, "http"):
        here = (*path, "http")
        if {} not in rules["http"]:
            yield Edit(here, ((here, [*rules["http"], {}]),))
