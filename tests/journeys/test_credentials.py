"""Credentials that a plugin hands out: the run, its watchdog and what comes after a kill."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from acns_chaos.cluster.waiting import wait_until
from tests.journeys.conftest import Chaos, Lab
from tests.journeys.minimal import broken, experiment, inject, nothing_is_left, read, restore
from tests.tiers import loop

pytestmark = [pytest.mark.journey, pytest.mark.slow]

PLUGIN = """#!{python}
import json, os, sys, time
with open({calls!r}, "a") as calls:
    calls.write(f"{{os.getppid()}} {{sys.stdin.read() == ''}}\\n")
moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + {seconds}))
status = {{**{status!r}, "expirationTimestamp": moment}}
spec = {{"apiVersion": {version!r}, "kind": "ExecCredential", "status": status}}
print(json.dumps(spec))
"""
VERSION = "client.authentication.k8s.io/v1"


class Plugged:
    """A kubeconfig whose user is a program, and who called it.

    Args:
        lab: whose credentials the program hands out.
        folder: for the files.
        seconds: until what it hands out is said to expire.
    """

    def __init__(self, lab: Lab, folder: Path, seconds: int) -> None:
        config: dict[str, Any] = yaml.safe_load(Path(lab.ready["kubeconfig"]).read_text())
        user = config["users"][0]["user"]
        assert set(user) == {"token"}, user
        self.secret = str(user["token"])
        self._calls = folder / "calls"
        plugin = folder / "plugin"
        status = {"token": self.secret}
        plugin.write_text(
            PLUGIN.format(
                python=sys.executable,
                calls=str(self._calls),
                seconds=seconds,
                status=status,
                version=VERSION,
            )
        )
        plugin.chmod(0o700)
        config["users"][0]["user"] = {
            "exec": {
                "apiVersion": VERSION,
                "command": str(plugin),
                "interactiveMode": "Never",
                "provideClusterInfo": False,
            }
        }
        file = folder / "plugged.kubeconfig"
        file.write_text(yaml.safe_dump(config))
        self.environ = {"ACNS_CHAOS_CLUSTER": lab.ready["context"], "KUBECONFIG": str(file)}

    def callers(self) -> list[str]:
        """Each call: the process that made it, and whether its standard input was empty."""
        return self._calls.read_text().splitlines()


# The client renews a token five minutes before it expires: 60 s means with every request.
@pytest.mark.parametrize("seconds", loop([60, 3600]))
def test_a_run_and_its_watchdog_use_the_plugin(own_chaos: Chaos, lab: Lab, seconds: int) -> None:
    """Both ask it, neither lends it its standard input, and no secret is told."""
    before = lab.policies()
    plugged = Plugged(lab, own_chaos.folder, seconds)
    done = own_chaos.run(experiment(inject(), restore()), **plugged.environ)
    assert [one["restored"]["by"] for one in done.section["faults"]] == ["method"], done.output
    callers = {line.split()[0] for line in plugged.callers()}
    assert len(callers) == 2, plugged.callers()
    assert {line.split()[1] for line in plugged.callers()} == {"True"}
    assert plugged.secret not in done.output
    assert plugged.secret not in json.dumps(done.journal)
    nothing_is_left(lab, before)


@pytest.mark.parametrize("seconds", loop([60, 3600]))
def test_the_watchdog_restores_with_the_plugin_after_a_kill(
    own_chaos: Chaos, lab: Lab, seconds: int
) -> None:
    """Also when what it was handed has to be renewed by then."""
    before = lab.policies()
    plugged = Plugged(lab, own_chaos.folder, seconds)
    pause = {**read("r", "policies_are_as_recorded"), "pauses": {"after": 20}}
    started = own_chaos.start(experiment(inject(), pause), **plugged.environ)
    assert wait_until(lambda: broken(lab), 60, interval=0.01)
    started[0].kill()
    own_chaos.finish(started)
    assert wait_until(lambda: not broken(lab), 5, interval=0.01)
    nothing_is_left(lab, before)


def test_a_plugin_that_fails_is_one_sentence(own_chaos: Chaos, lab: Lab) -> None:
    """Nothing is changed, and what it printed is not repeated."""
    before = lab.policies()
    plugged = Plugged(lab, own_chaos.folder, 3600)
    (own_chaos.folder / "plugin").write_text(f"#!/bin/sh\necho {plugged.secret} >&2\nexit 3\n")
    done = own_chaos.run(experiment(inject(), restore()), **plugged.environ)
    assert done.code == 1
    assert "Traceback" not in done.output, done.output
    assert done.section["faults"] == []
    sentence = done.section["outcome"]["sentence"]
    assert "The credential plugin '" in sentence, sentence
    assert "handed out no credentials" in sentence
    assert plugged.secret not in json.dumps(done.journal)
    nothing_is_left(lab, before)
