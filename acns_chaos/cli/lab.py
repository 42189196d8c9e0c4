"""`acns-chaos lab`: the stand-in cluster in the foreground, for kubectl and for `chaos run`."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import click

from acns_chaos.cluster.labprocess import lab_command
from acns_chaos.errors import TargetError

__all__ = ["lab"]

USE = """\
Lab of world {world} at {server} (Ctrl-C ends it). In another terminal:

  export KUBECONFIG={kubeconfig}
  kubectl get ciliumnetworkpolicies -n pets
  {chaos} run experiments/storefront-ingress.json    # joins this lab

Shop: {shop}   Prometheus: {prometheus}"""


@click.command()
@click.option("--world", default="pets", show_default=True, help="Name or path of a world.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=0,
    help="Port of the API server; 0 takes a free one.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the addresses as one JSON line.")
def lab(world: str, port: int, as_json: bool) -> None:
    """Start the lab, a stand-in cluster on loopback, and keep it until Ctrl-C.

    While it runs, `chaos run` joins it instead of starting one of its own.
    """
    process = subprocess.Popen(  # noqa: S603 - our own module, no shell
        lab_command("--world", world, "--port", str(port), "--register", "--until-stdin-closes"),
        # Held open by us alone: a closed terminal or `kill -9` ends the lab, too.
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env=dict(os.environ),
    )
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        line = process.stdout.readline() if process.stdout else ""
        if not line:
            _, errors = process.communicate()
            raise TargetError((errors.strip().splitlines() or ["The lab did not start."])[-1])
        click.echo(line.strip() if as_json else _use(line))
        process.wait()
    except KeyboardInterrupt:
        process.terminate()
        process.wait()
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait()


def _use(line: str) -> str:
    ready = json.loads(line)
    return USE.format(
        chaos=_beside("chaos"),
        world=ready["world"],
        server=ready["server"],
        kubeconfig=ready["kubeconfig"],
        shop=ready["env"].get("ACNS_CHAOS_STOREFRONT_URL", "none"),
        prometheus=ready["env"].get("ACNS_CHAOS_PROMETHEUS_URL", "none"),
    )


def _beside(command: str) -> str:
    """Write a command of this environment the shortest way that works from here."""
    path = Path(sys.executable).parent / command
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)
