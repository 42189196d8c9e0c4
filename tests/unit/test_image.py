"""deploy/Dockerfile and what runs its image: held to what a builder's linter would hold them to."""

import re
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
    assert len(used) == 3


def test_the_plan_that_it_runs_is_in_the_lab() -> None:
    """No cluster is named anywhere, and no secret."""
    text = WORKFLOW.read_text()
    assert "ACNS_CHAOS_CLUSTER: lab" in text
    assert "secrets." not in text
