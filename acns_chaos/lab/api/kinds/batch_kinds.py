"""Jobs and CronJobs as kinds: schemas, what the server fills in, what it refuses and keeps.

They are stored and described; nobody runs a Job in the lab, and no CronJob makes one. Not here: the
template of their pods (`pod_template`, `pod_checks`).
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping

from acns_chaos.lab.api.failures import Json, Problem
from acns_chaos.lab.api.kinds import pod_checks, pod_template
from acns_chaos.lab.api.kinds.pod_checks import not_negative, one_of, required
from acns_chaos.lab.api.kinds.pod_template import POD_TEMPLATE, SELECTOR, listed, struct
from acns_chaos.lab.api.kinds.schema import quoted
from acns_chaos.policy.schema import ANY, INTEGER, Field
from acns_chaos.policy.schema_native import METADATA, kind_schema

_JOB_SPEC = struct(
    texts="completionMode managedBy podReplacementPolicy",
    numbers="activeDeadlineSeconds backoffLimit backoffLimitPerIndex completions maxFailedIndexes "
    "parallelism ttlSecondsAfterFinished",
    flags="manualSelector suspend",
    podFailurePolicy=struct(
        rules=listed(
            struct(
                texts="action",
                onExitCodes=struct(texts="containerName operator", values=listed(INTEGER)),
                onPodConditions=listed(struct(texts="status type")),
            )
        )
    ),
    selector=SELECTOR,
    successPolicy=struct(rules=listed(struct(texts="succeededIndexes", numbers="succeededCount"))),
    template=POD_TEMPLATE,
)
_TIME = Field("string", format="date-time")
JOB = kind_schema(
    spec=_JOB_SPEC,
    status=struct(
        texts="completedIndexes failedIndexes",
        numbers="active failed ready succeeded terminating",
        completionTime=_TIME,
        conditions=listed(ANY),
        startTime=_TIME,
        uncountedTerminatedPods=ANY,
    ),
)
CRON_JOB = kind_schema(
    spec=struct(
        texts="concurrencyPolicy schedule timeZone",
        numbers="failedJobsHistoryLimit startingDeadlineSeconds successfulJobsHistoryLimit",
        flags="suspend",
        jobTemplate=struct(metadata=METADATA, spec=_JOB_SPEC),
    ),
    status=struct(active=listed(ANY), lastScheduleTime=_TIME, lastSuccessfulTime=_TIME),
)


# ---------------------------------------------------------------------- what a server fills in


def _part(obj: Json, *names: str) -> Json:
    """A member deep inside an object, made where it is missing."""
    for name in names:
        obj = obj.setdefault(name, {})
    return obj


def _fill_cron_job(obj: Json) -> None:
    spec = _part(obj, "spec")
    spec.setdefault("concurrencyPolicy", "Allow")
    spec.setdefault("failedJobsHistoryLimit", 1)
    spec.setdefault("successfulJobsHistoryLimit", 3)
    spec.setdefault("suspend", False)
    obj.setdefault("status", {})
    # A server fills in the pod's template here, and the rest of the Job when there is one.
    _fill_template(_part(spec, "jobTemplate", "spec", "template"))


def _fill_job(obj: Json) -> None:
    spec = _part(obj, "spec")
    if spec.get("completions") is None and spec.get("parallelism") is None:
        spec["completions"] = 1
    spec.setdefault("parallelism", 1)
    # What may fail index by index has no limit as a whole.
    spec.setdefault("backoffLimit", 6 if spec.get("backoffLimitPerIndex") is None else 2**31 - 1)
    spec.setdefault("completionMode", "NonIndexed")
    spec.setdefault("manualSelector", False)
    spec.setdefault(
        "podReplacementPolicy",
        "Failed" if spec.get("podFailurePolicy") else "TerminatingOrFailed",
    )
    spec.setdefault("suspend", False)
    obj.setdefault("status", {})
    _fill_template(_part(spec, "template"))


def _fill_template(template: Json) -> None:
    # As in every object, members of the metadata that hold nothing are not there.
    metadata = template.pop("metadata", {})
    if kept := {key: value for key, value in metadata.items() if value not in ({}, [], None)}:
        template["metadata"] = kept
    pod_template.fill(_part(template, "spec"))


FILL: Mapping[str, Callable[[Json], None]] = {"CronJob": _fill_cron_job, "Job": _fill_job}
"""What a server puts into an object of a kind before it validates it."""


def claim_pods(job: Json) -> None:
    """Give a new Job the labels and the selector by which its pods would be told from others'.

    Args:
        job: with its UID; one that brings a selector of its own is left as it is.
    """
    spec, metadata = job["spec"], job["metadata"]
    if spec.get("manualSelector"):
        return
    old = {"controller-uid": metadata["uid"], "job-name": metadata["name"]}
    new = {f"batch.kubernetes.io/{key}": value for key, value in old.items()}
    labels = _part(spec, "template", "metadata", "labels")
    labels.update({**old, **new})
    key = "batch.kubernetes.io/controller-uid"
    spec["selector"] = {"matchLabels": {key: metadata["uid"]}}


# ---------------------------------------------------------------------- what a server refuses


# Of an Indexed Job: pods at once.
MOST_AT_ONCE = 100_000
_COUNTS = (
    "parallelism",
    "completions",
    "activeDeadlineSeconds",
    "backoffLimit",
    "backoffLimitPerIndex",
    "maxFailedIndexes",
    "ttlSecondsAfterFinished",
)


def _check_cron_job(obj: Json) -> Iterator[Problem]:
    spec = obj["spec"]
    name = obj["metadata"].get("name", "")
    if len(name) > 52:
        detail = f"{quoted(name)}: must be no more than 52 characters"
        yield Problem("metadata.name", "Invalid value", detail)
    if not spec.get("schedule"):
        yield required("spec.schedule")
    elif why := wrong_schedule(spec["schedule"]):
        yield Problem("spec.schedule", "Invalid value", f"{quoted(spec['schedule'])}: {why}")
    policies = ("Allow", "Forbid", "Replace")
    yield from one_of("spec.concurrencyPolicy", spec["concurrencyPolicy"], policies)
    numbers = ("startingDeadlineSeconds", "successfulJobsHistoryLimit", "failedJobsHistoryLimit")
    for key in numbers:
        yield from not_negative(f"spec.{key}", spec.get(key))
    yield from _check_job_spec(spec["jobTemplate"]["spec"], "spec.jobTemplate.spec")


def _check_job(obj: Json) -> Iterator[Problem]:
    name = obj["metadata"].get("name", "")
    if len(name) > 63:
        detail = f"{quoted(name)}: must be no more than 63 bytes"
        yield Problem("metadata.name", "Invalid value", detail)
    yield from _check_job_spec(obj["spec"], "spec")
    yield from one_of(
        "spec.completionMode", obj["spec"]["completionMode"], ("Indexed", "NonIndexed")
    )
    if obj["spec"]["completionMode"] == "Indexed":
        yield from _check_indexed(obj["spec"], name)


def _check_indexed(spec: Json, name: str) -> Iterator[Problem]:
    completions = spec.get("completions")
    if completions is None:
        yield required("spec.completions", "when completion mode is Indexed")
    if (spec.get("parallelism") or 0) > MOST_AT_ONCE:
        why = f"must be less than or equal to {MOST_AT_ONCE} when completion mode is Indexed"
        yield Problem("spec.parallelism", "Invalid value", f"{spec['parallelism']}: {why}")
    last = f"{name}-{(completions or 1) - 1}"
    if len(last) > 63:
        # Each pod is a host by the name of its Job and index.
        detail = f"{quoted(name)}: will not able to create pod with invalid DNS label: {last}"
        yield Problem("metadata.name", "Invalid value", detail)


def _check_job_spec(spec: Json, path: str) -> Iterator[Problem]:
    for key in _COUNTS:
        yield from not_negative(f"{path}.{key}", spec.get(key))
    if spec.get("backoffLimitPerIndex") is not None and spec.get("completionMode") != "Indexed":
        detail = f"{spec['backoffLimitPerIndex']}: requires indexed completion mode"
        yield Problem(f"{path}.backoffLimitPerIndex", "Invalid value", detail)
    pod = spec["template"]["spec"]
    if spec.get("podFailurePolicy") and pod["restartPolicy"] != "Never":
        place, shown = f"{path}.template.spec.restartPolicy", quoted(pod["restartPolicy"])
        detail = f'{shown}: only "Never" is supported when podFailurePolicy is specified'
        yield Problem(place, "Invalid value", detail)
    yield from pod_checks.check(pod, f"{path}.template.spec")
    if pod["restartPolicy"] not in ("OnFailure", "Never"):
        place = f"{path}.template.spec.restartPolicy"
        yield required(place, 'valid values: "OnFailure", "Never"')


CHECK: Mapping[str, Callable[[Json], list[Problem]]] = {
    "CronJob": lambda obj: list(_check_cron_job(obj)),
    "Job": lambda obj: list(_check_job(obj)),
}
"""Rules of a kind beyond its schema."""


def check_change(old: Json, new: Json) -> list[Problem]:
    """What an update of a Job may not change: what its pods are made of and told apart by.

    Only a suspended Job that never started could get other labels and resources on a server; here
    none can.
    """
    found = []
    for key in ("completions", "selector", "template", "completionMode", "podFailurePolicy"):
        if old["spec"].get(key) != new["spec"].get(key):
            shown = json.dumps(new["spec"].get(key), separators=(",", ":"))
            detail = f"{shown}: field is immutable"
            found.append(Problem(f"spec.{key}", "Invalid value", detail))
    return found


# ---------------------------------------------------------------------- schedules

_MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
_DAYS = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"]
_FIELDS: tuple[tuple[int, int, list[str]], ...] = (
    (0, 59, []),
    (0, 23, []),
    (1, 31, []),
    (1, 12, _MONTHS),
    (0, 6, _DAYS),
)
_WORDS = frozenset(
    ["@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly"]
)
_EVERY = re.compile(r"@every (\d+(\.\d+)?(ns|us|ms|s|m|h))+")
_RANGE = re.compile(r"(?P<first>\*|\?|\w+)(-(?P<last>\w+))?(/(?P<step>\d+))?")


def wrong_schedule(schedule: str) -> str:
    """Why the text of a CronJob's schedule cannot be read, "" when it can.

    Its five fields are those of cron: minute, hour, day, month, day of the week.
    """
    if schedule.startswith(("TZ=", "CRON_TZ=")) or "TZ=" in schedule:
        return "cannot use TZ or CRON_TZ in schedule, use timeZone field instead"
    if schedule.startswith("@"):
        known = schedule in _WORDS or _EVERY.fullmatch(schedule)
        return "" if known else f"unrecognized descriptor: {schedule}"
    fields = schedule.split()
    if len(fields) != len(_FIELDS):
        return f"expected exactly 5 fields, found {len(fields)}: [{' '.join(fields)}]"
    for text, (least, most, names) in zip(fields, _FIELDS, strict=True):
        for part in text.split(","):
            if why := _wrong_range(part, least, most, names):
                return why
    return ""


def _wrong_range(text: str, least: int, most: int, names: list[str]) -> str:
    found = _RANGE.fullmatch(text)
    if not found:
        return f"failed to parse int from {text}: invalid syntax"
    first, last = found["first"], found["last"] or found["first"]
    if first in "*?":
        numbers = [least, most]
    else:
        numbers = []
        for word in (first, last):
            number = _number(word, least, names)
            if number is None:
                return f'failed to parse int from {word}: strconv.Atoi: parsing "{word}"'
            numbers.append(number)
    if numbers[0] < least:
        return f"beginning of range ({numbers[0]}) below minimum ({least}): {text}"
    if numbers[1] > most:
        return f"end of range ({numbers[1]}) above maximum ({most}): {text}"
    if numbers[0] > numbers[1]:
        return f"beginning of range ({numbers[0]}) beyond end of range ({numbers[1]}): {text}"
    return f"step of range should be a positive number: {text}" if found["step"] == "0" else ""


def _number(word: str, least: int, names: list[str]) -> int | None:
    if word.isdecimal():
        return int(word)
    return least + names.index(word.lower()) if word.lower() in names else None
