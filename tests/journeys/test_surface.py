"""What Chaos Toolkit sees of this package."""

import ast
import importlib
import inspect
import json
import pkgutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import acns_chaos.actions
import acns_chaos.controls
import acns_chaos.probes
import acns_chaos.tolerances
from acns_chaos.cli.check import findings
from tests.journeys.hosts import ROOT, Host

pytestmark = pytest.mark.journey

SHIPPED = sorted([*(ROOT / "experiments").glob("*.json"), *(ROOT / "probes").glob("*.json")])


def chaos(host: Host, folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run the real `chaos`."""
    return subprocess.run(
        [str(host.chaos), "--no-version-check", "--no-log-file", *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        timeout=60,
    )


def controls() -> list[ModuleType]:
    """The modules of `acns_chaos.controls` that the host finds hooks in."""
    package = acns_chaos.controls
    modules = [
        importlib.import_module(f"{package.__name__}.{found.name}")
        for found in pkgutil.iter_modules(package.__path__)
    ]
    return [one for one in modules if "cleanup_control" in getattr(one, "__all__", ())]


def test_discover_lists_everything_with_its_types(host: Host, tmp_path: Path) -> None:
    """Every exported function appears, and no argument is of type "object"."""
    done = chaos(host, tmp_path, "discover", "--no-install", "acns-chaos")
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "discovery.json").read_text())["activities"]

    names = {(one["type"], one["mod"], one["name"]) for one in found}
    expected = {
        (kind, module.__name__, name)
        for kind, module in (
            ("action", acns_chaos.actions),
            ("probe", acns_chaos.probes),
            ("tolerance", acns_chaos.tolerances),
            *(("control", module) for module in controls()),
        )
        for name in module.__all__
    }
    assert names == expected
    assert len(expected) == 3 + 15 + 3 + (7 + 2 + 4 + 3 + 5)
    for one in found:
        if one["type"] == "control":
            continue
        for argument in one["arguments"]:
            assert argument["type"] in ("string", "integer", "number", "boolean", "list", "mapping")
        assert one["doc"].strip().endswith((".", '"', "`", "`."))


def test_the_types_of_inject_fault_are_right(host: Host, tmp_path: Path) -> None:
    """A spelled-out example: each argument of the flagship's action."""
    chaos(host, tmp_path, "discover", "--no-install", "acns-chaos")
    found = json.loads((tmp_path / "discovery.json").read_text())["activities"]
    (action,) = [one for one in found if one["name"] == "inject_fault"]
    assert {one["name"]: one["type"] for one in action["arguments"]} == {
        "policy": "string",
        "operator": "string",
        "policy_file": "string",
        "document": "mapping",
        "namespace": "string",
        "kind": "string",
        "limit": "list",
        "timeout": "number",
        "max_flows": "integer",
        "create": "boolean",
        "ignored": "boolean",
        "gitops": "string",
        "witness": "string",
    }


def test_every_shipped_file_is_valid(host: Host, tmp_path: Path) -> None:
    """`chaos validate` accepts each experiment and each claim."""
    assert len(SHIPPED) > 20
    for file in SHIPPED:
        done = chaos(host, tmp_path, "validate", str(file))
        assert done.returncode == 0, (file.name, done.stdout, done.stderr)


@pytest.mark.parametrize("file", SHIPPED, ids=lambda file: file.name)
def test_every_shipped_file_keeps_the_rules(file: Path) -> None:
    """Nothing that `acns-chaos check` knows of stands in it, not even a warning."""
    assert findings(json.loads(file.read_text())) == []


def test_activities_take_only_arguments_the_host_can_pass() -> None:
    """A keyword-only argument is missing from `chaos discover`."""
    for module in (acns_chaos.actions, acns_chaos.probes, acns_chaos.tolerances):
        for name in module.__all__:
            for parameter in inspect.signature(getattr(module, name)).parameters.values():
                assert parameter.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD, (name, parameter)


def test_activity_modules_import_no_heavy_client() -> None:
    """Importing an activity loads no Kubernetes, requests or Prometheus client."""
    code = (
        "import sys, chaoslib; before = set(sys.modules)\n"
        "import acns_chaos.actions, acns_chaos.probes, acns_chaos.controls.guard\n"
        "print(sorted({name.split('.')[0] for name in set(sys.modules) - before}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(ast.literal_eval(done.stdout))
    assert not loaded & {"kubernetes", "chaosk8s", "prometheus_api_client", "aiohttp"}
