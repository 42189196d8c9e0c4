"""All of it in order: read, see what is in use, choose, try what was chosen, choose again."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from acns_chaos.cluster.clusters import read_objects, world_of
from acns_chaos.cluster.gitops import owner_of
from acns_chaos.cluster.inventory import take_inventory
from acns_chaos.cluster.kube import Api
from acns_chaos.cluster.storefront import URL_VARIABLE
from acns_chaos.cluster.target import LAB_MARK
from acns_chaos.errors import ArgumentError
from acns_chaos.faults.proposing.asks import CLOSED, CONNECT, CUSTOMER, OPEN, Ask
from acns_chaos.faults.proposing.choosing import Chooser
from acns_chaos.faults.proposing.in_use import flows_in_use
from acns_chaos.faults.proposing.outline import NO_EFFECT, Proposal, Skipped
from acns_chaos.faults.proposing.roster import Roster
from acns_chaos.faults.proposing.trying import Trier, by_name
from acns_chaos.policy.blast import Outlook
from acns_chaos.policy.known import known_world
from acns_chaos.policy.model import ObjectRef
from acns_chaos.policy.mutants import EQUIVALENT, INVALID, Mutant, mutants

__all__ = ["FEWEST", "ROUNDS", "Findings", "no_customers", "not_ours", "propose"]

# Experiments without --max: one that closes and one that opens of each policy, or so many if more.
FEWEST = 40
# After so many rounds whatever is left untried is left out.
ROUNDS = 8
DID_OTHERWISE = "too many of its flows did otherwise"
# Open claims of one Service that nobody was seen to use.
UNSEEN = 3
# Namespaces that are never proposed by themselves.
SYSTEM = ("kube-", "gatekeeper-", "acns-chaos", "calico-", "azure-")


@dataclass(frozen=True, slots=True)
class Findings:
    """What is proposed.

    Attributes:
        places: the namespaces it is about.
        policies: how many policies they have.
        experiments: to be written.
        claims: asks that are claims, to OPEN or CLOSED; each was tried.
        in_use: those of them that Hubble has seen.
        skipped: what is no experiment, and why.
        notes: what a person should know.
    """

    places: tuple[str, ...]
    policies: int
    experiments: tuple[Proposal, ...]
    claims: Mapping[Ask, str]
    in_use: frozenset[Ask]
    skipped: tuple[Skipped, ...]
    notes: tuple[str, ...]


def propose(
    api: Api,
    environ: Mapping[str, str],
    places: Sequence[str] = (),
    most: int | None = None,
    evidence_timeout: float = 10.0,
    progress: Callable[[str], None] = lambda _: None,
) -> Findings:
    """Propose claims and experiments for the policies of some namespaces. Nothing is changed.

    Args:
        api: the cluster.
        environ: the environment, for Prometheus, Hubble and the shop's address.
        places: the namespaces; empty takes all that have policies and are not the system's.
        most: experiments at most; 0 is no limit; None is two of each policy, and at least FEWEST.
        evidence_timeout: seconds until a drop must show in Prometheus.
        progress: told what is being done, for people.

    Raises:
        ArgumentError: there is no such namespace, or no policy to propose anything for.
        ApiError: something that is needed cannot be read.
    """
    progress("reading pods, Services and policies")
    read = read_objects(api, "the cluster")
    world = world_of(read)
    notes = list(read.notes)
    refs = _policies(world.policies, world.namespaces, places, notes)
    skipped = not_ours(world.policies, world.invalid, refs)
    wanted = [ref for ref in refs if ref not in {one.policy for one in skipped}]
    inventory = take_inventory(api)
    known = known_world(inventory.policies, inventory.pods, inventory.services)
    pods = [one for one in read.objects if one.get("kind") == "Pod"]
    roster = Roster(inventory, pods, known.servers)
    trier = Trier(api, environ, roster, evidence_timeout)
    trier.require_prometheus()
    spaces = tuple(sorted({ref.namespace for ref in refs}))
    progress(f"asking Hubble which flows of {len(spaces)} namespaces are in use")
    in_use, told, hubble = flows_in_use(api, environ, roster, spaces)
    notes += [told] if told else []
    progress(f"working out the mistakes that could be made in {len(wanted)} policies")
    made = mutants(world, of=wanted) if wanted else []
    skipped += _without_effect(wanted, made)
    asks = roster.asks(spaces)
    outlook, clients = Outlook(inventory.engine, known), 1 if hubble else 2
    chooser = Chooser(roster, outlook, made, asks, in_use, clients)
    if why := no_customers(api, environ, roster):
        customers = (ask for ask in asks if ask.way == CUSTOMER)
        trier.tried |= dict.fromkeys(customers, why)
    limit = max(FEWEST, 2 * len(refs)) if most is None else most
    experiments, unseen = _settled(chooser, trier, limit, progress)
    claims = _claims(chooser, trier, experiments, in_use, progress)
    return Findings(
        spaces,
        len(refs),
        tuple(experiments),
        claims,
        frozenset(in_use),
        (*skipped, *unseen),
        tuple(notes),
    )


def _policies(
    policies: Iterable[Mapping[str, Any]],
    known: Iterable[str],
    places: Sequence[str],
    notes: list[str],
) -> list[ObjectRef]:
    """The policies that are meant."""
    refs = [ObjectRef.of(policy) for policy in policies]
    there = set(known) | {ref.namespace for ref in refs}
    for place in places:
        if place not in there:
            raise ArgumentError(f"There is no namespace {place!r}: name another with -n.")
    if wide := [str(ref) for ref in refs if not ref.namespace]:
        notes.append(
            f"Cluster-wide policies are in force and get no experiment here: {', '.join(wide)}. "
            "A fault in one reaches every namespace; write it by hand."
        )
    found = [
        ref
        for ref in refs
        if ref.namespace
        and (ref.namespace in places if places else not ref.namespace.startswith(SYSTEM))
    ]
    if not found:
        where = f"in namespace {', '.join(places)}" if places else "outside of the system's own"
        raise ArgumentError(f"There is no policy {where}: there is nothing to make wrong.")
    return found


def not_ours(
    policies: Iterable[Mapping[str, Any]],
    invalid: Mapping[ObjectRef, Sequence[str]],
    refs: Sequence[ObjectRef],
) -> list[Skipped]:
    """The policies that a fault must leave alone, or that no fault can change."""
    found = [
        Skipped(ref, "", f"the agents refuse it as it is ({invalid[ref][0].rstrip('.')})")
        for ref in refs
        if ref in invalid
    ]
    for policy in policies:
        ref = ObjectRef.of(policy)
        if ref in refs and (owner := owner_of(policy)):
            found.append(
                Skipped(ref, "", f"{owner} reconciles it and would undo the fault: suspend it")
            )
    return found


def _without_effect(refs: Iterable[ObjectRef], made: Iterable[Mutant]) -> list[Skipped]:
    """The policies that could be written in any wrong way, and nothing would differ."""
    effective = {one.policy for one in made if one.effect not in (EQUIVALENT, INVALID)}
    return [Skipped(ref, "", NO_EFFECT) for ref in refs if ref not in effective]


def no_customers(api: Api, environ: Mapping[str, str], roster: Roster) -> str:
    """Why nobody asks as customers do, "" when it can be tried."""
    if environ.get(URL_VARIABLE, "").strip():
        several = len(roster.outward) > 1
        return f"{URL_VARIABLE} does not say which load balancer it is of" if several else ""
    # A lab's addresses are of networks that lead elsewhere.
    in_lab = LAB_MARK in str(api.get("/version").get("gitVersion", ""))
    return f"customers have no address in this lab ({URL_VARIABLE} is not set)" if in_lab else ""


def _settled(
    chooser: Chooser, trier: Trier, most: int, progress: Callable[[str], None]
) -> tuple[list[Proposal], list[Skipped]]:
    """Choose until everything that is chosen was tried and did as the policies say."""
    progress("choosing mistakes whose effect can be witnessed from here")
    for _ in range(ROUNDS):
        experiments, skipped = chooser.choose(trier.tried, most)
        expected: dict[Ask, str] = {}
        for one in experiments:
            expected |= one.asks
            named = by_name(ask for ask in one.turned[:1] if ask.way == CONNECT)
            expected |= dict.fromkeys(named, one.asks[one.turned[0]])
        if not expected.keys() - trier.tried.keys():
            return experiments, skipped
        _try(trier, expected, progress)
    experiments, skipped = chooser.choose(trier.tried, most)
    kept = [one for one in experiments if not one.asks.keys() - trier.tried.keys()]
    rest = [
        Skipped(one.mutant.policy, one.mutant.family, DID_OTHERWISE, one.opens)
        for one in experiments
        if one not in kept
    ]
    return kept, [*skipped, *rest]


def _claims(
    chooser: Chooser,
    trier: Trier,
    experiments: Sequence[Proposal],
    in_use: set[Ask],
    progress: Callable[[str], None],
) -> dict[Ask, str]:
    """What the experiments claim, and every open flow that is in use or that a rule names."""
    claims: dict[Ask, str] = {}
    for one in experiments:
        claims |= {one.open_claim: OPEN, one.closed_claim: CLOSED}
    targets: dict[tuple[str, int], int] = {}
    more: dict[Ask, str] = {}
    for ask in chooser.open_flows():
        end = (ask.target, ask.port)
        if ask in in_use or targets.get(end, 0) < UNSEEN:
            targets[end] = targets.get(end, 0) + 1
            more[ask] = OPEN
    _try(trier, more, progress)
    return claims | {ask: OPEN for ask in more if not trier.tried[ask]}


def _try(trier: Trier, expected: Mapping[Ask, str], progress: Callable[[str], None]) -> None:
    left = len(expected.keys() - trier.tried.keys())
    if left:
        progress(f"trying {left} flows once each")
    trier.try_all(expected)
