"""`acns-chaos mutants`: which realistic mistakes could be made here, and what each would do."""

import json
from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import click

from acns_chaos.cli import show

if TYPE_CHECKING:
    from acns_chaos.policy.mutants import Mutant

__all__ = ["mutants"]

CLASSES = ("closes", "opens", "both", "equivalent", "invalid")
_VERBS = {
    "closes": "close flows",
    "opens": "open flows",
    "both": "do both",
    "equivalent": "are equivalent",
    "invalid": "are invalid",
}


@click.command(
    epilog="An id names a mutant in an experiment: inject_fault takes it as `operator`. Only "
    "mutants that rewrite one valid object can be injected."
)
@click.option(
    "--policies",
    "places",
    multiple=True,
    metavar="FILE|FOLDER",
    help="Policies, with pods and services if there are any; git:REVISION:PATH too. Repeatable.",
)
@click.option("--cluster", metavar="CONTEXT|lab", help="A cluster instead of files.")
@click.option(
    "--namespace",
    metavar="N",
    help="Only policies of this namespace; objects in files that name none are taken to be in it.",
)
@click.option(
    "--class",
    "classes",
    multiple=True,
    type=click.Choice(CLASSES),
    help="Only mutants of this class; repeatable.",
)
@click.option("--operator", "operators", multiple=True, help="Only this operator; repeatable.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, with every flow.")
def mutants(
    places: tuple[str, ...],
    cluster: str | None,
    namespace: str | None,
    classes: tuple[str, ...],
    operators: tuple[str, ...],
    as_json: bool,
) -> None:
    """List every mistake of `acns-chaos operators` that could be made in some policies.

    Each is classed over the workloads, ports and names that are known: it *closes* flows, *opens*
    flows (no drop will ever show it), does *both*, is *equivalent* (changes no verdict, nobody
    could notice), or *invalid* (the agents refuse it, the old version stays in force).

    Without --policies and --cluster, the cluster is the one that ACNS_CHAOS_CLUSTER names, else
    the lab.
    """
    # The engine takes longer to import than all else: only this command pays for it.
    from acns_chaos.cluster.clusters import read_cluster, read_place, world_of
    from acns_chaos.policy import ObjectRef
    from acns_chaos.policy import mutants as mutants_of

    if places and cluster is not None:
        raise click.UsageError("Give either --policies or --cluster, not both.")
    if places:
        read = [read_place(place, namespace=namespace or "default") for place in places]
    else:
        read = [read_cluster(cluster or "")]
    world = world_of(*read)
    refs = [ObjectRef.of(policy) for policy in world.policies]
    wanted = [ref for ref in refs if namespace in {None, ref.namespace}]
    notes = [note for one in read for note in one.notes]
    notes += [
        f"{ref} has no mutants, as the agents refuse it: {why[0]}"
        for ref, why in world.invalid.items()
        if ref in wanted
    ]
    if not wanted:
        where = f"in namespace {namespace} " if namespace else ""
        raise _nothing(f"There is no policy {where}of {' or '.join(one.name for one in read)}.")
    found = mutants_of(world, operators=operators, of=wanted)
    chosen = [mutant for mutant in found if not classes or mutant.effect in classes]
    if as_json:
        _print_json(chosen, notes, len(wanted))
        return
    for note in notes:
        click.echo(f"Note: {note}", err=True)
    _print_table(chosen)
    show(f"{_counted(chosen)} of {len(wanted)} {'policy' if len(wanted) == 1 else 'policies'}")


def _nothing(sentence: str) -> Exception:
    from acns_chaos.errors import PolicyError

    return PolicyError(sentence)


def _counted(chosen: Iterable["Mutant"]) -> str:
    counts = Counter(mutant.effect for mutant in chosen)
    parts = [f"{counts[name]} {_VERBS[name]}" for name in CLASSES if counts[name]]
    total = sum(counts.values())
    listed = f" ({', '.join(parts)})" if parts else ""
    return f"{total} mutant{'' if total == 1 else 's'}{listed}"


def _print_table(chosen: list["Mutant"]) -> None:
    rows: list[tuple[str, ...]] = [("CLASS", "CLOSED", "OPENED", "ID", "MISTAKE")]
    for mutant in chosen:
        radius = mutant.radius
        counts = (str(count or "") for count in (radius.closed_count, radius.opened_count))
        rows.append((mutant.effect, *counts, mutant.id, mutant.mistake))
    width = max(len(row[3]) for row in rows)
    for effect, closed, opened, name, mistake in rows if chosen else ():
        show(f"{effect:<10}  {closed:>6}  {opened:>6}  {name:<{width}}  {mistake}")


def _print_json(chosen: list["Mutant"], notes: list[str], policies: int) -> None:
    counts = Counter(mutant.effect for mutant in chosen)
    result: dict[str, Any] = {
        "policies": policies,
        "counts": {name: counts[name] for name in CLASSES},
        "mutants": [mutant.as_json() for mutant in chosen],
        "notes": notes,
    }
    show(json.dumps(result, indent=2))
