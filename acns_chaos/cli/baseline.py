"""`acns-chaos baseline capture | verify | apply`: the known-good policies of a namespace.

Comparing and writing are in `faults.baseline` and `faults.baseline_apply`, behaviour in
`evidence.baseline`; here are the options, the words and the exit codes.
"""

import json
import signal
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from acns_chaos.cli import show
from acns_chaos.errors import (
    AcnsChaosError,
    ApiError,
    FaultRefused,
    FaultUncertain,
    LeaseHeld,
    TargetError,
    TargetRefused,
)

if TYPE_CHECKING:
    from acns_chaos.cluster.opening import Opened
    from acns_chaos.cluster.policies import PolicyRef
    from acns_chaos.cluster.target import Target
    from acns_chaos.evidence.readings import Reading
    from acns_chaos.faults.baseline import Deviation
    from acns_chaos.faults.baseline_apply import Step
    from acns_chaos.policy.world import World

__all__ = ["baseline"]

# Exit codes: 0 done, or as known-good; 2 usage; these two.
NOT_SO = 1
NOT_TOLD = 3

_namespace = click.option("-n", "--namespace", required=True, help="Whose policies.")
_cluster = click.option("--cluster", default="", metavar="CONTEXT", help="A kube context, or lab.")
_place = click.option(
    "--from", "place", required=True, metavar="PATH", help="File, folder, git:REV:PATH, - is stdin."
)


@click.group()
def baseline() -> None:
    """Capture, verify and put in place the known-good policies of a namespace.

    Which cluster is meant says --cluster, else ACNS_CHAOS_CLUSTER.
    """


@baseline.command(
    epilog="Exit codes: 0 captured; 1 refused, a fault stands or an experiment is at work; 2 "
    "usage; 3 it cannot be told."
)
@_namespace
@_cluster
@click.option("-o", "--output", default="", metavar="PATH", help="A folder, or a .yaml file.")
@click.option("--replace", is_flag=True, help="Overwrite what an earlier capture wrote there.")
def capture(namespace: str, cluster: str, output: str, replace: bool) -> None:
    """Write the live policies of a namespace down as its known-good set; else print them.

    Kept are spec, labels and annotations, as they are; not what the server owns. Refused while a
    fault stands in the namespace, or an experiment is at work there.
    """
    from acns_chaos.cluster.gitops import owner_of
    from acns_chaos.faults.baseline import captured, read_live, require_quiet
    from acns_chaos.faults.baseline_files import write_set

    with _there(cluster, namespace) as (there, _):
        # Before and after: between the two nothing was broken and put back unseen.
        require_quiet(there.api, namespace, {})
        live = read_live(there.api, namespace)
        require_quiet(there.api, namespace, live)
        texts = captured(live.values())
        if not texts:
            click.echo(f"Namespace {namespace} of {there.name} has no policy to capture.", err=True)
            sys.exit(NOT_SO)
        for ref, policy in live.items():
            if owner := owner_of(policy):
                click.echo(
                    f"Note: {ref.kind} {ref} belongs to {owner}: `baseline apply` will not touch "
                    "it.",
                    err=True,
                )
    if not output:
        show("---\n".join(texts.values()).rstrip())
        return
    written = write_set(Path(output), texts, replace)
    show(f"Captured {_counted(len(texts), 'policy')} of namespace {namespace} of {there.name}:")
    show("\n".join(f"  {path}" for path in written))


@baseline.command(
    epilog="Exit codes: 0 as known-good, in content and behaviour; 1 something differs; 2 usage; 3 "
    "something cannot be told."
)
@_namespace
@_place
@_cluster
@click.option("--content-only", is_flag=True, help="Try no flow.")
@click.option(
    "--evidence-timeout",
    type=click.FloatRange(0, 600),
    default=5.0,
    envvar="ACNS_CHAOS_EVIDENCE_TIMEOUT",
    show_default=True,
    help="Seconds until a drop must show in Prometheus.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the answer as JSON.")
