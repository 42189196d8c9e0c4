"""`acns-chaos init`: claims and experiments for a namespace that has none yet."""

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import click

from acns_chaos.cli import show
from acns_chaos.errors import ArgumentError

if TYPE_CHECKING:
    from acns_chaos.faults.proposing.proposal import Findings

__all__ = ["init"]

# Exit code: it was looked at, and no experiment can be proposed.
NOTHING = 1
TIMEOUT = "ACNS_CHAOS_EVIDENCE_TIMEOUT"


@click.command(
    epilog="Exit codes: 0 files were written; 1 no experiment can be proposed, and why is said "
    "(nothing is written); 2 usage, or the cluster cannot be asked."
)
@click.option(
    "-n",
    "--namespace",
    "places",
    multiple=True,
    metavar="NAMESPACE",
    help="Repeatable; without it all that have policies, but the system's own.",
)
@click.option(
    "-o",
    "--output",
    "folder",
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    metavar="FOLDER",
    help="Where to write; it must be empty, or not be there.",
)
@click.option(
    "--max",
    "most",
    type=click.IntRange(0),
    metavar="N",
    help="Experiments at most, 0 for all; without it one that closes and one that opens of each "
    "policy, and at least 40.",
)
@click.option("--cluster", default="", metavar="CONTEXT", help="A kube context, or lab.")
@click.pass_context
def init(
    context: click.Context, places: tuple[str, ...], folder: Path, most: int | None, cluster: str
) -> None:
    """Propose claims and experiments for live policies, as files to read and edit.

    It looks and changes nothing: policies say what could be mistaken and what that would do, Hubble
    which flows are in use, and each flow that a file rests on is tried once, from inside the
    workloads' own pods. Needs Prometheus (docs/prometheus.md); does without Hubble, and says so.
    """
    from acns_chaos.cluster.opening import opened
    from acns_chaos.faults.proposing.folder import files_of, write_files
    from acns_chaos.faults.proposing.proposal import propose

    _require_empty(folder)
    with opened(cluster, agent="acns-chaos-init") as there:
        timeout = _seconds(there.environ.get(TIMEOUT, ""))
        click.echo(f"Looking at {there.name}; nothing is changed.", err=True)
        findings = propose(
            *(there.api, there.environ, places, most, timeout),
            progress=lambda said: click.echo(f"  {said} …", err=True),
        )
    _print(findings)
    if not findings.experiments:
        context.exit(NOTHING)
    try:
        write_files(folder, files_of(findings))
    except OSError as error:
        raise ArgumentError(f"{folder} cannot be written: {error.strerror}.") from error
    show(f"\nWritten to {folder}: read README.md there first, then try one with `chaos run`.")


def _require_empty(folder: Path) -> None:
    try:
        if folder.exists() and any(folder.iterdir()):
            raise ArgumentError(f"{folder} is not empty: name a folder that is, or a new one.")
    except OSError as error:
        raise ArgumentError(f"{folder} cannot be read: {error.strerror}.") from error


def _seconds(text: str) -> float:
    try:
        return float(text or 10.0)
    except ValueError:
        raise ArgumentError(f"{TIMEOUT} is {text[:40]!r}, which is no number.") from None


def _print(findings: "Findings") -> None:
    rows = [("POLICY", "MISTAKE", "EFFECT", "SEEN BY")]
    for one in findings.experiments:
        effect = "opens" if one.opens else "closes"
        used = " (in use)" if one.in_use else ""
        rows.append((str(one.mutant.policy), one.mutant.operator, effect, f"{one.turned[0]}{used}"))
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    for row in rows if findings.experiments else ():
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
        show("  ".join((*cells, row[3])))
    # As many lines as fit a screen: the folder's README has each.
    reasons = Counter(one.reason.rstrip(".") for one in findings.skipped)
    for reason, count in reasons.most_common(8):
        show(f"No experiment for {count} kind{'' if count == 1 else 's'} of mistake: {reason}.")
    for note in findings.notes:
        show(f"Note: {note}")
    of_policies = {one.mutant.policy for one in findings.experiments}
    show(
        f"{len(findings.experiments)} experiments for {len(of_policies)} of {findings.policies} "
        f"policies, {len(findings.claims)} claims; {len(findings.skipped)} kinds of mistake have "
        "no experiment."
    )
