"""Where a day takes place: one cluster, or one lab, for all of its processes.

Belongs here: opening it, handing it to processes of the day's own, and telling whether nothing of a
run is left in a namespace. Does not belong here: running anything.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace

from acns_chaos.cluster.kube import Api
from acns_chaos.cluster.labcontrol import LabControl
from acns_chaos.cluster.labprocess import RULES_VARIABLE, join_or_start
from acns_chaos.cluster.leases import Leases
from acns_chaos.cluster.private import private_folder
from acns_chaos.cluster.stop import CENTRAL, stopped
from acns_chaos.cluster.target import VARIABLE, Choice, choose, connect, describe
from acns_chaos.cluster.waiting import wait_until
from acns_chaos.errors import ApiError, GameDayError
from acns_chaos.faults.janitor import restore_records
from acns_chaos.gameday.plan_values import Plan
from acns_chaos.gameday.results import CLUSTER, LAB, Place

__all__ = ["Stage", "opened_stage"]

_LAB_HOME = "ACNS_CHAOS_LAB_HOME"
_AGENT = "acns-chaos-gameday"


@dataclass(frozen=True, slots=True)
class Stage:
    """The cluster of a day.

    Attributes:
        api: the connection.
        name: what to call it: "cluster aks-shop", "the lab (world pets)".
        place: as results have it; its namespace is "".
        environ: for processes of the day: they reach this cluster and no other.
        control: of the lab; None on a cluster.
        ends: whether it is a lab that ends with this process.
    """

    api: Api
    name: str
    place: Place
    environ: Mapping[str, str]
    control: LabControl | None = None
    ends: bool = False

    @property
    def in_lab(self) -> bool:
        """Whether it is the lab, as the server states it."""
        return self.place.kind == LAB

    def stopped(self, namespace: str) -> str:
        """Who asked everything to stop, in one sentence; "" when nobody did, or none can tell."""
        try:
            return stopped(self.api, dict.fromkeys((namespace, CENTRAL)))
        except ApiError:
            # Whoever cannot look injects nothing either: the guard looks again.
            return ""

    def busy(self, namespace: str, timeout: float) -> str:
        """Wait until nobody is at work in a namespace, and nothing of a dead run is left.

        Args:
            namespace: whose Lease and records.
            timeout: seconds.

        Returns:
            Who is, or what is, when the time is over; "" when nobody and nothing.
        """
        last = [""]

        def clear() -> bool:
            last[0] = self._at_work(namespace) or self._standing(namespace)
            return not last[0]

        wait_until(clear, timeout, interval=0.2)
        return last[0]

    def free(self, namespace: str, timeout: float) -> str:
        """Wait until nobody is at work in a namespace.

        What a dead run left there is the next run's to restore, before it changes anything.
        Arguments and answer as `busy`.
        """
        last = [""]

        def clear() -> bool:
            last[0] = self._at_work(namespace)
            return not last[0]

        wait_until(clear, timeout, interval=0.2)
        return last[0]

    def _at_work(self, namespace: str) -> str:
        try:
            held = Leases(self.api, namespace).read()
            if held is None or held.lapsed(self.api.now()):
                return ""
        except ApiError as error:
            return f"whether a run is at work in namespace {namespace} cannot be told: {error}"
        return f"{held.holder} is at work in namespace {namespace}"

    def _standing(self, namespace: str) -> str:
        try:
            found = restore_records(self.api, namespace, lambda _: False, "person")
        except ApiError as error:
            return f"whether something stands in namespace {namespace} cannot be told: {error}"
        return " ".join(one.sentence for one in found if one.state != "removed")


@contextmanager
def opened_stage(
    plan: Plan, cluster: str, environ: Mapping[str, str] = os.environ
) -> Iterator[Stage]:
    """Open the cluster of a plan for the length of a day.

    A lab that is up is joined when it evaluates the plan's alert rules, or when somebody's own
    Prometheus watches it (`labprocess.WATCHED`); else one is started, which this day's processes
    find and nobody else, and which ends with this process however that ends.

    Args:
        plan: names world and rules of a lab.
        cluster: as `plan.cluster_of` says.
        environ: the process environment.

    Raises:
        TargetError: it cannot be reached, or the lab that is up has other rules.
    """
    # Nothing else that the environment may name is meant: not here and not in a child.
    mine = {**environ, VARIABLE: cluster}
    choice = choose(mine)
    if choice.kind != LAB:
        with _connected(choice, mine, "") as stage:
            yield replace(stage, name=f"cluster {stage.place.context}")
        return
    rules = str(plan.rules_file.absolute()) if plan.rules_file else ""
    home = private_folder() / "lab"
    lab = join_or_start(plan.world, {**mine, RULES_VARIABLE: ""}, rules, home=home)
    try:
        control = LabControl(lab.ready)
        if rules and lab.joined and not lab.watched:
            control.require_rules(rules)
        found = {**mine, **lab.environ, RULES_VARIABLE: rules}
        if not lab.joined:
            found[_LAB_HOME] = str(home)
        with _connected(choice, found, str(lab.environ.get("KUBECONFIG", ""))) as stage:
            if not stage.in_lab:
                raise GameDayError(f"The lab is meant, and {stage.api.server} says it is not one.")
            name = f"the lab (world {lab.world})"
            yield replace(stage, name=name, control=control, ends=not lab.joined)
    finally:
        lab.close()


@contextmanager
def _connected(choice: Choice, environ: Mapping[str, str], kubeconfig: str) -> Iterator[Stage]:
    api, context = connect(choice, kubeconfig, _AGENT)
    try:
        target = describe(api, context, "")
        kind = LAB if target.kind == LAB else CLUSTER
        label = "LAB (simulated)" if kind == LAB else f"cluster {context}"
        yield Stage(api, "", Place(kind, label, context, target.uid), environ)
    finally:
        api.close()