def verify(
    namespace: str,
    place: str,
    cluster: str,
    content_only: bool,
    evidence_timeout: float,
    as_json: bool,
) -> None:
    """Say whether the live policies are known-good, and whether the namespace behaves so.

    A handful of flows that the set opens and closes are tried from pods whose image has nc, and
    from outside where there is a LoadBalancer. Changes nothing.
    """
    from acns_chaos.evidence.baseline import behaviour, expected_flows
    from acns_chaos.faults.baseline import compare, read_known_good, read_live

    known = read_known_good(place, namespace)
    readings: list[Reading] = []
    notes = list(known.notes)
    doubts: list[str] = []
    effect = ""
    with _there(cluster, namespace) as (there, _):
        found = compare(known.policies, read_live(there.api, namespace))
        try:
            world, effect, read = _effect(there, namespace, known.policies.values(), back=True)
            notes += read
            if not content_only:
                flows = expected_flows(world, namespace)
                readings, untried = behaviour(
                    there.api, there.environ, namespace, flows, evidence_timeout
                )
                notes += untried
        except AcnsChaosError as error:
            doubts.append(f"Behaviour cannot be told: {error}")
    code = _judged(found, readings, doubts)
    if as_json:
        said = {
            "namespace": namespace,
            "cluster": there.name,
            "known_good": place,
            "state": {0: "EQUAL", NOT_SO: "DIFFERENT"}.get(code, "UNKNOWN"),
            "policies": len(known.policies),
            "deviations": [one.as_json() for one in found],
            "behaviour": readings,
            "notes": [*notes, *doubts],
        }
        show(json.dumps(said, indent=2))
    else:
        _print(found, effect, readings, [*notes, *doubts])
        show(_summary(code, len(known.policies), namespace, there.name, content_only))
    sys.exit(code)


@baseline.command(
    epilog="Exit codes: 0 in place; 1 refused, declined, or not all of it was written; 2 usage; 3 "
    "it cannot be told."
)
@_namespace
@_place
@_cluster
@click.option("--prune", is_flag=True, help="Delete policies that the set does not have.")
@click.option("--dry-run", is_flag=True, help="Only have the server try it.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def apply(namespace: str, place: str, cluster: str, prune: bool, dry_run: bool, yes: bool) -> None:
    """Put the known-good policies in place: what differs is replaced by content, never merged.

    Tried first in a dry run on the server. Asks before it writes where somebody is at the terminal.
    """
    from acns_chaos.faults.baseline import read_known_good, read_live
    from acns_chaos.faults.baseline_apply import put_in_place, rehearsed, steps
    from acns_chaos.faults.interlock import whoami

    known = read_known_good(place, namespace)
    at_terminal = sys.stdin.isatty() and place != "-"
    with _there(cluster, namespace) as (there, target):
        live = read_live(there.api, namespace)
        planned = steps(known.policies, live, prune)
        for note in known.notes:
            show(f"Note: {note}")
        _announce(planned, live.keys() - known.policies.keys(), prune)
        if not planned:
            show(
                f"Nothing to do: {_counted(len(known.policies), 'policy')} of namespace "
                f"{namespace} of {there.name} as the set has it. Try the behaviour with `verify`."
            )
            return
        rehearsed(there.api, target, planned, live)
        after = known.policies if prune else {**live, **known.policies}
        try:
            show(f"\n{_effect(there, namespace, after.values())[1]}\n")
        except AcnsChaosError as error:
            show(f"Note: what it opens and closes cannot be told: {error}")
        if dry_run:
            show("Dry run: the server would take all of it. Nothing was changed.")
            return
        question = f"Write this to namespace {namespace} of {there.name}?"
        if not yes and at_terminal and not click.confirm(question):
            click.echo("Nothing was changed.", err=True)
            sys.exit(NOT_SO)
        if prune and not yes and not at_terminal:
            raise click.UsageError("Where nobody can be asked, --prune needs --yes.")
        with _ended_in_order():
            put_in_place(there.api, target, planned, f"baseline {whoami()}", show)
    show(f"In place: try the behaviour with `acns-chaos baseline verify -n {namespace}`.")


@contextmanager
def _ended_in_order() -> Iterator[None]:
    """SIGTERM is Ctrl-C: the Lease is let go, and what was written is said."""

    def told(*_: object) -> NoReturn:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, told)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


