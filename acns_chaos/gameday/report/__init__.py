"""The report of a game day: a page, Markdown, JUnit XML, JSON.

- `reading`: everything it is made of, out of the folders of a day
- `past`: the day among those before it, out of the history
- `telling`: the words that all of them share
- `matrix`, `mutants`, `view`, `page`: the page; its template is `report/templates/gameday.html.j2`
- `markdown`, `junit`: for a pull request and a pipeline
- `writing`: the one place that files are written from

Belongs here: telling. Does not belong here: scoring and suggesting (`scoring`), and what one run
looks like (`report`).
"""

from acns_chaos.gameday.report.writing import document, write_report

__all__ = ["document", "write_report"]
