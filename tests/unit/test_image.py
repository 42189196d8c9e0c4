"""deploy/Dockerfile and what runs its image: held to what a builder's linter would hold them to."""

import os
import re
import subprocess
import sys
import tomllib
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
DOCKERFILE = ROOT / "deploy/Dockerfile"
IGNORED = ROOT / "deploy/Dockerfile.dockerignore"
WORKFLOW = ROOT / "deploy/github/policy-pull-request.yml"
KNOWN = {"ARG", "FROM", "WORKDIR", "COPY", "RUN", "LABEL", "ENV", "USER", "CMD"}
MANIFESTS = sorted((ROOT / "deploy").rglob("*.yaml"))


def instructions(text: str) -> list[tuple[str, str]]:
    """The instructions of a Dockerfile: word and the rest, continued lines joined."""
    plain = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
    lines = plain.replace("\\\n", " ").splitlines()
    found = (line.strip().partition(" ") for line in lines if line.strip())
    return [(word, " ".join(rest.split())) for word, _, rest in found]


def lint(text: str) -> list[str]:
    """What is wrong with a Dockerfile; a few rules, each of which a slip breaks."""
    found = instructions(text)
    said = [f"{word} is not used here" for word, _ in found if word not in KNOWN]
    base = next((rest for word, rest in found if word == "ARG" and rest.startswith("BASE=")), "")
    if not re.fullmatch(r"BASE=[\w./]+:\d+\.\d+\.\d+-[\w-]+(@sha256:[0-9a-f]{64})?", base):
        said.append("the base has no full version")
    froms = [rest.partition(" ")[0] for word, rest in found if word == "FROM"]
    said += [f"{one} is another base" for one in froms if one != "${BASE}"]
    users = [rest for word, rest in found if word == "USER"]
    if not users or not re.fullmatch(r"[1-9]\d*:[1-9]\d*", users[-1]):
        said.append("it ends as root, or as a name")
    last = max((n for n, one in enumerate(found) if one[0] == "FROM"), default=0)
    for number, (word, rest) in enumerate(found):
        if word == "COPY" and "--chown" in rest:
            said.append("files of the image are the user's")
        if word == "RUN":
            if number > last:
                said.append("the last stage runs something")
            if "pip" in rest and not {"--no-cache-dir", "--constraint"} <= set(rest.split()):
                said.append("pip keeps a cache, or takes what is newest")
            said += [f"{one} is run" for one in ("sudo", "curl", "wget", "apt") if one in rest]
        if word in {"ARG", "ENV"} and re.search(r"token|password|secret|_key", rest, re.IGNORECASE):
            said.append("a secret would stay in the image")
    return said


def test_the_image_is_as_a_linter_wants_it() -> None:
    """Pinned base, two stages, nobody's user but a number, nothing fetched beside the lock file."""
    text = DOCKERFILE.read_text()
    assert lint(text) == []
    assert [rest for word, rest in instructions(text) if word == "FROM"] == [
        "${BASE} AS build",
        "${BASE}",
    ]


@pytest.mark.parametrize(
    ("right", "wrong", "told"),
    [
        ("3.12.8-slim", "latest-slim", "the base has no full version"),
        ("USER 65532:65532", "USER root", "it ends as root, or as a name"),
        ("USER 65532:65532\n", "", "it ends as root, or as a name"),
        ("COPY experiments", "ADD experiments", "ADD is not used here"),
        ("--no-cache-dir ", "", "pip keeps a cache, or takes what is newest"),
        ("ARG EXTRAS=\n", "ARG PIP_TOKEN=\n", "a secret would stay in the image"),
        ("WORKDIR /work", "RUN curl x", "the last stage runs something"),
        ("COPY probes", "COPY --chown=65532 probes", "files of the image are the user's"),
    ],
)
def test_the_linter_sees_a_slip(right: str, wrong: str, told: str) -> None:
    """Each rule fails when what it is about is broken."""
    text = DOCKERFILE.read_text()
    assert right in text
    assert told in lint(text.replace(right, wrong))


