"""The printed columns of Jobs and CronJobs."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from acns_chaos.lab.api.failures import Json
from acns_chaos.lab.api.reading.printing import (
    NONE,
    Column,
    age,
    at,
    human_duration,
    label_selector,
    members,
    name,
    since,
)

_NAME = Column("Name", name)
_AGE = Column("Age", age)
_TEMPLATE = ("spec", "template", "spec", "containers")


def _status(job: Json) -> str:
    found = {
        str(one.get("type"))
        for one in members(job, "status", "conditions")
        if one.get("status") == "True"
    }
    if job["metadata"].get("deletionTimestamp") and not found & {"Complete", "Failed"}:
        return "Terminating"
    order = ("Complete", "Failed", "Suspended", "FailureTarget", "SuccessCriteriaMet")
    return next((word for word in order if word in found), "Running")


def _completions(job: Json) -> str:
    done = at(job, "status", "succeeded") or 0
    if (wanted := at(job, "spec", "completions")) is not None:
        return f"{done}/{wanted}"
    parallel = at(job, "spec", "parallelism") or 0
    return f"{done}/1 of {parallel}" if parallel > 1 else f"{done}/1"


def _duration(job: Json) -> str:
    began, ended = (at(job, "status", key) for key in ("startTime", "completionTime"))
    if not began:
        return ""
    if not ended:
        return since(began)
    seconds = datetime.fromisoformat(ended) - datetime.fromisoformat(began)
    return human_duration(seconds.total_seconds())


def _last(job: Json) -> str:
    found = at(job, "status", "lastScheduleTime")
    return since(found) if found else NONE


def _containers(heading: str, key: str, *above: str) -> Column:
    def cell(obj: Json) -> str:
        return ",".join(str(one.get(key, "")) for one in members(obj, *above, *_TEMPLATE))

    return Column(heading, cell, wide=True)


def _wide(*above: str) -> tuple[Column, ...]:
    def selector(obj: Json) -> Any:
        return label_selector(at(obj, *above, "spec", "selector"))

    return (
        _containers("Containers", "name", *above),
        _containers("Images", "image", *above),
        Column("Selector", selector, wide=True),
    )


BATCH: Mapping[str, tuple[Column, ...]] = {
    "CronJob": (
        _NAME,
        Column("Schedule", lambda obj: at(obj, "spec", "schedule") or ""),
        Column("Timezone", lambda obj: at(obj, "spec", "timeZone") or NONE),
        Column("Suspend", lambda obj: str(bool(at(obj, "spec", "suspend")))),
        Column("Active", lambda obj: len(members(obj, "status", "active")), "integer"),
        Column("Last Schedule", _last),
        _AGE,
        *_wide("spec", "jobTemplate"),
    ),
    "Job": (
        _NAME,
        Column("Status", _status),
        Column("Completions", _completions),
        Column("Duration", _duration),
        _AGE,
        *_wide(),
    ),
}
"""The columns by kind."""
