"""`acns-chaos lab up | status | env | down`: a lab that outlives a run, until it is ended."""

import json
import os
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from acns_chaos.cli import show
from acns_chaos.cli.lab.hints import beside, to_try
from acns_chaos.cluster.labcontrol import LabControl
from acns_chaos.cluster.labprocess import RULES_VARIABLE, start_detached
from acns_chaos.cluster.labregistry import end_lab, find_lab, lab_home, take_away
from acns_chaos.errors import TargetError

__all__ = ["NoLab", "down", "env", "running_lab", "status", "up"]

BIND = "127.0.0.1"


class NoLab(click.ClickException):
    """No lab is up."""

    exit_code = 3

    def __init__(self) -> None:
        super().__init__(f"No lab is up: `{beside('acns-chaos')} lab up` starts one.")


def running_lab() -> Mapping[str, Any]:
    """Return what the registered lab said when it was ready.

    Raises:
        NoLab: there is none; what a dead one left is taken away.
    """
    home = lab_home(os.environ)
    found = find_lab(home)
    if found and found.alive and found.ready:
        return found.ready
    if found and not found.alive:
        take_away(home, found)
    raise NoLab


@click.command()
@click.option("--world", default="pets", show_default=True, help="Name or path of a world.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=0,
    help="Port of the API server; 0 takes a free one.",
)
@click.option("--bind", default=BIND, show_default=True, help="Address to listen at.")
@click.option("--rules", metavar="FILE", default="", help="Alert rules for the lab's Prometheus.")
def up(world: str, port: int, bind: str, rules: str) -> None:
    """Start a lab that stays until `lab down`, and say what to try."""
    home = lab_home(os.environ)
    # The lab leaves this folder behind.
    asked = str(Path(world).resolve()) if Path(world).is_file() else world
    rules = rules or os.environ.get(RULES_VARIABLE, "")
    found = find_lab(home)
    if found and found.alive:
        show(_up_already(found.ready, asked, port, rules) + "\n\n" + to_try(found.ready or {}))
        return
    if found:
        take_away(home, found)
    arguments = ["--world", asked, "--port", str(port)]
    if bind != BIND:
        arguments += ["--bind", bind]
    if rules:
        arguments += ["--rules", rules]
    show(to_try(start_detached(home, *arguments)))


def _up_already(ready: Mapping[str, Any] | None, asked: str, port: int, rules: str) -> str:
    """Say that the lab asked for is up, or refuse when it is another one."""
    down_first = f"end it first with `{beside('acns-chaos')} lab down`"
    if ready is None:
        raise TargetError("A lab is just being started: ask for its status in a moment.")
    about = f"A lab of world {ready['world']} is up already (process {ready['pid']})"
    if asked not in (ready.get("asked_world"), ready["world"]):
        raise TargetError(f"{about}: {down_first}.")
    if port and not str(ready["server"]).endswith(f":{port}"):
        raise TargetError(f"{about} at {ready['server']}: {down_first}.")
    if rules:
        LabControl(ready).require_rules(rules)
    return f"{about}."


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print it as one JSON line.")
def status(as_json: bool) -> None:
    """Say whether a lab is up, where it is and how it misbehaves; exit code 3 when none is up."""
    try:
        ready = running_lab()
    except NoLab:
        if as_json:
            show(json.dumps({"up": False}))
            raise click.exceptions.Exit(NoLab.exit_code) from None
        raise
    found = LabControl(ready).status() if ready.get("control") else {}
    about = {key: value for key, value in ready.items() if key not in ("ready", "control")}
    if as_json:
        show(json.dumps({"up": True, **about, **found}))
        return
    env = ready["env"]
    rows = {
        "API server": ready["server"],
        "Shop": env.get("ACNS_CHAOS_STOREFRONT_URL", "none"),
        "Prometheus": env.get("ACNS_CHAOS_PROMETHEUS_URL", "none"),
        "Kubeconfig": ready["kubeconfig"],
    }
    since = f" since {ready['since']}" if "since" in ready else ""
    show(f"Lab of world {ready['world']}: up{since} (process {ready['pid']})")
    show("\n".join(f"  {name:<11} {value}" for name, value in rows.items()))
    for line in _alerts(LabControl(ready).rules() if ready.get("control") else {}):
        show(line)
    now = found.get("misbehaviours", [])
    show("Misbehaves:" + ("" if now else " not at all"))
    for one in now:
        show(f"  {described(one)}")
    for one in found.get("ended", []):
        show(f"  over: {described(one)}, {one['ended']}")


def _alerts(rules: Mapping[str, Any]) -> list[str]:
    """Say which alerts the lab's Prometheus evaluates, and how they stand."""
    told = [
        f"  {one['name']}: {one['state']}"
        + (f"; it cannot be evaluated: {one['lastError'][:160]}" if one.get("lastError") else "")
        for group in rules.get("groups", [])
        for one in group["rules"]
        if one["type"] == "alerting"
    ]
    return [f"Alert rules of {rules['file']}:", *told] if told else []


def described(one: Mapping[str, Any]) -> str:
    """Return one line about a misbehaviour."""
    chosen = {**(one["options"] or {}), **(one["selection"] or {})}
    words = [f"{one['id']}  {one['kind']}"]
    for name, value in chosen.items():
        text = ",".join(map(str, value)) if isinstance(value, list) else str(value)
        if (name, value) != ("server", "kubernetes"):
            words.append(f"{name.replace('_', '-')}={text}")
    if one["for"] is not None:
        words.append(f"for {one['for']:g} s")
    of = f" of {one['count']}" if one["count"] else ""
    return " ".join(words) + f": struck {one['struck']}{of}"


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print it as one JSON object.")
def env(as_json: bool) -> None:
    """Print what points a shell at the lab: `eval "$(acns-chaos lab env)"`."""
    found = {**running_lab()["env"], "ACNS_CHAOS_CLUSTER": "lab"}
    if home := os.environ.get("ACNS_CHAOS_LAB_HOME"):
        # A run finds this lab only where it is registered.
        found["ACNS_CHAOS_LAB_HOME"] = str(Path(home).absolute())
    if as_json:
        show(json.dumps(found))
        return
    for name, value in found.items():
        show(f"export {name}={shlex.quote(str(value))}")


@click.command()
def down() -> None:
    """End the lab that is up, and take away what it or a dead one left."""
    found = end_lab(lab_home(os.environ))
    if found is None:
        show("No lab is up.")
    elif not found.alive:
        show("No lab is up; what one that died had left was taken away.")
    else:
        world = (found.ready or {}).get("world", "")
        show(f"The lab{f' of world {world}' if world else ''} (process {found.pid}) has ended.")