def test_what_is_copied_is_there_and_reaches_the_builder() -> None:
    """Each source exists and is let through, and nothing else is."""
    lines = [line for line in IGNORED.read_text().splitlines() if line and line[0] != "#"]
    assert lines[0] == "*"
    allowed = {line[1:] for line in lines if line.startswith("!")}
    sources: set[str] = set()
    for word, rest in instructions(DOCKERFILE.read_text()):
        if word == "COPY" and "--from" not in rest:
            sources |= {*rest.split()[:-1]}
    assert sources == allowed
    assert [one for one in sources if not (ROOT / one).exists()] == []
    assert not any(fnmatch("chaostoolkit.log", one) for one in allowed)


def test_the_base_has_the_python_of_the_lock_file() -> None:
    """And one that the package takes; its paths in the image follow from it."""
    text = DOCKERFILE.read_text()
    version = re.search(r"BASE=python:(\d+)\.(\d+)\.", text)
    assert version is not None
    assert f"constraints/py{version[1]}{version[2]}.txt" in text
    assert f"lib/python{version[1]}.{version[2]}/" in text
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert int(version[2]) >= int(project["requires-python"].rpartition(".")[2])
    assert {"lab", "azure"} <= set(project["optional-dependencies"])


def containers() -> list[tuple[str, dict[str, Any], dict[str, Any]]]:
    """Every container of deploy/ with its file and its pod."""
    found = []
    for file in MANIFESTS:
        for one in yaml.safe_load_all(file.read_text()):
            if one.get("kind") != "CronJob" or file.name == "sidecar.yaml":
                continue
            pod = one["spec"]["jobTemplate"]["spec"]["template"]["spec"]
            found += [(file.name, pod, container) for container in pod["containers"]]
    return found


def test_one_image_runs_everything_as_its_own_user() -> None:
    """Of every CronJob: the same image and user, confined in the same way."""
    user = [rest for word, rest in instructions(DOCKERFILE.read_text()) if word == "USER"][-1]
    assert len(containers()) == 4
    for name, pod, container in containers():
        assert container["image"].partition(":")[0] == "acns-chaos", name
        assert str(pod["securityContext"]["runAsUser"]) == user.partition(":")[0], name
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }, name
        assert pod["restartPolicy"] == "Never", name


# ---------------------------------------------------------------------- the example for GitHub


def test_a_pull_request_gets_no_more_than_it_needs() -> None:
    """Actions by commit, read-only permissions, and no text of the request in a shell's line."""
    text = WORKFLOW.read_text()
    workflow = yaml.safe_load(text)
    assert workflow["permissions"] == {"contents": "read"}
    # YAML 1.1 reads the key `on` as true.
    assert set(workflow[True]) == {"pull_request"}
    for job in workflow["jobs"].values():
        assert job["timeout-minutes"] <= 60
        for step in job["steps"]:
            if "uses" in step:
                assert re.fullmatch(r"[\w/-]+@[0-9a-f]{40}", step["uses"]), step["uses"]
            assert "${{" not in step.get("run", ""), step
    used = re.findall(r"uses: \S+@\S+ (#.*)", text)
    assert all(re.fullmatch(r"# v\d+\.\d+\.\d+", one) for one in used)
    assert len(used) == 4
    # Nobody's package of that name: its source, and the versions of the lock file.
    assert "--constraint .acns-chaos/constraints/py312.txt './.acns-chaos[lab]'" in text


def test_the_plan_that_it_runs_is_in_the_lab() -> None:
    """No cluster is named anywhere, and no secret."""
    text = WORKFLOW.read_text()
    assert "ACNS_CHAOS_CLUSTER: lab" in text
    assert "secrets." not in text


