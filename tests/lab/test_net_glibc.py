"""glibc's resolver, and curl, in images that have them."""

import dataclasses

import pytest
from net_support import NOBODY, Bench

from acns_chaos.lab.net.events import Event
from acns_chaos.lab.world import load_world

PRODUCTS = "10.0.96.101"
SEARCH = [
    "pets.svc.cluster.local",
    "svc.cluster.local",
    "cluster.local",
    "k2f4xq0zd1ue3m5c6wapr7tyhb.bx.internal.cloudapp.net",
]


def bench_with_curl(world: str = "pets") -> Bench:
    loaded = load_world(world)
    return Bench(dataclasses.replace(loaded, images=dict.fromkeys(loaded.images, "debian-curl")))


def pod(bench: Bench, app: str):
    return bench.net.directory.backend("pets", app)


def queries(bench: Bench) -> list[str]:
    """The names asked for from now on, each once per pair of questions."""
    names: list[str] = []

    def note(event: Event) -> None:
        if event.query is not None and event.query.qtype == "A":
            names.append(event.query.name)

    bench.net.wire.listen(note)
    return names


async def test_silence_costs_twenty_seconds():
    """Two attempts of 5 s for the first name of the list, and two for the plain one."""
    bench = bench_with_curl("pets-workshop")
    asked = queries(bench)
    lookup = bench.net.resolver.lookup
    found, seconds = await bench.clock.run(
        lookup(pod(bench, "order-service"), "www.bing.com", libc="glibc")
    )
    assert (found, round(seconds, 2)) == ((), 20.0)
    assert asked == ["www.bing.com.pets.svc.cluster.local"] * 2 + ["www.bing.com"] * 2


async def test_a_refusal_costs_nothing_and_ends_the_list():
    """REFUSED is asked for once more at once; then comes the name as it is."""
    bench = bench_with_curl()
    asked = queries(bench)
    lookup = bench.net.resolver.lookup
    found, seconds = await bench.clock.run(
        lookup(pod(bench, "order-service"), "www.bing.com", libc="glibc")
    )
    assert found == ()
    assert seconds < 0.1
    assert asked == ["www.bing.com.pets.svc.cluster.local"] * 2 + ["www.bing.com"] * 2


async def test_no_such_name_goes_on_through_the_list():
    """An unrestricted pod asks for every name in order and gets the last."""
    bench = bench_with_curl()
    asked = queries(bench)
    lookup = bench.net.resolver.lookup
    found, _ = await bench.clock.run(lookup(pod(bench, "rabbitmq"), "www.bing.com", libc="glibc"))
    assert found == ("13.107.21.237",)
    assert asked == [*(f"www.bing.com.{domain}" for domain in SEARCH), "www.bing.com"]


async def test_a_name_with_five_dots_comes_before_the_list():
    """The C library of Debian tries it as it is first and the list after; musl only the former."""
    bench = bench_with_curl()
    candidates = bench.net.resolver.candidates
    name = "a.b.c.d.e.f"
    orders = pod(bench, "order-service")
    assert candidates(orders, name, libc="glibc") == [name, *(f"{name}.{d}" for d in SEARCH)]
    assert candidates(orders, name, libc="musl") == [name]
    assert candidates(orders, f"{name}.", libc="glibc") == [name]


async def test_musl_stops_at_a_name_without_an_address():
    """A headless service whose pods are gone exists: musl asks no further, glibc does."""
    bench = bench_with_curl()
    service = bench.store.get("Service", "pets", "rabbitmq")
    service["spec"] |= {"clusterIP": "None", "selector": {"app": "nobody"}}
    bench.store.put(service)
    asked = queries(bench)
    lookup, rabbit = bench.net.resolver.lookup, pod(bench, "product-service")
    for policy in ("allow-product-service-traffic", "allow-rabbitmq-traffic"):
        bench.store.delete("CiliumNetworkPolicy", "pets", policy)
    await bench.clock.advance(1)
    await bench.clock.run(lookup(rabbit, "rabbitmq", libc="musl"))
    assert asked == ["rabbitmq.pets.svc.cluster.local"]
    del asked[:]
    await bench.clock.run(lookup(rabbit, "rabbitmq", libc="glibc"))
    assert len(asked) == 5


