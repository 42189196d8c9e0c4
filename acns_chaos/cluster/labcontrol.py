"""Orders for misbehaviour, and alert rules, for the registered lab: paths of its own.

The address, the certificate authority and the token come from the lab's registration. What can be
ordered only the lab knows.
"""

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from acns_chaos.cluster.labprocess import lab_program
from acns_chaos.errors import TargetError

__all__ = ["LabControl", "misbehaviours"]

TIMEOUT = 5.0


class LabControl:
    """One lab that takes orders.

    Args:
        ready: what the registered lab said when it was ready.

    Raises:
        TargetError: it does not say how it takes orders.
    """

    def __init__(self, ready: Mapping[str, Any]) -> None:
        control = ready.get("control")
        if not isinstance(control, dict):
            raise TargetError("The lab that is up takes no orders: end it and start another.")
        self._url = str(control["url"])
        self._token = str(control["token"])
        self._authority = str(control["authority"])

    def status(self) -> dict[str, Any]:
        """What misbehaves now ("misbehaviours") and what did ("ended").

        Raises:
            TargetError: the lab does not answer.
        """
        return self._ask("GET", "")

    def inject(self, order: Mapping[str, Any]) -> dict[str, Any]:
        """Order misbehaviour; returns what began.

        Args:
            order: {"kind": …, "options": {…}, "selection": {…}, "for": …, "count": …}.

        Raises:
            TargetError: the lab refuses it, and says why.
        """
        return self._ask("POST", "/misbehaviours", order)

    def clear(self, number: str = "") -> list[dict[str, Any]]:
        """End one misbehaviour, or all; returns those that ended.

        Raises:
            TargetError: there is none of that number.
        """
        path = f"/misbehaviours/{number}" if number else "/misbehaviours"
        cleared = self._ask("DELETE", path)["cleared"]
        return list(cleared)

    def rules(self) -> dict[str, Any]:
        """The rules of the lab's Prometheus: their "text", "file" and "groups", as it has them.

        Raises:
            TargetError: the lab does not answer.
        """
        return self._ask("GET", "/rules")

    def replace_rules(self, text: str) -> dict[str, Any]:
        """Have the lab's Prometheus evaluate other rules from now on; returns as `rules`.

        Args:
            text: of a rule file as Prometheus takes it; "" for no rules.

        Raises:
            TargetError: the lab refuses them, and says why; those in force stay.
        """
        return self._ask("PUT", "/rules", text.encode())

    def require_rules(self, path: str) -> None:
        """Require that the lab's Prometheus evaluates the rules of a file.

        A lab that is up is not given others behind the back of whoever started it.

        Raises:
            TargetError: it evaluates others, or the file cannot be read.
        """
        try:
            wanted = Path(path).read_bytes()
        except OSError as error:
            raise TargetError(f"The alert rules {path} cannot be read: {error.strerror}.") from None
        if str(self.rules().get("text", "")).encode() != wanted:
            raise TargetError(
                f"The lab that is up evaluates other alert rules than {path}: end it with "
                "`acns-chaos lab down`, and start one with `--rules`."
            )

    def _ask(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        import ssl

        import urllib3

        context = ssl.create_default_context(cadata=self._authority)
        try:
            with urllib3.PoolManager(ssl_context=context, retries=False) as pool:
                answer = pool.request(
                    method,
                    self._url + path,
                    headers={"Authorization": f"Bearer {self._token}"},
                    body=body if body is None or isinstance(body, bytes) else json.dumps(body),
                    timeout=TIMEOUT,
                )
                found = json.loads(answer.data)
        except (urllib3.exceptions.HTTPError, ValueError) as error:
            raise TargetError("The lab is up, but it does not answer.") from error
        if not isinstance(found, dict):
            raise TargetError("The lab answers with what nobody can read.")
        if answer.status >= 400:
            raise TargetError(str(found.get("error", f"The lab answers {answer.status}.")))
        return found


def misbehaviours() -> list[dict[str, Any]]:
    """Every kind of misbehaviour, as the lab's own program lists them; no lab need be up.

    Raises:
        TargetError: the program does not run.
    """
    done = subprocess.run(  # noqa: S603 - our own module, no shell
        lab_program("misbehaviours"), capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise TargetError((done.stderr.strip().splitlines() or ["The lab does not run."])[-1])
    return list(json.loads(done.stdout))
