"""The run: one target, resolved once, and everything this run did and saw.

The guard control arms it before anything else; every activity asks for it and refuses without it.
What belongs here: shared state of one run. What must not: decisions (inject, restore).
"""

import secrets
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol

from acns_chaos.cluster.kube import Api
from acns_chaos.cluster.policies import Policies, PolicyRef
from acns_chaos.cluster.remembered import Remembered
from acns_chaos.cluster.target import Target
from acns_chaos.errors import ApiError, NotArmed
from acns_chaos.faults.ledger import Debt, Ledger, NoLedger, now
from acns_chaos.faults.rehearsal import rehearse

__all__ = [
    "Announcing",
    "Chaining",
    "Recording",
    "RunContext",
    "arm",
    "current",
    "disarm",
    "new_run_id",
    "refusal",
    "refuse",
]


class Recording(Protocol):
    """What samples a run from outside, beside it; the guard has it ended and signs what it saw."""

    def finish(self) -> dict[str, Any]:
        """End within a second and return plain JSON; it may be called twice."""

    def stop(self) -> None:
        """End, whatever becomes of the run."""


class Announcing(Protocol):
    """What tells of a run where people look, beside it; the guard tells it how the run ended."""

    def finish(self, outcome: str, sentence: str) -> dict[str, Any]:
        """Tell it, within a second, and return plain JSON for the journal."""


class Chaining(Protocol):
    """Makes each event a link of a chain that shows later whether one was changed."""

    def linked(
        self, event: Mapping[str, str], events: Sequence[Mapping[str, str]]
    ) -> dict[str, str]:
        """Return the event as the link that follows *events*."""


@dataclass(slots=True)
class RunContext:
    """One run on one target.

    Attributes:
        run: its id.
        target: where.
        api: the connection every activity uses.
        environ: the environment as it was when the run was armed.
        recorded: content hash of every policy when the run began, by `kind/namespace/name`.
        storefront: name of the LoadBalancer Service through which customers reach the shop.
        ledger: debts.
        owner: who runs it: "user@host process 4711".
        rehearsed_by: asks the server about writes in a dry run; None asks over this connection.
        before_change: given policies and what is done to each, refuses, or takes what that needs;
            None allows all.
        witnesses: by fault, the flow that the experiment names to see its effect by, and whether
            the fault opens it.
        witnessed: when whoever saw the first fault in force was through; "" until then.
        remembered: what its client keeps from one question to the next.
        probers: pods of ours that ask in place of a workload, by "namespace/workload"; why there
            is none, where one could not be had.
        restarts: workloads whose pods it restarted, as the journal tells them.
        timeline: samples the run from outside; None when no control does.
        annotations: tells of the run where people look; None when no control does.
        events: the timeline: `{"at": iso, "what": word, "detail": sentence}`, in the order in
            which they were noted, and what `chain` adds.
        chain: links events; None leaves them as they are.
        phase: "method", "rollback" or "guard": who restores, for the record.
    """

    run: str
    target: Target
    api: Api
    environ: Mapping[str, str]
    recorded: dict[str, str]
    storefront: str = "store-front"
    ledger: Ledger = field(default_factory=NoLedger)
    witnesses: dict[str, tuple[str, bool]] = field(default_factory=dict)
    events: list[dict[str, str]] = field(default_factory=list)
    phase: str = "method"
    owner: str = ""
    witnessed: str = ""
    rehearsed_by: Callable[[Sequence[Mapping[str, Any]]], None] | None = None
    before_change: Callable[[Sequence[tuple[PolicyRef, str]]], None] | None = None
    timeline: Recording | None = None
    annotations: Announcing | None = None
    remembered: Remembered = field(default_factory=Remembered)
    probers: dict[str, Debt | ApiError] = field(default_factory=dict)
    restarts: list[dict[str, Any]] = field(default_factory=list)
    chain: Chaining | None = None
    _noting: threading.RLock = field(default_factory=threading.RLock, repr=False)

    @property
    def policies(self) -> Policies:
        """The target's policies."""
        return Policies(self.api)

    def rehearse(self, steps: Sequence[Mapping[str, Any]]) -> None:
        """Ask the server whether it would take these writes; arguments and errors as `rehearse`."""
        if self.rehearsed_by is not None:
            self.rehearsed_by(steps)
        else:
            rehearse(self.policies, steps)

    def note(self, what: str, detail: str, at: str = "") -> str:
        """Put an event on the timeline and return its moment; any thread may."""
        moment = at or now()
        event = {"at": moment, "what": what, "detail": detail}
        with self._noting:
            # A link names the one before it, so nobody may come between.
            self.events.append(self.chain.linked(event, self.events) if self.chain else event)
        return moment

    def note_first(self, what: str, detail: str, at: str = "") -> None:
        """Put an event on the timeline unless one of its kind is there already."""
        with self._noting:
            if not any(event["what"] == what for event in self.events):
                self.note(what, detail, at)

    def first(self, what: str) -> str:
        """Return the moment of the first event of a kind, "" if there is none."""
        return next((event["at"] for event in self.events if event["what"] == what), "")


def new_run_id() -> str:
    """Return an id that sorts by time and never repeats."""
    return f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(2)}"


_armed: list[RunContext] = []
_refusals: list[str] = []


def arm(context: RunContext) -> None:
    """Make *context* the one every activity uses."""
    _armed[:] = [context]


def refuse(sentence: str) -> None:
    """Note that the guard let nothing run, and why: then nothing needs to be restored either."""
    _refusals[:] = [sentence]


def refusal() -> str:
    """Return why the guard let nothing run, "" if it did not refuse."""
    return _refusals[0] if _refusals else ""


def disarm() -> None:
    """Forget the run."""
    _armed.clear()
    _refusals.clear()


def current() -> RunContext:
    """Return the armed run.

    Raises:
        NotArmed: no guard control armed one.
    """
    if not _armed:
        raise NotArmed(
            "No guard is armed: list the control acns_chaos.controls.guard at the experiment's top "
            "level, and look above for why it could not start."
        )
    return _armed[0]
