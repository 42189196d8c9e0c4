"""`acns-chaos gameday`: which policy mistakes would nobody notice? One module a command."""

from importlib import import_module

import click

__all__ = ["COMMANDS", "gameday"]

# Name -> "module:function", imported when it is called.
COMMANDS: dict[str, str] = {
    "history": "acns_chaos.cli.gameday.history:history",
    "merge": "acns_chaos.cli.gameday.merge:merge",
    "plan": "acns_chaos.cli.gameday.plan:plan",
    "render": "acns_chaos.cli.gameday.render:render",
    "run": "acns_chaos.cli.gameday.run:run",
    "report": "acns_chaos.cli.gameday.report:report",
    "score": "acns_chaos.cli.gameday.score:score",
    "shard": "acns_chaos.cli.gameday.shard:shard",
}


class _Commands(click.Group):
    """The commands of a game day, each imported when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return their names, sorted."""
        return sorted({*super().list_commands(ctx), *COMMANDS})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one; None when there is none of that name."""
        if cmd_name not in COMMANDS:
            return super().get_command(ctx, cmd_name)
        module, _, function = COMMANDS[cmd_name].partition(":")
        command = getattr(import_module(module), function)
        if not isinstance(command, click.Command):
            raise TypeError(f"{COMMANDS[cmd_name]} is no click command")
        return command


@click.group(cls=_Commands)
def gameday() -> None:
    """Make one policy mistake after another, and see which of your detectors notice.

    A plan (docs/gamedays.md) says where, which and who ought to notice. Begin with `gameday plan`,
    which changes nothing.
    """
