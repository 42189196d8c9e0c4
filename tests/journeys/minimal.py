"""A small experiment (break, wait, put back) and what tests ask about its end."""

import time
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from acns_chaos.cluster.waiting import wait_until
from tests.journeys.conftest import Done, Lab

NAME = "allow-store-front-traffic"
KEY = f"pets/{NAME}"
BREAK = "break the policy"
PUT_BACK = "put the policy back"


def activity(
    name: str, module: str, func: str, kind: str = "action", **arguments: Any
) -> dict[str, Any]:
    """One activity of an experiment."""
    provider = {"type": "python", "module": module, "func": func, "arguments": arguments}
    return {"type": kind, "name": name, "provider": provider}


def inject(**arguments: Any) -> dict[str, Any]:
    """The action that breaks the storefront's policy, without waiting for the effect."""
    given = {"policy": NAME, "operator": "ingress-from-nobody", "timeout": 0, **arguments}
    if "policy_file" in given or "document" in given:
        given = {key: given[key] for key in given if key not in ("policy", "operator")}
    return activity(BREAK, "acns_chaos.actions", "inject_fault", **given)


def restore(**arguments: Any) -> dict[str, Any]:
    """The action that puts everything back."""
    return activity(PUT_BACK, "acns_chaos.actions", "restore_policies", timeout=1, **arguments)


def read(name: str, func: str, **arguments: Any) -> dict[str, Any]:
    """One of our probes."""
    return activity(name, "acns_chaos.probes", func, "probe", **arguments)


def experiment(*method: dict[str, Any], **configuration: Any) -> dict[str, Any]:
    """An experiment without a hypothesis; it restores in its rollbacks, always."""
    return {
        "title": "Does everything come back?",
        "description": "Whatever ends the run.",
        "configuration": {"namespace": "pets", "storefront_service": "store-front"} | configuration,
        "controls": [
            {"name": name, "provider": {"type": "python", "module": f"acns_chaos.controls.{name}"}}
            for name in ("guard", "lab")
        ],
        "runtime": {"rollbacks": {"strategy": "always"}},
        "method": list(method),
        "rollbacks": [restore()],
    }


def broken(lab: Lab) -> bool:
    """Whether the storefront's policy is faulty right now."""
    policy = lab.policies()[KEY]
    return bool(policy["spec"]["ingress"] == [{"fromEndpoints": []}])


def records(lab: Lab) -> list[str]:
    """ConfigMaps of ours that are left in the namespace."""
    listed = lab.api.get("/api/v1/namespaces/pets/configmaps").get("items", [])
    names = [str(one["metadata"]["name"]) for one in listed]
    return [name for name in names if name.startswith("acns-chaos-2")]


def holders(lab: Lab) -> list[str]:
    """Who holds a Lease, and what records they name."""
    listed = lab.api.get("/apis/coordination.k8s.io/v1/leases").get("items", [])
    ours = [one for one in listed if str(one["metadata"]["name"]).startswith("acns-chaos")]
    named = [(one["metadata"].get("annotations") or {}).get("acns-chaos/records") for one in ours]
    held = [str((one.get("spec") or {}).get("holderIdentity") or "") for one in ours]
    return [one for one in (*held, *named) if one]


def watchdogs(home: Path) -> list[int]:
    """Processes of the watchdogs of runs that joined the lab of this folder, zombies included."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            command = (entry / "cmdline").read_bytes()
            environ = (entry / "environ").read_bytes()
        except OSError:
            continue
        if b"acns_chaos.faults.watchdog" in command and str(home).encode() in environ:
            found.append(int(entry.name))
    return sorted(found)


def nothing_is_left(lab: Lab, before: Mapping[str, Any], timeout: float = 5.0) -> None:
    """Assert that policies, records, Leases and processes are as they were."""
    gone = wait_until(lambda: not watchdogs(lab.home) and not holders(lab), timeout)
    assert gone, (watchdogs(lab.home), holders(lab))
    assert lab.policies() == before
    assert records(lab) == []


def seconds_until_submitted(done: Done, since: float) -> float:
    """How long after a moment (Unix time) the first restore was submitted, by the journal."""
    moments = [
        datetime.fromisoformat(event["at"]).timestamp()
        for event in done.section["events"]
        if event["what"] == "restore-submitted"
    ]
    return min(moments) - since


def moment() -> float:
    """Unix time, as the journal's moments."""
    return time.time()
