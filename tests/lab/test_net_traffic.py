"""Steady traffic: quiet while policy is right, audible when it is wrong."""

import pytest
from net_support import NOBODY, Bench


@pytest.mark.parametrize("world", ["pets", "pets-workshop"])
async def test_in_a_sound_world_nothing_of_it_is_denied(world):
    """Five minutes of probes, customers and orders make no policy drop and no refused lookup."""
    bench = Bench(world)
    bench.net.traffic.start()
    await bench.clock.advance(300)
    value = bench.net.metrics.value
    assert value("hubble_drop_total", reason="POLICY_DENIED") == 0
    assert value("hubble_drop_total", reason="POLICY_DENY") == 0
    assert value("hubble_drop_total", reason="DROP_REASON_UNKNOWN") == 0
    assert bench.drops() == 0
    front = f"pets/{bench.pod('store-front')}"
    opened = value("hubble_tcp_flags_total", flag="SYN", destination=front)
    assert 320 < opened < 460
    queue = value("hubble_tcp_flags_total", flag="SYN", destination="pets/rabbitmq-0")
    # The page's world keeps the connection that stood before its policies came.
    assert queue == (1 if world == "pets" else 0)
    await bench.net.traffic.stop()


async def test_there_is_always_unrelated_drop_noise():
    """A bare "any drop" check would be wrong from the first moment on."""
    bench = Bench()
    bench.net.traffic.start()
    value = bench.net.metrics.value
    assert value("hubble_drop_total", reason="UNSUPPORTED_L3_PROTOCOL", protocol="ICMPv6") == 12
    await bench.clock.advance(300)
    assert value("hubble_drop_total", reason="UNSUPPORTED_L3_PROTOCOL") > 14
    assert value("cilium_drop_count_total", reason="Unsupported L3 protocol") > 14
    await bench.net.traffic.stop()


async def test_a_denied_storefront_drops_without_any_user():
    """Probes and customers make some 3 drops a second, twice that in Hubble."""
    bench = Bench()
    bench.net.traffic.start()
    await bench.apply("allow-store-front-traffic", ingress=NOBODY)
    await bench.clock.advance(60)
    dropped = bench.drops(direction="INGRESS")
    assert 150 < dropped < 260
    value = bench.net.metrics.value
    front = f"pets/{bench.pod('store-front')}"
    assert value("hubble_drop_total", destination=front) == 2 * dropped
    await bench.net.traffic.stop()


async def test_the_same_name_overwrite_of_the_workshop_cuts_orders():
    """The FQDN file takes AMQP from order-service: its established connection goes silent."""
    bench = Bench("pets-workshop")
    bench.net.traffic.start()
    spec = bench.world.later["fqdn"][0]["spec"]
    await bench.apply("allow-order-service-traffic", **{**spec, "ingress": None})
    await bench.clock.advance(60)
    orders = f"pets/{bench.pod('order-service')}"
    value = bench.net.metrics.value
    assert value("hubble_drop_total", source=orders, protocol="TCP") > 0
    assert value("hubble_drop_total", destination=f"pets/{bench.pod('store-front')}") == 0
    await bench.net.traffic.stop()


async def test_stopping_ends_every_wait():
    """No task is left, whatever it waited for."""
    bench = Bench()
    bench.net.traffic.start()
    await bench.apply("allow-store-front-traffic", ingress=NOBODY)
    await bench.clock.advance(7)
    await bench.net.traffic.stop()
    before = bench.drops()
    await bench.clock.advance(60)
    assert bench.drops() == before
