"""Which of several detectors has noticed, all asked at once."""

from acns_chaos.evidence.arguments import numbers, word
from acns_chaos.evidence.readings import FIRING, SILENT, UNKNOWN, reading
from acns_chaos.faults.session import armed_run
from acns_chaos.probes.asking import NOT_SUBMITTED, answers

__all__ = ["read_detectors"]


@answers
def read_detectors(
    detectors: list,
    expect: str = "FIRING",
    deadline: float = 15.0,
) -> dict:
    """Ask several detectors at once until all are silent, or until each has noticed the fault.

    A detector that fired before the fault cannot tell that it noticed it; one without data would
    have told nobody, so it did not.

    Args:
        detectors: objects with "name", "kind" ("alert", or "claim" for one that is run on a
            schedule), "deadline" (seconds from when the fault was seen in force), "for" (what it is
            there for, for readers), of an alert "labels", of a claim "cronjob" ("namespace/name" of
            who runs it; without it the control `schedule` does).
        expect: "SILENT" waits until none fires, "FIRING" until each has noticed or its own deadline
            is over.
        deadline: seconds until all must be silent; not looked at for "FIRING".
    """
    from acns_chaos.evidence.detecting import detectors_of, read_noticed, read_silence
    from acns_chaos.gameday.schedule import in_use

    run = armed_run()
    wanted = detectors_of(detectors)
    word("expect", expect, (FIRING, SILENT))
    folder = in_use()
    if expect == SILENT:
        patience = numbers({"deadline": deadline})["deadline"]
        return read_silence(run.api, run.environ, wanted, folder, patience)
    submitted = run.first("submitted")
    if not submitted:
        return reading(UNKNOWN, "detectors", NOT_SUBMITTED, None, expect, {})
    return read_noticed(run.api, run.environ, wanted, folder, submitted, run.first("realised"))
