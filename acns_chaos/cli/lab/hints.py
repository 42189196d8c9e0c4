"""What to do with a lab that is up: lines that work as they are printed."""

import shlex
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

__all__ = ["beside", "in_this_terminal", "to_try"]

FOREGROUND = """\
Lab of world {world} at {server} (Ctrl-C ends it). In another terminal:

  export KUBECONFIG={kubeconfig}
  kubectl get ciliumnetworkpolicies -n pets
  {chaos} run experiments/storefront-ingress.json    # joins this lab

Shop: {shop}   Prometheus: {prometheus}"""

DETACHED = """\
Lab of world {world} at {server}, up until `{acns_chaos} lab down`. Point this shell at it:

  eval "$({acns_chaos} lab env)"

and try:

{lines}

Shop: {shop}   Prometheus: {prometheus}"""

_EXPERIMENT = "experiments/storefront-ingress.json"
_WGET = "wget --spider --timeout=1 --tries=1 www.bing.com"


def in_this_terminal(ready: Mapping[str, Any]) -> str:
    """Say where a lab in the foreground is."""
    return FOREGROUND.format(chaos=beside("chaos"), **_addresses(ready))


def to_try(ready: Mapping[str, Any]) -> str:
    """Say where a lab is and three things to try.

    Args:
        ready: what the lab said when it was ready.
    """
    if str(ready["world"]).startswith("pets"):
        lines = [
            "kubectl get cnp -n pets",
            f"kubectl exec -n pets deploy/order-service -c order-service -- sh -c '{_WGET}'",
            f"{beside('chaos')} run {_shipped(_EXPERIMENT)}",
        ]
    else:
        lines = [
            "kubectl get cnp -A",
            "kubectl get pods -A",
            f"{beside('acns-chaos')} lab inject 503 --verb write --count 1",
        ]
    return DETACHED.format(
        acns_chaos=beside("acns-chaos"),
        lines="\n".join(f"  {line}" for line in lines),
        **_addresses(ready),
    )


def _addresses(ready: Mapping[str, Any]) -> dict[str, str]:
    return {
        "world": ready["world"],
        "server": ready["server"],
        "kubeconfig": shlex.quote(ready["kubeconfig"]),
        "shop": ready["env"].get("ACNS_CHAOS_STOREFRONT_URL", "none"),
        "prometheus": ready["env"].get("ACNS_CHAOS_PROMETHEUS_URL", "none"),
    }


def beside(command: str) -> str:
    """Write a command of this environment the shortest way that works from here."""
    path = Path(sys.executable).parent / command
    if (found := shutil.which(command)) and Path(found).resolve() == path.resolve():
        return command
    return shlex.quote(_short(path))


def _shipped(file: str) -> str:
    """Write the path of a file of the repository the shortest way that works from here."""
    return shlex.quote(_short(Path(__file__).resolve().parents[3] / file))


def _short(path: Path) -> str:
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)
