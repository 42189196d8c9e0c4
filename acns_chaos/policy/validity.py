"""What is wrong with a policy object, in three layers, as data and in sentences.

Belongs here: the two questions to ask of an object, and the order of the layers. Does not belong
here: the checks themselves.

- ``schema``: the API server refuses the write, or drops a field that it does not know
  (`validity_schema`, `validity_leftover`);
- ``agent``: the object is stored, but no agent imports it (`validity_agent`, `validity_ports`);
- ``idle``: it is in force and does nothing, or not what it looks like (`validity_idle` and on).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import chain, islice
from typing import TYPE_CHECKING, Any

from acns_chaos.policy.model import ObjectRef, Settings
from acns_chaos.policy.quoting import MAX_FINDINGS, clipped, related
from acns_chaos.policy.schema import Field
from acns_chaos.policy.schema_cilium import POLICY
from acns_chaos.policy.schema_native import NETWORK_POLICY
from acns_chaos.policy.shape import is_too_large, shape_problems
from acns_chaos.policy.validity_agent import agent_findings

if TYPE_CHECKING:
    from acns_chaos.policy.validity_neighbours import HasNeighbours

SCHEMA = "schema"
AGENT = "agent"
IDLE = "idle"
LAYERS = (SCHEMA, AGENT, IDLE)

_TOO_LARGE = (
    "is larger than 1.5 MiB, which no API server stores; split it, or take out what does not belong"
)
_NOT_IMPORTED = (
    "until then the API server stores the object, but no agent imports it: on create nothing of it "
    "is enforced, on update the version before stays in force"
)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong with an object.

    Attributes:
        layer: "schema", "agent" or "idle", see the module.
        path: where in the object, e.g. "spec.ingress[0].fromEntities[0]"; "" for all of it.
        sentence: what is wrong there, what happens because of it, and what to do.
    """

    layer: str
    path: str
    sentence: str

    def __str__(self) -> str:
        return f"{self.path}: {self.sentence}" if self.path else self.sentence

    def to_json(self) -> dict[str, str]:
        """{"layer", "path", "sentence"}."""
        return asdict(self)


def problems(obj: Mapping[str, Any], settings: Settings | None = None) -> list[str]:
    """Why the agents would not import an object.

    All of an object is imported or nothing: one finding is enough to leave it without effect.

    Args:
        obj: a raw policy object.
        settings: of the agents.

    Returns:
        One sentence per finding, at most MAX_FINDINGS, each beginning with where it is; [] when
        the object is imported.

    Raises:
        PolicyError: it is no policy object.
    """
    ref = ObjectRef.of(obj)
    if is_too_large(obj):
        return [f"{clipped(str(ref))}: the object {_TOO_LARGE}."]
    found = list(
        islice(
            shape_problems(obj, schema_of(ref), native=ref.kind == "NetworkPolicy"), MAX_FINDINGS
        )
    )
    if found:
        return found
    findings = islice(agent_findings(obj, ref, settings or Settings()), MAX_FINDINGS)
    return [f"{path}: {finding}." for path, finding in findings]


def schema_of(ref: ObjectRef) -> Field:
    """The schema of an object's kind."""
    return NETWORK_POLICY if ref.kind == "NetworkPolicy" else POLICY


def findings(
    obj: Mapping[str, Any],
    settings: Settings | None = None,
    world: "HasNeighbours | None" = None,
) -> list[Finding]:
    """Everything that is wrong with an object, and what it does other than it looks like.

    A layer is only asked where the one before lets the object through: what the API server
    refuses reaches no agent, and what no agent imports can be neither idle nor busy.

    Args:
        obj: a raw policy object, as somebody would write it.
        settings: of the agents; those of the world when None.
        world: what there is besides the object, a `World` or `Neighbours`; without it only what
            holds in every cluster is said. A world that holds nothing of a kind (no service, say)
            counts as not knowing any.

    Returns:
        The findings in the order of the layers, at most MAX_FINDINGS of each; [] for an object
        that is accepted, imported, and means what it says.

    Raises:
        PolicyError: it is no policy object.
    """
    # A cluster's engine needs none of this: it comes with the first question.
    from acns_chaos.policy.validity_idle import idle_findings
    from acns_chaos.policy.validity_neighbours import Neighbours
    from acns_chaos.policy.validity_schema import review

    ref = ObjectRef.of(obj)
    around = Neighbours.of(world) if world is not None else None
    settings = settings or (around.settings if around else Settings())
    if is_too_large(obj):
        return [Finding(SCHEMA, "", f"{clipped(str(ref))} {_TOO_LARGE}.")]
    seen = review(obj, ref, schema_of(ref))
    # As kubectl does: unknown fields first, they are often the cause of the rest.
    found = _capped(SCHEMA, chain(seen.dropped, seen.refusals))
    if not seen.readable:
        return found
    refused: list[Finding] = []
    if ref.kind != "NetworkPolicy":
        said = agent_findings(seen.stored, ref, settings)
        refused = _capped(AGENT, ((p, f"{s}: {_NOT_IMPORTED}.") for p, s in said), found)
    if refused or seen.refusals:
        return found + refused
    return found + _capped(IDLE, idle_findings(seen.stored, obj, ref, settings, around), found)


def findings_by_object(
    policies: Iterable[Mapping[str, Any]],
    settings: Settings | None = None,
    world: "HasNeighbours | None" = None,
) -> dict[ObjectRef, list[Finding]]:
    """The findings of many objects, which is quicker than asking for each when there is a world.

    Args:
        policies: raw policy objects; of one that is there twice the last counts.
        settings: of the agents; those of the world when None.
        world: what there is besides each object.

    Returns:
        The findings of each object, [] included, in the order of the objects.

    Raises:
        PolicyError: one of them is no policy object.
    """
    from acns_chaos.policy.validity_neighbours import Neighbours

    around = Neighbours.of(world) if world is not None else None
    return {ObjectRef.of(policy): findings(policy, settings, around) for policy in policies}


def _capped(
    layer: str, said: Iterable[tuple[str, str]], before: Sequence[Finding] = ()
) -> list[Finding]:
    """The findings of a layer, without places that an earlier layer has spoken of."""
    taken = [finding.path for finding in before]
    new = ((path, text) for path, text in said if not any(related(path, one) for one in taken))
    return [Finding(layer, path, text) for path, text in islice(new, MAX_FINDINGS)]
