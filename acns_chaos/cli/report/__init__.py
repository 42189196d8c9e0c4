"""`acns-chaos report`: journals for people and machines; `verify` and `redact` for their evidence.

Here is the group, whose first word may be a journal: then it writes. Each command is a module.
"""

import click

from acns_chaos.cli import LazyGroup
from acns_chaos.cli.report.write import write

__all__ = ["report"]

COMMANDS = {
    "redact": "acns_chaos.cli.report.redact:redact",
    "verify": "acns_chaos.cli.report.verify:verify",
}
SUMMARIES = {
    "redact": "Write a journal whose names and addresses are pseudonyms.",
    "verify": "Say whether journals are as their runs wrote them.",
}


class ReportGroup(LazyGroup):
    """A group that writes a report unless its first word is one of its commands."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put the writer's name before what is for the writer."""
        if not args or (args[0] not in COMMANDS and args[0] not in self.get_help_option_names(ctx)):
            args = ["write", *args]
        return super().parse_args(ctx, args)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command; whatever else is said is for the writer."""
        return super().get_command(ctx, cmd_name) or write

    def format_usage(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Show how to write a report, then how to do the other things."""
        formatter.write_usage(ctx.command_path, "[OPTIONS] JOURNAL...")
        formatter.write_usage(
            ctx.command_path, f"{'|'.join(COMMANDS)} [OPTIONS] JOURNAL...", "   or: "
        )

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the writer's options and the other commands."""
        write.format_options(ctx, formatter)
        self.format_commands(ctx, formatter)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Say what the exit codes mean."""
        write.format_epilog(ctx, formatter)


@click.group(cls=ReportGroup, places=COMMANDS, summaries=SUMMARIES, help=write.help)
def report() -> None:
    """Write a report, or do what a command of the group does."""
