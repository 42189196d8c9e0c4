"""The `lab` control: where no cluster is named, start the stand-in cluster and end it with the run.

List it *after* the guard: the host configures every control before any other hook, so the lab is
up when the guard looks for its target; and it cleans up in the same order, so the guard's safety
net still finds the lab alive.

```json
"controls": [
  {"name": "guard", "provider": {"type": "python", "module": "acns_chaos.controls.guard"}},
  {"name": "lab", "provider": {"type": "python", "module": "acns_chaos.controls.lab"}}
]
```

What the experiment needs to go wrong can be ordered with it, and ends with the run; on a named
cluster it is not looked at, because there the real thing happens:

```json
{"name": "lab", "provider": {"type": "python", "module": "acns_chaos.controls.lab", "arguments":
  {"misbehave": [{"kind": "gitops", "options": {"policy": "pets/allow-x", "after": 6}}]}}}
```

A lab that somebody started with `acns-chaos lab` is joined and left running. Nothing of
`acns_chaos.lab` is imported: it is another process, met at the wire.
"""

import contextlib
import logging
import os
from typing import Any
from urllib.request import getproxies

from chaoslib.types import Experiment

from acns_chaos.cluster.labcontrol import LabControl
from acns_chaos.cluster.labprocess import RULES_VARIABLE, LabProcess, join_or_start
from acns_chaos.cluster.target import choose
from acns_chaos.errors import TargetError

__all__ = ["cleanup_control", "configure_control"]

logger = logging.getLogger("chaostoolkit")

_running: list[LabProcess] = []
_saved: dict[str, str | None] = {}
# What was ordered for this run: the lab's own numbers.
_ordered: list[str] = []
# Why there is no lab, for the guard to say: what this hook raises, the host hides.
trouble = ""


def configure_control(
    experiment: Experiment,
    world: str = "pets",
    misbehave: list[dict[str, Any]] | None = None,
    rules: str = "",
) -> None:
    """Start or join the lab, when the run is meant for it.

    Args:
        experiment: the experiment about to run.
        world: name or path of the world to start; a joined lab keeps its own.
        misbehave: orders as `acns-chaos lab inject` gives them: "kind", and "options",
            "selection", "for" (seconds), "count".
        rules: path of alert rules for the lab's Prometheus, as Prometheus takes them; "" takes
            those that ACNS_CHAOS_LAB_RULES names. A joined lab must have the same ones, but where
            ACNS_CHAOS_LAB_PROMETHEUS_URL names who watches it.
    """
    global trouble  # noqa: PLW0603 - the host keeps controls as modules, so state lives here
    trouble = ""
    try:
        if choose(os.environ).kind != "lab" or _running:
            return
        rules = rules or os.environ.get(RULES_VARIABLE, "")
        lab = join_or_start(world, os.environ, rules)
        if rules and lab.joined and not lab.watched:
            LabControl(lab.ready).require_rules(rules)
    except TargetError as error:
        trouble = str(error)
        return
    _running.append(lab)
    for name, value in {**lab.environ, **_without_proxy()}.items():
        _saved[name] = os.environ.get(name)
        os.environ[name] = value
    try:
        _ordered.extend(str(LabControl(lab.ready).inject(one)["id"]) for one in misbehave or [])
    except TargetError as error:
        trouble = f"The lab does not misbehave as the experiment orders: {error}"
    logger.info(f"Lab {'joined' if lab.joined else 'started'}: world {lab.world} at {lab.server}")


def _without_proxy() -> dict[str, str]:
    """Return the variables that keep a proxy out of the way to the lab.

    Clients in Python, Prometheus' among them, send even what is for this machine to a proxy that
    the environment names; kubectl does not.
    """
    proxies = getproxies()
    known = proxies.pop("no", "")
    if not proxies:
        return {}
    exempt = ",".join(filter(None, (known, "localhost", "127.0.0.1")))
    return {"no_proxy": exempt, "NO_PROXY": exempt}


def cleanup_control() -> None:
    """End what was ordered and the lab this run started, and put the environment back."""
    while _ordered:
        # One that has ended by itself cannot be cleared, and need not be.
        with contextlib.suppress(TargetError):
            LabControl(_running[0].ready).clear(_ordered.pop())
    while _running:
        _running.pop().close()
    for name, value in _saved.items():
        _put(name, value)
    _saved.clear()


def kubeconfig() -> str:
    """Return the running lab's kubeconfig, "" when there is none."""
    return str(_running[0].environ.get("KUBECONFIG", "")) if _running else ""


def _put(name: str, value: Any) -> None:
    if value is None:
        os.environ.pop(name, None)
    else:
        os.environ[name] = value
