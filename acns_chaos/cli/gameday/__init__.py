"""`acns-chaos gameday`: which policy mistakes would nobody notice? One module a command."""

import click

from acns_chaos.cli import LazyGroup

__all__ = ["COMMANDS", "SUMMARIES", "gameday"]

# Name -> "module:function", imported when it is called.
COMMANDS: dict[str, str] = {
    "history": "acns_chaos.cli.gameday.history:history",
    "merge": "acns_chaos.cli.gameday.merge:merge",
    "plan": "acns_chaos.cli.gameday.plan:plan",
    "render": "acns_chaos.cli.gameday.render:render",
    "report": "acns_chaos.cli.gameday.report:report",
    "run": "acns_chaos.cli.gameday.run:run",
    "score": "acns_chaos.cli.gameday.score:score",
    "shard": "acns_chaos.cli.gameday.shard:shard",
}


# Name -> what the help lists it with, on one line.
SUMMARIES: dict[str, str] = {
    "history": "Show how scores went, and what is noticed no more.",
    "merge": "Unite the results of shards, each mutant exactly once.",
    "plan": "Show what would run, its effect, and how long it takes.",
    "render": "Write the manifests of a game day of many clusters.",
    "report": "Write the report of one game day.",
    "run": "Run a PLAN: each mutant injected, judged and restored.",
    "score": "Score the results of one game day again.",
    "shard": "Run one shard of a fleet, in a pod.",
}


@click.group(cls=LazyGroup, places=COMMANDS, summaries=SUMMARIES)
def gameday() -> None:
    """Make one policy mistake after another, and see which of your detectors notice.

    A plan (docs/gamedays.md) says where, which and who ought to notice. Begin with `gameday plan`,
    which changes nothing.
    """
