"""`acns-chaos report JOURNAL...`: a Markdown report for reviewers."""

from collections.abc import Iterable
from pathlib import Path

import click

from acns_chaos.cli import show
from acns_chaos.errors import JournalError
from acns_chaos.evidence.journal import load_journal
from acns_chaos.report import markdown

__all__ = ["report"]


@click.command()
@click.argument("journals", nargs=-1, required=True, metavar="JOURNAL...")
@click.option("--output", "-o", metavar="FILE", help="Write to FILE instead of stdout.")
def report(journals: tuple[str, ...], output: str | None) -> None:
    """Write a Markdown report of one or several JOURNALs; several begin with a summary."""
    # Before the work, so that a mistyped path costs nothing.
    target = _writable(Path(output), journals) if output is not None else None
    document = markdown([load_journal(path) for path in journals])
    if target is None:
        show(document.rstrip("\n"))
        return
    try:
        target.write_text(document, encoding="utf-8")
    except OSError as error:
        raise _unwritable(target, error.strerror or str(error)) from error


def _writable(path: Path, journals: Iterable[str]) -> Path:
    """Refuse a path that cannot take a report, or that would destroy what it reports on."""
    try:
        if path.is_dir():
            raise _unwritable(path, "it is a directory; name a file in it")
        if not path.parent.is_dir():
            raise _unwritable(path, f"there is no directory {path.parent}; make it first")
        resolved = path.resolve()
        if any(resolved == Path(journal).resolve() for journal in journals):
            raise _unwritable(path, "it is one of the journals; name another file")
    except (OSError, ValueError, RuntimeError) as error:
        raise _unwritable(path, str(error)) from error
    return path


def _unwritable(path: Path, reason: str) -> JournalError:
    return JournalError(f"The report cannot be written to {path}: {reason}.")
