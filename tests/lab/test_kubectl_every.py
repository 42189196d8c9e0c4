"""What people do first, with every kubectl there is: the machine's own as found is among them."""

from collections.abc import Callable
from subprocess import CompletedProcess
from typing import Any

import pytest
import yaml
from conftest import policy
from kubectls import every_kubectl_path, run_kubectl

pytestmark = pytest.mark.slow
__all__ = ["every_kubectl_path"]

Kubectl = Callable[..., CompletedProcess[str]]


@pytest.fixture
def kubectl(every_kubectl_path: str, lab_process: dict[str, Any]) -> Kubectl:
    """Run it in the namespace pets."""

    def run(*args: str, input: str | None = None) -> CompletedProcess[str]:  # noqa: A002
        words = ("-n", "pets", *args)
        return run_kubectl(every_kubectl_path, lab_process["kubeconfig"], *words, input=input)

    return run


def test_it_lists_and_describes(kubectl: Kubectl) -> None:
    """`get` prints the columns of the kind, `describe` the policy."""
    listed = kubectl("get", "cnp", "allow-store-front-traffic")
    assert listed.stdout.split()[:3] == ["NAME", "AGE", "VALID"], listed.stderr
    described = kubectl("describe", "cnp", "allow-store-front-traffic")
    assert "Endpoint Selector:" in described.stdout, described.stderr


def test_it_applies_and_deletes(kubectl: Kubectl) -> None:
    """A policy is created, left as it is, and deleted again."""
    text = yaml.safe_dump(policy("of-every-kubectl"))
    said = [kubectl("apply", "-f", "-", input=text).stdout.split()[-1] for _ in range(2)]
    assert said == ["created", "unchanged"]
    deleted = kubectl("delete", "cnp", "of-every-kubectl")
    assert deleted.stdout.endswith(" deleted\n") or " deleted from " in deleted.stdout


def test_it_runs_a_command_in_a_pod(kubectl: Kubectl) -> None:
    """Input, output and the exit code of a command pass through."""
    where = ("exec", "-i", "deploy/order-service", "-c", "order-service", "--")
    done = kubectl(*where, "sh", "-c", "cat; exit 3", input="hello\n")
    assert (done.returncode, done.stdout) == (3, "hello\n"), done.stderr
