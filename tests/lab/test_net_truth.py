"""What really happened, as the lab itself tells it to those who measure."""

from collections.abc import Iterator

import pytest
import urllib3
from misbehaving import MisbehavingLab, eventually, misbehaving_lab
from net_support import NOBODY, Bench

from acns_chaos.cluster.kubeconfig import kubeconfig_api
from acns_chaos.errors import TargetError
from acns_chaos.policy import Endpoint

CUSTOMER = Endpoint.outside("198.51.100.10")
FRONT = "/apis/cilium.io/v2/namespaces/pets/ciliumnetworkpolicies/allow-store-front-traffic"


async def test_a_policy_is_told_when_it_comes_into_force():
    """Once, with its node and revision, and not when it is written."""
    bench = Bench()
    bench.net.truth.begin()
    bench.write("allow-store-front-traffic", ingress=NOBODY)
    written = bench.clock.now()
    await bench.clock.advance(1.0)

    (one,) = bench.net.truth.as_json()

    assert one["what"] == "enforced"
    assert one["policy"]["name"] == "allow-store-front-traffic"
    assert one["node"] in bench.net.directory.nodes()
    assert one["revision"] == bench.net.enforcement.revision
    assert 0.0 < one["at"] - written <= 0.018


async def test_a_deleted_policy_and_a_stopped_agent_are_told():
    """Whatever changes what is enforced."""
    bench = Bench()
    bench.net.truth.begin()
    bench.store.delete("CiliumNetworkPolicy", "pets", "allow-store-front-traffic")
    await bench.clock.advance(1.0)
    bench.net.enforcement.freeze()

    told = [(one["what"], one.get("down")) for one in bench.net.truth.as_json()]

    assert told == [("removed", None), ("agent", True)]


async def test_packets_are_told_as_they_are_judged():
    """Forwarded or dropped, with direction and reason; a repeated one is one more."""
    bench = Bench()
    front = bench.net.directory.backend("pets", "store-front")
    bench.net.truth.begin()
    await bench.clock.run(bench.net.connections.connect(CUSTOMER, front.ip, 8080, timeout=2.0))
    bench.write("allow-store-front-traffic", ingress=NOBODY)
    await bench.clock.advance(0.1)
    await bench.clock.run(bench.net.connections.connect(CUSTOMER, front.ip, 8080, timeout=2.0))

    packets = [one for one in bench.net.truth.as_json() if one["what"] in ("forwarded", "drop")]

    assert [one["what"] for one in packets] == ["forwarded", "drop", "drop"]
    assert packets[1]["reason"] == "POLICY_DENIED"
    assert packets[1]["direction"] == "ingress"
    assert packets[1]["destination"] == front.endpoint.name
    assert packets[2]["at"] - packets[1]["at"] == pytest.approx(1.0, abs=0.01)


async def test_nothing_is_kept_unless_somebody_asks():
    """Nor after it was ended."""
    bench = Bench()
    bench.write("allow-store-front-traffic", ingress=NOBODY)
    await bench.clock.advance(1.0)
    assert bench.net.truth.as_json() == []
    bench.net.truth.begin()
    bench.net.truth.end()
    bench.net.enforcement.freeze()
    assert bench.net.truth.as_json() == []


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MisbehavingLab]:
    """A real lab process."""
    with misbehaving_lab(tmp_path_factory.mktemp("lab")) as found:
        yield found


def test_the_truth_is_read_over_the_control_endpoint(lab: MisbehavingLab) -> None:
    """From a number on; a page of the shop is in it, and the fault that ends it."""
    control = lab.control
    control._ask("POST", "/truth")
    with urllib3.PoolManager(retries=False) as pool:
        pool.request("GET", lab.ready["env"]["ACNS_CHAOS_STOREFRONT_URL"] + "/", timeout=5.0)
    told = eventually(lambda: control._ask("GET", "/truth")["truth"])
    assert {"what": "answered", "method": "GET", "path": "/", "code": 200}.items() <= next(
        one for one in told if one["what"] == "answered"
    ).items()

    api, _ = kubeconfig_api("", lab.ready["kubeconfig"])
    policy = api.get(FRONT)
    policy["spec"]["ingress"] = [{"fromEndpoints": []}]
    generation = api.put(FRONT, policy)["metadata"]["generation"]
    api.close()
    after = told[-1]["n"]
    (enforced,) = eventually(
        lambda: [
            one
            for one in control._ask("GET", f"/truth?after={after}")["truth"]
            if one["what"] == "enforced"
        ]
    )
    assert enforced["generation"] == generation
    assert enforced["n"] > after
    assert control._ask("DELETE", "/truth") == {"truth": []}


def test_a_number_that_is_none_is_refused(lab: MisbehavingLab) -> None:
    """In one sentence."""
    with pytest.raises(TargetError, match="after='x' is no number of an event"):
        lab.control._ask("GET", "/truth?after=x")
