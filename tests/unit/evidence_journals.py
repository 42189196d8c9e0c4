"""Journals for tests: one whose outcome is HELD, and small ways to spoil it.

The base mirrors what the host writes for the flagship experiment in the lab: a hypothesis before
and after, a fault with two witnesses, a detector, an explanation, a restore and a rollback.
"""

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from acns_chaos.evidence.rules import derive
from acns_chaos.evidence.signature import sign

POLICY = "pets/allow-store-front-traffic"
CLIENT = "customers are turned away"
DROPS = "packets are dropped at the node"
ALERT = "Prometheus notices"
WHY = "the policy explains it"
INJECT = "break the policy"
RESTORE = "restore the policy"
SHOP = "customers reach the shop"
STRANGERS = "strangers are denied"


def at(second: float) -> str:
    """Return a moment of the run, *second* seconds after it began."""
    return f"2026-11-22T23:05:{second:06.3f}000+00:00"


def reading(state: str, met: bool | None, expected: Any, sentence: str, **more: Any) -> dict:
    """Return what a probe returns."""
    return {
        "reading": state,
        "met": met,
        "expected": expected,
        "what": "something",
        "sentence": sentence,
        "at": at(3),
        "seconds": 0.01,
        "evidence": {},
        **more,
    }


OPEN = reading("OPEN", True, "OPEN", "GET / answered 200 in 12 ms")
DENIED = reading("DENIED", True, "DENIED", "GET / met silence for 2 s")
UNKNOWN = reading("UNKNOWN", None, "OPEN", "no drop counter could be read")


def activity(name: str, func: str, kind: str = "probe", module: str = "acns_chaos.probes") -> dict:
    """Return an activity as an experiment declares it."""
    return {
        "type": kind,
        "name": name,
        "provider": {"type": "python", "module": module, "func": func, "arguments": {}},
    }


def action(name: str, func: str) -> dict:
    """Return one of our actions."""
    return activity(name, func, "action", "acns_chaos.actions")


def played(what: dict, output: Any, begin: float, end: float, **more: Any) -> dict:
    """Return the run of an activity that succeeded."""
    return {
        "activity": what,
        "output": output,
        "start": at(begin),
        "end": at(end),
        "duration": end - begin,
        "status": "succeeded",
        **more,
    }


def failed(run: dict, exception: str) -> None:
    """Turn a run into a failed one, as the host writes it."""
    run.update(status="failed", output=None, exception=[f"{exception}\n"])


SHOP_PROBE = {**activity(SHOP, "read_storefront"), "tolerance": True}
STRANGERS_PROBE = {**activity(STRANGERS, "read_connection"), "tolerance": True}
METHOD = (
    action(INJECT, "inject_fault"),
    activity(CLIENT, "read_storefront"),
    activity(DROPS, "count_drops"),
    activity(ALERT, "count_drops"),
    activity(WHY, "explain_denial"),
    action(RESTORE, "restore_policies"),
)
ROLLBACK = action("restore, always", "restore_policies")


def state() -> dict:
    """Return a pass of the hypothesis that was met."""
    return {
        "steady_state_met": True,
        "probes": [
            played(SHOP_PROBE, copy.deepcopy(OPEN), 0.1, 0.2, tolerance_met=True),
            played(STRANGERS_PROBE, copy.deepcopy(DENIED), 0.2, 0.3, tolerance_met=True),
        ],
    }


def unmet(output: Any = None, *, error: str = "") -> dict:
    """Return a pass whose first probe was not met, or failed with *error*."""
    probe = played(SHOP_PROBE, output, 0.1, 0.2, tolerance_met=False)
    if error:
        failed(probe, error)
    return {"steady_state_met": False, "probes": [probe]}


CLOSED = reading("DENIED", False, "OPEN", "GET / met silence for 2 s")


def policy(sources: list) -> dict:
    """Return the storefront's policy, letting in *sources*."""
    return {
        "apiVersion": "cilium.io/v2",
        "kind": "CiliumNetworkPolicy",
        "metadata": {"namespace": "pets", "name": "allow-store-front-traffic"},
        "spec": {
            "endpointSelector": {"matchLabels": {"app": "store-front"}},
            "ingress": sources,
        },
    }


