"""`acns-chaos report redact JOURNAL -o FILE`: a journal to give away that can still be checked."""

from pathlib import Path

import click

from acns_chaos.cli import show
from acns_chaos.cli.report.write import put, writable
from acns_chaos.errors import JournalError
from acns_chaos.evidence.canonical import as_written
from acns_chaos.evidence.journal import load_journal
from acns_chaos.evidence.redaction import redacted
from acns_chaos.evidence.signature import examine

__all__ = ["redact"]


@click.command(epilog="What is replaced, and what is left: docs/evidence.md. Read the file first.")
@click.argument("journal", metavar="JOURNAL")
@click.option("--output", "-o", metavar="FILE", required=True, help="Where to write it.")
def redact(journal: str, output: str) -> None:
    """Write JOURNAL with pseudonyms in place of names and addresses; it verifies to the same head.

    A journal that is not intact is refused: what is written could not be told from one that is.
    """
    target = writable(Path(output), [journal])
    found = load_journal(journal)
    finding = examine(found)
    if finding.problem:
        raise JournalError(f"{journal} is not redacted: {finding.problem}.")
    put(target, as_written(redacted(found)))
    show(f"{output}: {finding.head or 'redacted; without a chain it cannot be verified any more'}")
