"""A lab process that misbehaves on request: for tests of the lab and for journeys of the product.

``with misbehaving_lab(home) as lab: lab.inject("503", verbs=["update"], count=1)``; in a journey
``orders_for(lab.home)`` gives the same for a registered lab that a fixture has started.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import requests

from acns_chaos.cluster.kube import Api
from acns_chaos.cluster.labcontrol import LabControl
from acns_chaos.cluster.waiting import wait_until

Fact = TypeVar("Fact")
STOREFRONT = "/apis/cilium.io/v2/namespaces/pets/ciliumnetworkpolicies/allow-store-front-traffic"
SELECTION = frozenset(
    {"server", "verbs", "resource", "namespace", "name", "path", "user_agent", "dry_run", "nth"}
)


@dataclass(frozen=True)
class Orders:
    """The way to let one lab misbehave."""

    control: LabControl

    def inject(
        self,
        kind: str,
        *,
        seconds_of_order: float | None = None,
        count: int | None = None,
        **given: Any,
    ) -> str:
        """Order misbehaviour; returns its ID.

        Args:
            kind: as `acns-chaos lab inject --list` shows it.
            seconds_of_order: after which it ends.
            count: strikes after which it ends.
            given: what chooses requests (see `SELECTION`), and the kind's own options.
        """
        chosen = {name: value for name, value in given.items() if name in SELECTION}
        options = {name: value for name, value in given.items() if name not in SELECTION}
        order = {"kind": kind, "options": options, "selection": chosen, "for": seconds_of_order}
        return str(self.control.inject({**order, "count": count})["id"])

    def about(self, number: str) -> dict[str, Any]:
        """What there is to say about one misbehaviour, over or not."""
        found = self.control.status()
        (one,) = [x for x in found["misbehaviours"] + found["ended"] if x["id"] == number]
        return dict(one)

    def struck(self, number: str) -> int:
        """How often one misbehaviour has struck."""
        return int(self.about(number)["struck"])

    def clear(self, number: str = "") -> None:
        """End one misbehaviour, or all."""
        self.control.clear(number)


def orders_for(home: Path) -> Orders:
    """Orders for the lab that is registered in a folder."""
    return Orders(LabControl(json.loads((home / "lab.json").read_text())))


@dataclass(frozen=True)
class MisbehavingLab(Orders):
    """A running lab.

    Attributes:
        ready: what it said when it was ready.
        home: folder it is registered in.
        process: the lab.
    """

    ready: dict[str, Any]
    home: Path
    process: "subprocess.Popen[str]"


@contextmanager
def misbehaving_lab(home: Path, *arguments: str) -> Iterator[MisbehavingLab]:
    """A registered lab in a process of its own; it ends with the context."""
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "acns_chaos.lab", "serve", "--register"),
            *("--until-stdin-closes", *arguments),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "ACNS_CHAOS_LAB_HOME": str(home)},
    )
    assert process.stdin
    assert process.stdout
    with process:
        ready = json.loads(process.stdout.readline())
        yield MisbehavingLab(orders_for(home).control, ready, home, process)
        process.stdin.close()
        process.wait(10)


def eventually(fact: Callable[[], Fact], timeout: float = 5.0) -> Fact:
    """Ask for a fact until it is true; fails when it never is."""
    answer = wait_until(fact, timeout, 0.02)
    assert answer, "it never came true"
    return answer


@contextmanager
def cut_off(api: Api, shop: str) -> Iterator[None]:
    """Admit nobody to the storefront and meet silence there; the policy is put back at the end."""
    before = api.get(STOREFRONT)
    api.put(STOREFRONT, {**before, "spec": {**before["spec"], "ingress": [{"fromEndpoints": []}]}})
    try:
        eventually(lambda: not _answers(shop))
        yield
    finally:
        api.put(STOREFRONT, {**api.get(STOREFRONT), "spec": before["spec"]})


def _answers(shop: str) -> bool:
    try:
        requests.get(shop, timeout=0.3)
    except requests.Timeout:
        return False
    return True
