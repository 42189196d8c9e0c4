"""What a cluster holds for a day: its mistakes, and which of them can be witnessed from here.

Belongs here: reading a cluster once, making the mutants that a plan means, and the proposal of an
experiment for each that can be seen. Does not belong here: which of them are run (`selection`).
Nothing is changed; each flow that an experiment would rest on is tried once, as `init` does.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from acns_chaos.cluster.clusters import read_objects, world_of
from acns_chaos.cluster.inventory import take_inventory
from acns_chaos.cluster.kube import Api
from acns_chaos.errors import ArgumentError
from acns_chaos.faults.proposing.asks import CLOSED, CONNECT, CUSTOMER, NAME, STRANGER, Ask
from acns_chaos.faults.proposing.choosing import Chooser
from acns_chaos.faults.proposing.outline import Proposal
from acns_chaos.faults.proposing.proposal import ROUNDS, no_customers, not_ours
from acns_chaos.faults.proposing.roster import Roster
from acns_chaos.faults.proposing.trying import Trier, by_name
from acns_chaos.gameday.plan_values import Wanted
from acns_chaos.policy.asked import Names
from acns_chaos.policy.blast import Outlook
from acns_chaos.policy.known import known_world
from acns_chaos.policy.model import ObjectRef
from acns_chaos.policy.mutants import Mutant, mutants
from acns_chaos.policy.mutation.edits import path_text
from acns_chaos.policy.mutation.sites import rule_items

__all__ = ["Sight", "look", "meant"]

HTTPS = 443
# Seconds until a drop must show in Prometheus while flows are tried.
EVIDENCE = 10.0


@dataclass(frozen=True)
class Sight:
    """What was seen.

    Attributes:
        policies: the objects that the plan means.
        rules: every rule of theirs: the object, and a place such as "spec.ingress[0]".
        mutants: those that the plan means, classed.
        proposals: id of each that can be witnessed, to the experiment that does.
        unseen: id of each injectable one that cannot, to the reason.
        opened: id of each that can, to what it opens and workloads can ask, nearest first.
        dropped: each flow that is denied now, to where: "egress" or "ingress", and the
            "namespace/workload" that counts it.
        notes: what a person should know, one sentence each.
    """

    policies: tuple[ObjectRef, ...]
    rules: tuple[tuple[ObjectRef, str], ...]
    mutants: tuple[Mutant, ...]
    proposals: Mapping[str, Proposal] = field(default_factory=dict)
    unseen: Mapping[str, str] = field(default_factory=dict)
    opened: Mapping[str, tuple[Ask, ...]] = field(default_factory=dict)
    dropped: Mapping[Ask, tuple[str, str]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def look(
    api: Api,
    environ: Mapping[str, str],
    namespaces: Iterable[str],
    wanted: Wanted,
    *,
    tries: bool = True,
    evidence_timeout: float = EVIDENCE,
    progress: Callable[[str], None] = lambda _: None,
) -> Sight:
    """Look at a cluster.

    Args:
        api: the cluster.
        environ: the environment, for Prometheus and the shop's address.
        namespaces: whose policies may be made wrong.
        wanted: which mutants are meant.
        tries: try each flow that an experiment would rest on; else the policies alone say what can
            be witnessed, and an image without tools is found out when the experiment runs.
        evidence_timeout: seconds until a drop must show in Prometheus.
        progress: told what is being done, for people.

    Raises:
        ArgumentError: the plan means no policy that is there.
        ApiError: something that is needed cannot be read.
    """
    progress("reading pods, Services and policies")
    read = read_objects(api, "the cluster")
    world = world_of(read)
    places = tuple(namespaces)
    refs = meant([ObjectRef.of(policy) for policy in world.policies], places, wanted.policies)
    skipped = not_ours(world.policies, world.invalid, refs)
    notes = [*read.notes, *(f"{one.policy} is left alone: {one.reason}." for one in skipped)]
    ours = [ref for ref in refs if ref not in {one.policy for one in skipped}]
    progress(f"working out the mistakes that could be made in {len(ours)} policies")
    made = mutants(world, of=ours) if ours else []
    chosen = tuple(
        mutant
        for mutant in made
        if (not wanted.families or mutant.family in wanted.families)
        and (mutant.effect not in ("closes", "opens", "both") or mutant.effect in wanted.classes)
    )
    inventory = take_inventory(api)
    known = known_world(inventory.policies, inventory.pods, inventory.services)
    pods = [one for one in read.objects if one.get("kind") == "Pod"]
    roster = Roster(inventory, pods, known.servers)
    asks = _asks(roster, places, wanted.names)
    # What opens is seen by one client, and by Hubble, which has flows that were let through.
    chooser = Chooser(roster, Outlook(inventory.engine, known), chosen, asks, clients=1)
    trier = Trier(api, environ, roster, evidence_timeout)
    if why := no_customers(api, environ, roster):
        trier.tried |= dict.fromkeys((ask for ask in asks if ask.way == CUSTOMER), why)
    if tries:
        # Each would take a client's whole patience, to find what the policies say anyway.
        lost = _lost_lookups(roster, Names(inventory.engine, known.servers), asks)
        trier.tried |= dict.fromkeys(lost, "its name is not resolved")
    progress("choosing flows by which they can be witnessed")
    found = _witnessed(chooser, chosen, trier, tries, progress)
    seen = [one for one in chosen if isinstance(found.get(one.id), Proposal)]
    opened = _opened(chooser, seen, trier, tries, progress)
    return Sight(
        tuple(refs),
        tuple(_rules(world.policies, ours)),
        chosen,
        {name: one for name, one in found.items() if isinstance(one, Proposal)},
        {name: one for name, one in found.items() if isinstance(one, str)},
        opened,
        {ask: end for ask in asks if (end := _dropped(roster, ask))[1]},
        tuple(notes),
    )


def meant(
    live: Iterable[ObjectRef], namespaces: Iterable[str], globs: Iterable[str]
) -> list[ObjectRef]:
    """The policies that a plan means.

    Args:
        live: those that are there.
        namespaces: where they may be.
        globs: names or globs, of names or of "namespace/name"; empty is all.

    Raises:
        ArgumentError: a namespace has no policy, or a glob matches none.
    """
    places, patterns = tuple(namespaces), tuple(globs)
    ours = [ref for ref in live if ref.namespace in places]
    for place in places:
        if not any(ref.namespace == place for ref in ours):
            raise ArgumentError(f"There is no policy in namespace {place}: correct target.")
    for glob in patterns:
        if not any(_matches(ref, glob) for ref in ours):
            there = ", ".join(sorted(str(ref) for ref in ours)[:8])
            raise ArgumentError(f"No policy matches {glob!r}; there is {there}: correct mutants.")
    return [ref for ref in ours if not patterns or any(_matches(ref, one) for one in patterns)]


def _matches(ref: ObjectRef, glob: str) -> bool:
    return fnmatchcase(str(ref) if "/" in glob else ref.name, glob)


def _rules(
    policies: Iterable[Mapping[str, Any]], refs: Iterable[ObjectRef]
) -> Iterable[tuple[ObjectRef, str]]:
    wanted = set(refs)
    for policy in policies:
        ref = ObjectRef.of(policy)
        if ref in wanted:
            yield from ((ref, path_text(item.path)) for item in rule_items(policy))


def _asks(roster: Roster, places: Iterable[str], names: Iterable[str]) -> list[Ask]:
    """What can be asked, with the plan's own names."""
    wanted = set(places)
    own = {
        Ask(source, name, HTTPS, NAME)
        for source in roster.workloads
        if source.partition("/")[0] in wanted
        for name in names
    }
    # A stranger is a pod that each experiment makes and removes: a day has enough without.
    return sorted({*(ask for ask in roster.asks(wanted) if ask.way != STRANGER), *own})


