"""What must hold before a run may change anything, and what is let go of when it ends.

One run per namespace (a Lease), one cluster-wide fault at a time (another), nobody said stop, the
namespace has opted in, and a watchdog is ready that restores when this process dies. What a run
that died left behind is restored first. No fault is planned or written here.
"""

import getpass
import logging
import os
import signal
import socket
import threading
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from acns_chaos.cluster.allowed import Allowed, read_allowed
from acns_chaos.cluster.kube import Api
from acns_chaos.cluster.leases import LEASE, Held, Leases
from acns_chaos.cluster.permissions import (
    CLUSTERWIDE_LEASE,
    Need,
    missing,
    needs_of_change,
    needs_of_run,
)
from acns_chaos.cluster.policies import PolicyRef
from acns_chaos.cluster.stop import CENTRAL, stopped
from acns_chaos.cluster.target import Choice, Target
from acns_chaos.errors import (
    AcnsChaosError,
    FaultRefused,
    Forbidden,
    NotFound,
    TargetRefused,
)
from acns_chaos.faults.clusterledger import ClusterLedger
from acns_chaos.faults.janitor import janitor_seen, restore_left
from acns_chaos.faults.ledger import PROBER
from acns_chaos.faults.recovery import Keeper
from acns_chaos.faults.runcontext import RunContext
from acns_chaos.faults.watch import Watch

__all__ = ["DEADLINE", "Interlock", "whoami"]

logger = logging.getLogger("chaostoolkit")

# Seconds after which a Lease lapses that nobody renews; the watchdog does so every third of it.
LEASE_SECONDS = 15
# Seconds that a fault may stand unless the experiment says something else.
DEADLINE = 300.0


