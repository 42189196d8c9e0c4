"""An experiment in outline, before it is a file; and what is none, with the reason."""

from collections.abc import Mapping
from dataclasses import dataclass

from acns_chaos.faults.proposing.asks import CLOSED, OPEN, STRANGER, Ask
from acns_chaos.policy.model import ObjectRef
from acns_chaos.policy.mutants import Mutant

__all__ = ["BY_NAME", "Proposal", "Skipped", "Tried"]

PROBER = "acns-chaos-prober"
"""The beginning of a stranger's name, as `faults.probers` gives it."""
# A Service asked by its name, as inject_fault's `witness` does.
BY_NAME = "by name"

Tried = Mapping[Ask, str]
"""What was tried, to why it cannot be built on; "" where it did what the policies say."""

NO_EFFECT = "no mistake in it would change a flow: it selects no pod that runs, or restricts none"
NO_CLIENT = "no flow that it turns can be asked from here"
ONE_CLIENT = (
    "only one flow that it opens can be asked from here, and without Hubble two clients must see it"
)
ONLY_LOOKUPS = "it turns lookups alone, and no client tells a lost lookup from a dead server"
UNCOUNTED = "its drops are counted under a name that neither the workload nor the Service has"
LINGERS = "it closes a name only when what agents learned of its address before is forgotten"
NO_OPEN = "no open flow can be asked from here, and without one there is no open claim"
NO_CLOSED = "no denied flow can be asked from here, and without one there is no closed claim"
UNINJECTABLE = "none of them rewrites one valid object, so inject_fault takes none"


@dataclass(frozen=True, slots=True)
class Proposal:
    """An experiment to be.

    Attributes:
        mutant: the mistake.
        limit: the workloads that its effect may reach.
        opens: whether it is seen by what it opens; else by what it closes.
        turned: the asks that see it: one that it closes, or one or two that it opens.
        named: the flow for `witness`; "" lets inject_fault choose.
        dropped: "egress" or "ingress", and the workload that counts the drops; of one that closes.
        open_claim: what must work before and after.
        closed_claim: what must be denied before and after.
        reached: asks that show that somebody answers where it is closed to others.
        in_use: whether Hubble has seen the flow that it closes.
        arrives: "namespace/workload" or an outside name, and the port there: where the first flow
            that it turns arrives, or would; "" and 0 where that is no one workload.
        arrival: "ingress" or "egress", with which Hubble tells the first flow that it opens; "" of
            one that closes.
    """

    mutant: Mutant
    limit: tuple[str, ...]
    opens: bool
    turned: tuple[Ask, ...]
    named: str
    dropped: tuple[str, str]
    open_claim: Ask
    closed_claim: Ask
    reached: tuple[Ask, ...]
    in_use: bool
    arrives: tuple[str, int] = ("", 0)
    arrival: str = ""

    @property
    def sender(self) -> str:
        """Who asks first, as Hubble calls it."""
        ask = self.turned[0]
        return f"{ask.source}{PROBER}" if ask.way == STRANGER else ask.source

    @property
    def asks(self) -> dict[Ask, str]:
        """What it builds on, to what each is expected to read before the fault."""
        expected = {self.open_claim: OPEN, self.closed_claim: CLOSED}
        expected |= dict.fromkeys(self.reached, OPEN)
        return expected | dict.fromkeys(self.turned, CLOSED if self.opens else OPEN)


@dataclass(frozen=True, slots=True)
class Skipped:
    """A family of mistakes in a policy that is no experiment.

    Attributes:
        policy: which.
        family: of mistakes; "" for all.
        reason: why not.
        opens: whether it is about those that open something.
    """

    policy: ObjectRef
    family: str
    reason: str
    opens: bool = False
