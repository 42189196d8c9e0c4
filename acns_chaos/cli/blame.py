"""`acns-chaos blame`: which policy is behind the drops, what changed, and what to apply."""

import json
import re
import sys
import time
from collections.abc import Iterator, Sequence
from typing import IO, TYPE_CHECKING

import click

from acns_chaos.cli import show
from acns_chaos.errors import ArgumentError

if TYPE_CHECKING:
    from acns_chaos.cluster.hubble import Evidence, Query, SeenFlow
    from acns_chaos.evidence.blame import Blame, Case

__all__ = ["blame"]

# Exit codes: 0 explained, or nothing was dropped; 2 usage; these two.
UNEXPLAINED = 1
NOT_TOLD = 3
# Seconds for all that the relay holds.
DEADLINE = 30.0
_UNITS = {"s": 1, "m": 60, "h": 3600}


@click.command(
    epilog="Exit codes: 0 every kind of drop is explained, or there is none; 1 one is not; 3 it "
    "cannot be told whether anything was dropped; 2 usage."
)
@click.option("--since", default="", metavar="5m", help="How far back; default 5m, of a file all.")
@click.option("--to", "destination", default="", metavar="WHO", help="Who was asked.")
@click.option("--from", "source", default="", metavar="WHO", help="Who asked.")
@click.option(
    "--input", "lines", type=click.File("rb"), help="JSON lines of `hubble observe`; - is stdin."
)
@click.option(
    "--policies",
    multiple=True,
    metavar="PATH",
    help="With --input: policies (and pods) of files instead of a cluster. Repeatable.",
)
@click.option("-n", "--namespace", default="pets", show_default=True, help="The experiments'.")
@click.option("--cluster", default="", metavar="CONTEXT", help="A kube context, or lab.")
@click.option("--json", "as_json", is_flag=True, help="Print the answer as JSON.")
def blame(
    since: str,
    destination: str,
    source: str,
    lines: IO[bytes] | None,
    policies: tuple[str, ...],
    namespace: str,
    cluster: str,
    as_json: bool,
) -> None:
    """Say who is to blame for dropped traffic, in one paragraph.

    Flows come from Hubble relay, or from a file; policies from the cluster that ACNS_CHAOS_CLUSTER
    or --cluster names. WHO is a workload (pets/store-front), a namespace (pets/), world, an
    address or a DNS name.
    """
    from acns_chaos.cluster.hubble import Query
    from acns_chaos.evidence.blame import blame as put_blame
    from acns_chaos.evidence.readings import UNKNOWN

    if policies and lines is None:
        raise click.UsageError("--policies goes with --input only.")
    window = _seconds(since) if since or lines is None else 0.0
    try:
        query = Query(
            "DROPPED", source, destination, since=time.time() - window if window else None
        )
    except ArgumentError as error:
        raise click.UsageError(str(error)) from error
    about = destination or source
    if window:
        about = f"{about or 'anybody'} in the last {since or '5m'}"
    found = put_blame(_case(query, lines, policies, namespace, cluster, about))
    _print(found, as_json)
    if found.state == UNKNOWN:
        sys.exit(NOT_TOLD)
    sys.exit(UNEXPLAINED if found.unexplained else 0)


def _case(
    query: "Query",
    lines: "IO[bytes] | None",
    policies: Sequence[str],
    namespace: str,
    cluster: str,
    about: str,
) -> "Case":
    from acns_chaos.cluster.hubble import Evidence
    from acns_chaos.cluster.hubble.lines import read_lines
    from acns_chaos.cluster.opening import opened
    from acns_chaos.evidence.blame.gathering import case_of, kept, read_drops

    seen: tuple[list[SeenFlow], Evidence] | None = None
    if lines is not None:
        counted = _Counted(lines)
        seen = kept(read_lines(counted, query))
        if not counted.lines:
            # Whoever wrote it may have failed.
            seen = ([], Evidence(False, 0, (), ("the input is empty",)))
    if seen is not None and policies:
        return _offline(seen, policies, namespace, about)
    with opened(cluster, agent="acns-chaos-blame") as there:
        flows, evidence = seen or read_drops(there.api, there.environ, query, DEADLINE)
        return case_of(there.api, there.name, namespace, flows, evidence, about)


class _Counted:
    """Lines of a file; afterwards it is known how many there were that were not empty."""

    def __init__(self, lines: IO[bytes]) -> None:
        self._lines = lines
        self.lines = 0

    def __iter__(self) -> Iterator[bytes]:
        for line in self._lines:
            self.lines += bool(line.strip())
            yield line


def _offline(
    seen: "tuple[list[SeenFlow], Evidence]", policies: Sequence[str], namespace: str, about: str
) -> "Case":
    from acns_chaos.cluster.clusters import read_place, world_of
    from acns_chaos.evidence.blame import Case
    from acns_chaos.evidence.blame.changes import changes_of_objects, merged

    places = [read_place(place, namespace=namespace) for place in policies]
    world = world_of(*places)
    notes = [note for place in places for note in place.notes]
    changes = merged(changes_of_objects(world.policies, namespace))
    return Case(*seen, world, changes, about, notes)


def _print(found: "Blame", as_json: bool) -> None:
    if as_json:
        show(json.dumps(found.as_json(), indent=2))
        return
    from acns_chaos.evidence.blame import PUT_BACK

    told, _, command = found.paragraph.partition(PUT_BACK)
    show(told.strip())
    if command:
        show(f"\n{PUT_BACK}\n\n  {command}\n")
    for note in found.notes:
        show(f"Note: {note}")


def _seconds(since: str) -> float:
    """Read "90s", "5m" or "1h"; "" is five minutes."""
    read = re.fullmatch(r"(\d{1,6})([smh])", since or "5m")
    if read is None or int(read[1]) == 0:
        raise click.UsageError(f"--since {since!r} is no length of time: write 90s, 5m or 1h.")
    return float(int(read[1]) * _UNITS[read[2]])
