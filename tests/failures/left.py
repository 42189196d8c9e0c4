"""What a killed run leaves in the cluster: taken down once, and laid there again for each case.

A run and its watchdog are killed right after the last write of the fault. Laying its policies,
records and Leases again costs milliseconds; killing another run for each case costs a second.
"""

import json
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from acns_chaos.cluster.records import Record, Records
from tests.failures.experiments import experiment
from tests.failures.killing import AFTER, caught
from tests.failures.points import Point, points_of
from tests.failures.sight import LEASES
from tests.failures.stand import Stand

__all__ = ["Left", "leave"]

# A record's deadline: not yet passed, or long ago.
FRESH, OLD = timedelta(minutes=5), timedelta(hours=-1)


@dataclass(frozen=True)
class Left:
    """Objects that nobody looks after any more.

    Attributes:
        kind: of fault.
        run: id of the run.
        policies: all of them, faulty, by title.
        records: of the run, as the Leases name them.
        leases: of the run.
    """

    kind: str
    run: str
    policies: dict[str, dict[str, Any]]
    records: list[Record]
    leases: list[dict[str, Any]]

    def lay(self, stand: Stand, old: bool) -> None:
        """Put everything there again.

        Args:
            stand: without records and Leases.
            old: whether the deadline passed an hour ago, or comes in minutes.
        """
        stand.put_right(self.policies)
        deadline = (stand.api.now() + (OLD if old else FRESH)).isoformat()
        laid = [replace(one, deadline=deadline) for one in self.records]
        for record in laid:
            Records(stand.api, record.home).write(record)
        hashes = {one.name: one.sha256() for one in laid}
        for lease in self.leases:
            metadata = lease["metadata"]
            annotations = dict(metadata.get("annotations") or {})
            if named := json.loads(annotations.get("acns-chaos/records") or "{}"):
                annotations["acns-chaos/records"] = json.dumps({one: hashes[one] for one in named})
            body = {
                "apiVersion": "coordination.k8s.io/v1",
                "kind": "Lease",
                "metadata": {
                    "name": metadata["name"],
                    "namespace": metadata["namespace"],
                    "annotations": annotations,
                },
                "spec": lease["spec"],
            }
            where = LEASES.replace("/leases", f"/namespaces/{metadata['namespace']}/leases")
            stand.api.post(where, body)
        assert sorted(stand.named()) == sorted(hashes)


def leave(stand: Stand, kind: str) -> Left:
    """Kill a run and its watchdog when its fault stands, and take down what lies there.

    Args:
        stand: as at its start; it is tidy again afterwards.
        kind: of fault.
    """
    point = _last_write_of_the_fault(stand, kind)
    stand.tidy()
    run = stand.run(experiment(kind, stand.folder()))
    assert caught(stand, run, point, AFTER), run.output
    stand.kill(run, watchdogs=True)
    assert run.over.wait(20)
    stand.clear()
    records = [
        Records(stand.api, "pets").read(name)[0]
        for name in stand.records()
        if name in stand.named()
    ]
    assert records, f"a killed run of {kind} left no record"
    assert not stand.is_original()
    left = Left(kind, records[0].run, stand.raw_policies(), records, stand.raw_leases())
    stand.renew()
    return left


def _last_write_of_the_fault(stand: Stand, kind: str) -> Point:
    """Of an undisturbed run; as many writes as there are faulty objects make the fault."""
    stand.tidy()
    stand.listen()
    run = stand.run(experiment(kind, stand.folder()))
    assert run.over.wait(90), run.output
    assert stand.is_original()
    faults = run.journal["acns_chaos"]["faults"]
    assert faults, run.output
    points = points_of(stand.requests(), reads=False)
    writes = [one for one in points if one.writes and one.resource.endswith("policies")]
    return writes[len(faults) - 1]
