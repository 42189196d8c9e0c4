"""Journeys: the real `chaos` as a subprocess, against a lab that the test can look into."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from acns_chaos.cluster.kube import Api
from acns_chaos.cluster.kubeconfig import kubeconfig_api
from acns_chaos.cluster.policies import Policies, content
from acns_chaos.cluster.waiting import wait_until
from tests.journeys.hosts import ROOT, Host, install_other, other_interpreter, own
from tests.journeys.labs import SPARE, begin_lab, end_lab, ready_lab
from tests.leftovers import own_leftovers

__all__ = ["own_leftovers"]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Try a journey that asks for a host on each engine the machine has."""
    if "host" in metafunc.fixturenames:
        names = [pytest.param("own")]
        if other_interpreter():
            names.append(pytest.param("other", marks=pytest.mark.other_host))
        metafunc.parametrize("host", names, indirect=True)


@pytest.fixture(scope="session")
def other_host() -> Host:
    """The other engine, installed once."""
    try:
        return install_other(other_interpreter())
    except subprocess.CalledProcessError as error:
        pytest.skip(f"Chaos Toolkit for {other_interpreter()} cannot be installed: {error}")


@pytest.fixture
def host(request: pytest.FixtureRequest) -> Host:
    """The engine to run on."""
    return own() if request.param == "own" else request.getfixturevalue("other_host")


@dataclass
class Lab:
    """A running lab.

    Attributes:
        ready: what it said when it was ready.
        home: folder it is registered in, so that `chaos run` joins it.
        api: its API server.
    """

    ready: dict[str, Any]
    home: Path
    api: Api

    def policies(self) -> dict[str, Any]:
        """Return the content of every policy, raw."""
        return {
            f"{one['metadata'].get('namespace', '')}/{one['metadata']['name']}": content(one)
            for one in Policies(self.api).all()
        }


@pytest.fixture
def start(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[..., Lab]]:
    """Start labs on request; end them with the test."""
    started: list[tuple[subprocess.Popen[str], Lab]] = []

    def _start(*arguments: str) -> Lab:
        if arguments:
            home = tmp_path / f"lab-{len(started)}"
            home.mkdir()
            process = begin_lab(home, *arguments)
        else:
            process, home = SPARE.take(request.session)
        ready = ready_lab(process)
        found = Lab(ready, home, kubeconfig_api("", ready["kubeconfig"])[0])
        started.append((process, found))
        return found

    yield _start
    for process, found in started:
        found.api.close()
        end_lab(process)


@pytest.fixture
def lab(start: Callable[..., Lab]) -> Lab:
    """A fresh lab of world `pets`."""
    return start()


@dataclass
class Done:
    """A finished `chaos run`.

    Attributes:
        code: its exit code.
        output: stdout and stderr.
        journal: the journal, None when there is none.
        file: where the journal is.
        seconds: how long it took.
    """

    code: int
    output: str
    journal: dict[str, Any] | None
    file: Path
    seconds: float

    @property
    def section(self) -> dict[str, Any]:
        """Our part of the journal."""
        assert self.journal is not None, self.output
        found = self.journal["acns_chaos"]
        assert isinstance(found, dict)
        return found

    @property
    def outcome(self) -> str:
        """The outcome's name."""
        return str(self.section["outcome"]["name"])


class Chaos:
    """Runs experiments with the real `chaos`."""

    def __init__(self, host: Host, folder: Path, lab_home: Path | None) -> None:
        self.host = host
        self.folder = folder
        self.environ = {**os.environ, "ACNS_CHAOS_CLUSTER": "lab"}
        if lab_home:
            self.environ["ACNS_CHAOS_LAB_HOME"] = str(lab_home)

    def start(
        self, experiment: dict[str, Any] | str, *arguments: str, **environ: str
    ) -> tuple[subprocess.Popen[str], Path, float]:
        """Start a run; keyword arguments are environment variables, "" removes one."""
        if isinstance(experiment, dict):
            file = self.folder / "experiment.json"
            file.write_text(json.dumps(experiment))
        else:
            file = ROOT / experiment
        journal = self.folder / "journal.json"
        merged = {k: v for k, v in {**self.environ, **environ}.items() if v}
        process = subprocess.Popen(
            [
                *(str(self.host.chaos), "--no-version-check", "--no-log-file", "run"),
                *("--journal-path", str(journal), *arguments, str(file)),
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=self.folder,
            env=merged,
        )
        return process, journal, time.monotonic()

    def finish(self, started: tuple[subprocess.Popen[str], Path, float]) -> Done:
        """Wait for a run's end."""
        process, file, began = started
        output, _ = process.communicate(timeout=120)
        journal = json.loads(file.read_text()) if file.exists() else None
        return Done(process.returncode, output, journal, file, time.monotonic() - began)

    def run(self, experiment: dict[str, Any] | str, *arguments: str, **environ: str) -> Done:
        """Run an experiment to its end."""
        return self.finish(self.start(experiment, *arguments, **environ))

    def interrupt(
        self,
        experiment: dict[str, Any] | str,
        when: Callable[[], bool],
        number: signal.Signals,
        *arguments: str,
    ) -> Done:
        """Run an experiment and send it a signal once *when* holds."""
        started = self.start(experiment, *arguments)
        assert wait_until(when, 60), "the moment for the signal never came"
        started[0].send_signal(number)
        return self.finish(started)


@pytest.fixture
def chaos(host: Host, lab: Lab, tmp_path: Path) -> Chaos:
    """`chaos`, on the engine asked for, joined to the test's lab."""
    return Chaos(host, tmp_path, lab.home)


@pytest.fixture
def own_chaos(lab: Lab, tmp_path: Path) -> Chaos:
    """`chaos` on this session's engine, joined to the test's lab."""
    return Chaos(own(), tmp_path, lab.home)


@pytest.fixture
def lonely_chaos(tmp_path: Path) -> Chaos:
    """`chaos` on this session's engine, with no lab running."""
    return Chaos(own(), tmp_path, tmp_path / "no-lab")


@pytest.fixture
def flagship() -> dict[str, Any]:
    """The shipped experiment, to be changed by a test."""
    found = json.loads((ROOT / "experiments/storefront-ingress.json").read_text())
    assert isinstance(found, dict)
    return found


@pytest.fixture
def short(flagship: dict[str, Any]) -> dict[str, Any]:
    """The shipped experiment with a short hypothesis: what is tested is how a run ends."""
    found = deepcopy(flagship)
    hypothesis = found["steady-state-hypothesis"]
    hypothesis["probes"] = [
        probe
        for probe in hypothesis["probes"]
        if probe["name"] in ("customers reach the shop", "policies are as recorded")
    ]
    assert len(hypothesis["probes"]) == 2
    return found
