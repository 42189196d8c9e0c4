"""Stories as JSON for other programs: the model's own names, versioned, described by `schema.json`.

What stands here is what the page and the Markdown are made of, and nothing that they do not tell:
the journal itself is the evidence, this is a reading of it.
"""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import fields, is_dataclass
from typing import Any

from acns_chaos import __version__
from acns_chaos.report.model import Story
from acns_chaos.report.place import grouped
from acns_chaos.report.reading import Problem
from acns_chaos.report.summary import survivors

__all__ = ["SCHEMA", "as_json", "document"]

SCHEMA = 1
"""Raised when a key changes its meaning or goes; a new key alone does not raise it."""


def as_json(stories: Sequence[Story], problems: Sequence[Problem] = ()) -> str:
    """Write stories as a JSON document that ends with a line break, ASCII only.

    Args:
        stories: as `build.story` tells them.
        problems: of the files they were read from.
    """
    return json.dumps(document(stories, problems), indent=2, allow_nan=False) + "\n"


def document(stories: Sequence[Story], problems: Sequence[Problem] = ()) -> dict[str, Any]:
    """Return what `as_json` writes, as plain objects. Arguments are those of `as_json`."""
    return {
        "schema": SCHEMA,
        "made_by": {"name": "acns-chaos", "version": __version__},
        # Each place has a count of its own; nothing counts them together.
        "places": [
            {
                "kind": group.kind,
                "label": group.label,
                "uid": group.uid,
                "runs": len(group.stories),
                "outcomes": dict(Counter(one.verdict.outcome for one in group.stories)),
            }
            for group in grouped(stories)
        ],
        "stories": [_story(one) for one in stories],
        "problems": [_plain(one) for one in problems],
    }


def _story(story: Story) -> dict[str, Any]:
    told: dict[str, Any] = _plain(story)
    told["versions"] = dict(story.versions)
    told["survivors"] = list(survivors(story))
    # The journal, and the whole documents of a fault.
    del told["facts"]
    for change in told["changes"]:
        del change["fault"]
    return told


def _plain(value: Any) -> Any:
    """Return dataclasses as objects and tuples as lists; what is neither is plain already."""
    if is_dataclass(value) and not isinstance(value, type):
        return {one.name: _plain(getattr(value, one.name)) for one in fields(value)}
    return [_plain(one) for one in value] if isinstance(value, tuple) else value
