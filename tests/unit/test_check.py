"""`acns-chaos check`: each trap of the host is found, and what is right is left alone."""

import json
import time
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
    ("one-witness", _set("extensions", 0, "witnesses", [{"name": "drops"}])),
    # What the host ignores or crashes on and a reader does not see.
    ("key-unknown", _set("dry", "activities")),
    ("key-missing", _drop("steady-state-hypothesis", "title")),
    ("wrong-shape", _set("method", None)),
    ("wrong-shape", _set("method", {"type": "action"})),
    ("wrong-shape", _set("rollbacks", {"type": "action"})),
    ("wrong-shape", _add("method", "restore")),  # type: ignore[arg-type]
    ("wrong-shape", _set(*PROBES, {})),
    ("wrong-shape", _set("configuration", [])),
    ("runtime-python", _set("runtime", "python", {"dependencies": ["acns-chaos"]})),
    ("control-missing", _set("controls", 1, {"name": "lab"})),
    ("control-missing", _set("controls", 1, "provider", "module", "json.no_such")),
    ("control-missing", _set("method", 0, "controls", [{"name": "x"}])),
    (
        "control-missing",
        _set("method", 0, "controls", [{"provider": {"type": "python", "module": "no_such"}}]),
    ),
    ("ref-unknown", _add("method", {"ref": "nobody"})),
    ("inject-elsewhere", _add("rollbacks", {"ref": "break"})),
    ("provider-key", _set("method", 1, "provider", "args", {"timeout": 1})),
    ("background", _set("method", 1, "background", "yes")),
    ("tolerance-raises", _set(*PROBES, 0, "tolerance", None)),
    ("tolerance-raises", _set(*PROBES, 0, "tolerance", {"type": "sometimes"})),
    ("tolerance-raises", _set(*PROBES, 0, "tolerance", "provider", "arguments", None)),
    ("asks-elsewhere", _set("method", 1, "provider", "module", "acns_chaos_evil.probes")),
    ("function-missing", _set("method", 1, "provider", "module", "acns_chaos.cli.__main__")),
    ("function-missing", _set("method", 1, "provider", "func", "__doc__")),
    ("function-missing", _set("method", 0, "provider", "func", "logger")),
    ("env-type", _set("configuration", "patience", "env_var_type", "boolean")),
    ("secret-literal", _set("secrets", {"word": "hush"})),
    ("secret-type", _set("secrets", {"mine": {"word": {"type": "file", "key": "/x"}}})),
    ("secret-type", _set("secrets", {"word": {"type": "file", "key": "/x"}})),
    ("secret-literal", _set("method", 1, "provider", "headers", {"Authorization": "Bearer x"})),
    ("secret-literal", _set("method", 1, "provider", "arguments", "api_token", "hush")),
]

CALLED_BY_OTHER_MEANS = [
    {"type": "process", "path": "/usr/local/bin/kubectl", "arguments": ["delete", "cnp", "x"]},
    {"type": "process", "path": "sh", "arguments": "-c 'k delete cnp x'"},
    {"type": "python", "module": "subprocess", "func": "run"},
    {"type": "python", "module": "os", "func": "system"},
    {"type": "python", "module": "chaosk8s.networking.actions", "func": "deny_all_ingress"},
    {"type": "python", "module": "chaosk8s.actions", "func": "kill_microservice"},
    {"type": "python", "module": "kubernetes.client", "func": "CustomObjectsApi"},
    {"type": "http", "method": "DELETE", "url": "https://10.0.0.1/apis/cilium.io/v2/x"},
    {"type": "http", "method": "patch", "url": "https://kubernetes.default/apis/cilium.io/v2/x"},
]


@pytest.mark.parametrize("provider", CALLED_BY_OTHER_MEANS)
@pytest.mark.parametrize("where", ["method", "rollbacks", "hypothesis", "tolerance"])
@pytest.mark.parametrize("kind", ["probe", "action"])
def test_what_bypasses_the_target_is_found_everywhere(
    good: Document, provider: Document, where: str, kind: str
) -> None:
    """As a probe and as an action: the host takes either word for anything."""
    probes = good["steady-state-hypothesis"]["probes"]
    if where == "tolerance":
        probes[0]["tolerance"] = {
            "type": "probe",
            "name": "t",
            "provider": {"arguments": {}, **provider},
        }
    else:
        activity = {"type": kind, "name": "k", "provider": provider}
        target = probes if where == "hypothesis" else good[where]
        target.append({**activity, "tolerance": True} if where == "hypothesis" else activity)
    assert "bypasses-target" in {one.rule for one in findings(good)}


def test_what_refers_to_an_activity_is_that_activity(good: Document) -> None:
    """A rollback may refer to the restore of the method; no name is there twice for it."""
    good["rollbacks"] = [{"ref": "put back"}]
    assert findings(good) == []


