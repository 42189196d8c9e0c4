"""The lab's control endpoint over one connection that is kept open: the harness asks it often."""

import json
import ssl
import time
from collections.abc import Callable
from typing import Any

import urllib3

from acns_chaos.cluster.labcontrol import LabControl
from acns_chaos.cluster.waiting import wait_until

__all__ = ["AGENT", "Control", "eventually"]

# What the harness calls itself, so that its own requests are never struck or counted.
AGENT = "kill-matrix"


class Control:
    """Asks one lab.

    Args:
        ready: what the lab said when it was registered.
    """

    def __init__(self, ready: dict[str, Any]) -> None:
        known = LabControl(ready)
        context = ssl.create_default_context(cadata=known._authority)
        self._pool = urllib3.PoolManager(ssl_context=context, retries=False, maxsize=2)
        self._url, self._token = known._url, known._token

    def close(self) -> None:
        """Close the connections; asking again opens new ones."""
        self._pool.clear()

    def ask(
        self, method: str, path: str, body: Any = None, may_fail: bool = False
    ) -> dict[str, Any]:
        """One question."""
        answer = self._pool.request(
            method,
            self._url + path,
            headers={"Authorization": f"Bearer {self._token}", "User-Agent": AGENT},
            body=None if body is None else json.dumps(body),
            timeout=20.0,
        )
        found = json.loads(answer.data)
        assert answer.status < 400 or may_fail, found
        return dict(found)


def eventually(fact: Callable[[], Any], timeout: float) -> float | None:
    """Wait for a fact; returns the seconds it took, None when it never came true."""
    began = time.monotonic()
    return time.monotonic() - began if wait_until(fact, timeout, 0.05) else None
