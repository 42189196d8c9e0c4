"""The run: one target, resolved once, and everything this run did and saw.

The guard control arms it before anything else; every activity asks for it and refuses without it.
What belongs here: shared state of one run. What must not: decisions (inject, restore).
"""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from acns_chaos.cluster.kube import Api
from acns_chaos.cluster.policies import Policies
from acns_chaos.cluster.target import Target
from acns_chaos.errors import NotArmed, TargetRefused
from acns_chaos.faults.ledger import Ledger, MemoryLedger, now

__all__ = ["RunContext", "arm", "current", "disarm", "new_run_id", "refusal", "refuse"]

UNSAFE_VARIABLE = "ACNS_CHAOS_UNSAFE_NO_LEDGER"


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
        events: the timeline: `{"at": iso, "what": word, "detail": sentence}`.
        phase: "method", "rollback" or "guard": who restores, for the record.
    """

    run: str
    target: Target
    api: Api
    environ: Mapping[str, str]
    recorded: dict[str, str]
    storefront: str = "store-front"
    ledger: Ledger = field(default_factory=MemoryLedger)
    events: list[dict[str, str]] = field(default_factory=list)
    phase: str = "method"

    @property
    def policies(self) -> Policies:
        """The target's policies."""
        return Policies(self.api)

    def note(self, what: str, detail: str, at: str = "") -> str:
        """Put an event on the timeline and return its moment."""
        moment = at or now()
        self.events.append({"at": moment, "what": what, "detail": detail})
        return moment

    def note_first(self, what: str, detail: str, at: str = "") -> None:
        """Put an event on the timeline unless one of its kind is there already."""
        if not any(event["what"] == what for event in self.events):
            self.note(what, detail, at)

    def first(self, what: str) -> str:
        """Return the moment of the first event of a kind, "" if there is none."""
        return next((event["at"] for event in self.events if event["what"] == what), "")

    def require_changes_allowed(self) -> None:
        """Refuse to change a real cluster while no ledger survives the runner's death.

        Raises:
            TargetRefused: the target is real and the ledger is not crash-safe.
        """
        if self.target.kind == "lab" or self.ledger.crash_safe:
            return
        if self.environ.get(UNSAFE_VARIABLE) == "1":
            return
        raise TargetRefused(
            f"{self.target.context} at {self.target.server} is a real cluster, and a fault would "
            "stay there if this process were killed: run it in the lab (ACNS_CHAOS_CLUSTER=lab), "
            f"or accept that with {UNSAFE_VARIABLE}=1."
        )


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