# ---------------------------------------------------------------------- words


@contextmanager
def _there(cluster: str, namespace: str) -> "Iterator[tuple[Opened, Target]]":
    """Open the cluster; what is refused or cannot be told ends with its own exit code."""
    from acns_chaos.cluster.opening import opened
    from acns_chaos.cluster.target import describe, require_namespace

    with opened(cluster, agent="acns-chaos-baseline") as there:
        try:
            target = describe(there.api, there.context, namespace)
        except TargetError as error:
            _end(error, NOT_TOLD)
        require_namespace(there.api, target)
        try:
            yield there, target
        except (FaultRefused, FaultUncertain, LeaseHeld, TargetRefused) as error:
            _end(error, NOT_SO)
        except ApiError as error:
            _end(error, NOT_TOLD)


def _end(error: AcnsChaosError, code: int) -> NoReturn:
    click.echo(f"Error: {str(error).rstrip('.')}.", err=True)
    sys.exit(code)


def _effect(
    there: "Opened", namespace: str, policies: "Iterable[dict[str, Any]]", back: bool = False
) -> "tuple[World, str, Sequence[str]]":
    """The world with policies in place of a namespace's, what that opens and closes, and notes.

    With *back* what the live ones open and close, compared with these.
    """
    from acns_chaos.cluster.clusters import read_objects, world_of
    from acns_chaos.evidence.baseline import world_with
    from acns_chaos.policy.difference import diff
    from acns_chaos.policy.difference_text import difference_text

    objects = read_objects(there.api, there.name)
    live, other = world_of(objects), world_with(objects, namespace, policies)
    turned = diff(other, live) if back else diff(live, other)
    return other, difference_text(turned), objects.notes


def _announce(planned: "Sequence[Step]", others: "set[PolicyRef]", prune: bool) -> None:
    for step in planned:
        show(f"Will {step.sentence}.")
        if step.difference:
            show(_indented(step.difference))
    if others and not prune:
        names = ", ".join(sorted(map(str, others)))
        show(f"Left alone, not of the set (--prune deletes): {names}.")


def _print(
    found: "Sequence[Deviation]", effect: str, readings: "Sequence[Reading]", notes: Sequence[str]
) -> None:
    for one in found:
        show(one.sentence)
        if one.difference:
            show(_indented(one.difference))
    if found and effect:
        show(f"\nWhat is live opens and closes, against known-good:\n\n{effect}\n")
    for tried in readings:
        wanted = f"{tried['expected']} is foreseen"
        word = {True: "as foreseen", False: f"but {wanted}", None: wanted}[tried["met"]]
        show(f"{tried['what']}: {tried['reading']}, {word}: {tried['sentence']}")
    for note in notes:
        show(f"Note: {note}")


def _judged(
    found: "Sequence[Deviation]", readings: "Sequence[Reading]", doubts: Sequence[str]
) -> int:
    if found or any(one["met"] is False for one in readings):
        return NOT_SO
    return NOT_TOLD if doubts or any(one["met"] is None for one in readings) else 0


def _summary(code: int, count: int, namespace: str, cluster: str, content_only: bool) -> str:
    where = f"namespace {namespace} of {cluster}"
    if code == NOT_SO:
        return f"DIFFERENT: {where} is not as known-good."
    if code == NOT_TOLD:
        return f"UNKNOWN: the policies of {where} are as known-good; how it behaves cannot be told."
    how = "in content; no flow was tried" if content_only else "in content and behaviour"
    return f"EQUAL: {_counted(count, 'policy')} of {where} as known-good, {how}."


def _indented(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.splitlines())


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun if number == 1 else noun.removesuffix('y') + 'ies'}"
