"""The subresources of a pod that lead into it: exec, portforward and log.

Only which is which; each is answered in its own module.
"""

import time

from aiohttp import web

from acns_chaos.lab.api import failures
from acns_chaos.lab.api.failures import Json
from acns_chaos.lab.api.pods.exec import Exec, exec_in_pod
from acns_chaos.lab.api.pods.log import Logs, read_log
from acns_chaos.lab.api.streams.portforward import forward_ports
from acns_chaos.lab.api.streams.ports import Ports

WAYS_IN = frozenset({"exec", "portforward", "log"})


class WaysIn:
    """Answers requests that lead into pods.

    Args:
        run: executes commands.
        ports: what listens; by default nothing.
        logs: what containers write; by default nothing.
    """

    def __init__(self, run: Exec, ports: Ports | None = None, logs: Logs | None = None) -> None:
        self._run = run
        self._ports = ports or Ports({})
        self._logs = logs or Logs(time.time)

    async def answer(self, request: web.Request, subresource: str, pod: Json) -> web.StreamResponse:
        """Answer a request.

        Args:
            request: as it came.
            subresource: one of `WAYS_IN`.
            pod: the stored pod.

        Raises:
            Failure: it is refused, before anything was sent.
        """
        if subresource == "log":
            return await read_log(request, pod, self._logs)
        if request.method not in {"GET", "POST"}:
            raise failures.not_allowed()
        if subresource == "exec":
            return await exec_in_pod(request, pod, self._run)
        return await forward_ports(request, pod, self._ports)

    def close(self) -> None:
        """End everybody who follows a log; connections end with the server."""
        self._logs.close()
