"""The storefront: its pages, the hops behind them, and real silence in front of it."""

import asyncio
import json
import socket
import struct
import sys
import time

import aiohttp
import pytest
from net_support import NOBODY, Bench, SmallStore

from acns_chaos.lab.net.listener import Gate, open_listener
from acns_chaos.lab.net.network import Network
from acns_chaos.lab.net.shop.pages import PRODUCTS
from acns_chaos.lab.world import load_world

linux = pytest.mark.skipif(sys.platform != "linux", reason="the SYN filter is Linux's")


# ------------------------------------------------------------------ the hops, in jumping time


async def serve(bench: Bench, method: str, path: str, body: bytes = b"", kind: str = ""):
    front = bench.net.directory.backend("pets", "store-front")
    return await bench.clock.run(bench.net.shop.serve(front, method, path, body, kind))


async def test_a_denied_backend_hangs_until_nginx_gives_up():
    """The products are out for 60 s and then 504, while the front page is fine."""
    bench = Bench()
    await bench.apply("allow-product-service-traffic", ingress=NOBODY)
    page, seconds = await serve(bench, "GET", "/api/products")
    assert (page.status, round(seconds)) == (504, 60)
    page, seconds = await serve(bench, "GET", "/")
    assert (page.status, round(seconds)) == (200, 0)
    product = f"pets/{bench.pod('product-service')}"
    assert bench.net.metrics.value("hubble_drop_total", destination=product) == 12


async def test_a_denied_egress_of_the_storefront_hangs_as_well():
    """The same silence, counted at the other end."""
    bench = Bench()
    await bench.apply("allow-store-front-traffic", egress=[{}])
    page, seconds = await serve(bench, "GET", "/api/orders/health")
    assert (page.status, round(seconds)) == (504, 60)
    assert bench.drops(direction="EGRESS") == 6
    assert bench.drops(direction="INGRESS") == 0


async def test_an_order_resolves_and_reaches_the_queue_lazily():
    """The first order looks rabbitmq up and connects, the second only sends."""
    bench = Bench()
    queries = "hubble_dns_queries_total"
    page, _ = await serve(bench, "POST", "/api/orders/", b"{}", "application/json")
    assert page.status == 201
    assert bench.net.metrics.value(queries) == 2
    page, _ = await serve(bench, "POST", "/api/orders/", b"{}", "application/json")
    assert page.status == 201
    assert bench.net.metrics.value(queries) == 2
    opened = {"flag": "SYN", "destination": "pets/rabbitmq-0"}
    assert bench.net.metrics.value("hubble_tcp_flags_total", **opened) == 1


async def test_an_order_without_dns_fails_after_five_seconds():
    """A pod that must resolve and may not answers 500; its health page stays green."""
    bench = Bench()
    egress = bench.policy("allow-order-service-traffic")["spec"]["egress"]
    await bench.apply("allow-order-service-traffic", egress=egress[:1])
    page, seconds = await serve(bench, "POST", "/api/orders/", b"{}", "application/json")
    assert (page.status, round(seconds)) == (500, 5)
    page, _ = await serve(bench, "GET", "/api/orders/health")
    assert page.status == 200


async def test_an_order_over_a_cut_connection_ends_in_504():
    """AMQP that stood before stalls without a reset."""
    bench = Bench("pets-workshop")
    page, _ = await serve(bench, "POST", "/api/orders/", b"{}", "application/json")
    assert page.status == 201
    await bench.apply("allow-rabbitmq-traffic", ingress=NOBODY)
    page, seconds = await serve(bench, "POST", "/api/orders/", b"{}", "application/json")
    assert (page.status, round(seconds)) == (504, 60)


async def test_a_backend_without_pods_is_a_bad_gateway():
    """Refused at once, so nginx answers 502."""
    bench = Bench()
    bench.store.delete("Pod", "pets", bench.pod("product-service"))
    page, seconds = await serve(bench, "GET", "/api/products")
    assert (page.status, round(seconds)) == (502, 0)


@pytest.mark.parametrize(
    ("method", "path", "body", "kind", "status"),
    [
        ("POST", "/api/orders/", b"", "", 201),
        ("POST", "/api/orders", b"{}", "application/json; charset=utf-8", 201),
        ("POST", "/api/orders/", b"{", "application/json", 400),
        ("POST", "/api/orders/", b"x", "text/plain", 415),
        ("GET", "/api/orders/", b"", "", 404),
        ("GET", "/api/products/3", b"", "", 200),
        ("GET", "/api/products/99", b"", "", 404),
        ("DELETE", "/api/products", b"", "", 405),
        ("POST", "/", b"", "", 405),
        ("GET", "/api/productsX", b"", "", 404),
    ],
)
async def test_pages_answer_as_their_servers_do(method, path, body, kind, status):
    """Nothing is accepted that the real services would refuse."""
    page, _ = await serve(Bench(), method, path, body, kind)
    assert page.status == status


