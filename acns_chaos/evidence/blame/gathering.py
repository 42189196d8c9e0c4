"""Getting together what blame is put on: flows of a relay or a file, live objects, records."""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence

from acns_chaos.cluster.clusters import read_objects, world_of
from acns_chaos.cluster.hubble import Event, Evidence, Query, SeenFlow, evidence_of, open_relay
from acns_chaos.cluster.kube import Api
from acns_chaos.cluster.stop import CENTRAL
from acns_chaos.errors import ApiError
from acns_chaos.evidence.blame import Case
from acns_chaos.evidence.blame.changes import (
    Change,
    changes_of_objects,
    changes_of_records,
    merged,
)
from acns_chaos.evidence.blame.events import Said, events_about_policies
from acns_chaos.policy import ObjectRef
from acns_chaos.policy.world import World

__all__ = ["case_of", "kept", "read_drops"]

# Of a flood, the newest; they are grouped anyway.
MOST_FLOWS = 50_000


def read_drops(
    api: Api, environ: Mapping[str, str], query: Query, deadline: float
) -> tuple[list[SeenFlow], Evidence]:
    """Ask Hubble relay for flows.

    Args:
        api: the cluster.
        environ: as for `open_relay`.
        query: which flows.
        deadline: seconds for the whole answer.

    Returns:
        The flows, and how complete they are; a relay that cannot be asked is not complete, with
        the reason.
    """
    try:
        with open_relay(api, environ) as relay:
            return kept(relay.flows(query, deadline))
    except ApiError as error:
        return [], Evidence(False, 0, (), (str(error).rstrip("."),))


def kept(events: Iterable[Event]) -> tuple[list[SeenFlow], Evidence]:
    """Take flows and notices apart; of very many flows the newest are kept.

    Args:
        events: of a relay, or of lines.
    """
    flows: deque[SeenFlow] = deque(maxlen=MOST_FLOWS)
    notices: list[Event] = []
    for event in events:
        if isinstance(event, SeenFlow):
            flows.append(event)
        else:
            notices.append(event)
    return list(flows), evidence_of(notices)


def case_of(
    api: Api,
    name: str,
    home: str,
    flows: Sequence[SeenFlow],
    evidence: Evidence,
    about: str,
    told: Iterable[Change] | None = None,
) -> Case:
    """Read what is live, and what was changed.

    Args:
        api: the cluster.
        name: what to call it.
        home: the experiments' namespace.
        flows: that were seen.
        evidence: how complete they are.
        about: what was looked for, a few words.
        told: changes that are known already; None looks for the records of all runs.

    Raises:
        AcnsChaosError: the objects cannot be read.
    """
    read = read_objects(api, name)
    world = world_of(read)
    notes = list(read.notes)
    said: list[Said] = []
    if told is None:
        live = {ObjectRef.of(one): one for one in world.policies}
        places = (home, *_namespaces(world, flows), CENTRAL)
        told, unread = changes_of_records(api, places, live)
        said = events_about_policies(api, (home, *_namespaces(world, flows)))
        notes += unread
    changes = merged([*told, *changes_of_objects(world.policies, home)])
    return Case(flows, evidence, world, changes, about, notes, said)


def _namespaces(world: World, flows: Sequence[SeenFlow]) -> Iterator[str]:
    """Those of dropped flows, as far as they exist: a name in a file may be anything."""
    seen = {side.namespace for flow in flows for side in (flow.source, flow.destination)}
    yield from sorted(seen & set(world.namespaces))
