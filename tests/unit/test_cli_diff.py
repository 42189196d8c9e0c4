"""`acns-chaos diff`: fit for a pull-request check."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from acns_chaos.cli import main

WORKSHOP = Path(__file__).resolve().parents[1] / "data" / "workshop"
BASE = WORKSHOP / "acns-network-policy.yaml"
FQDN = WORKSHOP / "acns-network-policy-fqdn.yaml"
CHAOS = WORKSHOP / "acns-network-policy-chaos.yaml"
STORE = WORKSHOP / "store.yaml"


def run(*arguments: object) -> Result:
    """Call the command for namespace pets."""
    return CliRunner().invoke(main, ["diff", "-n", "pets", *map(str, arguments)])


def test_the_workshops_reused_name_is_found() -> None:
    """Applied over the first step it cuts AMQP and opens order-service to everybody: exit 1."""
    result = run(BASE, FQDN, "--overlay")
    assert result.exit_code == 1
    lines = result.stdout.splitlines()
    assert "Policies: changed pets/allow-order-service-traffic." in lines
    assert "  pets/order-service -> pets/rabbitmq: 5672/TCP" in lines
    assert "  everybody -> pets/order-service: 3000/TCP" in lines
    assert lines.index("Closed:") < lines.index("Opened:")
    assert lines[-1] == "Different. Groups of flows closed: 1, opened: 4."


def test_the_workshops_reused_name_is_found_among_whole_folders(tmp_path: Path) -> None:
    """Copied beside the first step it takes its place, and the name used twice is pointed out."""
    before, after = tmp_path / "before", tmp_path / "after"
    for folder in (before, after):
        folder.mkdir()
        shutil.copy(BASE, folder)
    shutil.copy(FQDN, after / "later.yaml")
    result = run(before, after, "--json")
    found = json.loads(result.stdout)
    assert result.exit_code == 1
    assert [(g["sources"], g["destinations"], g["ports"]) for g in found["closed"]] == [
        (["pets/order-service"], ["pets/rabbitmq"], "5672/TCP")
    ]
    opened = {tuple(g["destinations"]): g for g in found["opened"] if g["ports"] == "3000/TCP"}
    assert opened["pets/order-service",]["everybody"] is True
    assert any("is there twice" in note for note in found["notes"])


def test_equal_is_0() -> None:
    """The same file, and files that say the same."""
    result = run(BASE, BASE)
    assert result.exit_code == 0
    assert result.stdout.splitlines()[-1] == "Equal."
    assert json.loads(run(BASE, BASE, "--json").stdout)["equal"] is True


def test_without_overlay_both_sides_are_complete_sets() -> None:
    """What is not in AFTER is gone."""
    found = json.loads(run(BASE, CHAOS, "--json").stdout)
    assert found["policies"] == {
        "added": [],
        "removed": [
            "pets/allow-order-service-traffic",
            "pets/allow-product-service-traffic",
            "pets/allow-rabbitmq-traffic",
        ],
        "changed": ["pets/allow-store-front-traffic"],
    }


def test_pods_can_come_from_elsewhere() -> None:
    """Then only what is assumed beyond them is noted."""
    result = run(BASE, CHAOS, "--overlay", "--pods", STORE)
    assert result.exit_code == 1
    assert "  world -> pets/store-front: 8080/TCP" in result.stdout
    assert "assumed" not in result.stdout


def test_revisions_of_a_folder_are_compared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """git:REV:PATH on either side."""
    for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    who = ["-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "commit.gpgsign=false"]
    Path("policies").mkdir()
    for step in (BASE, FQDN):
        shutil.copy(step, "policies/all.yaml" if step == BASE else "policies/fqdn.yaml")
        for words in (["init", "-b", "main"], ["add", "."], ["commit", "-m", "step"]):
            subprocess.run(["git", *who, *words], check=True, capture_output=True)
    result = run("git:HEAD~1:policies", "git:HEAD:policies")
    assert result.exit_code == 1
    assert "  everybody -> pets/order-service: 3000/TCP" in result.stdout
    assert run("git:HEAD:policies", "policies").exit_code == 0
    missing = run("git:HEAD~7:policies", "policies")
    assert missing.exit_code == 2
    assert missing.stderr == (
        "Error: There is no git revision 'HEAD~7' here (git:HEAD~7:policies).\n"
    )


def test_a_refused_object_over_an_older_version_leaves_that_in_force(tmp_path: Path) -> None:
    """As with agents: nothing turns, and it is said."""
    invalid = tmp_path / "invalid.yaml"
    two_kinds = "fromEntities: [world]\n      fromCIDR: [192.0.2.1/32]"
    invalid.write_text(CHAOS.read_text().replace("fromEndpoints: []", two_kinds))
    result = run(BASE, invalid, "--overlay")
    assert result.exit_code == 0, result.output
    assert "so its older version stays in force" in result.stdout


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("a: [", "is not YAML"),
        ("- 1", ": is a list, not a Kubernetes object."),
        ("kind: Pod", ", at apiVersion: is missing; it must be a text."),
    ],
)
def test_an_error_is_2(tmp_path: Path, text: str, sentence: str) -> None:
    """A file that cannot be used must not look like a difference."""
    file = tmp_path / "x.yaml"
    file.write_text(text)
    result = run(BASE, file)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.startswith(f"Error: {file}")
    assert sentence in result.stderr
    assert result.stderr.count("\n") == 1


def test_a_side_that_is_being_mended_does_not_stop_the_check(tmp_path: Path) -> None:
    """An unknown field in BEFORE is noted; in AFTER it is an error."""
    broken = tmp_path / "broken.yaml"
    broken.write_text(BASE.read_text().replace("  egress: []", "  egres: []"))
    assert run(broken, BASE).exit_code == 0
    assert f"Note: {broken}, document 1, at spec.egres: there is no field" in (
        run(broken, BASE).stdout
    )
    after = run(BASE, broken)
    assert after.exit_code == 2
    assert after.stderr.startswith(f"Error: {broken}, document 1, at spec.egres: there is no field")
