"""Drop counters, from Prometheus: raw sums, a missing series as 0, compared by the caller.

`increase()` is 0 for the first drop of a new series, and a policy drop counts twice in
`hubble_drop_total` (reference captures, "Metrics"), so nothing is derived on the server. Reasons
are compared here and without regard to case, because Azure Monitor's casing cannot be predicted
(reference workshop-facts §3.3).
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from acns_chaos.errors import ApiError

__all__ = ["URL_VARIABLE", "Counter", "Prometheus", "drops_at_node", "drops_of_workload"]

URL_VARIABLE = "ACNS_CHAOS_PROMETHEUS_URL"
# POLICY_DENIED, POLICY_DENY, "Policy denied", "Policy denied by denylist", policy_denied.
POLICY_REASON = re.compile(r"policy.?den(y|ied).*", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Counter:
    """A drop counter one can ask for.

    Attributes:
        metric: its name.
        query: PromQL over that one metric, summed by reason and, at a node, by direction.
        direction: "INGRESS" or "EGRESS" to keep that direction's series only, "" for all.
    """

    metric: str
    query: str
    direction: str = ""


def drops_of_workload(namespace: str, workload: str, direction: str) -> Counter:
    """Count the drops Hubble saw at a workload's pods.

    Args:
        namespace: of the pods.
        workload: its name; "" for every pod of the namespace.
        direction: "ingress" (the pods are destinations) or "egress" (sources): ACNS labels one
            side only (reference workshop-facts §3.1).
    """
    side = "destination" if direction == "ingress" else "source"
    # The label is `namespace/pod` on AKS, `namespace/workload` elsewhere; RE2, anchored.
    name = workload.replace(".", "[.]")
    pods = f"{namespace}/{name}(-.*)?" if workload else f"{namespace}/.*"
    metric = "hubble_drop_total"
    return Counter(metric, f'sum by (reason) ({metric}{{{side}=~"{pods}"}})')


def drops_at_node(direction: str) -> Counter:
    """Count the packets the kernel dropped on all nodes, once each; no pod label exists."""
    metric = "cilium_drop_count_total"
    return Counter(metric, f"sum by (direction, reason) ({metric})", direction.upper())


class Prometheus:
    """A Prometheus that is asked with a time-out and at most one retry."""

    def __init__(self, url: str, timeout: float = 5.0) -> None:
        self.url = url
        self.timeout = timeout
        self._client: Any = None

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> "Prometheus":
        """Open the Prometheus named by the environment.

        Raises:
            ApiError: none is named.
        """
        url = environ.get(URL_VARIABLE, "").strip()
        if not url:
            raise ApiError(f"No Prometheus is named: set {URL_VARIABLE} to its address.")
        return cls(url)

    def policy_drops(self, counter: Counter, at: float | None = None) -> float:
        """Sum a drop counter's series whose reason is a policy's.

        Args:
            counter: which.
            at: Unix time in seconds; None is now.

        Returns:
            Packets (or events, for Hubble) since the counters started; 0 when there is no series.

        Raises:
            ApiError: Prometheus cannot be asked, or does not answer the query.
        """
        total = 0.0
        for series in self._query(counter.query, at):
            labels = series["metric"]
            direction = str(labels.get("direction", "")).upper()
            if counter.direction and direction != counter.direction:
                continue
            if POLICY_REASON.fullmatch(str(labels.get("reason", ""))):
                total += float(series["value"][1])
        return total

    def scraping(self, begin: float, end: float) -> bool:
        """Tell whether Cilium's metrics were scraped inside a window.

        Without this, "no drops" and "no metrics" look alike. The forward counter of a node that
        carries any traffic always exists.

        Args:
            begin: Unix time in seconds.
            end: likewise.

        Raises:
            ApiError: Prometheus cannot be asked.
        """
        seconds = max(1, math.ceil(end - begin))
        samples = self._query(f"cilium_forward_count_total[{seconds}s]", end)
        return any(float(at) >= begin for one in samples for at, _ in one["values"])

    def _query(self, query: str, at: float | None) -> list[dict[str, Any]]:
        import requests
        from prometheus_api_client import PrometheusApiClientException

        params = None if at is None else {"time": f"{at:.3f}"}
        try:
            # 200 with "status: error" is a KeyError in this client, HTML a JSONDecodeError
            # (a ValueError): reference chaos-toolkit.md §5.
            answer = self._connect().custom_query(query, params=params, timeout=self.timeout)
        except (requests.RequestException, PrometheusApiClientException) as error:
            raise ApiError(f"Prometheus at {self.url} does not answer: {_line(error)}") from error
        except (KeyError, ValueError) as error:
            raise ApiError(f"Prometheus at {self.url} gave no usable answer to {query}") from error
        return [
            one for one in answer if isinstance(one, dict) and ("value" in one or "values" in one)
        ]

    def _connect(self) -> Any:
        if self._client is None:
            from prometheus_api_client import PrometheusConnect
            from urllib3.util.retry import Retry

            # Its own default is no time-out and six seconds of retries.
            self._client = PrometheusConnect(
                url=self.url, disable_ssl=False, retry=Retry(total=0), timeout=self.timeout
            )
        return self._client


def _line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]
