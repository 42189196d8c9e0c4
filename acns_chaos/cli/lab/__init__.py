"""`acns-chaos lab`: the stand-in cluster, in the foreground or until `lab down`.

Here is the group and the lab in the foreground; `running` has up, status, env and down, `inject`
orders misbehaviour, `hints` says what can be tried.
"""

import json
import os
import signal
import subprocess

import click

from acns_chaos.cli.lab.hints import in_this_terminal
from acns_chaos.cli.lab.inject import inject
from acns_chaos.cli.lab.running import down, env, status, up
from acns_chaos.cluster.labprocess import RULES_VARIABLE, lab_command
from acns_chaos.errors import TargetError

__all__ = ["lab"]

BIND = "127.0.0.1"


@click.group(invoke_without_command=True)
@click.option("--world", default="pets", show_default=True, help="Name or path of a world.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=0,
    help="Port of the API server; 0 takes a free one.",
)
@click.option("--bind", default=BIND, show_default=True, help="Address to listen at.")
@click.option("--rules", metavar="FILE", default="", help="Alert rules for the lab's Prometheus.")
@click.option("--json", "as_json", is_flag=True, help="Print the addresses as one JSON line.")
@click.pass_context
def lab(
    context: click.Context, world: str, port: int, bind: str, rules: str, as_json: bool
) -> None:
    """Start the lab, a stand-in cluster on loopback, and keep it until Ctrl-C.

    While it runs, `chaos run` joins it instead of starting one of its own. `lab up` starts one
    that stays until `lab down`.
    """
    if context.invoked_subcommand is None:
        _foreground(world, port, bind, rules or os.environ.get(RULES_VARIABLE, ""), as_json)
        return
    given = [
        f"--{name.removeprefix('as_')}"
        for name in context.params
        if context.get_parameter_source(name) is not click.core.ParameterSource.DEFAULT
    ]
    if given:
        command = context.invoked_subcommand
        raise click.UsageError(f"Write {given[0]} after {command}: `lab {command} {given[0]} …`.")


for _command in (up, status, env, down, inject):
    lab.add_command(_command)


def _foreground(world: str, port: int, bind: str, rules: str, as_json: bool) -> None:
    process = subprocess.Popen(  # noqa: S603 - our own module, no shell
        lab_command(
            *("--world", world, "--port", str(port)),
            *(() if bind == BIND else ("--bind", bind)),
            *(("--rules", rules) if rules else ()),
            *("--register", "--until-stdin-closes"),
        ),
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
        click.echo(line.strip() if as_json else in_this_terminal(json.loads(line)))
        process.wait()
    except KeyboardInterrupt:
        process.terminate()
        process.wait()
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait()
