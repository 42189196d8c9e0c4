"""`acns-chaos check`: each trap of the host is found, and what is right is left alone."""

import json
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from acns_chaos.cli import main
from acns_chaos.cli.check import findings

ROOT = Path(__file__).resolve().parents[2]
Document = dict[str, Any]
IS_MET = {
    "type": "probe",
    "name": "as expected",
    "provider": {
        "type": "python",
        "module": "acns_chaos.tolerances",
        "func": "is_met",
        "arguments": {},
    },
}


def ours(kind: str, name: str, function: str, **arguments: Any) -> Document:
    """An activity of this package."""
    module = "acns_chaos.actions" if kind == "action" else "acns_chaos.probes"
    provider = {"type": "python", "module": module, "func": function, "arguments": arguments}
    return {"type": kind, "name": name, "provider": provider}


def claim(name: str, function: str, **arguments: Any) -> Document:
    """A probe of the hypothesis."""
    return {**ours("probe", name, function, **arguments), "tolerance": deepcopy(IS_MET)}


def control(name: str) -> Document:
    """One of our controls."""
    module = f"acns_chaos.controls.{name}"
    return {"name": name, "provider": {"type": "python", "module": module}}


@pytest.fixture
def good() -> Document:
    """A small experiment with nothing to mend."""
    return {
        "title": "Do we notice?",
        "description": "One fault.",
        "configuration": {"patience": {"type": "env", "key": "PATIENCE", "default": 2}},
        "extensions": [
            {"name": "acns-chaos", "witnesses": ["cut off", "drops"], "detectors": ["nodes"]}
        ],
        "controls": [control("guard"), control("lab")],
        "runtime": {"rollbacks": {"strategy": "always"}},
        "steady-state-hypothesis": {
            "title": "All is well",
            "probes": [
                claim("reached", "read_storefront", expect="OPEN", timeout="${patience}"),
                claim(
                    *("strangers denied", "read_connection"),
                    workload="store-front",
                    service="rabbitmq",
                    port=5672,
                    expect="DENIED",
                ),
                claim("as recorded", "policies_are_as_recorded"),
            ],
        },
        "method": [
            ours("action", "break", "inject_fault", policy="p", operator="o", limit=["pets/a"]),
            ours("probe", "cut off", "read_storefront", expect="DENIED"),
            ours("probe", "drops", "count_drops", since="fault", at_least=1),
            ours("probe", "nodes", "count_drops", counter="node", since="fault", at_least=3),
            ours("action", "put back", "restore_policies"),
        ],
        "rollbacks": [ours("action", "put back, if it is not", "restore_policies")],
    }


def test_a_sound_experiment_has_no_findings(good: Document) -> None:
    """Nothing is said where nothing is wrong."""
    assert findings(good) == []


def _drop(*path: Any) -> Callable[[Document], None]:
    def change(document: Document) -> None:
        for key in path[:-1]:
            document = document[key]
        del document[path[-1]]

    return change


def _set(*path: Any) -> Callable[[Document], None]:
    """Put the last of *path* at the place that the others name."""

    def change(document: Document) -> None:
        for key in path[:-2]:
            document = document[key]
        document[path[-2]] = path[-1]

    return change


RESTART = ours("action", "restart", "restart_pods", workload="a")


def _add(where: str, activity: Document) -> Callable[[Document], None]:
    return lambda document: document[where].append(activity)


PROBES = ("steady-state-hypothesis", "probes")
PROCESS = {"type": "process", "path": "kubectl", "arguments": "delete cnp x"}
HTTP = {"type": "http", "url": "http://example.com", "method": "POST"}
CHAOSK8S = {"type": "python", "module": "chaosk8s.crd.actions", "func": "delete_custom_object"}
RANGE = {"type": "range", "range": [0, 1], "target": "count"}
OTHERS = {"type": "probe", "name": "t", "provider": {"type": "python", "module": "json"}}

