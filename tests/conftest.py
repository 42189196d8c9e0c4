"""What every tier shares: in CI a skip is a failure; no test looks at the home of the user.

Tests that need a real cluster are deselected, not skipped, unless one is named.
"""

import os

import pytest

IN_CI = os.environ.get("CI", "").lower() not in ("", "false", "0")
REAL_CLUSTER = os.environ.get("ACNS_CHAOS_TEST_CONTEXT", "")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the tests for a real cluster when none is named."""
    real = [item for item in items if item.get_closest_marker("real_cluster")]
    if real and not REAL_CLUSTER:
        config.hook.pytest_deselected(items=real)
        items[:] = [item for item in items if item not in real]


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Fail a CI session that skipped anything: a check that did not run proves nothing."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if IN_CI and reporter and reporter.stats.get("skipped") and exitstatus == 0:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.fixture(autouse=True)
def own_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Give each test a home of its own and none of the variables that name a cluster."""
    for name in list(os.environ):
        if name.startswith(("ACNS_CHAOS_", "KUBE")) or name in ("CI", "XDG_RUNTIME_DIR"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path_factory.mktemp("home")))
