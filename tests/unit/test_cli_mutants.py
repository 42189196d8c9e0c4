"""The command that lists mutants: a table, JSON, and bad input in one sentence."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from acns_chaos.cli import main
from acns_chaos.cli.mutants import CLASSES
from acns_chaos.policy.mutants import CLASSES as POLICY_CLASSES
from tests.unit.fakes import storefront_policy

WITHOUT_NAMESPACE = storefront_policy()
WITHOUT_NAMESPACE["metadata"] = {"name": "allow-store-front-traffic"}
REFUSED = {
    "apiVersion": "cilium.io/v2",
    "kind": "CiliumNetworkPolicy",
    "metadata": {"name": "bad", "namespace": "pets"},
    "spec": {"endpointSelector": {}, "ingress": []},
}


def run(*arguments: object) -> Result:
    """Call the command as a shell would."""
    return CliRunner().invoke(main, ["mutants", *(str(argument) for argument in arguments)])


def write(path: Path, *documents: Any) -> Path:
    """Write documents to a YAML file."""
    path.write_text(yaml.safe_dump_all(documents))
    return path


@pytest.fixture
def policies(tmp_path: Path) -> Path:
    """Return a file with the storefront's policy."""
    return write(tmp_path / "policies.yaml", storefront_policy())


def test_the_table_has_class_flows_id_and_mistake(policies: Path) -> None:
    """One line a mutant, a header, a sum at the end."""
    done = run("--policies", policies, "--operator", "ingress-from-nobody")
    assert done.exit_code == 0, done.output
    header, row, total = done.stdout.splitlines()
    assert header.split() == ["CLASS", "CLOSED", "OPENED", "ID", "MISTAKE"]
    assert row.split()[:3] == [
        "closes",
        "1",
        "pets/allow-store-front-traffic:ingress-from-nobody@spec.ingress",
    ]
    assert row.endswith(
        "  The ingress rules are replaced by one that allows nobody (fromEndpoints: []), taken for "
        "one that allows everybody."
    )
    assert total == "1 mutant (1 close flows) of 1 policy"


def test_json_has_every_flow(policies: Path) -> None:
    """What a program needs to choose one."""
    done = run("--policies", policies, "--json")
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert set(found) == {"policies", "counts", "mutants", "notes"}
    assert found["policies"] == 1
    assert list(found["counts"]) == list(CLASSES)
    assert sum(found["counts"].values()) == len(found["mutants"])
    by_id = {mutant["id"]: mutant for mutant in found["mutants"]}
    assert len(by_id) == len(found["mutants"])
    deleted = by_id["pets/allow-store-front-traffic:object-deleted@metadata.name"]
    assert deleted["class"] == "opens"
    assert deleted["closed"] == []
    assert "remote-node -> pets/store-front:8080/TCP" in deleted["opened"]
    assert deleted["injectable"] is False


def test_classes_can_be_chosen(policies: Path) -> None:
    """Several of them, too."""
    done = run("--policies", policies, "--class", "opens", "--class", "invalid", "--json")
    found = json.loads(done.stdout)["mutants"]
    assert {mutant["class"] for mutant in found} == {"opens", "invalid"}
    done = run("--policies", policies, "--class", "both", "--operator", "ingress-from-nobody")
    assert done.stdout == "0 mutants of 1 policy\n"
    assert CLASSES == POLICY_CLASSES


def test_the_namespace_is_for_objects_that_name_none_and_chooses(tmp_path: Path) -> None:
    """As with `kubectl apply -n`."""
    file = write(tmp_path / "one.yaml", WITHOUT_NAMESPACE)
    done = run("--policies", file, "--namespace", "pets", "--operator", "rule-emptied")
    assert "pets/allow-store-front-traffic:rule-emptied@spec.ingress[0]" in done.stdout
    assert "taken to be in pets" in done.stderr
    done = run("--policies", file, "--operator", "rule-emptied")
    assert "default/allow-store-front-traffic:rule-emptied@spec.ingress[0]" in done.stdout


def test_a_folder_is_read_as_a_whole(policies: Path, tmp_path: Path) -> None:
    """Another policy of the same folder may re-use the name."""
    other = storefront_policy()
    other["metadata"]["name"] = "second"
    other["spec"]["endpointSelector"] = {"matchLabels": {"app": "order-service"}}
    write(tmp_path / "second.yaml", other)
    done = run("--policies", tmp_path, "--operator", "name-reused", "--json")
    assert [(m["id"], m["class"]) for m in json.loads(done.stdout)["mutants"]] == [
        ("pets/allow-store-front-traffic:name-reused@metadata.name=second", "opens"),
        ("pets/second:name-reused@metadata.name=allow-store-front-traffic", "opens"),
    ]


def test_a_policy_that_agents_refuse_is_named_in_a_note(tmp_path: Path) -> None:
    """It has no mutants, and nobody should wonder why."""
    file = write(tmp_path / "two.yaml", storefront_policy(), REFUSED)
    done = run("--policies", file, "--operator", "rule-emptied")
    assert done.exit_code == 0
    assert (
        "Note: pets/bad has no mutants, as the agents refuse it: spec: a rule must" in done.stderr
    )
    assert "1 mutant (1 close flows) of 2 policies" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--policies", "/none.yaml"], "Error: There is no file or folder /none.yaml"),
        (["--cluster", "lab", "--policies", "x"], "Give either --policies or --cluster, not both"),
        (["--class", "open"], "'open' is not one of"),
        (["--policies", "FILE", "--operator", "x"], "Error: There is no operator 'x'"),
        (
            ["--policies", "FILE", "--namespace", "none"],
            "Error: There is no policy in namespace none of ",
        ),
    ],
)
def test_bad_input_is_one_sentence(policies: Path, arguments: list[str], sentence: str) -> None:
    """On stderr, with exit code 2."""
    done = run(*(str(policies) if argument == "FILE" else argument for argument in arguments))
    assert done.exit_code == 2
    assert sentence in done.stderr
    assert done.stdout == ""
    assert done.exception is None or isinstance(done.exception, SystemExit)


def test_operators_are_listed_with_family_and_mistake() -> None:
    """What `inject_fault` takes by name."""
    done = CliRunner().invoke(main, ["operators"])
    assert done.exit_code == 0
    line = next(x for x in done.output.splitlines() if "peer-list-emptied" in x)
    assert line.startswith("peers ")
    assert line.endswith(".")