TRAPS: list[tuple[str, Callable[[Document], None]]] = [
    ("key-missing", _drop("description")),
    ("key-unknown", _set("hypothesis", {})),
    ("title-no-question", _set("title", "A test")),
    ("rollbacks-not-always", _drop("runtime")),
    ("rollbacks-not-always", _set("runtime", {"hypothesis": {"strategy": "default"}})),
    ("rollbacks-not-always", _set("runtime", "rollbacks", "strategy", "deviated")),
    ("hypothesis-continuous", _set("runtime", "hypothesis", {"strategy": "continuously"})),
    ("hypothesis-strategy", _set("runtime", "hypothesis", {"strategy": "sometimes"})),
    ("hypothesis-once", _set("runtime", "hypothesis", {"strategy": "after-method-only"})),
    ("runtime-unknown", _set("runtime", "rollback", {"strategy": "always"})),
    ("guard-missing", _drop("controls", 0)),
    ("guard-after-lab", lambda document: document["controls"].reverse()),
    ("guard-limited", _set("controls", 0, "scope", "after")),
    ("control-missing", _set("controls", 1, "provider", "module", "no.such_module")),
    ("control-too-far-in", _set("method", 0, "controls", [control("guard")])),
    (
        "safeguards-do-not-gate",
        _set("controls", 1, "provider", "module", "chaosaddons.controls.safeguards"),
    ),
    ("configuration-asks", _set("configuration", "patience", {"type": "probe", "name": "x"})),
    ("no-default", _set("configuration", "patience", {"type": "env", "key": "PATIENCE"})),
    ("secret-literal", _set("secrets", {"mine": {"word": "hush"}})),
    ("secret-in-configuration", _set("configuration", "api_token", "hush")),
    ("name-undeclared", _set("method", 1, "provider", "arguments", "timeout", "${patiense}")),
    ("configuration-unused", _set("configuration", "more", 1)),
    ("restart-elsewhere", _add("rollbacks", RESTART)),
    ("restart-not-awaited", _add("method", RESTART)),
    ("activity-type", _set("method", 1, "type", "porbe")),
    ("activity-name", _set("method", 1, "name", "")),
    ("provider-missing", _drop("method", 1, "provider")),
    ("name-twice", _set("method", 2, "name", "reached")),
    ("bypasses-target", _add("method", {"type": "action", "name": "k", "provider": PROCESS})),
    ("bypasses-target", _add("method", {"type": "probe", "name": "k", "provider": PROCESS})),
    ("bypasses-target", _add("method", {"type": "action", "name": "k", "provider": CHAOSK8S})),
    ("bypasses-target", _add("method", {"type": "action", "name": "k", "provider": HTTP})),
    ("function-missing", _set("method", 1, "provider", "func", "read_store")),
    ("argument-unknown", _set("method", 1, "provider", "arguments", "expects", "OPEN")),
    ("argument-missing", _drop(*PROBES, 1, "provider", "arguments", "port")),
    ("tolerance-missing", _drop(*PROBES, 0, "tolerance")),
    ("tolerance-ignored", _set("method", 1, "tolerance", True)),
    ("tolerance-raises", _set(*PROBES, 0, "tolerance", RANGE)),
    ("tolerance-raises", _set(*PROBES, 0, "tolerance", 1.0)),
    ("tolerance-raises", _set(*PROBES, 0, "tolerance", True)),
    ("tolerance-raises", _drop(*PROBES, 0, "tolerance", "provider", "arguments")),
    ("tolerance-raises", _set(*PROBES, 0, "tolerance", OTHERS)),
    ("function-missing", _set(*PROBES, 0, "tolerance", "provider", "func", "is_mett")),
    ("pauses", _set("method", 1, "pauses", {"after": 5})),
    ("background", _set("method", 1, "background", True)),
    ("dry-ignored", _set("method", 1, "dry", True)),
    ("timeout-ignored", _set("method", 1, "provider", "timeout", 5)),
    ("address", _set("method", 1, "provider", "arguments", "path", "http://10.1.2.3/")),
    ("no-rollback", _set("rollbacks", [])),
    ("not-restored-in-method", _drop("method", 4)),
    ("inject-elsewhere", _add("rollbacks", ours("action", "again", "inject_fault", limit=["a"]))),
    ("no-limit", _drop("method", 0, "provider", "arguments", "limit")),
    ("no-open-claim", _drop(*PROBES, 0)),
    ("no-closed-claim", _drop(*PROBES, 1)),
    ("policies-not-compared", _drop(*PROBES, 2)),
    ("roles-missing", _drop("extensions")),
    ("role-unknown", _set("extensions", 0, "detectors", ["nobody"])),
    ("one-witness", _set("extensions", 0, "witnesses", ["drops"])),
    ("no-detector", _set("extensions", 0, "detectors", [])),
]


