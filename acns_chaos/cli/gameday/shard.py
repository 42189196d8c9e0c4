"""`acns-chaos gameday shard`: what one pod of a fleet does."""

import json
import os
import sys
from pathlib import Path
from typing import Any

import click

from acns_chaos.errors import GameDayError

__all__ = ["shard"]

_FILE = click.Path(dir_okay=False, path_type=Path)
# As `gameday render` writes them; one of 1,000 long names has less.
_MAX_BYTES = 1_048_576


@click.command(epilog="Exit codes: those of `acns-chaos gameday run`, which it becomes.")
@click.argument("plan", type=_FILE)
@click.option("--cluster", required=True, type=_FILE, metavar="FILE", help="`cluster.json`.")
@click.option(
    "--index",
    type=click.IntRange(0),
    envvar="JOB_COMPLETION_INDEX",
    required=True,
    help="Of the shard within the cluster; an Indexed Job's pods have it in the environment.",
)
@click.option("--day", required=True, help="What all shards call the day.")
@click.option(
    "--out",
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    metavar="FOLDER",
    help="The index is added to it.",
)
@click.option("--seed", type=click.IntRange(0), default=0)
@click.option("--parallel", type=click.IntRange(1, 64), default=1)
@click.option(
    "--access",
    default="/access/kubeconfig",
    show_default=True,
    metavar="FILE",
    help="The kubeconfig with the cluster's context.",
)
def shard(
    plan: Path,
    cluster: Path,
    index: int,
    day: str,
    out: Path,
    seed: int,
    parallel: int,
    access: str,
) -> None:
    """Run one shard of a fleet: one cluster, and some of its namespaces.

    For pods; `acns-chaos gameday render` writes them. A shard that was begun already, as its pod
    was lost, is gone on with.
    """
    from acns_chaos.gameday.signals import held

    # A signal that comes from here on is heard by the run that this process becomes.
    with held():
        _become(plan, cluster, index, day, out, seed, parallel, access)


def _become(
    plan: Path,
    cluster: Path,
    index: int,
    day: str,
    out: Path,
    seed: int,
    parallel: int,
    access: str,
) -> None:
    """Write the shard's plan down, and become its run; arguments as `shard`."""
    from acns_chaos.gameday.plan import plan_of, read_plan
    from acns_chaos.gameday.render.fleet import shard_document
    from acns_chaos.gameday.render.reaching import require_cluster
    from acns_chaos.gameday.scoring import write_whole

    read, told = read_plan(plan), _told(cluster)
    document = shard_document(read.document, told, index, read.folder)
    # Whatever is wrong with it is said here, with the cluster's name around it.
    plan_of(document, read.folder, f"the plan of shard {index} of cluster {told['name']}")
    require_cluster(told, access)
    folder = out / f"{index}"
    mine = out / f"{index}.plan.json"
    write_whole(mine, json.dumps(document, indent=1) + "\n")
    # Gone on with, it keeps its name and its selection.
    where = ["--resume", str(folder)]
    if not (folder / "plan.json").is_file():
        where = ["--out", str(folder), "--day", day, "--seed", str(seed)]
    command = ["gameday", "run", str(mine), *where]
    command += ["--parallel", str(parallel), "--no-history", "--yes"]
    click.echo(f"Shard {index} of cluster {told['name']}: acns-chaos {' '.join(command)}", err=True)
    sys.stderr.flush()
    environ = {**os.environ, **told["env"], "KUBECONFIG": access}
    environ["ACNS_CHAOS_CLUSTER"] = told["context"]
    # In its place, so that signals reach whoever restores.
    os.execve(  # noqa: S606 - no shell
        sys.executable, [sys.executable, "-m", "acns_chaos.cli", *command], environ
    )


def _told(file: Path) -> dict[str, Any]:
    from acns_chaos.cluster.sources import read_bounded

    try:
        found: dict[str, Any] = json.loads(read_bounded(file, _MAX_BYTES))
        fit = found["schema"] == 1 and found["per_pod"] > 0
        texts = [found["name"], found["context"], found.get("uid", ""), *found["namespaces"]]
        texts += [*found["env"], *found["env"].values()]
        if fit and all(isinstance(one, str) for one in texts):
            return found
    except (ValueError, KeyError, TypeError, RecursionError):
        pass
    raise GameDayError(
        f"{file} is no cluster of a fleet that this version knows: render the manifests again."
    )
