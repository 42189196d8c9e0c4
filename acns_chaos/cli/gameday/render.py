"""`acns-chaos gameday render`: manifests that run a plan on many clusters."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from acns_chaos.cli import show
from acns_chaos.errors import GameDayError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from acns_chaos.gameday.render.fleet import Fleet
    from acns_chaos.gameday.render.pods import Settings

__all__ = ["render"]

_FILE = click.Path(dir_okay=False, path_type=Path)


@click.command(
    epilog="Exit codes: 0; 2 usage, the plan or the clusters cannot be used, or what they come to "
    "would be larger than Kubernetes or Argo take."
)
@click.argument("plan", type=_FILE)
@click.option(
    "--engine",
    type=click.Choice(["argo", "jobs"]),
    required=True,
    help="A WorkflowTemplate of Argo Workflows, or an Indexed Job for each cluster.",
)
@click.option(
    "--clusters", required=True, type=_FILE, metavar="FILE", help="YAML; see docs/fleet.md."
)
@click.option("-o", "--output", type=_FILE, metavar="FILE", help="Without it they are printed.")
@click.option(
    "--per-pod",
    type=click.IntRange(1, 1000),
    default=1,
    show_default=True,
    help="Namespaces that one pod takes on.",
)
@click.option(
    "--parallel",
    type=click.IntRange(1, 64),
    default=1,
    show_default=True,
    help="Namespaces at once in one pod.",
)
@click.option(
    "--at-once",
    type=click.IntRange(1, 10_000),
    default=1,
    show_default=True,
    help="Pods at once for one cluster; more want alerts that tell the namespace.",
)
@click.option(
    "--most",
    type=click.IntRange(1, 100_000),
    default=100,
    show_default=True,
    help="Pods at once for all of them; only with --engine argo.",
)
@click.option("--lasts", default="6h", show_default=True, help="What one pod may take: 90m, 6h.")
@click.option(
    "--image", default="acns-chaos:0.1.0", show_default=True, help="Of deploy/Dockerfile."
)
@click.option(
    "--namespace", default="acns-chaos-fleet", show_default=True, help="Of the manifests."
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
@click.option("--day", default="", help="What Jobs call the day; without it the time is taken.")
@click.option(
    "--storage-class",
    default="",
    help="Of the volume that all pods of Jobs write to, which many nodes must be able to: on AKS "
    "one for NFS, as the default is a disk; see docs/fleet.md.",
)
def render(plan: Path, engine: str, clusters: Path, output: Path | None, **given: Any) -> None:
    """Write the manifests of a game day of many clusters; nothing is applied.

    Each pod takes on one cluster and some of its namespaces, and a last step unites what they
    found. The plan's own target is replaced by each cluster's.
    """
    from acns_chaos.gameday.render.fleet import read_fleet

    fleet = read_fleet(plan, clusters, given.pop("per_pod"))
    settings = _settings(**given)
    if engine == "argo":
        from acns_chaos.gameday.render.argo import argo as made_by
    else:
        from acns_chaos.gameday.render.jobs import jobs as made_by
    text = _yaml(made_by(fleet, settings))
    count = f"{fleet.shards:,} pods for {len(fleet.clusters):,} clusters"
    if output is None:
        show(text.rstrip("\n"))
    else:
        from acns_chaos.gameday.scoring import write_whole

        write_whole(output, text)
        # Without it what was applied is kept in an annotation, of 256 KiB at most.
        show(f"Written to {output}: {count}; kubectl apply --server-side -f {output} applies it.")
    for note in _notes(fleet, settings, engine):
        click.echo(f"Note: {note}", err=True)


def _notes(fleet: "Fleet", settings: "Settings", engine: str) -> "Iterator[str]":
    """What a person should know, one sentence each."""
    from acns_chaos.gameday.render.sizes import longest
    from acns_chaos.gameday.times import told

    unknown = sum(1 for one in fleet.clusters if not one.uid)
    if unknown:
        yield (
            f"{unknown:,} of {len(fleet.clusters):,} clusters have no uid, so merging does not "
            "miss a shard of theirs that never began."
        )
    seconds = longest(fleet, settings.parallel)
    if seconds > settings.lasts:
        # An hour more, for looking around and for what restores.
        yield (
            f"a pod whose detectors notice nothing takes about {told(seconds)}, and --lasts ends "
            f"it after {told(settings.lasts)}: write --lasts {int(seconds // 3600) + 2}h, or a "
            "lower mutants.most or mutants.budget into the plan."
        )
    if engine == "jobs" and not settings.storage_class:
        yield (
            "the volume is of the hub's default storage class; on AKS that is a disk, which only "
            "one node can write: name one for NFS with --storage-class (docs/fleet.md)."
        )


def _settings(**given: Any) -> Any:
    import re

    from acns_chaos.cluster.documents_bounds import short
    from acns_chaos.gameday.day import new_id
    from acns_chaos.gameday.render.pods import Settings
    from acns_chaos.gameday.times import seconds_of

    try:
        lasts = round(seconds_of(given.pop("lasts")))
    except ValueError as error:
        raise click.UsageError(f"--lasts: {error}; write 90m or 6h.") from None
    if lasts < 60:
        raise click.UsageError("--lasts: no game day is over in less than a minute.")
    day = given.pop("day") or new_id()
    label = r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"
    patterns = {
        "day": (day, r"[A-Za-z0-9][-A-Za-z0-9]{0,62}"),
        "namespace": (given["namespace"], label),
        "storage-class": (given["storage_class"], r"[a-z0-9.-]{0,253}"),
        "image": (given["image"], r"[A-Za-z0-9][-A-Za-z0-9._:/@]{0,500}"),
    }
    for name, (value, pattern) in patterns.items():
        if not re.fullmatch(pattern, value):
            raise click.UsageError(f"--{name}: {short(value)!r} is none that Kubernetes takes.")
    return Settings(lasts=lasts, day=day, **given)


def _yaml(objects: "Sequence[dict[str, Any]]") -> str:
    """YAML without anchors, read back once to see that it says the same."""
    import yaml

    class Dumper(yaml.SafeDumper):
        def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - as it is called
            return True

    def text(dumper: yaml.SafeDumper, value: str) -> yaml.Node:
        style = "|" if "\n" in value else None
        return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)

    Dumper.add_representer(str, text)
    parts = (
        yaml.dump(one, Dumper=Dumper, sort_keys=False, width=100, allow_unicode=True)
        for one in objects
    )
    written = "---\n".join(parts)
    if list(yaml.safe_load_all(written)) != json.loads(json.dumps(objects)):
        raise GameDayError("The manifests cannot be written as YAML: this is a defect, report it.")
    return written