@pytest.mark.parametrize(
    ("rule", "change"), TRAPS, ids=[f"{n}-{rule}" for n, (rule, _) in enumerate(TRAPS)]
)
def test_each_trap_is_found(good: Document, rule: str, change: Callable[[Document], None]) -> None:
    """By its name, with a place, a reason and what to write instead."""
    change(good)
    found = [one for one in findings(good) if one.rule == rule]
    assert found
    for one in found:
        assert one.sentence.endswith(".")
        assert one.mend.endswith((".", "?", "”."))
        assert one.where


def test_a_restart_that_is_waited_for_is_sound(good: Document) -> None:
    """The last activity of the method waits until the pods are Ready."""
    ready = ours("probe", "ready", "read_readiness", workload="a", deadline=30)
    good["method"] += [RESTART, ready]
    assert findings(good) == []


def test_secrets_beside_a_probe_in_the_configuration(good: Document) -> None:
    """The host would write the resolved secrets into the journal."""
    good["secrets"] = {"mine": {"word": {"type": "env", "key": "WORD"}}}
    assert findings(good) == []
    good["configuration"]["patience"] = {"type": "probe", "name": "x"}
    assert "secrets-beside-dynamic" in {one.rule for one in findings(good)}


def test_a_variable_that_sets_nothing_is_found(good: Document) -> None:
    """The host says nothing about a name that the experiment does not declare."""
    assert findings(good, ["patience"]) == []
    (found,) = findings(good, ["patiense"])
    assert found.rule == "var-unknown"
    assert "patience" in found.mend


def test_what_only_looks_is_not_asked_for_rollbacks() -> None:
    """A claim changes nothing."""
    for path in (ROOT / "probes").glob("*.json"):
        assert findings(json.loads(path.read_text())) == []


@pytest.mark.parametrize("value", [[], "text", None, 3, {"probes": 3}, {"probes": [3, None]}])
@pytest.mark.parametrize(
    "key",
    [
        *("configuration", "controls", "extensions", "method", "rollbacks", "runtime", "secrets"),
        *("steady-state-hypothesis", "title", "tags"),
    ],
)
def test_nonsense_never_raises(good: Document, key: str, value: Any) -> None:
    """Whatever stands where something else belongs."""
    good[key] = value
    findings(good)


def test_the_command_says_what_and_where(good: Document, tmp_path: Path) -> None:
    """One line a finding; exit code 1 for errors, 0 for warnings unless they are to count."""
    run = CliRunner().invoke
    file = tmp_path / "x.json"
    file.write_text(json.dumps(good))
    sound = run(main, ["check", str(file)])
    assert (sound.exit_code, sound.output) == (0, f"{file}: nothing to mend\n")
    good["title"] = "A test"
    file.write_text(json.dumps(good))
    assert run(main, ["check", str(file)]).exit_code == 0
    assert run(main, ["check", "--strict", str(file)]).exit_code == 1
    good["rollbacks"] = []
    file.write_text(json.dumps(good))
    told = run(main, ["check", str(file)])
    assert told.exit_code == 1
    assert (
        f"{file}: rollbacks: error: A fault is injected and no rollback restores it" in told.output
    )
    listed = json.loads(run(main, ["check", "--json", str(file)]).output)
    assert {one["rule"] for one in listed[str(file)]} == {"title-no-question", "no-rollback"}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[1]", "holds no experiment"),
        ("{", "neither JSON nor YAML"),
        ("[" * 100_000, "neither JSON nor YAML"),
        (None, "cannot be read"),
    ],
)
def test_a_file_that_is_no_experiment_is_one_sentence(
    tmp_path: Path, text: str | None, told: str
) -> None:
    """Exit code 2, no traceback."""
    file = tmp_path / "x.json"
    if text is not None:
        file.write_text(text)
    done = CliRunner().invoke(main, ["check", str(file)])
    assert done.exit_code == 2
    assert told in done.output
    assert "Traceback" not in done.output


def test_yaml_is_read_as_the_host_reads_it(tmp_path: Path) -> None:
    """By the file's ending."""
    file = tmp_path / "x.yaml"
    file.write_text("title: Is it?\ndescription: d\nmethod: []\n")
    done = CliRunner().invoke(main, ["check", str(file)])
    assert done.exit_code == 1
    assert "asks-nothing" in done.output