def fault() -> dict:
    """Return the record of a fault that was realised and restored."""
    return {
        "id": "f1",
        "policy": {
            "kind": "CiliumNetworkPolicy",
            "namespace": "pets",
            "name": "allow-store-front-traffic",
        },
        "operator": "ingress-from-nobody",
        "submitted": at(1.0),
        "accepted": at(1.01),
        "realised": at(1.03),
        "realised_by": "world -> pets/store-front:8080/TCP was denied: GET / met silence for 1 s",
        "before": policy([{"fromEntities": ["world"]}]),
        "fault": policy([{"fromEndpoints": []}]),
        "before_sha256": "ab" * 32,
        "predicted": {"closed": ["world -> pets/store-front:8080/TCP"], "opened": []},
        "restored": {
            "by": "method",
            "submitted": at(6.0),
            "verified": at(6.02),
            "sha256": "ab" * 32,
            "problem": "",
            "behaviour": {
                "at": at(6.05),
                "sentence": "world -> pets/store-front:8080/TCP was open",
            },
        },
    }


def _runs() -> list[dict]:
    named = reading("NAMED", True, "NAMED", f"{POLICY} denies it", culprits=[POLICY])
    some = {"at_least": 1.0, "at_most": None}
    counted = reading("COUNTED", True, some, "counted 3 drops", count=3.0)
    outputs = ({}, DENIED, counted, counted, named, {"restored": [POLICY]})
    return [
        played(copy.deepcopy(what), copy.deepcopy(output), 1.0 + i, 1.5 + i)
        for i, (what, output) in enumerate(zip(METHOD, outputs, strict=True))
    ]


def _section() -> dict:
    return {
        "schema": 1,
        "version": "0.1.0",
        "run": "20261122T230501-4f2a",
        "target": {
            "kind": "lab",
            "context": "lab-pets",
            "server": "https://127.0.0.1:1",
            "uid": "0b1e9a3c",
            "namespace": "pets",
            "cilium_version": "1.19.4",
        },
        "refused": None,
        "faults": [fault()],
        "events": [
            {"at": at(6.02), "what": "restored", "detail": "reads back as it was"},
            {"at": at(1.0), "what": "submitted", "detail": "PUT"},
        ],
        "host": {"status": "completed", "deviated": False, "lib": "1.44.0"},
    }


def held() -> dict[str, Any]:
    """Return an unsigned journal whose evidence says HELD."""
    return {
        "chaoslib-version": "1.44.0",
        "platform": "Linux",
        "node": "node",
        "experiment": {
            "title": "Does anyone notice when the storefront is cut off?",
            "description": "…",
            "extensions": [
                {
                    "name": "acns-chaos",
                    "witnesses": [CLIENT, DROPS],
                    "detectors": [ALERT],
                    "explanations": [WHY],
                }
            ],
            "steady-state-hypothesis": {
                "title": "The shop works",
                "probes": [copy.deepcopy(SHOP_PROBE), copy.deepcopy(STRANGERS_PROBE)],
            },
            "method": list(copy.deepcopy(METHOD)),
            "rollbacks": [copy.deepcopy(ROLLBACK)],
            "dry": None,
        },
        "start": at(0),
        "status": "completed",
        "deviated": False,
        "steady_states": {"before": state(), "after": state(), "during": []},
        "run": _runs(),
        "rollbacks": [played(copy.deepcopy(ROLLBACK), {"restored": []}, 7.0, 7.1)],
        "end": at(8),
        "duration": 8.0,
        "acns_chaos": _section(),
    }


def claim(passed: bool = True) -> dict[str, Any]:
    """Return the journal of a claim: an empty method, the hypothesis played once, after it."""
    journal = held()
    journal["experiment"].update(method=[], rollbacks=[], extensions=[])
    journal["acns_chaos"]["faults"] = []
    after = state() if passed else unmet(CLOSED)
    journal.update(run=[], rollbacks=[], steady_states={"before": None, "after": after})
    return journal


def signed(journal: dict[str, Any]) -> dict[str, Any]:
    """Finish a journal as the guard does: outcome, status, signature."""
    judgement = derive(journal)
    journal["acns_chaos"]["outcome"] = judgement.as_json()
    if judgement.outcome != "HELD":
        journal["status"] = "failed"
    sign(journal)
    return journal


@contextmanager
def believed() -> Iterator[None]:
    """Take every journal for one that is as its run wrote it, without the work of sealing it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("acns_chaos.evidence.journal.verify", lambda _: "")
        patch.setattr("acns_chaos.report.build.verify", lambda _: "")
        yield


def run_of(journal: dict[str, Any], name: str) -> dict[str, Any]:
    """Return the run of the activity of that name."""
    return next(run for run in journal["run"] if run["activity"]["name"] == name)


def roles(journal: dict[str, Any]) -> dict[str, Any]:
    """Return the experiment's block of ours."""
    return journal["experiment"]["extensions"][0]
