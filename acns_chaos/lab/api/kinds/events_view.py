"""Events in the form of events.k8s.io/v1: another view of the core group's events.

One set of objects is stored, in the core form; names of members differ, and a newer client must say
more when it creates one. Not here: storing and reading them.
"""

from acns_chaos.lab.api.failures import Json, Problem

GROUP = "events.k8s.io"
_CORE = "v1"
_NEW = f"{GROUP}/v1"
# Core name: name in events.k8s.io.
_NAMES = {
    "count": "deprecatedCount",
    "firstTimestamp": "deprecatedFirstTimestamp",
    "involvedObject": "regarding",
    "lastTimestamp": "deprecatedLastTimestamp",
    "message": "note",
    "reportingComponent": "reportingController",
    "source": "deprecatedSource",
}
_BACK = {new: old for old, new in _NAMES.items()}
_REQUIRED = ("eventTime", "reportingController", "reportingInstance", "action", "reason")


def to_core(event: Json) -> Json:
    """An event of events.k8s.io in the core form."""
    renamed = {_BACK.get(key, key): value for key, value in event.items()}
    return {**renamed, "apiVersion": _CORE}


def to_view(event: Json) -> Json:
    """A stored event in the form of events.k8s.io; whatever else there is stays as it is."""
    if event.get("kind") != "Event":
        return event
    return {**_renamed(event), "apiVersion": _NEW}


def _renamed(event: Json) -> Json:
    return {_NAMES.get(key, key): value for key, value in event.items()}


def shown(body: Json) -> Json:
    """An answer of the view: an event, a list of them, or a Status."""
    if body.get("kind") == "EventList":
        # Items of a list say neither kind nor version.
        return {**body, "items": [_renamed(item) for item in body["items"]]}
    return to_view(body)


def problems(event: Json) -> list[Problem]:
    """What a server wants of a new event of events.k8s.io beyond its structure."""
    found = [Problem(key, "Required value") for key in _REQUIRED if not event.get(key)]
    if event.get("type") not in {"Normal", "Warning"}:
        shown_type = f'"{event.get("type", "")}": has invalid value'
        found.append(Problem("type", "Invalid value", shown_type))
    return found