def test_what_is_right_is_left_alone(good: Document) -> None:
    """Waiting, asking over HTTP, secrets by reference, words for people that look like names."""
    idle = {"type": "python", "module": "chaosaddons.utils.idle", "func": "idle_for"}
    page = {
        "type": "http",
        "url": "http://shop.example.com/${patience}",
        "headers": {"Authorization": "${word}"},
        "timeout": 2,
    }
    good["secrets"] = {"mine": {"word": {"type": "env", "key": "WORD"}}}
    good["description"] = "Reads ${HOME}, they say."
    good["method"].insert(1, {"type": "action", "name": "wait", "provider": idle})
    good["method"].insert(1, {"type": "probe", "name": "page", "provider": page})
    assert findings(good) == []


def test_looking_at_a_file_runs_nothing_that_it_names(
    good: Document, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A control's package is looked for and not imported."""
    (tmp_path / "trap").mkdir()
    for name in ("__init__", "control"):
        (tmp_path / "trap" / f"{name}.py").write_text("raise SystemExit(3)\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    good["controls"].append({"name": "x", "provider": {"type": "python", "module": "trap.control"}})
    assert findings(good) == []


def test_a_file_moves_no_cursor(good: Document, tmp_path: Path) -> None:
    """Its words are shown as they are written, on one line each."""
    good["\x1b[2Jsteady\nstate"] = "\ud800"
    good["method"][1]["name"] = "<b>\x1b]0;x\x07"
    file = tmp_path / "x.json"
    file.write_text(json.dumps(good))
    done = CliRunner().invoke(main, ["check", str(file)])
    assert done.exit_code == 1
    assert "\x1b" not in done.output
    assert all(line.startswith(str(file)) for line in done.output.splitlines())


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
        ("{", "is no JSON"),
        ("[" * 100_000, "nested too deeply"),
        ('{"a":' * 500 + "1" + "}" * 500, "nested too deeply"),
        ('{"rollbacks": [1], "rollbacks": []}', "the key 'rollbacks' stands twice"),
        ("\ufeff{}", "BOM"),
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


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a: &a\n  b: *a\n", "contains itself"),
        (
            "a: &a [x, x, x, x, x, x, x, x, x]\n"
            + "".join(
                f"{name}: &{name} [{', '.join([f'*{last}'] * 9)}]\n"
                for last, name in zip("abcdefgh", "bcdefghi", strict=True)
            ),
            "more than 200,000 parts",
        ),
        (f"a: &a [{'1,' * 3000} *a]\n", "more than 200,000 parts"),
        ("method: []\nmethod: [1]\n", "the key 'method' stands twice"),
        ("a: !!python/object/apply:os.system [id]\n", "is no YAML"),
    ],
    ids=["cycle", "laughs", "wide cycle", "twice", "tag"],
)
def test_hostile_yaml_is_one_sentence(tmp_path: Path, text: str, told: str) -> None:
    """Neither a traceback nor minutes."""
    file = tmp_path / "x.yaml"
    file.write_text(text)
    done = CliRunner().invoke(main, ["check", str(file)])
    assert (done.exit_code, "Traceback" in done.output) == (2, False)
    assert told in done.output


def test_a_key_that_stands_twice_among_many_is_found_in_no_time(tmp_path: Path) -> None:
    """Each is looked at once, not held against all others: that would take a minute."""
    file = tmp_path / "x.json"
    file.write_text("{" + "".join(f'"k{n}": 1, ' for n in range(40_000)) + '"k39999": 2}')
    began = time.process_time()
    done = CliRunner().invoke(main, ["check", str(file)])
    assert (done.exit_code, "the key 'k39999' stands twice" in done.output) == (2, True)
    assert time.process_time() - began < 5


def test_aliases_and_line_ends_are_read(tmp_path: Path) -> None:
    """As people write YAML."""
    file = tmp_path / "x.yml"
    file.write_bytes(
        b"title: &t Is it?\r\ndescription: *t\r\nmethod: []\r\nx: &x {a: 1}\r\n"
        b"configuration: {<<: *x}\r\n"
    )
    done = CliRunner().invoke(main, ["check", str(file)])
    assert done.exit_code == 1
    assert "key-unknown" in done.output


@pytest.mark.parametrize("name", ["x.txt", "x", "https://example.com/x"])
def test_what_the_host_refuses_by_its_name_is_not_passed(tmp_path: Path, name: str) -> None:
    """The host goes by the ending; nothing is fetched."""
    file = tmp_path / "x.txt"
    file.write_text("{}")
    given = name if ":" in name else str(tmp_path / name)
    done = CliRunner().invoke(main, ["check", given])
    assert done.exit_code == 2
    assert "neither in .json nor in .yaml" in done.output