@pytest.mark.parametrize(
    ("options", "out"),
    [
        ("-s", '{"status": "ok", "version": "2.2.0"}'),
        ("-s -o /dev/null -w '%{http_code}'", "200"),
        ("-sSfk -w '\\n%{http_code}\\n'", '{"status": "ok", "version": "2.2.0"}\n200\n'),
        (
            "-sI",
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 36\r\n\r\n",
        ),
    ],
)
async def test_curl_prints_what_it_was_asked_for(options, out):
    """Body, code or headers."""
    bench = bench_with_curl()
    bench.store.delete("CiliumNetworkPolicy", "pets", "allow-store-front-traffic")
    await bench.clock.advance(0.05)
    ran = await bench.sh("rabbitmq", f"curl {options} http://store-front/health")
    assert (ran.code, ran.out, ran.err) == (0, out, "")


async def test_curl_reports_an_http_error_with_f_only():
    """404 is a success to curl unless -f asks for a failure."""
    bench = bench_with_curl()
    bench.store.delete("CiliumNetworkPolicy", "pets", "allow-store-front-traffic")
    await bench.clock.advance(0.05)
    ran = await bench.sh("rabbitmq", "curl -s -o /dev/null -w '%{http_code}' http://store-front/x")
    assert (ran.code, ran.out) == (0, "404")
    ran = await bench.sh("rabbitmq", "curl -sSf http://store-front/x")
    assert (ran.code, ran.out) == (22, "")
    assert ran.err == "curl: (22) The requested URL returned error: 404\n"


async def test_curl_is_silent_about_an_error_without_capital_s():
    """-s hides it, and the code is 000."""
    ran = await bench_with_curl("pets-workshop").sh(
        "order-service", f"curl -s -m 2 -w '%{{http_code}}' http://{PRODUCTS}:3002/"
    )
    assert (ran.code, ran.out, ran.err, ran.seconds) == (28, "000", "", 2.0)


async def test_curl_gives_up_resolving_at_its_time_out():
    """-m also counts while the resolver waits, unlike anything busybox does."""
    ran = await bench_with_curl("pets-workshop").sh(
        "order-service", "curl -sS -m 5 http://product-service:3002/"
    )
    assert (ran.code, ran.seconds) == (28, 5.0)
    assert ran.err == "curl: (28) Resolving timed out after 5000 milliseconds\n"


async def test_curl_is_refused_where_nothing_listens():
    """Exit code 7."""
    bench = bench_with_curl()
    ran = await bench.sh("rabbitmq", "curl -sS http://127.0.0.1:9/")
    assert (ran.code, ran.seconds) == (7, 0.0)
    assert ran.err == (
        "curl: (7) Failed to connect to 127.0.0.1 port 9 after 0 ms: Couldn't connect to server\n"
    )


async def test_curl_follows_redirects_when_asked():
    """Without -L it shows the redirect itself."""
    bench = bench_with_curl()
    code = "-s -o /dev/null -w '%{http_code}'"
    ran = await bench.sh("rabbitmq", f"curl {code} https://graph.microsoft.com")
    assert (ran.code, ran.out) == (0, "302")
    ran = await bench.sh("rabbitmq", f"curl -L {code} https://graph.microsoft.com")
    assert (ran.code, ran.out) == (0, "200")


async def test_curl_waits_for_a_storefront_that_waits_for_its_backend():
    """The storefront hangs on a silent backend; -m ends that with its own words."""
    bench = bench_with_curl()
    bench.store.delete("CiliumNetworkPolicy", "pets", "allow-store-front-traffic")
    await bench.apply("allow-product-service-traffic", ingress=NOBODY)
    ran = await bench.sh("rabbitmq", "curl -sS -m 3 http://store-front/api/products")
    assert (ran.code, ran.seconds) == (28, 3.0)
    assert ran.err == (
        "curl: (28) Operation timed out after 3000 milliseconds with 0 bytes received\n"
    )


@pytest.mark.parametrize(
    "command",
    [
        "curl http://store-front", "curl -s", "curl -s http://a http://b", "curl -s -o f http://a",
        "curl -sd x http://a", "curl -s -w '%{time_total}' http://a", "curl -s -m x http://a",
        "curl -sX POST http://a", "curl -s ftp://a", "curl -sv http://a",
    ],
)  # fmt: skip
async def test_what_curl_cannot_do_here_is_refused(command):
    """One sentence, exit code 2."""
    ran = await bench_with_curl().sh("rabbitmq", command)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith("The lab does not model `curl")


async def test_an_image_with_curl_has_no_busybox():
    """Debian's image with curl holds neither wget nor nc."""
    ran = await bench_with_curl().sh("rabbitmq", "wget --spider http://store-front")
    assert (ran.code, ran.err) == (127, "sh: wget: not found\n")
