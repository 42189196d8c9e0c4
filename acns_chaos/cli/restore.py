"""`acns-chaos restore`: put back what a run left, from its records; by hand or as the janitor.

Deciding is in `faults.janitor`; here are the options, the words and the exit codes.
"""

import contextlib
import os
import signal
import sys
from collections.abc import Callable, Iterator
from types import FrameType
from typing import NoReturn

import click

from acns_chaos.cli import show
from acns_chaos.errors import AcnsChaosError, ApiError, TargetError

__all__ = ["restore"]

# Exit codes: 0 nothing is left that was asked for; 2 usage; these two.
NOT_RESTORED = 7
DRIFTED = 9
# What is not restored is not lost, and whoever reads the sentence before this knows what to do.
AGAIN = (
    "What is not restored keeps its record: give the same command again when the API server "
    "answers."
)
# Seconds between two rounds of --watch.
EVERY = 2.0


@click.command()
@click.option("--list", "listing", is_flag=True, help="Only say what stands.")
@click.option("--expired", is_flag=True, help="Restore what is past its deadline (the janitor).")
@click.option("--run", "run", default="", metavar="ID", help="Restore what one run changed, now.")
@click.option("--all", "everything", is_flag=True, help="Restore what any run changed, now.")
@click.option("-n", "--namespace", default="pets", show_default=True, help="Of the experiment.")
@click.option("--watch", is_flag=True, help="With --expired: go on until stopped.")
@click.option("--force", is_flag=True, help="Overwrite what somebody else wrote meanwhile.")
def restore(
    listing: bool,
    expired: bool,
    run: str,
    everything: bool,
    namespace: str,
    watch: bool,
    force: bool,
) -> None:
    """Put policies back that a run left changed.

    Which cluster is meant says ACNS_CHAOS_CLUSTER, as for `chaos run`. Exit code 0: nothing of
    what was asked for is left changed. 7: something could not be restored. 9: somebody else
    changed a policy meanwhile; it was not overwritten, and the difference is shown.
    """
    if sum([listing, expired, bool(run), everything]) != 1:
        raise click.UsageError("Give exactly one of --list, --expired, --run ID and --all.")
    if watch and not expired:
        raise click.UsageError("--watch goes with --expired only.")
    if not watch:
        sys.exit(_once(listing, expired, run, namespace, force))
    _go_on(lambda: _once(listing, expired, run, namespace, force, quiet=True))


def _go_on(once: Callable[[], int]) -> NoReturn:
    """Do one round after another until told to end; a round that has begun is finished first."""
    from acns_chaos.cluster.waiting import wait_until

    state = {"code": 0, "busy": False, "over": False}

    def told(_number: int, _frame: FrameType | None) -> None:
        state["over"] = True
        if not state["busy"]:
            sys.exit(state["code"])

    def round_() -> bool:
        state["busy"] = True
        try:
            state["code"] = once()
        except AcnsChaosError as error:
            # The janitor outlives a silent API server; what it could not do, it does next time.
            click.echo(str(error), err=True)
        state["busy"] = False
        return bool(state["over"])

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, told)
    wait_until(round_, float("inf"), interval=EVERY)
    sys.exit(state["code"])


def _once(
    listing: bool, expired: bool, run: str, namespace: str, force: bool, quiet: bool = False
) -> int:
    """Do one round; returns the exit code."""
    from acns_chaos.cluster.records import Record
    from acns_chaos.cluster.target import choose, connect, describe, require_namespace
    from acns_chaos.faults import janitor

    choice = choose(os.environ)
    agent = "acns-chaos-janitor" if expired else "acns-chaos-restore"
    api, context = connect(choice, _lab_kubeconfig() if choice.kind == "lab" else "", agent)
    with _records_stay():
        target = describe(api, context, namespace)
    require_namespace(api, target)

    def wanted(record: Record) -> bool:
        if listing:
            return False
        return record.due(api.now()) if expired else run in ("", record.run)

    if expired:
        try:
            janitor.report_for_duty(api, namespace, "janitor")
        except ApiError as error:
            click.echo(f"The janitor could not say that it is there: {error}", err=True)
    by = "janitor" if expired else "person"
    with _records_stay():
        paid = janitor.restore_records(api, namespace, wanted, by, force)
    if run:
        paid = [one for one in paid if one.record is None or one.record.run == run]
    for one in paid:
        if quiet and one.state == "waiting":
            continue
        show(one.sentence)
        if one.difference:
            show(one.difference)
    if not paid and not quiet:
        of = f" of run {run}" if run else ""
        show(f"Nothing to restore: no record{of} stands in namespace {namespace} {target.label}.")
    states = {one.state for one in paid}
    if "failed" in states and not quiet:
        show(AGAIN)
    if "drifted" in states:
        return DRIFTED
    return NOT_RESTORED if states & {"failed", "broken"} else 0


@contextlib.contextmanager
def _records_stay() -> Iterator[None]:
    """Say beside an error of the API server's that nothing is lost by it."""
    try:
        yield
    except (ApiError, TargetError) as error:
        raise TargetError(f"{str(error).rstrip('.')}. {AGAIN}") from error


def _lab_kubeconfig() -> str:
    """Return the kubeconfig of the lab that is up.

    Raises:
        TargetError: none is.
    """
    from acns_chaos.cluster.labregistry import find_lab, lab_home

    found = find_lab(lab_home(os.environ))
    if found is None or not found.alive or found.ready is None:
        raise TargetError(
            "No lab is up, so nothing of it can be restored: name a kube context in "
            "ACNS_CHAOS_CLUSTER, or start a lab with `acns-chaos lab up`."
        )
    return str(found.ready["kubeconfig"])
