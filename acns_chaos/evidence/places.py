"""Where a question from inside the cluster is asked: in a workload's pod, else in a prober's."""

from collections.abc import Callable, Sequence

from acns_chaos.cluster.kube import Api
from acns_chaos.cluster.pods import Place, Ran, lacks_tool, place_in, pods_of, run_in
from acns_chaos.errors import AcnsChaosError, ApiError

__all__ = ["SLACK", "Asker", "Prober"]

# Beyond a tool's own time-out: the exec session's start and end.
SLACK = 5.0

Prober = Callable[[], Place]
"""Gives the pod that asks in place of a workload whose image lacks the tool."""


class Asker:
    """Runs commands as a workload would.

    Args:
        api: the cluster.
        namespace: of the workload.
        workload: whose pod; "" is a stranger, whom only a prober can be.
        container: "" is the pod's first.
        prober: None lets an image without the tool be the end of it.

    Attributes:
        place: where the last command ran; None before the first.
        by: "workload" or "prober".
    """

    def __init__(
        self, api: Api, namespace: str, workload: str, container: str, prober: Prober | None
    ) -> None:
        self._api = api
        self._namespace = namespace
        self._workload = workload
        self._container = container
        self._prober = prober
        self.place: Place | None = None
        self.by = "workload"

    def run(self, command: Sequence[str], timeout: float) -> Ran:
        """Run a command, in the prober from the first tool on that the image lacks.

        Args:
            command: program and arguments.
            timeout: seconds for the tool; the session gets some more.

        Raises:
            ApiError: it cannot be run, or the image lacks the tool and there is no prober; why.
        """
        if not self._workload and self.by == "workload":
            return self._by_prober(command, timeout)
        place = self.place = self.place or self._own()
        ran = run_in(
            self._api, self._namespace, place.pod, place.container, command, timeout + SLACK
        )
        if not lacks_tool(ran):
            return ran
        if self.by == "prober":
            raise ApiError(self._lacking(command[0]))
        return self._by_prober(command, timeout)

    def _by_prober(self, command: Sequence[str], timeout: float) -> Ran:
        if self._prober is None:
            raise ApiError(self._lacking(command[0]))
        try:
            self.place = self._prober()
        except ApiError:
            raise
        except AcnsChaosError as error:
            raise ApiError(str(error)) from error
        self.by = "prober"
        return self.run(command, timeout)

    def evidence(self, command: Sequence[str], ran: Ran) -> dict[str, object]:
        """Return where a command ran and how it ended, as plain JSON."""
        return {
            "command": list(command),
            "code": ran.code,
            "output": ran.output[-1000:],
            "pod": self.place.pod if self.place else "",
            "asked_by": self.by,
        }

    def _own(self) -> Place:
        pod = pods_of(self._api, self._namespace, self._workload)[0]
        return place_in(pod, self._container)

    def _lacking(self, tool: str) -> str:
        if self.by == "prober":
            return f"the prober's image has no {tool}: name another with ACNS_CHAOS_PROBER_IMAGE"
        if not self._workload:
            return "only a pod of our own is a stranger: set `prober` to true (docs/client.md)"
        return (
            f"the image of {self._namespace}/{self._workload} has no {tool}: with `prober` set to "
            "true a pod of our own asks in its place (docs/client.md)"
        )