def _lost_lookups(roster: Roster, lookups: Names, asks: Iterable[Ask]) -> Iterable[Ask]:
    """The Services that whoever asks them cannot look up, asked by name."""
    for ask in by_name(ask for ask in asks if ask.way == CONNECT):
        place, _, name = ask.target.partition("/")
        host = f"{name}.{place}.svc.cluster.local"
        if not any(lookups.resolves(source, host)[0] for source in roster.senders(ask)):
            yield ask


def _witnessed(
    chooser: Chooser,
    chosen: Iterable[Mutant],
    trier: Trier,
    tries: bool,
    progress: Callable[[str], None],
) -> dict[str, Proposal | str]:
    """The experiment of each injectable mutant, or why there is none."""
    fit = [mutant for mutant in chosen if mutant.injectable and not mutant.radius.empty]
    found: dict[str, Proposal | str] = {}
    for _ in range(ROUNDS if tries else 1):
        found = {mutant.id: chooser.of(mutant, trier.tried) for mutant in fit}
        expected = _expected(one for one in found.values() if isinstance(one, Proposal))
        left = expected.keys() - trier.tried.keys()
        if not tries or not left:
            return found
        progress(f"trying {len(left)} flows once each")
        trier.try_all(expected)
    for name, one in found.items():
        if isinstance(one, Proposal) and any(trier.tried.get(ask) for ask in one.asks):
            found[name] = "too many of its flows did otherwise"
    return found


def _dropped(roster: Roster, ask: Ask) -> tuple[str, str]:
    """Where a flow is dropped now; two empty words for one that is not, or nobody knows where."""
    engine = roster.inventory.engine
    if ask.way != CONNECT or roster.state(engine, ask) != CLOSED:
        return "", ""
    return roster.dropped_at(engine, ask)


def _opened(
    chooser: Chooser,
    seen: Iterable[Mutant],
    trier: Trier,
    tries: bool,
    progress: Callable[[str], None],
) -> dict[str, tuple[Ask, ...]]:
    """What each of some mutants opens: a closed claim can be about the first."""
    mistakes = [mutant for mutant in seen if mutant.radius.opened_count]
    found: dict[str, tuple[Ask, ...]] = {}
    for _ in range(ROUNDS if tries else 1):
        found = {mutant.id: chooser.opened(mutant, trier.tried) for mutant in mistakes}
        first = {asks[0] for asks in found.values() if asks}
        if not tries or not (left := first - trier.tried.keys()):
            break
        progress(f"trying {len(left)} flows that claims could be about")
        trier.try_all(dict.fromkeys(sorted(left), CLOSED))
    return found


def _expected(proposals: Iterable[Proposal]) -> dict[Ask, str]:
    expected: dict[Ask, str] = {}
    for one in proposals:
        expected |= one.asks
        named = by_name(ask for ask in one.turned[:1] if ask.way == CONNECT)
        expected |= dict.fromkeys(named, one.asks[one.turned[0]])
    return expected