POLICIES = """\
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: allow-store-front, namespace: pets}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: deny, namespace: pets}
---
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: of-another, namespace: checkout}
---
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: of-default}
---
apiVersion: cilium.io/v2
kind: CiliumClusterwideNetworkPolicy
metadata: {name: everywhere}
---
apiVersion: kyverno.io/v1
kind: Policy
metadata: {name: labels, namespace: pets}
---
apiVersion: projectcalico.org/v3
kind: NetworkPolicy
metadata: {name: calico, namespace: pets}
---
kind: CiliumNetworkPolicy
---
just a text
"""


def test_a_pull_requests_plan_names_what_a_day_can_make_wrong(tmp_path: Path) -> None:
    """Cilium's and Kubernetes' policies of the plan's namespaces; others would end the job."""
    workflow = yaml.safe_load(WORKFLOW.read_text())
    (step,) = [one for one in workflow["jobs"]["policies"]["steps"] if one.get("id") == "plan"]
    script = re.search(r"<<'PYTHON'\n(.*)\nPYTHON", step["run"], re.DOTALL)
    assert script is not None
    for folder in ("policies", "gamedays"):
        (tmp_path / folder).mkdir()
    (tmp_path / "policies/some.yaml").write_text(POLICIES)
    (tmp_path / "policies/notes.txt").write_text("kind: NetworkPolicy")
    (tmp_path / "changed").write_text("policies/some.yaml\0policies/notes.txt\0")
    plan = {"target": {"cluster": "lab", "namespaces": ["pets"]}}
    (tmp_path / "gamedays/pull-request.yaml").write_text(yaml.safe_dump(plan))
    done = subprocess.run(
        [sys.executable, "-c", script[1]],
        cwd=tmp_path,
        env={**os.environ, "GITHUB_OUTPUT": str(tmp_path / "output")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    made = yaml.safe_load((tmp_path / "gamedays/affected.yaml").read_text())
    assert made["mutants"] == {"policies": ["pets/allow-store-front", "pets/deny"]}
    assert (tmp_path / "output").read_text() == "any=yes\n"


# ---------------------------------------------------------------------- days in object storage


def rclone(tmp_path: Path, container: str, cut: str = "") -> list[str]:
    """What a container of the overlay asks of rclone, whose `mkdir` fails, `/days` being here.

    Args:
        tmp_path: holds the days.
        container: "fetch" or "send".
        cut: where its script is broken off, to end as it does when it is told to.
    """
    sidecar = yaml.safe_load((ROOT / "deploy/gameday-object-storage/sidecar.yaml").read_text())
    pod = sidecar["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    (one,) = [each for each in pod["initContainers"] if each["name"] == container]
    assert one["command"] == ["sh", "-c"]
    (script,) = one["args"]
    script = script.replace("/days/", f"{tmp_path}/")
    if cut:
        assert "trap 'send; keep; exit' TERM" in script
        script = script.partition(cut)[0] + "send; keep"
    stub = 'rclone() { shift 2; echo "$@"; test "$1" != mkdir; }\n'
    done = subprocess.run(["sh", "-c", stub + script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


HISTORY = "--include history.sqlite --include history.sqlite-wal"


def test_the_first_day_fetches_from_a_bucket_that_is_not_there(tmp_path: Path) -> None:
    """It is made; whoever may not make one copies from the one that is there."""
    assert rclone(tmp_path, "fetch") == [
        "mkdir store:gamedays",
        f"copy {HISTORY} store:gamedays /days",
    ]


def test_a_history_is_sent_with_what_belongs_to_it(tmp_path: Path) -> None:
    """An older day's remains go; a pod that has no history leaves the one in the bucket alone."""
    days = "copy --exclude history.sqlite* /days store:gamedays"
    assert rclone(tmp_path, "send", "# The history only") == [days]
    (tmp_path / "history.sqlite").touch()
    kept = f"sync --delete-before {HISTORY} /days store:gamedays"
    assert rclone(tmp_path, "send", "# The history only") == [days, kept]
