"""`acns-chaos diff BEFORE AFTER`: which flows a change of policies opens and closes."""

import json

import click

from acns_chaos.cli import show
from acns_chaos.cluster.clusters import read_place, taken_over, world_of
from acns_chaos.cluster.sources import Collection
from acns_chaos.policy.difference import diff as difference_of
from acns_chaos.policy.difference_text import difference_text
from acns_chaos.policy.model import KINDS

__all__ = ["diff"]

EPILOG = """\
BEFORE and AFTER are each a file, a folder, git:REV:PATH, or cluster:CONTEXT (cluster:lab for the
lab). Exit codes: 0 equal, 1 different, 2 error."""


@click.command(epilog=EPILOG)
@click.argument("before")
@click.argument("after")
@click.option("--overlay", is_flag=True, help="AFTER is applied over BEFORE, as by kubectl apply.")
@click.option(
    "--pods",
    multiple=True,
    metavar="PATH",
    help="Pods or their manifests, for both sides: file, folder, git:REV:PATH, cluster:CONTEXT.",
)
@click.option("-n", "--namespace", default="default", help="Of objects in files that name none.")
@click.option("--json", "as_json", is_flag=True, help="Print the difference as JSON.")
@click.pass_context
def diff(
    context: click.Context,
    before: str,
    after: str,
    overlay: bool,
    pods: tuple[str, ...],
    namespace: str,
    as_json: bool,
) -> None:
    """Say which flows the policies of AFTER open and close, compared with those of BEFORE.

    Without pods from anywhere, the pods are assumed that the policies speak of.
    """
    # A revision that is being mended must not stop its own mending.
    first = read_place(before, namespace=namespace, strict=False)
    second = read_place(after, namespace=namespace)
    shared = [_without_policies(read_place(place, namespace=namespace)) for place in pods]
    world = world_of(*shared, first)
    notes = [note for one in (first, second, *shared) for note in one.notes]
    if overlay:
        second, kept = taken_over(world, second)
        notes += kept
        changed = world_of(*shared, first, second)
    else:
        changed = world_of(*shared, second)
    difference = difference_of(world, changed)
    if as_json:
        found = difference.as_json()
        found |= {"before": before, "after": after, "notes": [*notes, *found["notes"]]}
        show(json.dumps(found, indent=2))
    else:
        show("".join(f"Note: {note}\n" for note in notes) + difference_text(difference))
    context.exit(0 if difference.empty else 1)


def _without_policies(place: Collection) -> Collection:
    objects = tuple(obj for obj in place.objects if obj.get("kind") not in KINDS)
    return Collection(place.name, objects, (), place.notes, place.settings, place.complete)
