"""The README says what the code does: its commands run, its JSON runs, its output is real."""

import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from acns_chaos import __version__
from acns_chaos.evidence.outcome import Outcome
from tests.journeys.hosts import ROOT, own
from tests.journeys.labs import start_lab

# Where the tests let `make demo` write: not over what the developer's own run left.
OUT = Path(tempfile.gettempdir()) / f"acns-chaos-readme-{os.getpid()}"
README = (ROOT / "README.md").read_text("utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def blocks(language: str) -> list[str]:
    """Return the fenced blocks of a language."""
    return [text for kind, text in BLOCKS if kind == language]


def commands() -> list[str]:
    """Return every shell line, without its comment."""
    return [
        line.split("   #")[0].strip()
        for block in blocks("sh")
        for line in block.splitlines()
        if line.strip()
    ]


@pytest.fixture(scope="module")
def demo(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator["subprocess.CompletedProcess[str]"]:
    """Run what `make demo` runs, in this environment: the README's first command."""
    done = make("demo", tmp_path_factory.mktemp("lab"), f"OUT={OUT}")
    yield done
    shutil.rmtree(OUT)


def make(target: str, lab_home: Path, *settings: str) -> "subprocess.CompletedProcess[str]":
    """Run a make target with the environment that the tests run in as its .venv."""
    environ = {name: value for name, value in os.environ.items() if name != "MAKEFLAGS"}
    # Newer than pyproject.toml, or make would install anew beneath the tests that run meanwhile.
    installed = lab_home / "installed"
    installed.touch()
    return subprocess.run(
        ["make", f"BIN={own().python.parent}", f"READY={installed}", *settings, target],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env={**environ, "ACNS_CHAOS_LAB_HOME": str(lab_home)},
    )


def test_the_readme_holds_only_commands_that_are_tested() -> None:
    """A command nobody runs must not stand in the README."""
    assert commands() == [
        "make demo",
        "export ACNS_CHAOS_CLUSTER=my-aks-context",
        "export ACNS_CHAOS_PROMETHEUS_URL=http://127.0.0.1:9090",
        ".venv/bin/acns-chaos doctor",
        ".venv/bin/chaos run probes/storefront-reachable.json",
        ".venv/bin/acns-chaos outcome out/journal.json",
        ".venv/bin/acns-chaos report out/journal.json -o out/report.html",
        (
            ".venv/bin/acns-chaos explain --policies tests/data/workshop/acns-network-policy.yaml "
            "-n pets --from world --to pets/store-front --port 8080"
        ),
        "make lab",
        ".venv/bin/acns-chaos lab up",
        'eval "$(.venv/bin/acns-chaos lab env)"',
        (".venv/bin/acns-chaos lab inject 503 --verb update --resource cnp --no-dry-run --count 1"),
        ".venv/bin/acns-chaos lab status",
        ".venv/bin/acns-chaos lab down",
    ]


def test_the_first_command_prints_what_the_readme_shows(
    demo: "subprocess.CompletedProcess[str]",
) -> None:
    """Each line shown, but for ports and times, stands in the real output, in that order."""
    assert demo.returncode == 0, demo.stdout + demo.stderr
    real = [plain(line) for line in (demo.stdout + demo.stderr).splitlines()]
    (shown,) = blocks("text")
    position = 0
    for line in (one for one in shown.splitlines() if one.strip() not in ("", "…")):
        assert line in real[position:], f"{line!r} not after {real[position - 1]!r} in {real}"
        position = real.index(line, position) + 1
    assert "in the lab: no cluster was touched" in demo.stdout


def plain(line: str) -> str:
    """Take away colours, moments, ports and figures that differ from run to run."""
    line = re.sub(r"\x1b\[\d+m", "", line)
    line = re.sub(r"^\[[^]]*(INFO|WARNING|ERROR)\] ", "", line)
    line = re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1:PORT", line)
    line = re.sub(r"(?<=after )\d[\d.]* (ms|s)\b", "N ms", line)
    line = re.sub(r"± [\d.]+", "± N", line)
    line = re.sub(r"\b\d+ ms", "N ms", line)
    return re.sub(r"\b\d+ counted", "N counted", line)


def test_the_first_command_leaves_a_journal(demo: "subprocess.CompletedProcess[str]") -> None:
    """The journal named in the README is there and says HELD."""
    assert demo.returncode == 0
    journal = json.loads((OUT / "journal.json").read_text())
    assert journal["acns_chaos"]["outcome"]["name"] == "HELD"


def test_outcome_and_report_run_as_shown(demo: "subprocess.CompletedProcess[str]") -> None:
    """The two commands after a run work as written."""
    assert demo.returncode == 0
    for line in commands():
        if "acns-chaos" in line and "export" not in line and "chaos lab" not in line:
            words = line.replace("out/", f"{OUT}/").split()
            words[0] = str(own().acns_chaos)
            done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
            assert done.returncode == 0, (line, done.stderr)
    report = (OUT / "report.html").read_text("utf-8")
    assert "<title>LAB (simulated) · HELD · Do we notice" in report


def test_the_experiment_in_the_readme_holds(tmp_path: Path) -> None:
    """The JSON block is a whole experiment: it validates, runs in the lab and ends HELD."""
    (text,) = blocks("json")
    file = tmp_path / "experiment.json"
    file.write_text(text)
    done = subprocess.run(
        [str(own().chaos), "--no-version-check", "--no-log-file", "run", str(file)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env={**os.environ, "ACNS_CHAOS_CLUSTER": "lab", "ACNS_CHAOS_LAB_HOME": str(tmp_path)},
    )
    journal = json.loads((tmp_path / "journal.json").read_text())
    assert done.returncode == 0, (done.stderr, journal["acns_chaos"]["outcome"])


def test_on_your_own_cluster_works_as_written(tmp_path: Path) -> None:
    """The lines under "On your own cluster" run against a context of that name."""
    lab, ready = start_lab(tmp_path, "--git-version", "v1.34.1")
    try:
        config = yaml.safe_load(Path(ready["kubeconfig"]).read_text())
        config["contexts"][0]["name"] = config["current-context"] = "my-aks-context"
        (tmp_path / "config").write_text(yaml.safe_dump(config))
        block = next(one for one in blocks("sh") if "my-aks-context" in one)
        programs = block.replace(".venv/bin/chaos", str(own().chaos))
        programs = programs.replace(".venv/bin/acns-chaos", str(own().acns_chaos))
        script = programs.replace(
            "http://127.0.0.1:9090", ready["env"]["ACNS_CHAOS_PROMETHEUS_URL"]
        )
        done = subprocess.run(
            # Not -e: doctor's exit code says that nobody has opted in there yet.
            ["bash", "-uc", script],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
            env={
                **os.environ,
                "KUBECONFIG": str(tmp_path / "config"),
                "ACNS_CHAOS_STOREFRONT_URL": ready["env"]["ACNS_CHAOS_STOREFRONT_URL"],
            },
        )
        assert done.returncode == 0, done.stderr
        assert "Target: cluster my-aks-context" in done.stderr
        assert "my-aks-context" in done.stdout
        assert "acns-chaos-allowed" in done.stdout
    finally:
        assert lab.stdin is not None
        lab.stdin.close()
        lab.wait()
        assert lab.stdout is not None
        lab.stdout.close()


def test_every_make_target_is_documented() -> None:
    """`make` alone lists demo, test, unit, check, fix, bench, sync and lab."""
    listed = subprocess.run(
        ["make"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split("\n")
    names = {line.split()[0] for line in listed if line.strip()}
    assert {"demo", "test", "unit", "check", "fix", "bench", "sync", "lab"} <= names


def test_the_outcomes_in_the_readme_are_the_real_ones() -> None:
    """Names and exit codes of the table equal the code's."""
    rows = re.findall(r"^\| ([A-Z_]+) \| (\d) \|", README, re.MULTILINE)
    assert [(name, int(code)) for name, code in rows] == [(one.name, one.code) for one in Outcome]


def test_the_readme_fits_the_lab_command(tmp_path: Path) -> None:
    """`make lab` stays in the foreground and says how to point kubectl at it."""
    process = subprocess.Popen(
        [str(own().acns_chaos), "lab"],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "ACNS_CHAOS_LAB_HOME": str(tmp_path)},
    )
    assert process.stdout is not None
    first = process.stdout.readline()
    rest = "".join(process.stdout.readline() for _ in range(6))
    process.terminate()
    assert process.wait(20) == 0
    process.stdout.close()
    assert first.startswith("Lab of world pets at https://127.0.0.1:")
    assert "export KUBECONFIG=" in rest
    assert not (tmp_path / "lab.json").exists()


def test_the_lab_that_stays_works_as_written(tmp_path: Path) -> None:
    """The lines under "The lab" run in one shell; the order shows, and nothing is left."""
    block = next(one for one in blocks("sh") if "lab up" in one)
    done = subprocess.run(
        ["bash", "-euc", block.replace(".venv/bin/acns-chaos", str(own().acns_chaos))],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={**os.environ, "ACNS_CHAOS_LAB_HOME": str(tmp_path)},
    )
    assert done.returncode == 0, done.stderr
    assert "1  503 verbs=update resource=ciliumnetworkpolicies" in done.stdout
    assert done.stdout.endswith("has ended.\n")
    assert list(tmp_path.iterdir()) == []


def test_the_version_has_a_changelog() -> None:
    """The newest heading of the changelog is the version, or Unreleased."""
    headings = re.findall(r"^## \[(.+?)\]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert headings[0] in ("Unreleased", __version__)


def test_the_cron_job_runs_a_shipped_experiment_safely() -> None:
    """The manifest names a file that exists, retries nothing and writes its cluster out."""
    documents = list(yaml.safe_load_all((ROOT / "deploy/cronjob.yaml").read_text()))
    (job,) = [one for one in documents if one["kind"] == "CronJob"]
    spec = job["spec"]["jobTemplate"]["spec"]
    pod = spec["template"]["spec"]
    (container,) = pod["containers"]
    environ = {one["name"]: one["value"] for one in container["env"]}
    assert spec["backoffLimit"] == 0
    assert pod["restartPolicy"] == "Never"
    assert job["spec"]["concurrencyPolicy"] == "Forbid"
    assert environ["ACNS_CHAOS_CLUSTER"] == "in-cluster"
    assert (ROOT / container["args"][-1]).is_file()
    # An account that lives where people may edit could be used by them.
    assert {
        one["metadata"]["namespace"] for one in documents if one["kind"] == "ServiceAccount"
    } == {"acns-chaos"}


def test_every_variable_stands_in_one_table() -> None:
    """What the shipped files and the package read from the environment, and nothing else."""
    table = README.partition("### Variables")[2].partition("\n## ")[0]
    first = "ACNS_CHAOS_PROMETHEUS"
    told = set(re.findall(r"`(ACNS_CHAOS_[A-Z_]+)`", table))
    told |= {f"{first}{end}" for end in re.findall(r"`(_[A-Z_]+)`", table)}
    read: set[str] = set()
    for pattern in ("acns_chaos/**/*.py", "experiments/*.json", "probes/*.json"):
        # What the lab hands over is for whoever looks at it.
        for file in (one for one in ROOT.glob(pattern) if "lab" not in one.parts):
            read |= set(re.findall(r"[\"'](ACNS_CHAOS_[A-Z_]+)[\"']", file.read_text("utf-8")))
    assert told == read
