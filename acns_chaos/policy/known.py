"""What is known of a cluster: who there is, and which ports, names and requests somebody names.

Belongs here: choosing what is worth asking. Does not belong here: the answers (`asked`, `matrix`),
and reading a cluster.

Outside the cluster there are endlessly many peers. Known are the entities that every cluster has
and those a policy names, one address of every prefix a policy names, of every exception, and of
the network beside it, and one name for every pattern, so that a prefix or pattern that is too wide
or too narrow shows.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any

from acns_chaos.policy.addresses import Network, parse_prefix_or_address
from acns_chaos.policy.asked import Server
from acns_chaos.policy.diff import ports_named
from acns_chaos.policy.endpoints import Endpoint
from acns_chaos.policy.mutation.sites import Item, rule_items
from acns_chaos.policy.ports import ICMP_PROTOCOLS, icmp_type, parse_number
from acns_chaos.policy.regexes import go_regex
from acns_chaos.policy.validity import problems
from acns_chaos.policy.workloads import labels_of

Raw = Mapping[str, Any]
Port = tuple[int, str]

ALWAYS = ("world", "host", "remote-node", "kube-apiserver")
_ON_DEMAND = ("health", "ingress", "init", "unmanaged")
# Stands for all names that no policy names.
ANOTHER_NAME = "www.example.com"
# A range for benchmarks, which no cluster routes: an address for each name.
_FIRST_ADDRESS = int(ip_address("198.18.0.1"))
_DNS_LABELS = frozenset({"kube-dns", "coredns", "node-local-dns"})
_DNS_PORT = 53
_HTTPS = 443
_CLUSTER_DOMAIN = ".cluster.local"
_STARS = re.compile(r"\*+")


@dataclass(frozen=True, slots=True)
class Known:
    """What a change is judged over.

    Attributes:
        endpoints: pods as given, entities, outside addresses.
        ports: (number, protocol) that somebody names; for ICMP the type.
        servers: the DNS servers among the pods, with their port.
        queries: names to look up.
        names: outside addresses, one for each name that toFQDNs names.
        name_ports: ports on which names are connected to.
        requests: HTTP requests: (method, path, host).
        request_ports: ports with HTTP rules.
    """

    endpoints: tuple[Endpoint, ...]
    ports: tuple[Port, ...]
    servers: tuple[Server, ...] = ()
    queries: tuple[str, ...] = ()
    names: tuple[Endpoint, ...] = ()
    name_ports: tuple[Port, ...] = ()
    requests: tuple[tuple[str, str, str], ...] = ()
    request_ports: tuple[Port, ...] = ()


def known_world(
    policies: Iterable[Raw],
    endpoints: Iterable[Endpoint],
    services: Iterable[Raw] = (),
    cidr_groups: Iterable[Raw] = (),
) -> Known:
    """Everything that somebody names.

    Args:
        policies: raw policy objects; those that agents refuse count too, as far as they can be
            read.
        endpoints: pods, and others if more than the usual are known.
        services: raw Service objects, for their target ports.
        cidr_groups: raw CiliumCIDRGroup objects.
    """
    policies = [policy for policy in policies if not problems(policy)]
    given = tuple(dict.fromkeys(endpoints))
    items = [item for policy in policies for item in rule_items(policy)]
    peers = (*given, *_entities(items, given), *_addresses(items, cidr_groups, given))
    servers = tuple(_servers(given))
    queries, names = _names(items)
    ports = ports_named(given, policies, services) | _icmp(items)
    if servers:
        ports |= {(port, protocol) for _, port in servers for protocol in ("UDP", "TCP")}
    requests, request_ports = _requests(items)
    return Known(
        endpoints=peers,
        ports=tuple(sorted(ports)),
        servers=servers,
        queries=tuple(queries) if servers else (),
        names=tuple(_named(names)),
        name_ports=_name_ports(items) if names else (),
        requests=requests,
        request_ports=request_ports,
    )


def _entities(items: Iterable[Item], given: Iterable[Endpoint]) -> Iterator[Endpoint]:
    written = {entity for item in items for entity in item.raw.get(f"{item.way}Entities") or ()}
    there = {endpoint.labels for endpoint in given if endpoint.kind == "entity"}
    for entity in (*ALWAYS, *(e for e in _ON_DEMAND if e in written)):
        endpoint = Endpoint.entity(entity)
        if endpoint.labels not in there:
            yield endpoint


def _addresses(
    items: Iterable[Item], cidr_groups: Iterable[Raw], given: Iterable[Endpoint]
) -> Iterator[Endpoint]:
    prefixes: list[tuple[str, tuple[str, ...]]] = []
    for item in items:
        if item.native:
            blocks = [peer.get("ipBlock") for peer in item.raw.get(item.way) or ()]
            sets = [block for block in blocks if block]
        else:
            prefixes += [(cidr, ()) for cidr in item.raw.get(f"{item.way}CIDR") or ()]
            sets = list(item.raw.get(f"{item.way}CIDRSet") or ())
        prefixes += [(raw.get("cidr") or "", tuple(raw.get("except") or ())) for raw in sets]
    for group in cidr_groups:
        prefixes += [(str(c), ()) for c in (group.get("spec") or {}).get("externalCIDRs") or ()]
    found = dict.fromkeys(address for cidr, holes in prefixes for address in _samples(cidr, holes))
    there = {endpoint.ip for endpoint in given if endpoint.kind == "outside"}
    yield from (Endpoint.outside(address) for address in found if address not in there)


def _samples(cidr: str, holes: Iterable[str]) -> Iterator[str]:
    """An address of a prefix that is in no hole, one of each hole, and one beside the prefix."""
    cut = [hole for hole in map(parse_prefix_or_address, holes) if hole is not None]
    for hole in cut:
        yield str(_first(hole))
    network = parse_prefix_or_address(cidr) if cidr else None
    if network is None or network.prefixlen == 0:
        return
    for candidate in (_first(network), network[-1], network[network.num_addresses // 2]):
        if not any(candidate in hole for hole in cut if hole.version == network.version):
            yield str(candidate)
            break
    beside = int(network.network_address) ^ network.num_addresses
    yield str(type(network.network_address)(beside + (network.num_addresses > 1)))


def _first(network: Network) -> Any:
    return network[1] if network.num_addresses > 1 else network[0]


def _servers(endpoints: Iterable[Endpoint]) -> Iterator[Server]:
    """The pods that answer DNS, one of each kind, with the port they do it on."""
    seen: set[frozenset[str]] = set()
    for endpoint in endpoints:
        if endpoint.kind == "pod" and endpoint.labels not in seen and is_dns_server(endpoint):
            seen.add(endpoint.labels)
            named = [n for name, n, p in endpoint.named_ports if p == "UDP" and "dns" in name]
            yield (
                endpoint,
                _DNS_PORT
                if (_DNS_PORT, "UDP") in endpoint.ports
                else (named[0] if named else _DNS_PORT),
            )


def is_dns_server(endpoint: Endpoint) -> bool:
    """Whether a pod answers DNS: by the usual labels, or by its port."""
    labels = labels_of(endpoint)
    named = {labels.get("k8s-app"), labels.get("app.kubernetes.io/name")}
    return bool(named & _DNS_LABELS) or (_DNS_PORT, "UDP") in endpoint.ports


def sample_names(raw: Raw) -> Iterator[str]:
    """Names that tell an item of toFQDNs or of a DNS rule from what it is mistaken for.

    Args:
        raw: {"matchName"} or {"matchPattern"}.
    """
    name = (raw.get("matchName") or "").lower().rstrip(".")
    pattern = (raw.get("matchPattern") or "").lower().rstrip(".")
    if name:
        yield name
        if "." in name and not name.endswith(_CLUSTER_DOMAIN):
            yield f"www.{name}"
    elif pattern.strip("*."):
        start, dot, rest = pattern.partition(".")
        others = _STARS.sub("x", rest)
        if start.strip("*"):
            yield _STARS.sub("x", start) + dot + others
            return
        yield f"www.{others}"
        if len(start) > 1:
            yield f"a.www.{others}"
        if others == rest and "." in rest and not rest.endswith(_CLUSTER_DOMAIN):
            yield rest


def _names(items: Iterable[Item]) -> tuple[list[str], list[str]]:
    """The names to look up, and those to connect to."""
    queries: dict[str, None] = {}
    names: dict[str, None] = {}
    for item in items:
        for raw in () if item.native else item.raw.get("toFQDNs") or ():
            names |= dict.fromkeys((*sample_names(raw), ANOTHER_NAME))
        for _, port_rule in () if item.native else item.port_rules():
            for raw in (port_rule.get("rules") or {}).get("dns") or ():
                queries |= dict.fromkeys((*sample_names(raw), ANOTHER_NAME))
    return sorted({*queries, *names}), sorted(names)


def _named(names: Iterable[str]) -> Iterator[Endpoint]:
    for number, name in enumerate(names):
        yield Endpoint(
            name=name,
            labels=frozenset({"reserved:world="}),
            kind="outside",
            ip=str(ip_address(_FIRST_ADDRESS + number)),
            fqdns=(name,),
        )


def _name_ports(items: Iterable[Item]) -> tuple[Port, ...]:
    found: set[Port] = {(_HTTPS, "TCP")}
    for item in items:
        if not item.native and item.raw.get("toFQDNs"):
            for _, port in item.ports():
                number = parse_number(str(port.get("port") or ""))
                protocol = str(port.get("protocol") or "ANY").upper()
                if number:
                    found.add((number, "TCP" if protocol == "ANY" else protocol))
    return tuple(sorted(found))


def _icmp(items: Iterable[Item]) -> set[Port]:
    """The ICMP types that a policy names, and the echo request beside them."""
    found: set[Port] = set()
    for item in items:
        for rule in () if item.native else item.raw.get("icmps") or ():
            for field in rule.get("fields") or ():
                number = icmp_type(field)
                protocol = ICMP_PROTOCOLS[field.get("family") or "IPv4"]
                found.add((8 if protocol == "ICMP" else 128, protocol))
                if number is not None:
                    found.add((number, protocol))
    return found


def _requests(
    items: Iterable[Item],
) -> tuple[tuple[tuple[str, str, str], ...], tuple[Port, ...]]:
    found: dict[tuple[str, str, str], None] = {}
    ports: set[Port] = set()
    for item in items:
        for _, port_rule in () if item.native else item.port_rules():
            rules = (port_rule.get("rules") or {}).get("http") or ()
            for raw in rules:
                path = _sample_text(raw.get("path") or "", "/")
                host = _sample_text(raw.get("host") or "", "")
                for method in (_sample_text(raw.get("method") or "", "GET"), "POST"):
                    found |= dict.fromkeys(((method, path, host), (method, "/elsewhere", host)))
            for port in (port_rule.get("ports") or ()) if rules else ():
                number = parse_number(str(port.get("port") or ""))
                if number:
                    ports.add((number, "TCP"))
    return tuple(found), tuple(sorted(ports))


def _sample_text(pattern: str, default: str) -> str:
    """A text that matches a regular expression, as far as that can be seen from it."""
    regex = go_regex(pattern) if pattern else None
    if regex is None:
        return default
    plain = pattern.strip("^$")
    first = plain.split("|")[0].strip("()")
    for candidate in (
        *(plain, first),
        *(text.replace(".*", "x").replace(".+", "x").replace("\\", "") for text in (plain, first)),
        *("GET", "/", default),
    ):
        if regex.fullmatch(candidate):
            return candidate
    return default
