"""docs/walk.md and docs/aks.md: what they tell to type is typed, what they show is what comes."""

import os
import re
import shutil
import subprocess
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml

from tests.docs.test_readme import plain
from tests.journeys.conftest import Lab, start
from tests.journeys.hosts import ROOT, own
from tests.lab.kubectls import run_kubectl

__all__ = ["start"]
pytestmark = [pytest.mark.slow, pytest.mark.journey]

WALK = (ROOT / "docs/walk.md").read_text("utf-8")
AKS = (ROOT / "docs/aks.md").read_text("utf-8")
FOLDERS = ("baselines", "docs", "experiments", "probes")


class Step(NamedTuple):
    """One block of commands.

    Attributes:
        command: what is typed, line by line.
        code: the exit code of its last line.
        shown: the lines that the page shows of what it prints.
    """

    command: str
    code: int
    shown: list[str]


def steps(page: str) -> list[Step]:
    """The blocks of commands of a page, each with the block of output that follows it."""
    blocks = re.findall(r"^```(\w+)\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    found = []
    for (kind, text), (after, shown) in pairwise([*blocks, ("", "")]):
        if kind == "sh":
            command, _, comment = text.strip().partition("  # exits ")
            lines = shown.splitlines() if after == "text" else []
            found.append(Step(command, int(comment or 0), [one for one in lines if one.strip()]))
    return found


def missing(shown: list[str], real: str) -> str:
    """The first line shown that the real output has not, in that order; "" when it has all.

    A line `…` stands for any lines; two lines without it between them follow each other.
    """
    lines = [plain(line) for line in real.splitlines() if line.strip()]
    position, anywhere = 0, False
    for wanted in shown:
        if wanted == "…":
            anywhere = True
            continue
        pattern = re.escape(wanted).replace("…", ".*")
        found = [
            number
            for number, line in enumerate(lines[position:], position)
            if re.fullmatch(pattern, line)
        ]
        if not found or (found[0] != position and not anywhere):
            return wanted
        position, anywhere = found[0] + 1, False
    return "" if anywhere or position == len(lines) else f"(the end, not {lines[position]!r})"


def environment(home: Path) -> dict[str, str]:
    """Nothing of the machine's settings: an empty home, and the programs under test first."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("ACNS_CHAOS")}
    kept.pop("KUBECONFIG", None)
    path = f"{own().acns_chaos.parent}{os.pathsep}{kept['PATH']}"
    return {**kept, "HOME": str(home), "PATH": path, "ACNS_CHAOS_LAB_HOME": str(home / "lab")}


@pytest.mark.full
def test_every_step_of_the_walk_prints_what_the_page_shows(tmp_path: Path) -> None:
    """In one shell and one lab: exit codes, and each line shown, in that order."""
    home, root = places(tmp_path, *FOLDERS)
    script: list[str] = []
    for number, step in enumerate(steps(WALK)):
        script.append(f"{{ {step.command}\n}} >'{tmp_path}/{number}.out' 2>&1")
        script.append(f"echo $? >'{tmp_path}/{number}.rc'")
    environ = environment(home)
    try:
        subprocess.run(
            ["bash", "-c", "\n".join(script)],
            cwd=root,
            env=environ,
            check=False,
            timeout=300,
            capture_output=True,
        )
        for number, step in enumerate(steps(WALK)):
            real = (tmp_path / f"{number}.out").read_text()
            code = int((tmp_path / f"{number}.rc").read_text())
            assert code == step.code, (step.command, code, real)
            assert missing(step.shown, real) == "", (step.command, real)
    finally:
        subprocess.run([own().acns_chaos, "lab", "down"], env=environ, check=False, timeout=30)
    assert not (home / "lab/lab.json").exists()


def missing_commands(page: str, wanted: tuple[str, ...]) -> list[str]:
    """Which of these words stand in no command of a page."""
    typed = "\n".join(step.command for step in steps(page))
    return [one for one in wanted if one not in typed]


def test_the_walk_has_every_step_and_every_command() -> None:
    """The four manifests of the page, in order, and the commands that stand for its tools."""
    manifests = re.findall(
        r"baseline apply -n pets --from docs/workshop/(\S+)",
        "\n".join(one.command for one in steps(WALK)),
    )
    assert manifests == sorted(one.name for one in (ROOT / "docs/workshop").iterdir())
    used = ("lab up", "lab env", "flows", "blame", "explain", "diff", "doctor", "restore")
    words = tuple(f"acns-chaos {one}" for one in (*used, "outcome", "report"))
    assert missing_commands(WALK, (*words, "chaos run --journal-path")) == []
    assert [one.command for one in steps(WALK) if not one.shown] == ['eval "$(acns-chaos lab env)"']


def test_what_is_shown_is_held_against_what_comes() -> None:
    """A line that is not there, one out of order, and one too many after the last are found."""
    real = "one\ntwo\nthree of 5\n"
    assert missing(["one", "two", "three of …"], real) == ""
    assert missing(["…", "three of 5"], real) == ""
    assert missing(["one", "…"], real) == ""
    assert missing(["four"], real) == "four"
    assert missing(["…", "two", "…", "one"], real) == "one"
    assert missing(["one", "three of 5"], real) == "three of 5"
    assert missing(["one", "two"], real) == "(the end, not 'three of 5')"


def test_the_aks_page_works_as_written_on_a_lab(
    start: Callable[..., Lab],
    tmp_path: Path,
) -> None:
    """Roles, opt-in, claims, an experiment, stop, and the end, which leaves nothing of ours."""
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        pytest.skip("kubectl is not installed")
    lab = start("--git-version", "v1.33.5")
    # Which the lab's worlds have, and no cluster has before deploy/ is applied.
    lab.api.delete("/api/v1/namespaces/acns-chaos")
    before = own_names(kubectl, lab)
    policies = lab.policies()
    config = yaml.safe_load(Path(lab.ready["kubeconfig"]).read_text())
    config["contexts"][0]["name"] = config["current-context"] = "my-aks-context"
    (tmp_path / "config").write_text(yaml.safe_dump(config))
    home, root = places(tmp_path, *FOLDERS, "deploy")
    environ = environment(home) | {
        "KUBECONFIG": str(tmp_path / "config"),
        "ACNS_CHAOS_STOREFRONT_URL": lab.ready["env"]["ACNS_CHAOS_STOREFRONT_URL"],
    }
    prometheus = lab.ready["env"]["ACNS_CHAOS_PROMETHEUS_URL"]
    done = subprocess.run(
        ["bash", "-euxc", "\n".join(replaced(step.command, prometheus) for step in steps(AKS))],
        cwd=root,
        env=environ,
        check=False,
        timeout=300,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    held = "HELD: The fault in pets/allow-store-front-traffic bit, was noticed and was put back"
    assert f"{held}, in cluster my-aks-context." in done.stdout
    assert "Nothing to restore: no record stands in namespace pets" in done.stdout
    assert "EQUAL: 4 policies of namespace pets" in done.stdout
    assert own_names(kubectl, lab) == before
    assert lab.policies() == policies


def test_the_aks_page_applies_every_role_and_says_what_was_not_tried() -> None:
    """Each file of deploy/rbac is named, central.yaml first, and none of it is tried on AKS."""
    files = {one.name for one in (ROOT / "deploy/rbac").iterdir()}
    assert [one for one in sorted(files) if f"`{one}`" not in AKS and f"/{one} " not in AKS] == []
    assert re.findall(r"kubectl apply -f deploy/rbac/(\S+)", AKS)[0] == "central.yaml"
    assert "Nothing here was tried on AKS." in AKS
    assert not any("az " in step.command for step in steps(AKS))


def replaced(text: str, prometheus: str) -> str:
    """Commands of the page with what differs here: the address, a scrape every 0.5 s, the day."""
    for shown, here in (
        ("http://127.0.0.1:9090", prometheus),
        ("DROP_WINDOW=60", "DROP_WINDOW=1"),
        ("EVIDENCE_TIMEOUT=120", "EVIDENCE_TIMEOUT=10"),
        # No minute of any day: tests run on Sundays, too.
        ("Sat-Sun 00:00-23:59", "Sat 00:00-00:00"),
    ):
        assert text.count(shown) <= 1
        text = text.replace(shown, here)
    return text


def places(folder: Path, *shipped: str) -> tuple[Path, Path]:
    """An empty home, and a root with the shipped folders, where files may be left."""
    home, root = folder / "home", folder / "root"
    home.mkdir()
    root.mkdir()
    for one in shipped:
        (root / one).symlink_to(ROOT / one)
    return home, root


def own_names(kubectl: str, lab: Lab) -> list[str]:
    """What of ours is in a cluster: roles, bindings, ConfigMaps, CronJobs, the namespace."""
    found: list[str] = []
    for arguments in (
        ("roles,rolebindings,configmaps,cronjobs,leases,serviceaccounts", "--all-namespaces"),
        ("clusterroles,clusterrolebindings,namespaces",),
    ):
        done = run_kubectl(kubectl, lab.ready["kubeconfig"], "get", *arguments, "-o", "name")
        assert done.returncode == 0, done.stderr
        found += [one for one in done.stdout.split() if re.search("acns-chaos|alice", one)]
    return found
