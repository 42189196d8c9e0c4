"""Who is to blame: dropped flows, live policies and what changed, put into one paragraph.

It is what a person would do by hand: look at the drops, find the policies that select the
endpoint, read their rules, ask who touched them. A change is blamed only when the flow would pass
without it; a drop that no live policy explains is said to be one. What opens a flow makes no drops:
then what is live is held against what was there before.

- `drops`: flows put together, each packet once
- `clustername`: what the cluster is called, where its agents' settings cannot be read
- `walks`: which live policy denies them, by Cilium's semantics
- `changes`: what was changed, since when, by whom
- `events`: what was said of it
- `gathering`: all of it together, from a cluster
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from acns_chaos.cluster.hubble import Evidence, PolicyName, SeenFlow
from acns_chaos.evidence.blame.changes import Change, last_write, named, undone
from acns_chaos.evidence.blame.clustername import in_its_cluster
from acns_chaos.evidence.blame.drops import NOISE, Drops, clock, grouped
from acns_chaos.evidence.blame.events import Said
from acns_chaos.evidence.blame.walks import Explained, explained, passes
from acns_chaos.evidence.readings import NAMED, UNKNOWN, UNNAMED
from acns_chaos.evidence.values import text
from acns_chaos.policy import ObjectRef
from acns_chaos.policy.world import World

__all__ = ["PUT_BACK", "Blame", "Case", "blame"]

# Groups of drops that are told in full; changes that are tried out for each.
TOLD = 3
TRIED = 12
# Seconds that a node may take to realise a policy; metadata tells moments by the second.
REALISED = 2.0
# Seconds before a drop in which an event may have to do with it: as long as a fault may stand.
EARLIER = 600.0
# Begins the last sentence, so that the command can be copied whole.
PUT_BACK = "To put it back: "
_LONGEST = 20_000


@dataclass(frozen=True, slots=True)
class Case:
    """What is known.

    Attributes:
        flows: that were seen.
        evidence: how complete they are.
        world: what is live.
        changes: what was changed, the likelier first.
        about: what was looked for, a few words: "pets/store-front in the last 5 min".
        notes: what could not be looked at.
        events: what Kubernetes events say about policies, oldest first.
    """

    flows: Sequence[SeenFlow]
    evidence: Evidence
    world: World
    changes: Sequence[Change] = ()
    about: str = ""
    notes: Sequence[str] = ()
    events: Sequence[Said] = ()


@dataclass(frozen=True, slots=True)
class Blame:
    """Who is to blame.

    Attributes:
        state: NAMED, UNNAMED (nobody, or no live policy) or UNKNOWN.
        paragraph: for people.
        culprits: the policies, as "namespace/name", the likeliest first.
        command: what puts it right, "" when that is not known.
        unexplained: how many kinds of drops no live policy explains.
        drops: what was dropped.
        changes: those that are to blame.
        evidence: of the flows.
        notes: what a person should know besides.
    """

    state: str
    paragraph: str
    culprits: tuple[str, ...] = ()
    command: str = ""
    unexplained: int = 0
    drops: tuple[Drops, ...] = ()
    changes: tuple[Change, ...] = ()
    evidence: Evidence = field(default_factory=Evidence)
    notes: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Plain JSON."""
        return {
            "state": self.state,
            "paragraph": self.paragraph,
            "culprits": list(self.culprits),
            "command": self.command,
            "unexplained": self.unexplained,
            "drops": [one.as_json() for one in self.drops],
            "changes": [one.as_json() for one in self.changes],
            "evidence": self.evidence.as_json(),
            "notes": list(self.notes),
        }


@dataclass(frozen=True, slots=True)
class _Told:
    """One group of drops, judged."""

    found: Explained
    change: Change | None
    sentences: tuple[str, ...]