# ------------------------------------------------------------------ real sockets, real time


@pytest.fixture
async def shop():
    """A network in real time, without its own customers; the storefront's URL."""
    world = load_world("pets")
    store = SmallStore(world.objects)
    network = Network(store, world)
    url = await network.shop.start()
    yield network, store, url
    await network.stop()


def write_ingress(store: SmallStore, ingress) -> None:
    policy = store.get("CiliumNetworkPolicy", "pets", "allow-store-front-traffic")
    policy["spec"]["ingress"] = ingress
    store.put(policy)


async def until(fact, timeout: float = 2.0) -> None:
    """Wait for a fact with a deadline."""
    end = time.monotonic() + timeout
    while not fact():
        assert time.monotonic() < end, "it did not come about"
        await asyncio.sleep(0.002)


async def test_the_storefront_serves_its_five_pages(shop):
    """Front page, health, products, orders' health, and an order."""
    _, _, url = shop
    async with aiohttp.ClientSession() as session:
        async with session.get(f"{url}/") as answer:
            assert answer.status == 200
            assert answer.headers["Content-Type"] == "text/html"
            assert "<h1>Pet store</h1>" in await answer.text()
        async with session.get(f"{url}/health") as answer:
            assert await answer.json() == {"status": "ok", "version": "2.2.0"}
        async with session.get(f"{url}/api/products") as answer:
            assert await answer.json() == json.loads(json.dumps(PRODUCTS))
        async with session.get(f"{url}/api/orders/health") as answer:
            assert answer.status == 200
        async with session.post(f"{url}/api/orders/", json={"items": []}) as answer:
            assert answer.status == 201
            assert await answer.text() == ""


@linux
async def test_a_denied_storefront_is_silent_to_the_connect_itself(shop):
    """No SYN-ACK and no reset: connecting times out, and each SYN is one drop."""
    network, store, url = shop
    host, port = url.removeprefix("http://").split(":")
    write_ingress(store, NOBODY)
    await until(lambda: network.enforcement.revision == 2)
    begun = time.monotonic()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(asyncio.open_connection(host, int(port)), 0.6)
    assert 0.55 < time.monotonic() - begun < 2
    value = network.metrics.value
    await until(lambda: value("cilium_drop_count_total", direction="INGRESS") == 1)
    assert value("hubble_drop_total", reason="POLICY_DENIED") == 2


@linux
async def test_a_client_that_waits_gets_through_when_the_policy_is_back(shop):
    """The kernel's retransmission after 1 s succeeds: two SYNs, one drop."""
    network, store, url = shop
    policy = store.get("CiliumNetworkPolicy", "pets", "allow-store-front-traffic")
    write_ingress(store, NOBODY)
    await until(lambda: network.enforcement.revision == 2)
    value = network.metrics.value

    async def front_page() -> tuple[int, float]:
        begun = time.monotonic()
        async with aiohttp.ClientSession() as session, session.get(url) as answer:
            return answer.status, time.monotonic() - begun

    asking = asyncio.ensure_future(front_page())
    await until(lambda: value("cilium_drop_count_total", direction="INGRESS") == 1)
    store.put(policy)
    status, seconds = await asking
    assert status == 200
    assert 0.9 < seconds < 2.5
    assert value("cilium_drop_count_total", direction="INGRESS") == 1


@linux
async def test_an_established_connection_stalls_without_a_reset_and_resumes(shop):
    """A kept-alive connection goes silent with the deny and carries on after it."""
    network, store, url = shop
    host, port = url.removeprefix("http://").split(":")
    policy = store.get("CiliumNetworkPolicy", "pets", "allow-store-front-traffic")
    reader, writer = await asyncio.open_connection(host, int(port))
    request = b"GET /health HTTP/1.1\r\nHost: shop\r\n\r\n"

    async def answer() -> bytes:
        head = await reader.readuntil(b"\r\n\r\n")
        size = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        await reader.readexactly(size)
        return head.split(b"\r\n")[0]

    writer.write(request)
    assert await answer() == b"HTTP/1.1 200 OK"
    write_ingress(store, NOBODY)
    await until(lambda: network.enforcement.revision == 2)
    writer.write(request)
    waiting = asyncio.ensure_future(answer())
    done, _ = await asyncio.wait({waiting}, timeout=0.3)
    assert not done
    drops = network.metrics.value("cilium_drop_count_total", direction="INGRESS")
    assert drops >= 1
    store.put(policy)
    assert await asyncio.wait_for(waiting, 3) == b"HTTP/1.1 200 OK"
    writer.close()
    await writer.wait_closed()


