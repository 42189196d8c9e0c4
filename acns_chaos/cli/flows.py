"""`acns-chaos flows`: what Hubble saw, from its relay or from a file, one line a flow."""

import os
import re
import sys
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import BinaryIO

import click

from acns_chaos.cli import show
from acns_chaos.cluster.hubble import (
    Dropped,
    Event,
    Grade,
    LostEvents,
    NodeNotice,
    Peer,
    Query,
    SeenFlow,
    open_relay,
    read_lines,
    written,
)
from acns_chaos.cluster.hubble.query import KINDS, VERDICTS
from acns_chaos.errors import ArgumentError
from acns_chaos.evidence.values import moment, text

__all__ = ["flows", "line_of"]

# Exit code: flows are shown, and some may be missing. 2: Hubble cannot be asked, or bad usage.
INCOMPLETE = 3
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_LONGEST = 1000
EPILOG = """\
Whom to name: a workload (pets/store-front), a namespace (pets/), a reserved entity (world, host,
kube-apiserver, ...), an address or prefix, or a DNS name, with stars or without."""


@click.command(epilog=EPILOG)
@click.option("--from", "source", default="", metavar="WHO", help="Who sent it.")
@click.option("--to", "destination", default="", metavar="WHO", help="Whom it was for.")
@click.option("--verdict", type=click.Choice(VERDICTS, case_sensitive=False))
@click.option("--reason", default="", metavar="NAME", help="Of a drop: POLICY_DENIED, POLICY_DENY.")
@click.option("--direction", type=click.Choice(["ingress", "egress"]))
@click.option("--protocol", default="", metavar="NAME", help="tcp, udp, icmp, dns, http, ...")
@click.option("--port", default=0, type=click.IntRange(0, 65535), help="Of the destination's pod.")
@click.option("--type", "kinds", multiple=True, type=click.Choice(list(KINDS)), help="Repeatable.")
@click.option("-n", "--namespace", default="", help="Flows from or to it.")
@click.option("--since", default="", metavar="TIME", help="5m, 30s, or a moment in ISO 8601.")
@click.option("--last", default=0, type=click.IntRange(0), help="At most so many, the newest.")
@click.option("-f", "--follow", is_flag=True, help="Go on until Ctrl-C.")
@click.option("--every", is_flag=True, help="Also the second of the two flows of a dropped packet.")
@click.option("--json", "as_json", is_flag=True, help="As JSON lines, with Hubble's names.")
@click.option(
    "--input",
    "file",
    type=click.File("rb"),
    metavar="FILE",
    help="Read what `hubble observe -o json` wrote; - is standard input.",
)
@click.option("--cluster", metavar="CONTEXT", help="A kube context, in-cluster or lab.")
def flows(
    source: str,
    destination: str,
    verdict: str | None,
    reason: str,
    direction: str | None,
    protocol: str,
    port: int,
    kinds: tuple[str, ...],
    namespace: str,
    since: str,
    last: int,
    follow: bool,
    every: bool,
    as_json: bool,
    file: BinaryIO | None,
    cluster: str | None,
) -> None:
    """Show flows as Hubble saw them; no hubble program, port-forward or certificate by hand.

    Times are UTC. Without --since, --last or --follow it is the last 20. A dropped packet is shown
    once, though Hubble logs it as a policy verdict and as a drop. Flows that are known to be
    missing (events that were lost, nodes that do not answer, a memory that does not reach back to
    --since) are told on standard error. Exit code 0: all is shown. 3: some may be missing. 2:
    Hubble cannot be asked.
    """
    if follow and file is not None:
        raise click.UsageError("--follow goes with a cluster; a pipe is read to its end anyway.")
    if not (since or last or follow or file):
        last = 20
    query = Query(
        verdict=(verdict or "").upper(),
        source=source,
        destination=destination,
        direction=direction or "",
        protocol=protocol.lower(),
        port=port,
        reason=reason.upper(),
        kinds=kinds,
        since=_moment(since) if since else None,
        # What is shown once is counted here: the relay counts both flows of a packet.
        number=last * 2,
        namespace=namespace,
    )
    with _events(query, follow, file, cluster or "") as events:
        complete = _show(events, last, every, as_json, follow)
    # Whoever ends it himself has seen on standard error what was missing.
    if not complete and not follow:
        sys.exit(INCOMPLETE)