def blame(case: Case) -> Blame:
    """Say which policy is behind the drops, what changed, and what to apply.

    Args:
        case: flows, policies and changes.
    """
    every = grouped(case.flows)
    drops = [one for one in every if one.by != NOISE]
    if not drops:
        return _without_drops(case, tuple(every))
    world, note = in_its_cluster(case.world, case.flows)
    case = replace(case, world=world, notes=(*case.notes, *([note] if note else [])))
    told = [_told(case, explained(case.world, one)) for one in drops[:TOLD]]
    sentences = [sentence for one in told for sentence in one.sentences]
    changes = tuple(dict.fromkeys(one.change for one in told if one.change))
    agreed = [one for one in told if one.found.agrees]
    culprits = dict.fromkeys(
        str(ref)
        for one in (*agreed, *told)
        for ref in (*([one.change.ref] if one.change else []), *one.found.culprits)
    )
    command = next((one.command for one in changes if one.command), "")
    sentences += [*_rest(drops[TOLD:]), *_noise(every), *_lossy(case)]
    if command:
        sentences.append(f"{PUT_BACK}{command}")
    elif agreed:
        sentences.append(_by_hand(agreed[0].found))
    return Blame(
        NAMED if agreed or changes else UNNAMED,
        _line(dict.fromkeys(sentences)),
        tuple(culprits),
        command,
        sum(1 for one in told if not one.found.agrees),
        tuple(every),
        changes,
        case.evidence,
        tuple(dict.fromkeys((*case.notes, *(note for one in told for note in one.found.notes)))),
    )


def _line(sentences: Iterable[str]) -> str:
    """One printable line: names may come from files."""
    return text(" ".join(sentences), _LONGEST)


def _told(case: Case, found: Explained) -> _Told:
    change = next(_proven(case, found), None) if found.agrees else None
    sentences = [found.drops.sentence, *found.why]
    if change is not None:
        sentences.append(f"{change.sentence} Without that change the flow passes.")
    elif found.agrees:
        sentences += _writers(case, found)
    else:
        sentences += _earlier(case, found)
    return _Told(found, change, tuple(sentences))


def _proven(case: Case, found: Explained) -> Iterator[Change]:
    """The changes without which the flow would pass: those are to blame."""
    for change in [one for one in case.changes if one.known][:TRIED]:
        if passes(undone(case.world, change), found.drops):
            yield change
    # Marked as broken on purpose, though nobody kept what it was.
    for change in case.changes:
        if change.run and not change.known and change.ref in found.culprits:
            yield change


def _writers(case: Case, found: Explained) -> Iterator[str]:
    """No kept version lets it pass: who touched the culprits last is all that can be told."""
    live = {ObjectRef.of(one): one for one in case.world.policies}
    for ref in found.culprits[:TOLD]:
        who, at = last_write(live.get(ref, {}))
        if at:
            when = "before" if at < found.drops.first else "after"
            yield f"{ref} was last written by {who} at {clock(at)}, {when} the first of them."


def _earlier(case: Case, found: Explained) -> Iterator[str]:
    """Why a drop may not fit live policies: they changed since, or a node did not follow."""
    drops = found.drops
    said = [one for one in case.events if one.at <= drops.last + REALISED]
    if said and said[-1].at >= drops.first - EARLIER:
        yield said[-1].sentence
    live = {ObjectRef.of(one): one for one in case.world.policies}
    writes = {ref: last_write(one) for ref, one in live.items()}
    later = sorted(
        (at, who, ref) for ref, (who, at) in writes.items() if at >= drops.last - REALISED
    )
    if later:
        at, who, ref = later[-1]
        yield (
            f"An earlier policy is behind it, it seems: {ref} was written by {who} at {clock(at)}, "
            "after these drops."
        )
    elif drops.named and (gone := [one for one in drops.named if not _there(live, one)]):
        names = ", ".join(f"{one.namespace}/{one.name}" for one in gone)
        yield f"Hubble names {names}, which is gone: an earlier policy is behind it."
    else:
        node = ", ".join(drops.nodes) or "a node"
        yield (
            "No policy was written since, as far as objects tell: a deleted policy is behind it, "
            f"or {node} has not realised what is live; look at its agent with `kubectl -n "
            "kube-system get pods -l k8s-app=cilium -o wide`."
        )