class Interlock:
    """Everything a run holds while it may change things.

    Args:
        run: armed soon; its ledger is replaced by one that survives this process.
        choice: which cluster, for the watchdog's own connection.
        kubeconfig: likewise.
        deadline: seconds a fault may stand.
        require_janitor: refuse when no janitor was seen lately.
        probes: names of the probe functions that the run will call.
    """

    def __init__(
        self,
        run: RunContext,
        choice: Choice,
        kubeconfig: str,
        deadline: float = DEADLINE,
        require_janitor: bool = False,
        probes: Collection[str] = (),
    ) -> None:
        self._run = run
        self._probes = probes
        self._choice = choice
        self._kubeconfig = kubeconfig
        self._require_janitor = require_janitor
        self._keeper = Keeper(run.run, run.owner, run.target.uid, run.target.namespace, deadline)
        self._leases: list[Leases] = []
        self._allowed: dict[str, Allowed] = {}
        self._watch: Watch | None = None
        self._ending = threading.Lock()
        self._ended = False

    def engage(self) -> None:
        """Take the Lease, settle what others left, and have a watchdog ready.

        Raises:
            TargetRefused: this namespace may not be changed now.
            LeaseHeld: another run is at work.
            AcnsChaosError: anything else; nothing was changed.
        """
        target, api = self._run.target, self._run.api
        if not target.uid:
            raise TargetRefused(
                f"The UID of namespace kube-system cannot be read {target.label}, and without it "
                "a record could be restored into another cluster: allow `get` on that namespace."
            )
        # Its process starts while the questions below are asked.
        self._watch = Watch(self._heard)
        self._require_rights(needs_of_run(self._probes), target.namespace)
        self._require_permission(api, target)
        self._take(target.namespace)
        self._watch.open(
            self._choice, self._kubeconfig, self._keeper, LEASE_SECONDS, self._stop_places()
        )
        self._run.ledger = ClusterLedger(api, self._keeper, self._watch)
        self._run.rehearsed_by = self._watch.rehearse
        self._run.before_change = self._require_allowed

    def _take(self, place: str) -> None:
        """Take the Lease about a place, and put back what its last holder left."""
        lease = Leases(self._run.api, place, CLUSTERWIDE_LEASE if place == CENTRAL else LEASE)
        if any(one.name == lease.name for one in self._leases):
            return
        # Before it is taken: an answer that is lost must not keep it from being released.
        self._leases.append(lease)
        left = self._acquired(lease)
        if left.records:
            restore_left(self._run.api, replace(self._keeper, home=place), left)

    def _acquired(self, lease: Leases) -> Held:
        try:
            return lease.acquire(self._keeper.holder, LEASE_SECONDS)
        except (NotFound, Forbidden) as error:
            raise TargetRefused(
                f"Lease {lease.name} in namespace {CENTRAL} cannot be taken ({error}): "
                "apply deploy/rbac."
            ) from error

    def _stop_places(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys((self._run.target.namespace, CENTRAL)))

    def _require_rights(self, needs: Sequence[Need], namespace: str) -> None:
        """Refuse while nothing is changed what could not be put back, or be seen to be back."""
        if lacking := missing(self._run.api, needs, namespace):
            raise TargetRefused(
                f"This account may not {lacking}: let somebody apply that file and bind its roles. "
                "Nothing was changed."
            )

    def _require_permission(self, api: Api, target: Target) -> None:
        if why := stopped(api, self._stop_places()):
            raise TargetRefused(why)
        self._require_consent(target.namespace)
        if self._require_janitor and (why := janitor_seen(api, target.namespace)):
            raise TargetRefused(why)

    def _require_consent(self, place: str) -> Allowed:
        """Refuse what a namespace has not opted in to, or not now; the whole cluster is CENTRAL."""
        target, api = self._run.target, self._run.api
        if place not in self._allowed:
            self._allowed[place] = read_allowed(api, replace(target, namespace=place))
        if why := self._allowed[place].refused_now(api.now()):
            raise TargetRefused(why)
        return self._allowed[place]

    def _require_allowed(self, changes: Sequence[tuple[PolicyRef, str]]) -> None:
        """Hold a planned fault against rights, consent and Leases of wherever it reaches."""
        home = self._run.target.namespace
        asked = dict.fromkeys((ref.kind, change, ref.namespace) for ref, change in changes)
        for kind, change, namespace in asked:
            needs = needs_of_change(kind, change, elsewhere=namespace != home)
            self._require_rights(needs, namespace or CENTRAL)
        for ref, _ in changes:
            allowed = self._require_consent(ref.namespace or CENTRAL)
            if why := allowed.refused(ref, self._keeper.seconds):
                raise FaultRefused(f"{why} Nothing was changed.")
        for place in dict.fromkeys(ref.namespace or CENTRAL for ref, _ in changes):
            known = len(self._leases)
            self._take(place)
            if self._watch and len(self._leases) > known:
                self._watch.renew(place, CLUSTERWIDE_LEASE if place == CENTRAL else LEASE)

    def _heard(self, said: Mapping[str, Any]) -> None:
        """What the watchdog says by itself; called in a thread of its own."""
        event = said["event"]
        if event == "trouble":
            logger.debug(f"Watchdog: {said['sentence']}")
            return
        if event == "paid":
            if isinstance(self._run.ledger, ClusterLedger):
                self._run.ledger.paid(said["id"])
            if said["id"].startswith(PROBER):
                return
            self._run.note("restore-submitted", f"fault {said['id']}, by the watchdog", said["at"])
            return
        if event == "deadline" and said["id"].startswith(PROBER):
            logger.info("The deadline of a prober pod passed: the watchdog removed it.")
            return
        if event == "deadline":
            sentence = f"The deadline of fault {said['id']} passed: the watchdog restored it."
        elif event in ("stop", "lease-lost"):
            sentence = str(said["sentence"])
        else:
            what = "died" if event == "gone" else "does not answer any more"
            sentence = (
                f"The watchdog {what}: nobody would restore after this process, so the run ends."
            )
        self._run.note(f"watchdog-{event}", sentence)
        logger.critical(sentence)
        if event != "deadline":
            self._end_the_run()

    def _end_the_run(self) -> None:
        with self._ending:
            if not self._ended:
                # What the host does at this signal: the run is interrupted, its rollbacks played.
                os.kill(os.getpid(), signal.SIGUSR1)

    def ends(self) -> None:
        """The run ends already: from here on nothing that the watchdog says interrupts it.

        The host expects its signal while it plays the method; one that comes between that and the
        rollbacks, or after them, ends the process before the journal is written.
        """
        with self._ending:
            self._ended = True

    def restore_now(self) -> None:
        """Have everything restored at once; waits for nothing and never raises."""
        if self._watch:
            self._watch.restore_now()

    def release(self) -> None:
        """Let the watchdog and the Leases go; what could not be restored stays recorded."""
        if self._watch:
            for name in self._watch.close():
                logger.critical(
                    f"Record {name} stands: restore it with `acns-chaos restore --all`."
                )
            self._watch = None
        for lease in self._leases:
            try:
                lease.release(self._keeper.holder)
            except AcnsChaosError as error:
                logger.warning(
                    f"Lease {lease.name} was not released ({error}): it lapses by itself."
                )


def whoami() -> str:
    """Return who runs this: "user@host process 4711"."""
    try:
        user = getpass.getuser()
    except (OSError, KeyError):
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()} process {os.getpid()}"