async def test_stopping_does_not_wait_for_hanging_requests(shop):
    """A request that waits for a silent backend ends with the lab."""
    network, store, url = shop
    policy = store.get("CiliumNetworkPolicy", "pets", "allow-product-service-traffic")
    policy["spec"]["ingress"] = NOBODY
    store.put(policy)
    await until(lambda: network.enforcement.revision == 2)
    async with aiohttp.ClientSession() as session:
        asking = asyncio.ensure_future(session.get(f"{url}/api/products"))
        await until(lambda: network.metrics.value("hubble_drop_total") > 0)
        begun = time.monotonic()
        await network.stop()
        assert time.monotonic() - begun < 1.0
        with pytest.raises(aiohttp.ClientError):
            await asking


@linux
async def test_what_a_connection_repeats_comes_from_its_own_port(shop):
    """Each repetition is a drop of the same connection, as in the captures."""
    network, store, url = shop
    host, port = url.removeprefix("http://").split(":")
    _, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"GET /health HTTP/1.1\r\nHost: shop\r\n\r\n")
    write_ingress(store, NOBODY)
    await until(lambda: network.enforcement.revision == 2)
    dropped = []
    network.wire.listen(lambda event: dropped.append((event.flags, event.source_port)))
    writer.write(b"GET /health HTTP/1.1\r\nHost: shop\r\n\r\n")
    await until(lambda: len(dropped) >= 2)
    assert set(dropped) == {("ACK, PSH", writer.get_extra_info("sockname")[1])}
    writer.close()


@linux
async def test_a_drop_in_the_last_moment_before_the_allow_counts(shop, monkeypatch):
    """What was discarded under the deny is booked under it, though policy is another by then."""
    network, store, url = shop
    policy = store.get("CiliumNetworkPolicy", "pets", "allow-store-front-traffic")
    monkeypatch.setattr("acns_chaos.lab.net.listener.POLL_SECONDS", 60)
    write_ingress(store, NOBODY)
    await until(lambda: network.enforcement.revision == 2)
    host, port = url.removeprefix("http://").split(":")
    with socket.socket() as client:
        client.setblocking(False)
        client.connect_ex((host, int(port)))
        drops = network.metrics.value
        assert drops("cilium_drop_count_total", reason="Policy denied") == 0
        store.put(policy)
        await until(lambda: network.enforcement.revision == 3)
        assert drops("cilium_drop_count_total", reason="Policy denied") == 1


async def test_without_the_filter_requests_are_held_and_counted():
    """Elsewhere than on Linux a closed gate holds what was accepted, one drop a request."""
    booked: list[tuple[int, int]] = []
    listener = open_listener()
    gate = Gate(listener, list, lambda n, port: booked.append((n, port)), has_filter=False)
    await asyncio.wait_for(gate.pass_through(), 1)
    assert booked == []
    gate.close()
    held = asyncio.ensure_future(gate.pass_through())
    done, _ = await asyncio.wait({held}, timeout=0.05)
    assert not done
    assert booked == [(1, 0)]
    gate.open()
    await asyncio.wait_for(held, 1)
    listener.close()


async def test_without_the_filter_the_storefront_holds_its_answer(shop):
    """The request is answered when the gate opens, not before."""
    network, _, url = shop
    gate = Gate(open_listener(), list, lambda n, port: None, has_filter=False)
    network.shop._gate = gate
    gate.close()
    async with aiohttp.ClientSession() as session:
        asking = asyncio.ensure_future(session.get(url))
        done, _ = await asyncio.wait({asking}, timeout=0.2)
        assert not done
        gate.open()
        answer = await asyncio.wait_for(asking, 2)
        assert answer.status == 200
        answer.close()
    gate._listener.close()


@linux
async def test_the_kernel_counts_every_syn_that_the_gate_discards():
    """Three clients, three SYNs, three drops booked, none for one that came before."""
    booked: list[tuple[int, int]] = []
    listener = open_listener()
    gate = Gate(listener, list, lambda n, port: booked.append((n, port)))
    early = socket.create_connection(listener.getsockname())
    gate.close()
    clients = []
    for _ in range(3):
        client = socket.socket()
        client.setblocking(False)
        client.connect_ex(listener.getsockname())
        clients.append(client)
    await until(lambda: sum(n for n, _ in booked) == 3)
    assert {port for _, port in booked} == {0}
    gate.open()
    for sock in (early, *clients, listener):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        sock.close()