def _there(live: Iterable[ObjectRef], told: PolicyName) -> bool:
    return any((one.namespace, one.name) == (told.namespace, told.name) for one in live)


def _without_drops(case: Case, every: tuple[Drops, ...]) -> Blame:
    """No policy dropped anything that was seen: what could still be wrong?"""
    about = f" about {case.about}" if case.about else ""
    if not case.evidence.complete:
        why = "; ".join(case.evidence.reasons) or "flows are missing"
        said = f"No drop by policy was seen{about}, but not every flow was: {why}."
        return Blame(
            UNKNOWN, _line([said]), drops=every, evidence=case.evidence, notes=tuple(case.notes)
        )
    seen = f"among {len(case.flows)} flow(s)" if case.flows else "and no flow at all"
    sentences = [f"No drop by policy was seen{about}, {seen}."]
    sentences += _noise(every)
    sentences.append("A policy that opens something makes no drops, so drops cannot show it.")
    opening = [one for one in case.changes if one.known and one.what][:TRIED]
    command = ""
    for change in opening[:TOLD]:
        flows = _opened(case, change)
        effect = f"it lets through {flows}" if flows else "it lets nothing more through"
        sentences.append(f"{change.sentence} Held against what was there before, {effect}.")
        command = command or (change.command if flows else "")
    if not opening:
        sentences.append("No live policy differs from a version that somebody kept.")
    if command:
        sentences.append(f"{PUT_BACK}{command}")
    return Blame(
        UNNAMED,
        _line(sentences),
        tuple(str(one.ref) for one in opening),
        command,
        drops=every,
        changes=tuple(opening),
        evidence=case.evidence,
        notes=tuple(case.notes),
    )


def _opened(case: Case, change: Change) -> str:
    """The flows that a change opened, for people."""
    from acns_chaos.policy.difference import diff

    found = diff(undone(case.world, change), case.world)
    texts = [
        f"{'everybody' if one.everybody else ', '.join(one.sources[:TOLD])} to "
        f"{', '.join(one.destinations[:TOLD])} on {one.ports}"
        for one in found.opened
    ]
    texts += [
        f"requests of {', '.join(one.sources[:TOLD])} to {one.destination}"
        for one in found.requests
        if one.effect == "opened"
    ]
    more = f" and {len(texts) - TOLD} more" if len(texts) > TOLD else ""
    return "; ".join(texts[:TOLD]) + more


def _by_hand(found: Explained) -> str:
    """What to look at when nobody kept an earlier version."""
    ref = found.nearest or next(iter(found.culprits), None)
    if ref is None:
        return ""
    command = f"kubectl edit {named(ref)}"
    return f"Nobody kept an earlier version; if it should pass, change it: {command}"


def _rest(drops: Sequence[Drops]) -> Iterator[str]:
    if drops:
        count = sum(one.count for one in drops)
        yield f"Besides, {count} more were dropped by policy, of {len(drops)} other kinds."


def _noise(every: Iterable[Drops]) -> Iterator[str]:
    """Drops that are no policy's: there are always some."""
    reasons: dict[str, int] = {}
    for one in every:
        if one.by == NOISE:
            reason = one.reason or "without a reason"
            reasons[reason] = reasons.get(reason, 0) + one.count
    if reasons:
        listed = ", ".join(f"{count} {reason}" for reason, count in reasons.items())
        yield f"Not by policy were dropped: {listed}."


def _lossy(case: Case) -> Iterator[str]:
    if not case.evidence.complete:
        yield f"Not every flow was seen: {'; '.join(case.evidence.reasons) or 'some are missing'}."
