"""Which of several detectors has noticed, all asked at once."""

from acns_chaos.evidence.arguments import names, numbers, word
from acns_chaos.evidence.readings import FIRING, SILENT, UNKNOWN, reading
from acns_chaos.faults.session import armed_run
from acns_chaos.probes.asking import NOT_SUBMITTED, answers

__all__ = ["read_detectors"]


@answers
def read_detectors(
    detectors: list,
    expect: str = "FIRING",
    deadline: float = 15.0,
    touched: list = [],
    elsewhere: list = [],
) -> dict:
    """Ask several detectors at once until all are silent, or until each has noticed the fault.

    A detector that fired before the fault cannot tell that it noticed it; one without data would
    have told nobody, so it did not. An alert whose labels name namespaces of `elsewhere`, and
    neither the experiment's nor one of `touched`, is of another fault.

    Args:
        detectors: objects with "name", "kind" ("alert", or "claim" for one that is run on a
            schedule), "deadline" (seconds from when the fault was seen in force), "for" (what it is
            there for, for readers), of an alert "labels", of a claim "cronjob" ("namespace/name" of
            who runs it; without it the control `schedule` does).
        expect: "SILENT" waits until none fires, "FIRING" until each has noticed or its own deadline
            is over.
        deadline: seconds until all must be silent; not looked at for "FIRING".
        touched: namespaces besides the experiment's that the fault reaches.
        elsewhere: namespaces that it does not, where other faults may be at the same time.
    """
    from acns_chaos.evidence.apart import Apart
    from acns_chaos.evidence.detecting import detectors_of, read_noticed, read_silence
    from acns_chaos.gameday.schedule import in_use

    run = armed_run()
    wanted = detectors_of(detectors)
    word("expect", expect, (FIRING, SILENT))
    folder = in_use()
    own = frozenset({run.target.namespace, *names("touched", touched)})
    apart = Apart(own, frozenset(names("elsewhere", elsewhere)))
    if expect == SILENT:
        patience = numbers({"deadline": deadline})["deadline"]
        return read_silence(run.api, run.environ, wanted, folder, patience, apart)
    submitted = run.first("submitted")
    if not submitted:
        return reading(UNKNOWN, "detectors", NOT_SUBMITTED, None, expect, {})
    moments = (submitted, run.first("realised"), run.witnessed)
    return read_noticed(run.api, run.environ, wanted, folder, *moments, apart)
