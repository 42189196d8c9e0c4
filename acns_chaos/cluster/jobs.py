"""The Jobs of a CronJob: when each ended, and whether it failed.

Belongs here: reading them. Does not belong here: what a failure proves (`acns_chaos.evidence`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from acns_chaos.cluster.kube import Api
from acns_chaos.cluster.moments import moment

__all__ = ["EndedJob", "ended_jobs"]

# Whoever keeps more of the history than this has no use of the oldest ones here.
MOST = 500


@dataclass(frozen=True, slots=True)
class EndedJob:
    """A Job that is over; moments in whole seconds by the server's clock.

    Attributes:
        name: of the Job.
        started: when; its end where it does not say.
        ended: when.
        failed: whether it failed.
        why: what its condition says of that.
    """

    name: str
    started: datetime
    ended: datetime
    failed: bool
    why: str


def ended_jobs(api: Api, cronjob: str) -> list[EndedJob]:
    """List the Jobs of a CronJob that are over, in the order in which they ended.

    Args:
        api: the cluster.
        cronjob: "namespace/name".

    Raises:
        Forbidden: this account may not list Jobs there.
        ApiError: they cannot be listed.
    """
    namespace, _, name = cronjob.partition("/")
    told = api.get(f"/apis/batch/v1/namespaces/{namespace}/jobs", {"limit": str(MOST)})
    found = [
        ended
        for one in told.get("items") or []
        if _is_of(one, name) and (ended := _ended(one)) is not None
    ]
    return sorted(found, key=lambda one: one.ended)


def _is_of(job: Mapping[str, Any], cronjob: str) -> bool:
    owners = (job.get("metadata") or {}).get("ownerReferences") or ()
    return any(one.get("kind") == "CronJob" and one.get("name") == cronjob for one in owners)


def _ended(job: Mapping[str, Any]) -> EndedJob | None:
    status = job.get("status") or {}
    for one in status.get("conditions") or ():
        if one.get("type") not in ("Failed", "Complete") or one.get("status") != "True":
            continue
        ended = moment(one.get("lastTransitionTime"))
        if ended is None:
            continue
        started = moment(status.get("startTime")) or ended
        why = str(one.get("reason") or one.get("message") or "")
        name = str((job.get("metadata") or {}).get("name", ""))
        return EndedJob(name, started, ended, one["type"] == "Failed", why)
    return None
