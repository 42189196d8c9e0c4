"""The requests that a lab got, kept while somebody wants them.

A test that is to spoil each request of a program lists them first, instead of naming them.
"""

from collections import deque
from typing import Any

from acns_chaos.lab.misbehave.selection import Facts

_MOST = 10_000


class Heard:
    """A list of requests, oldest first; off until it is begun, and only the newest are kept.

    Attributes:
        on: whether requests are kept now.
    """

    def __init__(self) -> None:
        self.on = False
        self._facts: deque[Facts] = deque(maxlen=_MOST)

    def begin(self) -> None:
        """Keep requests from now on, and none from before."""
        self.on = True
        self._facts.clear()

    def end(self) -> None:
        """Keep no more, and forget those that were kept."""
        self.on = False
        self._facts.clear()

    def note(self, facts: Facts) -> None:
        """Keep a request, if somebody wants it."""
        if self.on:
            self._facts.append(facts)

    def as_json(self) -> list[dict[str, Any]]:
        """Each with what it can be chosen by in an order."""
        return [
            {
                "server": one.server,
                "method": one.method,
                "verb": one.verb,
                "path": one.path,
                "resource": one.resource,
                "namespace": one.namespace,
                "name": one.name,
                "user_agent": one.user_agent,
                "dry_run": one.dry_run,
            }
            for one in self._facts
        ]
