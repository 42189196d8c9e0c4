"""The Markdown report, short enough for a pull request: the rest is folded, or the page's.

First where it was, then what nobody noticed, then one row a run. Runs of the lab and of a cluster
stand in tables of their own, and nothing counts them together.
"""

from collections.abc import Sequence

from acns_chaos.report.markdown_run import details, head
from acns_chaos.report.model import Story
from acns_chaos.report.place import Group, grouped, headline, separate
from acns_chaos.report.summary import line_of, survivors
from acns_chaos.report.text import folded, items, plain, table

__all__ = ["markdown"]

# GitHub takes 65,536 characters in a comment; whoever posts it may add a line or two.
LONGEST = 60_000
TABLES = 40_000
MOST_SURVIVORS = 10
MOST_PROBLEMS = 15
HEAD = ("experiment", "outcome", "stood for", "first noticed by", "after", "back?")


def markdown(stories: Sequence[Story], problems: Sequence[object] = ()) -> str:
    """Write the report of one or several runs.

    Args:
        stories: as `build.story` tells them.
        problems: sentences about files that could not be read, or only in part.

    Returns:
        A Markdown document that ends with a line break; its first line says where it was.
    """
    groups = grouped(stories)
    lines = [_places(groups), ""]
    if len(stories) == 1:
        lines += [*head(stories[0], "#"), *_problems(problems), *_missed(stories)]
        lines += [*_table(stories), *details(stories[0])]
        return _document(lines)
    lines += [f"# {headline(stories)}", "", *_problems(problems)]
    if told := separate(groups):
        lines += [told, ""]
    for group in groups:
        lines += [f"## {_named(group)}", "", group.counts, "", *_missed(group.stories)]
        lines += _table(group.stories, TABLES // len(groups))
    return _document(lines + _runs(groups, len(_document(lines))))


def _places(groups: Sequence[Group]) -> str:
    if len(groups) != 1:
        return ", ".join(f"**{_named(group)}**" for group in groups) or "**no run**"
    (group,) = groups
    namespaces = dict.fromkeys(one.place.namespace for one in group.stories)
    parts = []
    if group.kind != "unknown" and len(namespaces) == 1:
        parts = [f"namespace {plain(name)}" for name in namespaces if name]
    return ", ".join([f"**{_named(group)}**", *parts])


def _named(group: Group) -> str:
    """Name a place so that no other is meant."""
    return f"{plain(group.label)} (UID {plain(group.uid)})" if group.uid else plain(group.label)


def _problems(problems: Sequence[object]) -> list[str]:
    if not problems:
        return []
    lines = [f"**About the files:** {plain(one, 700)}" for one in problems[:MOST_PROBLEMS]]
    if len(problems) > MOST_PROBLEMS:
        lines.append(f"and {len(problems) - MOST_PROBLEMS} more files.")
    return items(lines)


def _missed(group: Sequence[Story]) -> list[str]:
    """Name what nobody would have noticed, before any table of what went well."""
    told = [sentence for story in group for sentence in survivors(story)]
    if not told:
        return []
    lines = [f"**Not noticed:** {plain(one)}" for one in told[:MOST_SURVIVORS]]
    if len(told) > MOST_SURVIVORS:
        lines.append(f"and {len(told) - MOST_SURVIVORS} more, in the rows below.")
    return items(lines)


def _table(group: Sequence[Story], room: int = TABLES) -> list[str]:
    """Return a table of as many runs as there is room for, in characters."""
    rows: list[tuple[str, ...]] = []
    for story in group:
        row = _row(story)
        room -= sum(len(cell) + 3 for cell in row)
        if room < 0:
            break
        rows.append(row)
    lines = table(HEAD, rows)
    if len(rows) < len(group):
        lines += [
            f"{len(group) - len(rows)} more are left out of this table: the page has all.",
            "",
        ]
    return lines


def _row(story: Story) -> tuple[str, ...]:
    line = line_of(story)
    back = line.back if line.back not in ("no", "unknown") else f"**{line.back}**"
    return (
        plain(story.title, 120),
        f"**{story.verdict.outcome}**",
        plain(line.stood),
        plain(line.first, 120),
        plain(line.after),
        back,
    )


def _runs(groups: Sequence[Group], length: int) -> list[str]:
    """Fold each run below the tables, as far as there is room; of the others say so."""
    lines: list[str] = []
    left_out = 0
    for group in groups:
        for number, story in enumerate(group.stories, 1):
            if left_out:
                left_out += 1
                continue
            body = [f"**{_named(group)}**", "", *head(story, "###"), *details(story)]
            part = folded(f"Run {number} of {len(group.stories)} there", body)
            length += len(_document(part))
            if length > LONGEST:
                left_out = 1
            else:
                lines += part
    if left_out:
        told = f"{left_out} runs are" if left_out > 1 else "1 run is"
        lines += [f"{told} told in the tables only, to keep this short: the page tells all.", ""]
    return lines


def _document(lines: Sequence[str]) -> str:
    return "\n".join(lines).rstrip() + "\n"
