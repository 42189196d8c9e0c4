"""The command `acns-chaos`: one module per sub-command, each imported only when it is called.

A sub-command is a click command in a module of its own and one entry each in `COMMANDS` and
`SUMMARIES`. It prints with `show`, raises `AcnsChaosError` for bad input, and keeps clients that
are slow to import inside its function.
"""

import sys
from collections.abc import Mapping
from importlib import import_module
from typing import Any

import click

from acns_chaos import __version__
from acns_chaos.errors import AcnsChaosError

__all__ = ["COMMANDS", "Failure", "LazyGroup", "main", "show"]

# Name -> "module:function".
COMMANDS: dict[str, str] = {
    "baseline": "acns_chaos.cli.baseline:baseline",
    "blame": "acns_chaos.cli.blame:blame",
    "check": "acns_chaos.cli.check:check",
    "conformance": "acns_chaos.cli.conformance:conformance",
    "diff": "acns_chaos.cli.diff:diff",
    "doctor": "acns_chaos.cli.doctor:doctor",
    "explain": "acns_chaos.cli.explain:explain",
    "flows": "acns_chaos.cli.flows:flows",
    "gameday": "acns_chaos.cli.gameday:gameday",
    "init": "acns_chaos.cli.init:init",
    "lab": "acns_chaos.cli.lab:lab",
    "list": "acns_chaos.cli.catalogue:catalogue",
    "mutants": "acns_chaos.cli.mutants:mutants",
    "operators": "acns_chaos.cli.operators:operators",
    "outcome": "acns_chaos.cli.outcome:outcome",
    "report": "acns_chaos.cli.report:report",
    "restore": "acns_chaos.cli.restore:restore",
    "sync": "acns_chaos.cli.sync:sync",
}

# Name -> what the help lists it with, on one line.
SUMMARIES: dict[str, str] = {
    "baseline": "Capture, verify and put in place known-good policies.",
    "blame": "Say who is to blame for dropped traffic, in one paragraph.",
    "check": "Say what in an experiment the host would ignore or crash on.",
    "conformance": "Compare verdicts with those that Cilium's own engine gave.",
    "diff": "Say which flows a change of policies opens and closes.",
    "doctor": "Say what of all this works here, and what mends the rest.",
    "explain": "Explain why a flow passes or does not.",
    "flows": "Show flows as Hubble saw them.",
    "gameday": "Say which policy mistakes your detectors would not notice.",
    "init": "Propose claims and experiments for live policies.",
    "lab": "Start the lab, a stand-in cluster on loopback.",
    "list": "List experiments and claims: what each asks, breaks, may reach.",
    "mutants": "List every mistake that could be made in some policies.",
    "operators": "List the mutation operators and the mistake each imitates.",
    "outcome": "Say what a run proves and what to do next, from its JOURNAL.",
    "report": "Write a report of one or several JOURNALs.",
    "restore": "Put policies back that a run left changed.",
    "sync": "Copy the claims of probes/ into experiments/.",
}


class Failure(click.ClickException):
    """An error of ours as click shows it: "Error: <sentence>" on stderr, exit code 2."""

    exit_code = 2


class LazyGroup(click.Group):
    """A group that imports a sub-command when it is asked for, not before.

    Args:
        places: name of each sub-command, to its "module:function".
        summaries: likewise, to its line in the group's help: to ask each would import them all.
        more: as for click.
    """

    def __init__(
        self, *given: Any, places: Mapping[str, str], summaries: Mapping[str, str], **more: Any
    ) -> None:
        super().__init__(*given, **more)
        self._places, self._summaries = places, summaries

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all sub-commands, sorted."""
        return sorted({*super().list_commands(ctx), *self._places})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one sub-command; None when there is none of that name."""
        place = self._places.get(cmd_name)
        if place is None:
            return super().get_command(ctx, cmd_name)
        module, _, function = place.partition(":")
        command = getattr(import_module(module), function)
        if not isinstance(command, click.Command):
            raise TypeError(f"{place} is no click command")
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the sub-commands without importing one: the help is there at once."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, self._summaries[name]) for name in self.list_commands(ctx)])


class _Main(LazyGroup):
    """The command itself."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the sub-command; an error of ours is one sentence, never a traceback."""
        try:
            return super().invoke(ctx)
        except AcnsChaosError as error:
            raise Failure(str(error)) from error


@click.group(cls=_Main, places=COMMANDS, summaries=SUMMARIES)
@click.version_option(__version__, prog_name="acns-chaos")
def main() -> None:
    """Break a network policy on purpose, and prove that someone notices and all comes back."""


def show(text: str) -> None:
    """Print to stdout; what the terminal's encoding lacks is shown as an escape."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    click.echo(text.encode(encoding, "backslashreplace").decode(encoding))
