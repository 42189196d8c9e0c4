"""A difference as lines for a terminal or a pull request.

Belongs here: layout and nothing else; every fact stands in the difference's data.
"""

from collections.abc import Iterator, Sequence

from acns_chaos.policy.difference import Difference
from acns_chaos.policy.difference_groups import FlowGroup
from acns_chaos.policy.difference_requests import RequestGroup

__all__ = ["difference_text"]

_MOST = 6
_WORDS = {"lookup": "looks up", "name": "connects by name to", "http": "requests"}


def difference_text(difference: Difference) -> str:
    """What turns, for a person: first what is cut, then what is opened.

    Args:
        difference: what to show.
    """
    lines = [_policies(difference)]
    for title, groups in (("Closed", difference.closed), ("Opened", difference.opened)):
        if groups:
            lines += ["", f"{title}:"]
            for group in groups:
                lines += _group(group)
    for title in ("closed", "opened"):
        requests = [group for group in difference.requests if group.effect == title]
        if requests:
            lines += ["", f"{title.capitalize()}, over connections that stand:"]
            lines += [line for group in requests for line in _request(group)]
    if difference.notes:
        lines += ["", *(f"Note: {note}" for note in difference.notes)]
    return "\n".join([*lines, "", _sum(difference)])


def _policies(difference: Difference) -> str:
    parts = [
        f"{word} {_listed([str(ref) for ref in refs])}"
        for word, refs in (
            ("changed", difference.changed),
            ("added", difference.added),
            ("removed", difference.removed),
        )
        if refs
    ]
    return f"Policies: {'; '.join(parts) or 'the same on both sides'}."


def _group(group: FlowGroup) -> Iterator[str]:
    sources = "everybody" if group.everybody else _listed(group.sources)
    yield f"  {sources} -> {_listed(group.destinations)}: {group.ports}"
    if group.everybody:
        if group.besides:
            word = "could before" if group.effect == "opened" else "still can"
            yield f"      besides: {_listed(group.besides)} {word}"
        if group.held_back:
            yield f"      held back by its own egress only: {_listed(group.held_back)}"
    when = "before" if group.effect == "opened" else "after"
    yield f"      {when}: {group.why}"


def _request(group: RequestGroup) -> Iterator[str]:
    verb = _WORDS[group.kind]
    if group.kind == "name":
        yield f"  {_listed(group.sources)} {verb} {group.destination}"
    elif group.kind == "lookup":
        yield f"  {_listed(group.sources)} {verb} {_listed(group.what)} at {group.destination}"
    else:
        yield f"  {_listed(group.sources)} {verb} {_listed(group.what)} of {group.destination}"


def _sum(difference: Difference) -> str:
    if difference.empty:
        differ = difference.added or difference.removed or difference.changed
        return "Equal: the policies differ, but no flow does." if differ else "Equal."
    closed = sum(1 for g in difference.flows if g.effect == "closed")
    opened = len(difference.flows) - closed
    requests = len(difference.requests)
    more = f", {requests} of requests" if requests else ""
    return f"Different. Groups of flows closed: {closed}, opened: {opened}{more}."


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _MOST} more" if len(names) > _MOST else ""
    return ", ".join(names[:_MOST]) + more
