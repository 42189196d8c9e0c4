"""`acns-chaos report verify JOURNAL...`: are these files as their runs wrote them, offline."""

from pathlib import Path

import click

from acns_chaos.cli import show
from acns_chaos.errors import JournalError
from acns_chaos.evidence.journal import load_journal
from acns_chaos.evidence.signature import Finding, examine

__all__ = ["verify"]

EDITED, UNREADABLE = 1, 2


@click.command(
    epilog="Exit codes: 0 all intact, 1 one is not, 2 one cannot be read. What this proves, and "
    "what it does not: docs/evidence.md."
)
@click.argument("journals", nargs=-1, required=True, metavar="JOURNAL...")
@click.option(
    "--head", metavar="sha256:…", help="What the run's log says after `Evidence:`; one journal."
)
@click.pass_context
def verify(context: click.Context, journals: tuple[str, ...], head: str | None) -> None:
    """Say whether JOURNALs are as their runs wrote them, to the last byte; one line each."""
    if head is not None and len(journals) != 1:
        raise click.UsageError("--head is of one run: name one journal.")
    worst = 0
    for path in journals:
        try:
            line, code = _checked(path, head)
        except JournalError as error:
            line, code = f"unreadable: {error}", UNREADABLE
        show(f"{path}: {line}")
        worst = max(worst, code)
    context.exit(worst)


def _checked(path: str, head: str | None) -> tuple[str, int]:
    journal = load_journal(path)
    # Bytes, as the host's file has no byte order mark and line breaks count.
    finding = examine(journal, Path(path).read_bytes().decode("utf-8", "replace"))
    if finding.problem:
        return f"not intact: {finding.problem}", EDITED
    if head is not None and head.strip() != finding.head:
        own = f"its head is {finding.head}" if finding.head else "it has no chain"
        return f"not the journal of that run, or sealed anew: {own}", EDITED
    return _intact(finding), 0


def _intact(finding: Finding) -> str:
    if finding.older:
        said = "intact: by its signature only, an older version wrote it"
    else:
        count = f"{finding.events} event" + ("" if finding.events == 1 else "s")
        said = f"intact: {finding.head}, {count}" + (", redacted" if finding.redacted else "")
    if finding.not_covered:
        said += f"; not covered: {', '.join(finding.not_covered)}"
    return said
