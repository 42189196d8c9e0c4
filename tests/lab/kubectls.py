"""The kubectl programs that the lab is tried with.

The one on PATH, an old one if there is one, and, for a few tests only, the one that the machine had
before another was put on PATH (ACNS_CHAOS_FOUND_KUBECTL, which `.ci/run` sets).
"""

import os
import shutil
import subprocess
import tempfile

import pytest

OLD = "kubectl-1.20"


def _found() -> list[tuple[str, str]]:
    """Every kubectl that there is, by the name that the tests are listed under."""
    current = shutil.which("kubectl")
    old = os.environ.get("ACNS_CHAOS_OLD_KUBECTL") or shutil.which(OLD)
    named = {"kubectl": current, OLD: shutil.which(old) if old else None}
    return [(name, path) for name, path in named.items() if path]


def _every() -> list[tuple[str, str]]:
    """Those, and the machine's own when it is none of them."""
    found = os.environ.get("ACNS_CHAOS_FOUND_KUBECTL", "")
    others = [path for _, path in KUBECTLS if os.path.realpath(path) == os.path.realpath(found)]
    return [*KUBECTLS, *([] if others or not shutil.which(found) else [("found", found)])]


KUBECTLS = _found()
EVERY_KUBECTL = _every()


def run_kubectl(
    path: str,
    kubeconfig: str | os.PathLike[str],
    *args: str,
    input: str | None = None,  # noqa: A002
    timeout: float = 30,
) -> subprocess.CompletedProcess[str]:
    """Run a kubectl against a lab, with an empty home so that no cache of an earlier lab is read.

    Args:
        path: the program.
        kubeconfig: the file that leads to the lab.
        args: what comes after `kubectl`.
        input: what it reads from standard input; None for nothing.
        timeout: seconds until it is stopped.

    Returns:
        The ended process, with its output as text.

    Raises:
        subprocess.TimeoutExpired: it did not end in time.
    """
    with tempfile.TemporaryDirectory() as home:
        keep = {
            key: value for key, value in os.environ.items() if not key.lower().endswith("_proxy")
        }
        return subprocess.run(
            [path, *args],
            env={**keep, "HOME": home, "KUBECONFIG": str(kubeconfig)},
            cwd=home,
            input=input,
            stdin=subprocess.DEVNULL if input is None else None,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )


def _path_of(param: tuple[str, str]) -> str:
    if not param[1]:
        pytest.skip("kubectl is not on PATH")
    return param[1]


@pytest.fixture(params=KUBECTLS or [("kubectl", "")], ids=lambda param: param[0])
def kubectl_path(request: pytest.FixtureRequest) -> str:
    """Each kubectl in turn but the machine's own; skips when there is none."""
    return _path_of(request.param)


@pytest.fixture(params=EVERY_KUBECTL or [("kubectl", "")], ids=lambda param: param[0])
def every_kubectl_path(request: pytest.FixtureRequest) -> str:
    """Each kubectl in turn, the machine's own too; skips when there is none."""
    return _path_of(request.param)
