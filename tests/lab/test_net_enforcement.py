"""Enforcement: when a policy change counts, and which changes never do."""

import random

from net_support import NOBODY, Bench

from acns_chaos.lab.net.agents.enforcement import Enforcement
from acns_chaos.policy import Endpoint

WORLD = Endpoint.outside("198.51.100.10")


def front_open(bench: Bench) -> bool:
    front = bench.net.directory.backend("pets", "store-front")
    return bench.net.enforcement.verdict(WORLD, front.endpoint, 8080).verdict == "ALLOWED"


class Punctual(random.Random):
    """The agent looks at full hundredths of a second and needs no time for the rest."""

    def uniform(self, a: float, b: float) -> float:
        return a

    def triangular(self, *_: float) -> float:
        return 0.0


async def test_a_change_is_enforced_at_the_next_look_of_the_agent():
    """Until then the old policy holds, 17 ms after the write the new one does in any case."""
    bench = Bench()
    bench.write("allow-store-front-traffic", ingress=NOBODY)
    assert front_open(bench)
    await bench.clock.advance(0.0172)
    assert not front_open(bench)
    punctual = Enforcement(bench.store, bench.net.directory, bench.clock, Punctual())
    good = bench.policy("allow-store-front-traffic")["spec"]["egress"]
    await bench.clock.advance(0.0100 - bench.clock.now() % 0.01 + 0.002)
    before = punctual.revision
    bench.write("allow-store-front-traffic", egress=good, ingress=[{}])
    await bench.clock.advance(0.0075)
    assert punctual.revision == before
    await bench.clock.advance(0.001)
    assert punctual.revision == before + 1


async def test_changes_between_two_looks_are_applied_together():
    """A fault that is taken back before the agent looks is never enforced."""
    bench = Bench()
    enforcement = Enforcement(bench.store, bench.net.directory, bench.clock, Punctual())
    await bench.clock.advance(0.0100 - bench.clock.now() % 0.01 + 0.001)
    good = bench.policy("allow-store-front-traffic")["spec"]["ingress"]
    before = enforcement.revision
    front = bench.net.directory.backend("pets", "store-front").endpoint
    bench.write("allow-store-front-traffic", ingress=NOBODY)
    await bench.clock.advance(0.005)
    bench.write("allow-store-front-traffic", ingress=good)
    for _ in range(30):
        await bench.clock.advance(0.001)
        assert enforcement.verdict(WORLD, front, 8080).verdict == "ALLOWED"
    assert enforcement.revision == before + 1


class Unlucky(random.Random):
    """The first batch takes longest, the second no time."""

    def __init__(self) -> None:
        super().__init__()
        self._lags = [0.010, 0.0]

    def triangular(self, *_: float) -> float:
        return self._lags.pop(0)


async def test_batches_are_applied_in_the_order_of_their_writes():
    """A slow first batch does not overwrite a quick second one."""
    bench = Bench()
    enforcement = Enforcement(bench.store, bench.net.directory, bench.clock, Unlucky())
    good = bench.policy("allow-store-front-traffic")["spec"]["ingress"]
    bench.write("allow-store-front-traffic", ingress=NOBODY)
    await bench.clock.advance(0.011)
    bench.write("allow-store-front-traffic", ingress=good)
    await bench.clock.advance(0.1)
    front = bench.net.directory.backend("pets", "store-front")
    assert enforcement.verdict(WORLD, front.endpoint, 8080).verdict == "ALLOWED"
    assert enforcement.revision == 3


async def test_an_invalid_update_leaves_the_previous_version_enforced():
    """Port 70000 passes the API and is not imported: the shop stays as it was."""
    bench = Bench()
    bad = [{"fromEntities": ["world"], "toPorts": [{"ports": [{"port": "70000"}]}]}]
    await bench.apply("allow-store-front-traffic", ingress=bad)
    assert front_open(bench)
    await bench.apply("allow-store-front-traffic", ingress=NOBODY)
    assert not front_open(bench)
    await bench.apply("allow-store-front-traffic", ingress=bad)
    assert not front_open(bench)


async def test_deleting_the_only_policy_of_a_pod_allows_everything():
    """Without its policy the storefront takes other pods too."""
    bench = Bench()
    orders = bench.net.directory.backend("pets", "rabbitmq").endpoint
    front = bench.net.directory.backend("pets", "store-front").endpoint
    assert bench.net.enforcement.verdict(orders, front, 8080).verdict == "DENIED"
    bench.store.delete("CiliumNetworkPolicy", "pets", "allow-store-front-traffic")
    await bench.clock.advance(0.05)
    assert bench.net.enforcement.verdict(orders, front, 8080).verdict == "ALLOWED"


async def test_an_empty_ingress_list_fails_open():
    """`ingress: []` switches the direction off, unlike a rule for nobody."""
    bench = Bench()
    await bench.apply("allow-store-front-traffic", ingress=[])
    assert front_open(bench)


async def test_a_status_write_changes_nothing():
    """The operator's Valid condition is no new revision."""
    bench = Bench()
    before = bench.net.enforcement.revision
    policy = bench.policy("allow-store-front-traffic")
    bench.store.put({**policy, "status": {"conditions": [{"type": "Valid", "status": "True"}]}})
    await bench.clock.advance(0.05)
    assert bench.net.enforcement.revision == before


async def test_a_relabelled_pod_counts_at_once():
    """A pod that loses its app label is no longer selected."""
    bench = Bench()
    pod = bench.store.get("Pod", "pets", bench.pod("order-service"))
    pod["metadata"]["labels"]["app"] = "something-else"
    bench.store.put(pod)
    source = bench.net.directory.pod("pets", pod["metadata"]["name"]).endpoint
    target = bench.net.directory.backend("kube-system", "hubble-relay").endpoint
    assert bench.net.enforcement.verdict(source, target, 4245).verdict == "ALLOWED"
