"""A game day's report in each of its forms, and as the files that a day ends with."""

import json
from collections.abc import Iterable
from pathlib import Path

from acns_chaos.errors import GameDayError
from acns_chaos.gameday.report.reading import Told, read
from acns_chaos.gameday.scoring import write_whole
from acns_chaos.report.uncollected import uncollected

__all__ = ["FILES", "document", "write_report"]

FILES = {"html": "report.html", "md": "report.md", "junit": "junit.xml", "json": "score.json"}
"""Each form, to the file in a day's folder."""


def document(form: str, told: Told) -> str:
    """Write a day in one form; it ends with a line break.

    Args:
        form: of FILES.
        told: the day.

    Raises:
        GameDayError: there is no such form.
    """
    if form == "html":
        from acns_chaos.gameday.report.page import page

        return page(told)
    if form == "md":
        from acns_chaos.gameday.report.markdown import markdown

        return markdown(told)
    if form == "junit":
        from acns_chaos.gameday.report.junit import junit

        return junit(told)
    if form == "json":
        return json.dumps(told.day.as_json(), indent=2) + "\n"
    raise GameDayError(f"There is no report as {form!r}: take one of {', '.join(FILES)}.")


def write_report(
    folder: Path,
    formats: Iterable[str] = ("html", "md", "junit"),
    *,
    history: Path | None = None,
    scrape: float | None = None,
) -> None:
    """Write the report of a day that is over into its folder: FILES.

    Args:
        folder: of the day; its results, plan and journals are read.
        formats: of FILES.
        history: the file of it, to which the day was added before; None for none.
        scrape: as for `reading.read`.

    Raises:
        GameDayError: the results cannot be used, or a file cannot be written.
    """
    with uncollected():
        told = read([folder], scrape=scrape, history=history)
        for form in formats:
            write_whole(folder / FILES.get(form, form), document(form, told))
