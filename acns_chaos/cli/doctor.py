"""`acns-chaos doctor`: what of all this works here, and what mends the rest."""

import json
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from acns_chaos.cli import show

if TYPE_CHECKING:
    from acns_chaos.evidence.doctor import Context, Finding

__all__ = ["doctor"]

# Exit codes: 0 nothing keeps a run from working; 2 usage; these two.
SOMETHING_MISSING = 1
NOT_TOLD = 3
# Folders of a checkout whose files are asked about when none is named.
_SHIPPED = ("experiments", "probes")


@click.command(
    epilog="Exit codes: 0 all is ok, or warnings only; 1 something is missing, without which a run "
    "would be refused or prove nothing; 3 nothing is missing as far as can be told, but some of it "
    "cannot be told; 2 usage."
)
@click.option("-n", "--namespace", default="pets", show_default=True, help="The experiments'.")
@click.option(
    "--experiment",
    "experiments",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Ask for the permissions of this experiment; repeatable. Default: those of experiments/ "
    "and probes/ in this folder, else tier by tier.",
)
@click.option("--cluster", default="", metavar="CONTEXT", help="A kube context, or lab.")
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
def doctor(namespace: str, experiments: tuple[Path, ...], cluster: str, as_json: bool) -> None:
    """Say what of all this works here: ok, warn, missing or unknown, and what mends it.

    Nothing is changed. Which cluster is meant says ACNS_CHAOS_CLUSTER, as for `chaos run`; at a
    terminal it is the lab.
    """
    from acns_chaos.evidence.doctor import examine

    with _looked_at(cluster, namespace, experiments or tuple(_shipped())) as context:
        findings = examine(context)
        found = list(findings) if as_json else list(_printed(findings, show))
    counts = Counter(one.level for one in found)
    if as_json:
        everything = {
            "target": context.target.as_json() if context.target else None,
            "namespace": namespace,
            "findings": [one.as_json() for one in found],
            "counts": dict(counts),
            "code": _code(counts),
        }
        show(json.dumps(everything, indent=2))
    else:
        show(f"\n{_sum(counts)}")
    sys.exit(_code(counts))


@contextmanager
def _looked_at(cluster: str, namespace: str, experiments: tuple[Path, ...]) -> "Iterator[Context]":
    """Open the cluster; one that cannot be opened is a finding, and other checks go on."""
    from acns_chaos.cluster.opening import Opened, opened
    from acns_chaos.cluster.target import NAME, describe
    from acns_chaos.errors import TargetError
    from acns_chaos.evidence.doctor import Context

    if not NAME.fullmatch(namespace):
        raise click.UsageError(f"{namespace!r} is no name of a namespace.")
    there: Opened | None = None
    with ExitStack() as stack:
        try:
            there = stack.enter_context(opened(cluster, agent="acns-chaos-doctor"))
            target = describe(there.api, there.context, namespace)
        except TargetError as error:
            environ = there.environ if there else os.environ
            found = Context(cluster, environ, namespace, experiments, unreachable=str(error))
        else:
            found = Context(there.name, there.environ, namespace, experiments, there.api, target)
        yield found


def _shipped() -> Iterator[Path]:
    for folder in _SHIPPED:
        yield from sorted(Path(folder).glob("*.json"))


def _printed(findings: "Iterable[Finding]", out: Callable[[str], None]) -> "Iterator[Finding]":
    """Print each finding as it comes: a check may take seconds."""
    for one in findings:
        out(f"{one.level:<8} {one.what}: {one.sentence}")
        if one.mend:
            out(f"{'':<8}   mend: {one.mend}")
        yield one


def _sum(counts: Counter[str]) -> str:
    from acns_chaos.evidence.doctor import LEVELS, MISSING, UNKNOWN

    told = ", ".join(f"{counts[level]} {level}" for level in LEVELS if counts[level])
    if counts[MISSING]:
        return f"{told}. Mend what is missing first: without it a run is refused or proves nothing."
    if counts[UNKNOWN]:
        return f"{told}. Nothing is missing as far as can be told; see what cannot."
    return f"{told}. Experiments can run here."


def _code(counts: Counter[str]) -> int:
    from acns_chaos.evidence.doctor import MISSING, UNKNOWN

    if counts[MISSING]:
        return SOMETHING_MISSING
    return NOT_TOLD if counts[UNKNOWN] else 0
