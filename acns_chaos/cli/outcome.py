"""`acns-chaos outcome JOURNAL`: one run's result in two lines, and as an exit code."""

import json

import click

from acns_chaos.cli import show
from acns_chaos.evidence.journal import judge, load_journal
from acns_chaos.evidence.outcome import Outcome

__all__ = ["outcome"]

CODES = ", ".join(f"{outcome.code} {outcome}" for outcome in Outcome)


@click.command(epilog=f"Exit codes: {CODES}; 2 for a file that is no journal.")
@click.argument("journal")
@click.option("--json", "as_json", is_flag=True, help="Print the judgement as JSON.")
@click.option("--verbose", "-v", is_flag=True, help="Print the reasons, too.")
@click.pass_context
def outcome(context: click.Context, journal: str, as_json: bool, verbose: bool) -> None:
    """Say what a run proves and what to do next, from its JOURNAL."""
    judgement = judge(load_journal(journal))
    if as_json:
        show(json.dumps(judgement.as_json(), indent=2))
    else:
        show(f"{judgement.outcome}: {judgement.sentence}")
        if verbose:
            show("\n".join(f"  - {reason}" for reason in judgement.reasons))
        show(f"Next: {judgement.next}")
    context.exit(judgement.outcome.code)
