"""`acns-chaos lab inject`: let the lab that is up misbehave. What can be ordered the lab knows."""

import json
from typing import Any

import click

from acns_chaos.cli import show
from acns_chaos.cli.lab.hints import beside
from acns_chaos.cli.lab.running import described, running_lab
from acns_chaos.cluster.labcontrol import LabControl, misbehaviours
from acns_chaos.errors import ArgumentError

__all__ = ["inject"]

_CHOOSE = ("server", "resource", "namespace", "name", "path", "user_agent", "nth", "dry_run")


@click.command()
@click.argument("kind", required=False)
@click.option("--list", "listed", is_flag=True, help="Show every kind and its options.")
@click.option("--clear", is_flag=True, help="End all of it, or the one with the ID given.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--for", "seconds", type=float, help="Seconds after which it ends.")
@click.option("--count", type=int, help="Strikes after which it ends.")
@click.option("--server", help="kubernetes (default), prometheus or shop.")
@click.option("--verb", "verbs", multiple=True, help="get, list, watch, create, …, read, write.")
@click.option("--resource", help="As kubectl names it: cnp, pods/exec.")
@click.option("-n", "--namespace", help="Of the object.")
@click.option("--name", help="Of the object.")
@click.option("--path", help="Beginning of the URL's path.")
@click.option("--user-agent", help="Part of what the client calls itself.")
@click.option("--nth", type=int, help="The first matching request to strike, from 1.")
@click.option("--dry-run/--no-dry-run", default=None, help="Rehearsals only, or none of them.")
@click.option("--seconds", "seconds_", type=float, help="Of a delay.")
@click.option("--retry-after", type=int, help="Seconds that a 429 asks for.")
@click.option("--answer", help="What a late write shows the client: reset or hang.")
@click.option("--events", type=int, help="That a broken watch lets through.")
@click.option("--node", help="One node instead of all.")
@click.option("--number", type=int, help="Of lost flows.")
@click.option("--family", help="Name of a metric.")
@click.option("--policy", help="NAMESPACE/NAME, or NAME of a clusterwide one.")
@click.option("--workload", help="NAMESPACE/NAME of one whose pods are created anew.")
@click.option("--after", type=float, help="Seconds that an actor waits.")
@click.option("--every", type=float, help="Seconds between two writes of a flapping policy.")
@click.option("--start", help="What an actor waits from: changed or now.")
@click.option("--flavour", help="flux or argocd.")
@click.option("--set", "set_", help="JSON patch that an actor writes.")
@click.option("--policy-kind", help="Of another team's policy: ccnp or netpol.")
def inject(
    kind: str | None,
    listed: bool,
    clear: bool,
    as_json: bool,
    seconds: float | None,
    count: int | None,
    verbs: tuple[str, ...],
    seconds_: float | None,
    set_: str | None,
    **given: Any,
) -> None:
    """Order a KIND of misbehaviour of the lab that is up; `--clear [ID]` ends it."""
    if listed:
        _list(as_json)
        return
    control = LabControl(running_lab())
    if clear:
        _clear(control, kind or "", as_json)
        return
    if kind is None:
        raise click.UsageError("Name a KIND: --list shows which there are.")
    chosen = {name: given.pop(name) for name in _CHOOSE}
    options = {**given, "seconds": seconds_, "set": _patch(set_)}
    order = {
        "kind": kind,
        "options": {name: value for name, value in options.items() if value is not None},
        "selection": {name: value for name, value in chosen.items() if value is not None}
        | ({"verbs": list(verbs)} if verbs else {}),
        "for": seconds,
        "count": count,
    }
    begun = control.inject(order)
    if as_json:
        show(json.dumps(begun))
        return
    show(described(begun))
    if not begun["ended"]:
        show(f"`{beside('acns-chaos')} lab inject --clear {begun['id']}` ends it.")


def _patch(text: str | None) -> Any:
    if text is None:
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ArgumentError(f"--set takes a JSON patch, and {text[:80]!r} is no JSON.") from error


def _clear(control: LabControl, number: str, as_json: bool) -> None:
    if number and not number.isdigit():
        raise ArgumentError(f"--clear takes the ID of a misbehaviour, not {number!r}.")
    cleared = control.clear(number)
    if as_json:
        show(json.dumps(cleared))
        return
    for one in cleared:
        show(f"Ended {described(one)}")
    if not cleared:
        show("Nothing misbehaves.")


def _list(as_json: bool) -> None:
    kinds = misbehaviours()
    if as_json:
        show(json.dumps(kinds))
        return
    for one in kinds:
        show(f"{one['name']:<24} {one['sentence']}")
        for option in one["options"]:
            default = "" if option["default"] is None else f" ({option['default']})"
            choices = f": {', '.join(option['choices'])}" if option["choices"] else ""
            name = "--" + option["name"].replace("_", "-")
            show(f"{'':<24}   {name} {option['help']}{choices}{default}")
    show("Those about requests take --server, --verb, --resource, --namespace, --name, --path,")
    show("--user-agent, --nth and --dry-run; all take --for, and most --count.")
