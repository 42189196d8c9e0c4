"""One watch through 10,000 events, seen by the real Kubernetes client."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from kubernetes import client, config, watch

from tests.tiers import loop

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
NAMESPACE = "endurance"
ROUNDS, EACH = 10, 500
CONNECTIONS = 4


@pytest.fixture
def core(lab_process: dict[str, Any]) -> Iterator[client.CoreV1Api]:
    """The typed client, and a namespace of this test alone."""
    with config.new_client_from_config(config_file=lab_process["kubeconfig"]) as made:
        api = client.CoreV1Api(made)
        api.create_namespace({"metadata": {"name": NAMESPACE}})
        yield api
        api.delete_namespace(NAMESPACE)


@pytest.mark.parametrize("rounds", loop([1, ROUNDS]))
def test_a_watch_survives_thousands_of_events(core: client.CoreV1Api, rounds: int) -> None:
    """One watch sees them all (10,000 in `make full`), each once, in the order of versions."""
    since = core.list_namespaced_config_map(NAMESPACE).metadata.resource_version
    total = 2 * rounds * EACH
    seen: list[tuple[str, str, int]] = []

    def follow() -> None:
        # Untyped, because making 10,000 models is work for the client and tells nothing more.
        stream = watch.Watch(return_type="object").stream(
            core.list_namespaced_config_map, NAMESPACE, resource_version=since, timeout_seconds=120
        )
        for event in stream:
            metadata = event["raw_object"]["metadata"]
            seen.append((event["type"], metadata["name"], int(metadata["resourceVersion"])))
            if len(seen) == total:
                return

    follower = threading.Thread(target=follow)
    follower.start()
    with ThreadPoolExecutor(CONNECTIONS) as pool:
        for turn in range(rounds):
            bodies = [{"metadata": {"name": f"c{turn}-{number}"}} for number in range(EACH)]
            list(pool.map(lambda body: core.create_namespaced_config_map(NAMESPACE, body), bodies))
            core.delete_collection_namespaced_config_map(NAMESPACE)
    deadline = time.monotonic() + 30
    follower.join(timeout=max(deadline - time.monotonic(), 0))
    assert len(seen) == total
    versions = [version for _, _, version in seen]
    assert versions == sorted(set(versions))
    expected = {f"c{turn}-{number}" for turn in range(rounds) for number in range(EACH)}
    for kind in ("ADDED", "DELETED"):
        names = [name for found, name, _ in seen if found == kind]
        assert len(names) == len(expected)
        assert set(names) == expected
