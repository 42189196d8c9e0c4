"""`acns-chaos report JOURNAL...`: a page for reviewers, Markdown, JSON, or JUnit XML for CI."""

import os
import secrets
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from acns_chaos.cli import Failure, show
from acns_chaos.errors import JournalError
from acns_chaos.report.uncollected import uncollected

if TYPE_CHECKING:
    from acns_chaos.report.model import Story
    from acns_chaos.report.reading import Problem, Read

__all__ = ["put", "writable", "write"]

SUFFIXES = {
    ".html": "html",
    ".htm": "html",
    ".md": "md",
    ".markdown": "md",
    ".json": "json",
    ".xml": "junit",
}
FORMATS = ("html", "md", "json", "junit")
# As `report.reading` has them; the help must not import it.
CODES = (
    "Exit codes: 0; 1 when a journal is left out or told only in part, which the report says, too; "
    "2 when nothing can be written; 10 when a journal is not of the required cluster."
)


class Elsewhere(Failure):
    """A journal is not of the cluster that was required: nothing is written."""

    exit_code = 10


@click.command(epilog=CODES)
@click.argument("journals", nargs=-1, required=True, metavar="JOURNAL...")
@click.option("--output", "-o", metavar="FILE", help="Write to FILE instead of stdout.")
@click.option(
    "--format",
    "form",
    type=click.Choice(FORMATS),
    help="What to write; without it FILE's suffix says: .html, .md, .json, .xml; Markdown else.",
)
@click.option(
    "--require-cluster",
    "cluster",
    metavar="UID",
    help="Refuse journals of the lab or of another cluster; UID is the namespace kube-system's.",
)
@click.option("--redact", is_flag=True, help="Replace names and addresses by pseudonyms.")
@click.pass_context
def write(
    context: click.Context,
    journals: tuple[str, ...],
    output: str | None,
    form: str | None,
    cluster: str | None,
    redact: bool,
) -> None:
    """Write a report of one or several JOURNALs: one self-contained page, Markdown, JSON or XML.

    It begins with where the runs were. Runs in the lab and in a cluster are never counted together.
    """
    # Before the work, so that a mistyped path costs nothing.
    target = writable(Path(output), journals) if output is not None else None
    chosen = form or SUFFIXES.get(Path(output or "").suffix.lower(), "md")
    with uncollected(ends=True):
        found = _found(journals, cluster, redact)
        document = _document(chosen, found.stories(), found.problems)
    if target is None:
        show(document.rstrip("\n"))
    else:
        put(target, document)
        for problem in found.problems:
            click.echo(f"Note: {problem}", err=True)
    context.exit(found.code)


def _found(journals: Sequence[str], cluster: str | None, redact: bool) -> "Read":
    """Read what a report is to be made of, and refuse what it may not be made of."""
    from acns_chaos.report.reading import read, require_cluster

    found = read(journals)
    if not found.journals:
        raise JournalError(" ".join(str(one) for one in found.problems))
    if cluster is not None and (why := require_cluster(found.journals, cluster)):
        raise Elsewhere(why)
    # Again, as what is said of the files names things, too.
    return read(journals, redact=True) if redact else found


def _document(form: str, stories: "Sequence[Story]", problems: "Sequence[Problem]") -> str:
    """Write the report; each kind of it is imported only when it is asked for."""
    if form == "html":
        from acns_chaos.report.page import page

        return page(stories, problems)
    if form == "json":
        from acns_chaos.report.as_json import as_json

        return as_json(stories, problems)
    if form == "junit":
        from acns_chaos.report.junit import junit

        return junit(stories, problems)
    from acns_chaos.report.markdown import markdown

    return markdown(stories, problems)


def writable(path: Path, journals: Iterable[str]) -> Path:
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


def put(path: Path, document: str) -> None:
    """Write a file whole or not at all; what is no regular file, such as a pipe, directly."""
    content = document.encode("utf-8", "backslashreplace")
    try:
        # A link stays one.
        final = path.resolve()
        if final.exists() and not final.is_file():
            final.write_bytes(content)
            return
        part = final.with_name(f".acns-chaos-{secrets.token_hex(4)}.part")
        try:
            with part.open("xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            if final.exists():
                shutil.copymode(final, part)
            part.replace(final)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise _unwritable(path, error.strerror or str(error)) from error


def _unwritable(path: Path, reason: str) -> JournalError:
    return JournalError(f"The report cannot be written to {path}: {reason}.")
