"""Journals for people and for machines: a page, Markdown, JSON, JUnit XML.

Only wording and layout belong here. What a run proves is `evidence`'s; nothing here contradicts it.

- `reading`: journals from files, as many as can be read; `salvage`, `partial`: of one cut off
- `model`: a run, told, as plain data; `build` makes it from a journal
- `page`: one HTML file; `drawing`, `difference`, `comparison`: what it shows
- `markdown`, `as_json`, `junit`: the same for pull requests, programs and CI systems
- `summary`: one run in one line, runs by place

Nothing is imported here: a report of one kind does not wait for the others.
"""
