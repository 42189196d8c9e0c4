"""Journals for people: one Markdown document from one or several journals.

Only wording and layout belong here. What a run proves is `evidence`'s; nothing here contradicts it.
"""

from acns_chaos.report.markdown import markdown

__all__ = ["markdown"]
