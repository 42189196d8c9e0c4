"""What every tier shares: in CI a skip is a failure; no test looks at the home of the user.

What a tier leaves out is deselected, not skipped: cases of `make full` (see `tests/tiers.py`), runs
on the other engine, and tests that need a real cluster unless one is named.
"""

import os
import random
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest
from hypothesis import settings

from tests.tiers import scaled

IN_CI = os.environ.get("CI", "").lower() not in ("", "false", "0")
REAL_CLUSTER = os.environ.get("ACNS_CHAOS_TEST_CONTEXT", "")
FULL = "full"
OTHER_HOST = "other_host"

settings.register_profile("tier", settings(), max_examples=scaled(100))
settings.load_profile("tier")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let a tier choose."""
    group = parser.getgroup("tiers")
    group.addoption("--full", action="store_true", help="every case of every loop, both engines")
    group.addoption(
        "--beyond",
        type=float,
        metavar="SHARE",
        help="only what is not in `make test`: all of the other engine, and a share (0 to 1) of "
        "the cases of `make full`",
    )
    group.addoption("--seed", default="0", help="which cases make up the share")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what the tier leaves out, unless it was asked for by its own name."""
    if any("::" in one for one in config.args):
        left_out = [item for item in items if item.get_closest_marker("real_cluster")]
        left_out = [] if REAL_CLUSTER else left_out
    else:
        left_out = left_out_of(config, items)
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        gone = set(left_out)
        items[:] = [item for item in items if item not in gone]


def left_out_of(config: pytest.Config, items: list[pytest.Item]) -> list[pytest.Item]:
    """The tests that are in none of the chosen tiers."""
    share = config.getoption("--beyond")
    chosen = set(sample(items, share, config.getoption("--seed"))) if share is not None else None

    def out(item: pytest.Item) -> bool:
        if item.get_closest_marker("real_cluster"):
            return not REAL_CLUSTER
        if chosen is not None:
            return item not in chosen
        beyond = item.get_closest_marker(FULL) or item.get_closest_marker(OTHER_HOST)
        return bool(beyond) and not config.getoption("--full")

    left_out = [item for item in items if out(item)]
    # A worker of xdist cannot say why it ends; there tests/docs/test_tiers.py finds it.
    if chosen is None and not hasattr(config, "workerinput"):
        require_one_case(items, left_out)
    return left_out


def require_one_case(items: list[pytest.Item], left_out: list[pytest.Item]) -> None:
    """Refuse a loop of which no case is left: what nobody tries on a change is not tested."""
    gone = set(left_out)

    def function(item: pytest.Item) -> str:
        return item.nodeid.partition("[")[0]

    tried = {function(item) for item in items if item not in gone}
    for item in left_out:
        if "[" in item.nodeid and function(item) not in tried:
            raise pytest.UsageError(f"{function(item)}: no case of this loop is in `make test`")


def sample(items: list[pytest.Item], share: float, seed: str) -> list[pytest.Item]:
    """All of the other engine but for the cases of `full`, and a seeded share of those."""
    full = sorted((item for item in items if item.get_closest_marker(FULL)), key=lambda i: i.nodeid)
    other = [item for item in items if item.get_closest_marker(OTHER_HOST) and item not in full]
    return [*other, *random.Random(seed).sample(full, round(len(full) * share))]


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Fail a CI session that skipped anything: a check that did not run proves nothing."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if IN_CI and reporter and reporter.stats.get("skipped") and exitstatus == 0:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.fixture(scope="session")
def homes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """New folders, one after another; counted here, as looking for a free name takes longer."""
    folder = tmp_path_factory.mktemp("homes")
    return (folder / str(number) for number in count())


@pytest.fixture(autouse=True)
def own_environment(monkeypatch: pytest.MonkeyPatch, homes: Iterator[Path]) -> None:
    """Give each test a home of its own and none of the variables that name a cluster."""
    for name in list(os.environ):
        if name.startswith(("ACNS_CHAOS_", "KUBE")) or name in ("CI", "XDG_RUNTIME_DIR"):
            monkeypatch.delenv(name)
    home = next(homes)
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
