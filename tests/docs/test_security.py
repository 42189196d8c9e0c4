"""SECURITY.md: what it says to do by hand works, with nothing but the real kubectl."""

import os
import re
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from acns_chaos.cluster import records
from acns_chaos.cluster.policies import content
from acns_chaos.cluster.waiting import wait_until
from tests.journeys.conftest import Chaos, Lab, flagship, short, start  # noqa: F401 - fixtures
from tests.journeys.hosts import ROOT, own
from tests.journeys.rbac import Accounts
from tests.journeys.test_janitor import MADE, POLICY, left_behind, names, needing
from tests.tiers import loop

pytestmark = [
    pytest.mark.journey,
    pytest.mark.slow,
    # Connections of clients that this process opened are closed when they are collected.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

TEXT = (ROOT / "SECURITY.md").read_text("utf-8")
BLOCKS = re.findall(r"^```sh\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
LEASE = "/apis/coordination.k8s.io/v1/namespaces/acns-chaos/leases/acns-chaos.pets"


def by_hand(lab: Lab, block: str, record: str = "") -> str:
    """Run a block of SECURITY.md as a person would, with kubectl pointed at the lab."""
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", block],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={**os.environ, "KUBECONFIG": lab.ready["kubeconfig"], "RECORD": record},
    )
    assert done.returncode == 0, done.stderr + done.stdout
    return done.stdout


@pytest.fixture
def lab(start: Callable[..., Lab]) -> Lab:  # noqa: F811
    """A lab with deploy/rbac applied."""
    return start()


def recover(lab: Lab) -> None:
    """Follow the recipe: see, put back, clean up."""
    see, put_back, clean_up = BLOCKS
    listed = by_hand(lab, see)
    (record,) = set(re.findall(r"acns-chaos-\d{8}t\d{6}-[0-9a-f]{4}-f1\b", listed.split("\n")[1]))
    assert '"deadline"' in listed
    by_hand(lab, put_back, record)
    by_hand(lab, clean_up)


def nothing_left(lab: Lab) -> None:
    """No record stands, and the Lease names none."""
    found = lab.api.get("/api/v1/namespaces/pets/configmaps")["items"]
    assert [one for one in found if one["metadata"]["name"].startswith("acns-chaos-2")] == []
    assert "acns-chaos/records" not in (lab.api.get(LEASE)["metadata"].get("annotations") or {})


def test_by_hand_after_runner_and_watchdog_were_killed(
    lab: Lab,
    tmp_path: Path,
    short: dict[str, Any],  # noqa: F811
) -> None:
    """`kill -9` of both, and a person with kubectl puts everything back."""
    original = content(lab.api.get(POLICY))
    probe = {"type": "python", "module": "acns_chaos.probes", "func": "read_storefront"}
    waiting = {"path": "/", "expect": "OPEN", "timeout": 1, "deadline": 30}
    wait = {"type": "probe", "name": "wait", "provider": {**probe, "arguments": waiting}}
    short["method"] = [short["method"][0], wait, short["method"][-1]]
    process, _, _ = Chaos(own(), tmp_path, lab.home).start(short)
    assert wait_until(lambda: content(lab.api.get(POLICY)) != original, 30)
    # Stopped first: a runner whose watchdog dies restores.
    process.send_signal(signal.SIGSTOP)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    dogs = [one for one in children if b"watchdog" in Path(f"/proc/{one}/cmdline").read_bytes()]
    assert len(dogs) == 1
    os.kill(int(dogs[0]), signal.SIGKILL)
    process.kill()
    process.communicate(timeout=10)
    assert content(lab.api.get(POLICY)) != original

    recover(lab)

    assert content(lab.api.get(POLICY)) == original
    nothing_left(lab)
    lab.api.close()


# Each change once, and each size of a record once; the pairs that are left are for `make full`.
@pytest.mark.parametrize(
    ("verb", "largest"),
    loop(
        [
            ("update", 1500),
            ("create", records.LARGEST),
            ("delete", records.LARGEST),
            ("update", records.LARGEST),
            ("create", 1500),
            ("delete", 1500),
        ],
        keep=3,
    ),
)
def test_by_hand_for_each_kind_of_fault_and_a_record_of_many_parts(
    lab: Lab,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    verb: str,
    largest: int,
) -> None:
    """Changed, deleted or created; in one ConfigMap or spread over several."""
    monkeypatch.setattr(records, "LARGEST", largest)
    before = lab.policies()
    left_behind(Accounts(lab, tmp_path), 600, needing(verb))
    assert lab.policies() != before

    recover(lab)

    assert lab.policies() == before
    assert MADE not in names(lab.api, POLICY)
    nothing_left(lab)
    lab.api.close()