@contextmanager
def _events(
    query: Query, follow: bool, file: BinaryIO | None, cluster: str
) -> Iterator[Iterable[Event]]:
    """What there is to show, for the length of the command."""
    if file is not None:
        yield read_lines(file, query)
        return
    from acns_chaos.cluster.opening import opened

    with opened(cluster, os.environ) as there, open_relay(there.api, there.environ) as relay:
        click.echo(f"Flows of {there.name}.", err=True)
        if not follow:
            yield relay.flows(query, 30.0)
            return
        yield _until_interrupted(relay.follow(query, threading.Event()))


def _until_interrupted(events: Iterator[Event]) -> Iterator[Event]:
    """What comes until Ctrl-C, which is how a person ends it."""
    try:
        yield from events
    except KeyboardInterrupt:
        return


def _show(events: Iterable[Event], last: int, every: bool, as_json: bool, at_once: bool) -> bool:
    """Print what comes; returns whether nothing is known to be missing.

    Args:
        events: what comes.
        last: print at most so many, the newest; 0 without a limit.
        every: print both flows of a dropped packet.
        as_json: as JSON lines.
        at_once: say what is missing when it is known, not only at the end.
    """
    dropped, grade, shown = Dropped(), Grade(), 0
    kept: deque[SeenFlow] | None = deque(maxlen=last) if last else None
    for event in events:
        if not isinstance(event, SeenFlow):
            grade.add(event)
            said = _notice(event)
            if said and at_once:
                click.echo(said, err=True)
            if said and as_json:
                show(written(event))
            continue
        twin = event.verdict == "DROPPED" and not dropped.add(event)
        if twin and not every:
            continue
        shown += 1
        if kept is None:
            show(written(event) if as_json else line_of(event))
        else:
            kept.append(event)
    for flow in kept or ():
        show(written(flow) if as_json else line_of(flow))
    if not shown:
        click.echo("There is no such flow.", err=True)
    evidence = grade.evidence()
    if not evidence.complete:
        click.echo(f"Flows may be missing: {text('; '.join(evidence.reasons))}.", err=True)
    return evidence.complete


def _notice(event: LostEvents | NodeNotice) -> str:
    """Say what a notice means to people; "" for what is as it should be."""
    if isinstance(event, LostEvents):
        return text(f"{event.count} flows were lost at node {event.node} ({event.source}).")
    if event.state == "CONNECTED":
        return ""
    who = f"Node {event.node}" if event.node else "The relay"
    return text(f"{who}: {event.state}{f' ({event.message})' if event.message else ''}.")


def line_of(flow: SeenFlow) -> str:
    """Write a flow as one line, much as hubble's own compact form does."""
    at = datetime.fromtimestamp(flow.at, UTC)
    known = "<>" if flow.reply is None else "<-" if flow.reply else "->"
    words = [
        f"{at:%b %d %H:%M:%S}.{at.microsecond // 1000:03d}:",
        _side(flow.source, flow.source_port),
        known,
        _side(flow.destination, flow.port),
        flow.reason or flow.kind,
        flow.direction.upper(),
        flow.verdict,
        _detail(flow),
    ]
    for verb, policies in (("DENIED BY", flow.denied_by), ("ALLOWED BY", flow.allowed_by)):
        if policies:
            names = (f"{one.namespace}/{one.name}".lstrip("/") for one in policies)
            words.append(f"{verb} {', '.join(names)}")
    # What a client asks for is the client's to choose: nothing of it may move a cursor.
    return text(" ".join(filter(None, words)), _LONGEST)


def _side(peer: Peer, port: int) -> str:
    name = f"{peer.namespace}/{peer.pod}" if peer.pod else peer.ip or peer.name
    label = "" if peer.pod else peer.name
    who = f"ID:{peer.identity}" if label in ("", name) else label
    return f"{name}{f':{port}' if port else ''} ({who})"


def _detail(flow: SeenFlow) -> str:
    if flow.dns_query:
        code = f" RCode: {flow.dns_rcode}" if flow.dns_rcode else ""
        return f"(DNS {flow.dns_query}{code})"
    return f"({flow.protocol} Flags: {flow.flags})" if flow.flags else f"({flow.protocol})"


def _moment(since: str) -> float:
    """Read how far to look back, as seconds since 1970.

    Raises:
        ArgumentError: it is neither a duration nor a moment.
    """
    duration = _DURATION.fullmatch(since)
    if duration is not None:
        return max(0.0, time.time() - float(duration[1]) * _UNITS[duration[2]])
    try:
        told = datetime.fromisoformat(since)
        found = moment(told if told.tzinfo else told.astimezone())
    except (ValueError, OverflowError):
        found = None
    if found is None:
        raise ArgumentError(
            f"--since {since!r} is neither a duration such as 5m nor a moment in ISO 8601."
        )
    return found.timestamp()
